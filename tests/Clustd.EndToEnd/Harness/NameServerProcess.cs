using System.Buffers.Binary;
using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Text;
using Xunit;

namespace Clustd.EndToEnd.Harness;

/// <summary>A real BIND 9 on a port of loopback, with the zone example.test, in which whoever has the key may change anything.</summary>
public sealed class NameServerProcess : IDisposable
{
    public const string KeyName = "clustd", Secret = "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LTEyMzQ=";

    private readonly string _folder = Directory.CreateTempSubdirectory("clustd-named-").FullName;
    private readonly Process _process;

    public NameServerProcess()
    {
        const string program = "/usr/sbin/named";
        Assert.SkipUnless(File.Exists(program), "BIND 9 is not there: install bind9");
        Port = FreePort();
        File.WriteAllText(Path.Combine(_folder, "zone.db"), "$TTL 300\n@ SOA ns1 admin 1 3600 600 86400 60\n@ NS ns1\nns1 A 127.0.0.1\n");
        File.WriteAllText(Path.Combine(_folder, "named.conf"), $$"""
            options {
              directory "{{_folder}}"; pid-file "named.pid"; session-keyfile "session.key"; lock-file none;
              listen-on port {{Port}} { 127.0.0.1; }; listen-on-v6 { none; }; recursion no; dnssec-validation no;
            };
            controls { };
            key {{KeyName}} { algorithm hmac-sha256; secret "{{Secret}}"; };
            zone "example.test" { type primary; file "zone.db"; update-policy { grant {{KeyName}} zonesub A AAAA CNAME TXT; }; notify no; };
            """);
        _process = Process.Start(new ProcessStartInfo("/bin/sh", ["-c", $"exec {program} -g -n 1 -c {_folder}/named.conf > {_folder}/log 2>&1 < /dev/null"]))!;
    }

    public int Port { get; }

    /// <summary>The one IPv4 address of a name; empty: it has none, or several, or the server does not answer.</summary>
    public async Task<string> AddressOfAsync(string name)
    {
        byte[] question = [.. name.Split('.').SelectMany(label => (byte[])[(byte)label.Length, .. Encoding.ASCII.GetBytes(label)]), 0, 0, 1, 0, 1];
        using var socket = new UdpClient();
        socket.Connect(IPAddress.Loopback, Port);
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(1));
        try
        {
            await socket.SendAsync((byte[])[0, 7, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, .. question], limit.Token);
            byte[] answer = (await socket.ReceiveAsync(limit.Token)).Buffer;
            // Header, question, and one record: a pointer to the name, 10 bytes about its data, and 4 bytes of that.
            bool isOne = answer.Length >= 12 + question.Length + 16 && BinaryPrimitives.ReadUInt16BigEndian(answer.AsSpan(6)) == 1;
            return isOne ? new IPAddress(answer.AsSpan(12 + question.Length + 12, 4)).ToString() : "";
        }
        catch (Exception e) when (e is OperationCanceledException or SocketException)
        {
            return "";
        }
    }

    public void Dispose()
    {
        if (!_process.HasExited) _process.Kill();
        _process.WaitForExit();
        _process.Dispose();
        Directory.Delete(_folder, recursive: true);
    }

    private static int FreePort()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }
}
