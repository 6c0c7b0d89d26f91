using Clustd.Client;
using Clustd.Drivers.Processes;

namespace Clustd.Drivers.Ocf;

/// <summary>
/// The processes that an agent's start has left running: a daemon, its children. The guard that ran the start holds them, so that nothing of them outlives the lease, a stop or this process,
/// whatever the agent's own stop does. What else a start brings about (an address, a mount) no guard can hold.
/// </summary>
/// <param name="ended">They have all ended, and nobody has told them to.</param>
internal sealed class OcfFamily(Action ended)
{
    private static readonly TimeSpan OrphansLimit = TimeSpan.FromMilliseconds(500);

    private readonly Lock _gate = new();
    private LeaseEnd _lease;
    private GuardedProcess? _process;
    private bool _isEnding;
    private string? _left; // what is still running although it should not; null: nothing

    /// <summary>How a start is run: its guard goes on as the holder.</summary>
    public GuardSpec Held(GuardSpec start)
    {
        lock (_gate) return start with { IsScript = false, HoldsTheRest = true, LeaseEnd = _lease.EndsAtUs ?? 0, KillTimeoutMicros = _lease.KillTimeoutUs };
    }

    /// <summary>As soon as there is a guard: the lease may have been renewed meanwhile.</summary>
    public void Began(GuardedProcess start)
    {
        lock (_gate)
        {
            (_process, _isEnding) = (start, false);
            if (_lease.EndsAtUs is { } end) start.Renew(end);
        }
    }

    /// <summary>The start has succeeded: from now on the end of what it left is news.</summary>
    public void Watch()
    {
        if (_process is not { Gone.IsCompleted: false } process) return; // Most agents leave no process behind.
        process.Gone.ContinueWith(_ =>
        {
            bool isNews;
            lock (_gate) isNews = _process == process && !_isEnding;
            if (isNews) ended();
        }, TaskScheduler.Default);
    }

    public void LeaseChanged(LeaseEnd lease)
    {
        lock (_gate)
        {
            _lease = lease;
            if (lease.EndsAtUs is { } end) _process?.Renew(end);
        }
    }

    /// <summary>Kills what is left of them. Null: it is proven that nothing is; else who is still running.</summary>
    public async Task<string?> EndAsync(TimeSpan limit, string reason)
    {
        GuardedProcess? process;
        lock (_gate)
        {
            (process, _isEnding) = (_process, true);
            process?.Stop(DriverClock.NowUs + (long)limit.TotalMicroseconds, reason);
        }
        if (process is not null)
        {
            GuardedEnd end = await process.Gone.ConfigureAwait(false);
            lock (_gate)
            {
                if (_process == process) _process = null;
                _left = end.Left;
            }
        }
        if (_left is not null) _left = Orphans.KillAll(OrphansLimit);
        return _left;
    }
}
