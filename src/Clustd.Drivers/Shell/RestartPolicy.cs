namespace Clustd.Drivers.Shell;

/// <summary>What to do with an app that has ended by itself.</summary>
public abstract record RestartDecision
{
    private RestartDecision() { }

    /// <summary>Start it again here after the delay.</summary>
    public sealed record Restart(TimeSpan Delay, string Reason) : RestartDecision;

    /// <summary>Leave it to another machine.</summary>
    public sealed record GiveUp(string Reason) : RestartDecision;
}

/// <summary>
/// How often an app may be restarted on the same machine before another one tries: by default 3 times in 60 s. Pure: instants in µs come in.
/// A restart here costs milliseconds, a move costs the next machine's start, so a rare crash is cured here; one that comes back is not.
/// </summary>
public sealed class RestartPolicy(int restartsMax, TimeSpan window)
{
    private static readonly TimeSpan DelayFirst = TimeSpan.FromMilliseconds(100);
    private readonly Queue<long> _restarts = new();

    public RestartPolicy() : this(restartsMax: 3, window: TimeSpan.FromSeconds(60))
    {
    }

    /// <summary>The app has ended at <paramref name="nowMicros"/> as <paramref name="how"/> says (<c>exit code 3</c>).</summary>
    public RestartDecision Ended(long nowMicros, string how)
    {
        while (_restarts.TryPeek(out long oldest) && nowMicros - oldest >= (long)window.TotalMicroseconds) _restarts.Dequeue();
        if (_restarts.Count >= restartsMax)
        {
            return new RestartDecision.GiveUp(
                $"ended by itself ({how}) and was restarted {restartsMax} times within {window.TotalSeconds:0} s already: leaving it to another machine");
        }
        // 0.1, 0.2, 0.4 s: time for a port to become free, or a file system to come back.
        var delay = DelayFirst * (1 << _restarts.Count);
        _restarts.Enqueue(nowMicros);
        return new RestartDecision.Restart(delay, $"ended by itself ({how}): restart {_restarts.Count} of {restartsMax} within {window.TotalSeconds:0} s");
    }
}
