using Clustd.Client;
using Clustd.Drivers.Processes;
using Clustd.Drivers.Shell;

namespace Clustd.Drivers.Holding;

/// <summary>
/// Base of drivers that let somebody else run something: systemd a unit, an engine a container. What is started outlives this process, so a guard stops it when this process dies or the lease is over, and the next driver process
/// stops it before it does anything else.
/// </summary>
public abstract class HeldDriver : StateDriver
{
    private static readonly TimeSpan CourtesyMax = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan CleanLimit = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan IntruderLimit = TimeSpan.FromSeconds(5); // within a look
    private static readonly TimeSpan KillTimeoutDefault = TimeSpan.FromMilliseconds(500); // as a service's

    private readonly DriverHost _host;
    private readonly int _restartsMax;
    private readonly Lock _gate = new();
    private readonly Dictionary<string, Cgroup> _cgroups = new(StringComparer.Ordinal);
    private HoldingGuard? _guard;
    private RestartPolicy _restarts;
    private long _token;
    private bool _isIntruder; // what runs although this machine is not the master

    private protected HeldDriver(DriverOptions options, DriverHost host, int restartsMax, StateDriverTerms? terms)
        : base(options, host, terms)
    {
        (_host, _restartsMax, _restarts) = (host, restartsMax, NewPolicy(restartsMax));
    }

    /// <summary>Of the process that stops it when this one dies, while there is one.</summary>
    public int? GuardPid => _guard?.Pid;

    private protected abstract HoldSpec Holds { get; }

    private protected abstract bool HasGuard { get; }

    /// <summary>Starts it; it may run already. Calls <see cref="RunsIn"/> for what runs, and returns when it runs.</summary>
    private protected abstract Task StartAsync(Trigger trigger, CancellationToken cancellationToken);

    /// <summary>What differs, as <see cref="StateDriver.FindDriftAsync"/>; that there is a guard is seen to.</summary>
    private protected abstract Task<string?> LookAsync(Trigger made, CancellationToken cancellationToken);

    /// <summary>Calls <see cref="RunsIn"/> for what runs now, whoever has started it.</summary>
    private protected abstract Task FindAsync(CancellationToken cancellationToken);

    /// <inheritdoc/>
    public override async Task CleanAsync(CancellationToken cancellationToken)
    {
        try
        {
            await FindAsync(cancellationToken).ConfigureAwait(false);
        }
        catch (DriverFailedException)
        {
            // The stop says the same, and what has no known cgroup is killed by its manager.
        }
        // As at the end of a lease: how much is left of the earlier process's, nobody knows.
        long now = DriverClock.NowUs, killAt = now + KillTimeoutMicros / 2;
        if (await StopAsync(killAt, now + (long)CleanLimit.TotalMicroseconds, cancellationToken).ConfigureAwait(false) is { } left)
            throw new DriverFailedException($"{What}: what an earlier driver process may have left could not be stopped: {left}. It is tried again at the next stop; see to it by hand if this machine is not the master.");
    }

    protected sealed override async Task MakeAsync(Trigger trigger, CancellationToken cancellationToken)
    {
        bool isStart = _token != trigger.Token; // else what has ended is made again
        if (isStart) _restarts = NewPolicy(_restartsMax);
        if (_guard is not null && (isStart || _guard.Gone.IsCompleted)) await EndGuardAsync(trigger, cancellationToken).ConfigureAwait(false);
        (_token, _isIntruder) = (trigger.Token, false);
        EnsureLease();
        if (_guard is null && HasGuard) await StartGuardAsync(trigger, cancellationToken).ConfigureAwait(false);
        try
        {
            await StartAsync(trigger, cancellationToken).ConfigureAwait(false);
            EnsureLease();
        }
        catch when (isStart)
        {
            _token = 0;
            // Half of it may run; nobody is to hear of the failure before that is over.
            long now = DriverClock.NowUs, limit = KillTimeoutMicros;
            if (await StopAsync(now + limit / 2, now + limit, CancellationToken.None).ConfigureAwait(false) is { } left)
                Log(DriverLogLevel.Error, $"{Name}: the start has failed, and {What} could not be stopped: {left}.");
            throw;
        }
    }

    protected sealed override async Task UnmakeAsync(Trigger trigger, CancellationToken cancellationToken)
    {
        _token = 0; // whatever comes of it: what starts after this, starts under another guard
        long now = DriverClock.NowUs;
        // Before the trigger's own limit: a sentence about what is left, and not only that time has run out.
        long limit = (long)(trigger.Limit * 0.95).TotalMicroseconds;
        // What somebody has started where another machine is the master, has no more time than what runs when the lease is over.
        bool hasNoTime = trigger.Kill || _isIntruder;
        if (_isIntruder) limit = Math.Min(limit, (long)IntruderLimit.TotalMicroseconds);
        _isIntruder = false;
        // Once the lease is over, the limit is what a stop that is late may take; the kill is due by the kill timeout.
        long killAt = hasNoTime ? now + Math.Min(limit, KillTimeoutMicros) / 2 : now + limit - Math.Min(limit / 4, (long)CourtesyMax.TotalMicroseconds);
        if (await StopAsync(killAt, now + limit, cancellationToken).ConfigureAwait(false) is { } left)
            throw new DriverFailedException($"Cannot stop {What}: {left}. Stop it by hand.");
        await EndGuardAsync(trigger, cancellationToken).ConfigureAwait(false);
        lock (_gate) _cgroups.Clear();
        LookSoon(); // whether a start would succeed, should be known before it is needed
    }

