using Clustd.Client;
using Clustd.Drivers.Processes;

namespace Clustd.Drivers.Holding;

/// <summary>
/// The driver's end of a guard that stops what systemd or an engine runs: at the end of the lease by its own timer, at once when the driver process dies. Its own death changes nothing outside: the driver starts another one.
/// </summary>
internal sealed class HoldingGuard
{
    private readonly GuardedProcess _process;

    private HoldingGuard(GuardedProcess process) => _process = process;

    public int Pid => _process.GuardPid;

    /// <summary>Completes when the guard has ended.</summary>
    public Task Gone => _process.Gone;

    /// <summary>Returns when the guard has the lease. <paramref name="note"/> is called for each thing that it has to say.</summary>
    public static async Task<HoldingGuard> StartAsync(GuardCommand command, HoldSpec holds, GuardReport report, LeaseEnd lease, Action<string> note, CancellationToken cancellationToken)
    {
        var guard = new HoldingGuard(GuardedProcess.Start(command, new GuardSpec
        {
            Command = [], Environment = [], Holds = holds, KillTimeoutMicros = lease.KillTimeoutUs, LeaseEnd = lease.EndsAtUs ?? 0, Report = report,
        }, note));
        try
        {
            await guard._process.Started.WaitAsync(cancellationToken).ConfigureAwait(false);
            return guard;
        }
        catch (AppFailedException e)
        {
            throw new DriverFailedException($"Cannot start a guard for {holds.What}: {e.Message}", e);
        }
    }

    /// <summary>What runs, runs there: the guard kills it at the end. Any number of times.</summary>
    public void Hold(Cgroup cgroup) => _process.Hold(cgroup.Directory);

    public void Renew(long leaseEnd) => _process.Renew(leaseEnd);

    /// <summary>What it held has been stopped: it looks for itself, and ends. Returns when it has ended, at <paramref name="limit"/> at the latest.</summary>
    public async Task EndAsync(long limit, string reason, CancellationToken cancellationToken)
    {
        _process.Stop(limit, reason);
        await _process.Gone.WaitAsync(cancellationToken).ConfigureAwait(false);
    }
}
