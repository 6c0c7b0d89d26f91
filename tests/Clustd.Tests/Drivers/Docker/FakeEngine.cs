using System.Net.Sockets;
using System.Text;

namespace Clustd.Tests.Drivers.Docker;

/// <summary>An engine on a socket that says what the test says, byte by byte: refusals, garbage, half an answer, nothing.</summary>
internal sealed class FakeEngine : IDisposable
{
    private readonly Socket _listener = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
    private readonly CancellationTokenSource _ended = new();

    public FakeEngine(string path)
    {
        _listener.Bind(new UnixDomainSocketEndPoint(path));
        _listener.Listen();
        _ = AcceptAsync();
    }

    /// <summary>The whole answer to a request, "GET /v1.41/containers/web/json"; null: none, ever.</summary>
    public Func<string, string?> Answer { get; set; } = _ => null;

    /// <summary>As an engine answers <c>/_ping</c>.</summary>
    public static string Ping(string version = "1.41") => $"HTTP/1.1 200 OK\r\nApi-Version: {version}\r\nContent-Length: 2\r\n\r\nOK";

    public static string Json(int status, string body) => $"HTTP/1.1 {status} -\r\nContent-Type: application/json\r\nContent-Length: {Encoding.UTF8.GetByteCount(body)}\r\n\r\n{body}";

    public void Dispose()
    {
        _ended.Cancel();
        _listener.Dispose();
    }

    private async Task AcceptAsync()
    {
        try
        {
            while (true) _ = ServeAsync(await _listener.AcceptAsync(_ended.Token));
        }
        catch (Exception e) when (e is OperationCanceledException or SocketException or ObjectDisposedException)
        {
            // The test is over.
        }
    }

    private async Task ServeAsync(Socket connection)
    {
        using var socket = connection;
        var buffer = new byte[8192];
        try
        {
            while (await socket.ReceiveAsync(buffer, _ended.Token) is var count and > 0)
            {
                string line = Encoding.UTF8.GetString(buffer, 0, count).Split("\r\n")[0];
                if (Answer(line[..line.LastIndexOf(' ')]) is not { } answer) await Task.Delay(Timeout.Infinite, _ended.Token);
                else await socket.SendAsync(Encoding.UTF8.GetBytes(answer), _ended.Token);
                if (Answer(line[..line.LastIndexOf(' ')]) is { } said && !said.Contains("Content-Length") && !said.Contains("HTTP/1.1 204")) return;
            }
        }
        catch (Exception e) when (e is OperationCanceledException or SocketException)
        {
            // It has hung up, or the test is over.
        }
    }
}