    protected sealed override async Task<string?> FindDriftAsync(Trigger made, CancellationToken cancellationToken)
    {
        if (made.IsMaster && HasGuard && (_guard is null || _guard.Gone.IsCompleted)) return $"{What} has no guard: it was killed.";
        string? drift = await LookAsync(made, cancellationToken).ConfigureAwait(false);
        _isIntruder = drift is not null && !made.IsMaster;
        return drift;
    }

    protected override void LeaseChanged(LeaseEnd lease)
    {
        if (lease.EndsAtUs is { } end) _guard?.Renew(end);
    }

    /// <summary>Where it runs: what is killed there, if it does not stop. Null: not known.</summary>
    private protected void RunsIn(Cgroup? cgroup)
    {
        if (cgroup is null) return;
        if (HasGuard && cgroup.WhyNotKillable() is { } why)
            throw new DriverFailedException($"{What} could not be killed at the end of the lease: {Environment.UserName} may not ({why}). Run `clustd drivers` as root, or write `guard: false` and read what that means.");
        lock (_gate) _cgroups[cgroup.Directory] = cgroup;
        _guard?.Hold(cgroup);
    }

    /// <summary>It has ended although it should run. Returns the sentence when it is to be started again; throws when it has ended too often: then the daemon has been told.</summary>
    private protected async Task<string> EndedAsync(Trigger made, string which, string how, CancellationToken cancellationToken)
    {
        switch (_restarts.Ended(DriverClock.NowUs, how))
        {
            case RestartDecision.Restart restart:
                await Task.Delay(restart.Delay, cancellationToken).ConfigureAwait(false);
                return $"{which} {restart.Reason}.";
            case RestartDecision.GiveUp giveUp:
                if (Required) await ReportFailedAsync(made.Service, $"{which} {giveUp.Reason}", cancellationToken).ConfigureAwait(false);
                throw new DriverFailedException($"{which} {giveUp.Reason}.");
            default:
                throw new System.Diagnostics.UnreachableException();
        }
    }

    // The service's comes with the first lease.
    private long KillTimeoutMicros => LeaseEnd.KillTimeoutUs is > 0 and var granted ? granted : (long)(Options.KillTimeout ?? KillTimeoutDefault).TotalMicroseconds;

    private static RestartPolicy NewPolicy(int restartsMax) => new(restartsMax, TimeSpan.FromSeconds(60));

    private Task<string?> StopAsync(long killAt, long limit, CancellationToken cancellationToken) =>
        OuterStop.RunAsync(Holds.Held(), () => { lock (_gate) return [.. _cgroups.Values]; }, killAt, limit, cancellationToken);

    private async Task StartGuardAsync(Trigger trigger, CancellationToken cancellationToken)
    {
        var lease = LeaseEnd;
        var report = new GuardReport { Host = _host.Address, Secret = _host.Secret, Driver = Client.Name!, Instance = Instance, Service = trigger.Service, Token = trigger.Token };
        var guard = await HoldingGuard.StartAsync(_host.Guard, Holds, report, lease, text => Log(DriverLogLevel.Warning, $"{Name}: {text}"), cancellationToken).ConfigureAwait(false);
        _guard = guard;
        if (LeaseEnd.EndsAtUs is { } newer && newer != lease.EndsAtUs) guard.Renew(newer); // it changed before there was anybody to tell
        lock (_gate)
        {
            foreach (var cgroup in _cgroups.Values) guard.Hold(cgroup);
        }
        _ = guard.Gone.ContinueWith(_ => LookSoon(), CancellationToken.None, TaskContinuationOptions.ExecuteSynchronously, TaskScheduler.Default);
    }

    private async Task EndGuardAsync(Trigger trigger, CancellationToken cancellationToken)
    {
        if (_guard is not { } guard) return;
        await guard.EndAsync(DriverClock.NowUs + (long)trigger.Limit.TotalMicroseconds, trigger.Reason, cancellationToken).ConfigureAwait(false);
        _guard = null;
    }

    private void EnsureLease()
    {
        if (!LeaseEnd.IsValid(DriverClock.NowUs))
            throw new DriverFailedException($"Cannot start {What}: this machine's lease is over. It is tried again when the daemon has a quorum.");
    }
}
