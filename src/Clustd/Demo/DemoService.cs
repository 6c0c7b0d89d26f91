using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text;
using Clustd.Client;

namespace Clustd.Demo;

/// <summary>
/// `clustd demo-web --port P --observer Q`: what the demo runs as a service. It answers HTTP with its machine and token, and every 5 ms it
/// acts: it sends machine, token and the time of the act to the observer, which thereby sees two masters if there are two.
/// </summary>
internal static class DemoService
{
    public const string Word = "demo-web";
    private static readonly TimeSpan ActEvery = TimeSpan.FromMilliseconds(5);

    public static int Run(string[] args)
    {
        if (args is not ["--port", var port, "--observer", var observer])
        {
            Console.Error.WriteLine("clustd demo-web is started by `clustd demo`: there is nothing to do by hand.");
            return 2;
        }

        var machine = Environment.GetEnvironmentVariable("CLUSTD_MACHINE") ?? "";
        var token = Environment.GetEnvironmentVariable("CLUSTD_TOKEN") ?? "";
        using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp);
        socket.Connect(IPAddress.Loopback, int.Parse(observer, CultureInfo.InvariantCulture));
        Act(socket, machine, token); // Before anything else: it counts as running from here.
        new Thread(() => Serve(int.Parse(port, CultureInfo.InvariantCulture), $"{machine} token {Shown(token)}\n")) { IsBackground = true }.Start();
        while (true)
        {
            Thread.Sleep(ActEvery);
            Act(socket, machine, token);
        }
    }

    private static string Shown(string token) => long.TryParse(token, CultureInfo.InvariantCulture, out var number) ? Cli.TokenText.Of(number) : token;

    private static void Act(Socket socket, string machine, string token)
    {
        try
        {
            // The time is read right before the act and travels with it: how long the observer takes to look does not matter.
            socket.Send(Encoding.ASCII.GetBytes($"{machine} {token} {DriverClock.NowUs.ToString(CultureInfo.InvariantCulture)}"));
        }
        catch (SocketException)
        {
            // The observer is gone; the service does not depend on being watched.
        }
    }

    private static void Serve(int port, string answer)
    {
        var listener = new TcpListener(IPAddress.Loopback, port);
        listener.Start();
        var response = Encoding.UTF8.GetBytes($"HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {Encoding.UTF8.GetByteCount(answer)}\r\nConnection: close\r\n\r\n{answer}");
        var request = new byte[4096];
        while (true)
        {
            using var client = listener.AcceptTcpClient();
            try
            {
                client.ReceiveTimeout = 1000;
                _ = client.GetStream().Read(request);
                client.GetStream().Write(response);
            }
            catch (Exception e) when (e is IOException or SocketException)
            {
                // Whoever asked is gone.
            }
        }
    }
}
