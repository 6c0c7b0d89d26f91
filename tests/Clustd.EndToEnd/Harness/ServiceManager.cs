using System.Collections.Concurrent;
using System.Net.Sockets;
using System.Text;

namespace Clustd.EndToEnd.Harness;

/// <summary>The socket on which a service manager like systemd hears of its services, and what was said there, with the instant, µs.</summary>
public sealed class ServiceManager : IDisposable
{
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("clustd-notify-");
    private readonly Socket _socket = new(AddressFamily.Unix, SocketType.Dgram, ProtocolType.Unspecified);
    private readonly ConcurrentQueue<(string Text, long At)> _heard = new();

    public ServiceManager()
    {
        _socket.Bind(new UnixDomainSocketEndPoint(Path));
        new Thread(Hear) { IsBackground = true }.Start();
    }

    /// <summary>For NOTIFY_SOCKET.</summary>
    public string Path => System.IO.Path.Combine(_folder.FullName, "notify");

    public IReadOnlyList<(string Text, long At)> Heard => [.. _heard];

    /// <summary>When the watchdog was fed.</summary>
    public IReadOnlyList<long> Fed => [.. _heard.Where(each => each.Text == "WATCHDOG=1").Select(each => each.At)];

    public void Dispose()
    {
        _socket.Dispose();
        _folder.Delete(recursive: true);
    }

    private void Hear()
    {
        var buffer = new byte[4096];
        try
        {
            while (true)
            {
                var count = _socket.Receive(buffer);
                _heard.Enqueue((Encoding.UTF8.GetString(buffer, 0, count), ActObserver.Now));
            }
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            // The end of the test.
        }
    }
}
