using Clustd.Client;
using Clustd.Drivers.Processes;

namespace Clustd.Drivers.Shell;

/// <summary>
/// A <c>run:</c> app: started under a guard, restarted when it ends by itself, stopped for certain. Nothing of it runs without a lease.
/// </summary>
/// <param name="name">Of the service, for messages.</param>
/// <param name="describe">The guard's spec for a start under this trigger and lease.</param>
/// <param name="reportFailed">Called when the app is given up here.</param>
/// <param name="ended">
/// Null: an app that ends is restarted, and one that ends at once has not started. Else the app is a command that may end: then this is called, when
/// nothing is left of it, with how it ended by itself, or with null and the reason if it was killed by none of us; and that is all.
/// </param>
internal sealed class SupervisedApp(
    string name,
    GuardCommand guard,
    Func<Trigger, LeaseEnd, GuardSpec> describe,
    Action<string> output,
    Action<DriverLogLevel, string> log,
    Func<string, CancellationToken, Task> reportFailed,
    RestartPolicy? policy = null,
    Action<ChildExit?, string>? ended = null)
{
    // An app that ends within this time after exec did not start: a wrong option, a port in use, a missing library.
    private static readonly TimeSpan Settle = TimeSpan.FromMilliseconds(100);
    private static readonly TimeSpan OrphansLimit = TimeSpan.FromMilliseconds(500);

    private readonly Lock _gate = new();
    private readonly RestartPolicy _policy = policy ?? new RestartPolicy();
    private LeaseEnd _lease;
    private TaskCompletionSource _leaseChanged = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private GuardedProcess? _process;
    private Task? _supervising;
    private CancellationTokenSource _stopping = new();
    private Trigger? _runs;
    private string? _left;      // what is still running although it should not; null: nothing

    /// <summary>Of the app's guard, while there is one.</summary>
    public int? GuardPid => _process?.GuardPid;

    /// <summary>How the app ended the last time that it did; null: it has not, or that cannot be known.</summary>
    public ChildExit? LastExit { get; private set; }

    /// <summary>Completes when the app has started and did not end at once; fails when it did.</summary>
    public async Task StartAsync(Trigger trigger, CancellationToken cancellationToken)
    {
        if (_runs is { } running && _supervising is { IsCompleted: false })
        {
            if (running.Token == trigger.Token) return; // told twice: a reconnect
            await StopAsync(trigger with { IsMaster = false, Reason = "a newer grant starts it again" }, cancellationToken).ConfigureAwait(false);
        }
        EnsureNothingIsLeft();
        var started = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        lock (_gate)
        {
            _stopping = new CancellationTokenSource();
            _runs = trigger;
            _supervising = Task.Run(() => SuperviseAsync(trigger, started, _stopping.Token), CancellationToken.None);
        }
        await using var _ = cancellationToken.Register(() =>
        {
            lock (_gate)
            {
                _stopping.Cancel();
                _process?.Kill();
            }
        }).ConfigureAwait(false);
        try
        {
            await started.Task.ConfigureAwait(false);
        }
        catch
        {
            await _supervising.ConfigureAwait(false); // nothing of a failed start is left when this returns, or _left says so
            throw;
        }
    }

    /// <summary>
    /// Completes when it is proven that nothing is left; fails when that could not be brought about within the trigger's limit. Cancelling
    /// ends the waiting, not the stop: the guard goes on.
    /// </summary>
    public async Task StopAsync(Trigger trigger, CancellationToken cancellationToken)
    {
        Task? supervising;
        lock (_gate)
        {
            _stopping.Cancel();
            _process?.Stop(DriverClock.NowUs + (long)trigger.Limit.TotalMicroseconds, trigger.Reason);
            supervising = _supervising;
        }
        if (supervising is not null) await supervising.WaitAsync(cancellationToken).ConfigureAwait(false);
        EnsureNothingIsLeft();
        _runs = null;
    }

    public void LeaseChanged(LeaseEnd lease)
    {
        TaskCompletionSource changed;
        lock (_gate)
        {
            _lease = lease;
            if (lease.EndsAtUs is { } end) _process?.Renew(end);
            (changed, _leaseChanged) = (_leaseChanged, new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously));
        }
        changed.TrySetResult();
    }

    private async Task SuperviseAsync(Trigger trigger, TaskCompletionSource started, CancellationToken stopping)
    {
        try
        {
            while (true)
            {
                if (started.Task.IsCompleted) await ValidLeaseAsync(stopping).ConfigureAwait(false);
                GuardedProcess process = StartProcess(trigger, stopping);
                await WatchStartAsync(process, started).ConfigureAwait(false);
                GuardedEnd end = await process.Gone.ConfigureAwait(false);
                lock (_gate) (_process, _left, LastExit) = (null, end.Left, process.Exit);
                if (!end.IsProven)
                {
                    log(DriverLogLevel.Error, StillRunning(end.Left!));
                    if (!stopping.IsCancellationRequested) await reportFailed($"lost control of '{name}': {end.Reason}; still running: {end.Left}", stopping).ConfigureAwait(false);
                    return;
                }
                if (ended is not null && !started.Task.IsFaulted && (process.EndedByItself || (!stopping.IsCancellationRequested && HasLease())))
                {
                    ended(process.EndedByItself ? process.Exit : null, end.Reason);
                    return;
                }
                if (stopping.IsCancellationRequested || started.Task.IsFaulted) return;
                if (started.Task.IsCompletedSuccessfully && !HasLease())
                {
                    // Not the app's fault. The assignment may still be ours when a lease comes again; if not, the daemon says so.
                    log(DriverLogLevel.Warning, $"'{name}' was stopped: {end.Reason}");
                    continue;
                }
                switch (_policy.Ended(DriverClock.NowUs, end.Reason))
                {
                    case RestartDecision.Restart restart:
                        log(DriverLogLevel.Warning, $"'{name}' {restart.Reason}");
                        await Task.Delay(restart.Delay, stopping).ConfigureAwait(false);
                        break;
                    case RestartDecision.GiveUp giveUp:
                        log(DriverLogLevel.Error, $"'{name}' {giveUp.Reason}");
                        await reportFailed($"'{name}' {giveUp.Reason}", stopping).ConfigureAwait(false);
                        return;
                }
            }
        }
        catch (OperationCanceledException)
        {
            // Told to stop while nothing was running.
            started.TrySetCanceled(CancellationToken.None);
        }
        catch (Exception e)
        {
            // The guard itself could not be started (no such file, no more processes), or the daemon not be told.
            if (!started.TrySetException(new AppFailedException(e.Message))) log(DriverLogLevel.Error, $"'{name}' is not running: {e.Message}");
        }
    }

    private GuardedProcess StartProcess(Trigger trigger, CancellationToken stopping)
    {
        lock (_gate)
        {
            // Under the lock: either the stop sees the process, or we see the stop.
            stopping.ThrowIfCancellationRequested();
            if (!_lease.IsValid(DriverClock.NowUs))
                throw new AppFailedException($"Cannot start '{name}': this machine's lease is over. It starts again when the daemon has a quorum.");
            return _process = GuardedProcess.Start(guard, describe(trigger, _lease), output);
        }
    }

    private async Task WatchStartAsync(GuardedProcess process, TaskCompletionSource started)
    {
        if (started.Task.IsCompleted) return;
        try
        {
            int pid = await process.Started.ConfigureAwait(false);
            if (ended is not null)
            {
                started.TrySetResult();
                return;
            }
            await Task.WhenAny(process.Exited, process.Gone, Task.Delay(Settle)).ConfigureAwait(false);
            if (process.Exited.IsCompleted || process.Gone.IsCompleted)
            {
                GuardedEnd end = await process.Gone.ConfigureAwait(false);
                throw new AppFailedException($"'{name}' ended at once: {end.Reason}. {LastWords(process)}");
            }
            log(DriverLogLevel.Info, $"'{name}' runs as process {pid} under guard {process.GuardPid}");
            started.TrySetResult();
        }
        catch (AppFailedException e)
        {
            await process.Gone.ConfigureAwait(false);
            started.TrySetException(e);
            _ = started.Task.Exception;
        }
    }

    private async Task ValidLeaseAsync(CancellationToken stopping)
    {
        while (true)
        {
            Task changed;
            lock (_gate) changed = _leaseChanged.Task;
            if (HasLease()) return;
            await changed.WaitAsync(stopping).ConfigureAwait(false);
        }
    }

    private bool HasLease()
    {
        lock (_gate) return _lease.IsValid(DriverClock.NowUs);
    }

    private void EnsureNothingIsLeft()
    {
        if (_left is null) return;
        _left = Orphans.KillAll(OrphansLimit);
        if (_left is not null) throw new AppFailedException(StillRunning(_left));
    }

    private string StillRunning(string left) =>
        $"Cannot stop '{name}': still running is {left}. It does not end when killed (another user's process, or it hangs in the kernel). End it by hand.";

    private static string LastWords(GuardedProcess process) =>
        process.LastLines is { Count: > 0 } lines ? $"Its last lines: {string.Join(" / ", lines)}" : "It wrote nothing. Run the command by hand to see why.";
}
