using System.Diagnostics;
using System.Globalization;
using System.Net.Sockets;
using System.Text;
using Clustd.Http;

namespace Clustd.Systemd;

/// <summary>
/// Tells the service manager that started us how we are: sd_notify(3), a datagram of lines to the socket that $NOTIFY_SOCKET names. Nothing here
/// blocks or throws: a manager that does not listen must not hold up decisions.
/// </summary>
/// <remarks>
/// Written by hand because Microsoft.Extensions.Hosting.Systemd says READY only under a parent called systemd, and feeds no watchdog.
/// </remarks>
internal sealed class NotifySocket : IDisposable
{
    private const int StatusCharsMax = 400;

    private readonly Socket _socket;
    private readonly TimeSpan? _watchdog;
    private readonly Func<long> _timestamp;
    private long _fedAt;

    private NotifySocket(Socket socket, TimeSpan? watchdog, Func<long> timestamp)
    {
        _socket = socket;
        _watchdog = watchdog;
        _timestamp = timestamp;
        _fedAt = timestamp();
    }

    /// <summary>How often a turn must come for the watchdog: four chances before the manager gives us up. Null: it has none for us.</summary>
    public TimeSpan? FeedEvery => _watchdog / 4;

    /// <summary>What the manager watches, for the status; null: nothing.</summary>
    public WatchdogStatus? Watchdog => _watchdog is { } timeout
        ? new WatchdogStatus("systemd", null, (long)timeout.TotalMilliseconds, (long)Stopwatch.GetElapsedTime(Interlocked.Read(ref _fedAt), _timestamp()).TotalMilliseconds, null)
        : null;

    /// <summary>Variables that the manager meant for this process alone: not for the programs that it starts.</summary>
    public static bool IsVariable(string name) => name is "NOTIFY_SOCKET" or "WATCHDOG_USEC" or "WATCHDOG_PID" or "LISTEN_FDS" or "LISTEN_PID" or "LISTEN_FDNAMES";

    /// <summary>The manager of this process; null when nobody asked to be notified, or its socket is not there.</summary>
    public static NotifySocket? OfThisProcess() => From(Environment.GetEnvironmentVariable, Environment.ProcessId, Stopwatch.GetTimestamp);

    /// <param name="variable">A variable of the environment, or null.</param>
    /// <param name="timestamp">As <see cref="Stopwatch.GetTimestamp"/>.</param>
    internal static NotifySocket? From(Func<string, string?> variable, int processId, Func<long> timestamp)
    {
        // "@name" is the abstract name space, which begins with a zero byte.
        if (variable("NOTIFY_SOCKET") is not { Length: > 1 } name || name[0] is not ('/' or '@')) return null;
        var socket = new Socket(AddressFamily.Unix, SocketType.Dgram, ProtocolType.Unspecified) { Blocking = false };
        try
        {
            socket.Connect(new UnixDomainSocketEndPoint(name[0] == '@' ? "\0" + name[1..] : name));
        }
        catch (Exception e) when (e is SocketException or ArgumentException)
        {
            socket.Dispose();
            return null;
        }

        var isOurs = variable("WATCHDOG_PID") is not { Length: > 0 } pid || pid == processId.ToString(CultureInfo.InvariantCulture);
        TimeSpan? watchdog = isOurs && long.TryParse(variable("WATCHDOG_USEC"), NumberStyles.None, CultureInfo.InvariantCulture, out var microseconds) && microseconds > 0
            ? TimeSpan.FromMicroseconds(microseconds)
            : null;
        return new NotifySocket(socket, watchdog, timestamp);
    }

    /// <summary>The daemon serves: units that come after it may start.</summary>
    public void Ready() => Tell("READY=1");

    /// <summary>The daemon says goodbye. Services are stopped one after the other, which may take longer than the manager waits by default.</summary>
    public void Stopping() => Tell("STOPPING=1");

    /// <summary>One sentence for `systemctl status`.</summary>
    public void Status(string sentence)
    {
        var line = sentence.ReplaceLineEndings(" ");
        Tell("STATUS=" + (line.Length > StatusCharsMax ? line[..StatusCharsMax] : line));
    }

    /// <summary>
    /// After every turn of the decision loop: feeds the watchdog when it is time. By the loop and by no timer, so that a daemon that no longer decides is
    /// started again.
    /// </summary>
    public void TurnCompleted()
    {
        if (FeedEvery is { } every && Stopwatch.GetElapsedTime(_fedAt, _timestamp()) >= every && Tell("WATCHDOG=1"))
        {
            Interlocked.Exchange(ref _fedAt, _timestamp());
        }
    }

    public void Dispose() => _socket.Dispose();

    private bool Tell(string state)
    {
        try
        {
            return _socket.Send(Encoding.UTF8.GetBytes(state)) > 0;
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            return false; // Its queue is full, or it is gone: what it missed it is told again, or sees by itself.
        }
    }
}
