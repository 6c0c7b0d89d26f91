using System.Threading.Channels;
using Clustd.Client;

namespace Clustd.Drivers.Shell;

/// <summary>
/// Logs the lines of an app behind the name of its service (<c>web| listening</c>) without ever making the app's guard wait: when the log is
/// slower than the app, lines are dropped and counted.
/// </summary>
internal sealed class OutputLog : IAsyncDisposable
{
    private const int LinesMax = 4096; // at 8 kB a line at most 32 MB, in practice some 400 kB

    private readonly Channel<string> _lines = Channel.CreateBounded<string>(new BoundedChannelOptions(LinesMax) { SingleReader = true });
    private readonly Task _writing;
    private long _dropped;

    public OutputLog(string prefix, Action<DriverLogLevel, string> log) => _writing = WriteAsync(prefix, log);

    public void Add(string line)
    {
        if (!_lines.Writer.TryWrite(line)) Interlocked.Increment(ref _dropped);
    }

    public async ValueTask DisposeAsync()
    {
        _lines.Writer.TryComplete();
        await _writing.ConfigureAwait(false);
    }

    private async Task WriteAsync(string prefix, Action<DriverLogLevel, string> log)
    {
        await foreach (string line in _lines.Reader.ReadAllAsync().ConfigureAwait(false))
        {
            log(DriverLogLevel.Info, $"{prefix}| {line}");
            if (Interlocked.Exchange(ref _dropped, 0) is > 0 and var dropped)
                log(DriverLogLevel.Warning, $"{prefix}| ({dropped} lines dropped: the app writes faster than they can be logged)");
        }
    }
}
