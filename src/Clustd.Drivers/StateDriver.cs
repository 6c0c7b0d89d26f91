using Clustd.Client;

namespace Clustd.Drivers;

/// <summary>
/// Base of built-in drivers that keep something outside of this process in a state: an address on an interface, a record in a zone, a unit, a container. Level-triggered: the wanted state is made at every
/// trigger, looked at again every <see cref="StateDriverTerms.LookEvery"/>, and made again if somebody else has changed it. Such drift is logged, told to the daemon as health, and, if it cannot be
/// mended, as a failure that moves the service.
/// </summary>
/// <remarks>
/// Starts, stops and looks never overlap: a trigger gives up the look that is under way, and waits for it. Nothing is made again without a lease.
/// </remarks>
public abstract class StateDriver : DriverMachine, ITestableDriver
{
    private readonly DriverHost _host;
    private readonly StateDriverTerms _terms;
    private readonly SemaphoreSlim _turn = new(1, 1);
    private readonly CancellationTokenSource _ended = new();
    private readonly Lock _gate = new();
    private CancellationTokenSource _look = new(); // of the look under way: cancelled by a trigger
    private TaskCompletionSource _bell = new(TaskCreationOptions.RunContinuationsAsynchronously); // rung: look now
    private Trigger? _made;                        // what was told last and has succeeded: the state that must be there. Null: not known
    private Task? _watch;
    private int _failedLooks;
    private bool _isWell = true;

    protected StateDriver(DriverOptions options, DriverHost host, StateDriverTerms? terms = null)
        : base(host.ClientOf(options), host.Address)
    {
        (Options, _host, _terms) = (options, host, terms ?? StateDriverTerms.Default);
    }

    protected DriverOptions Options { get; }

    /// <summary>What is made sure to be there, for people: "address 10.0.0.9".</summary>
    protected abstract string What { get; }

    /// <summary>Makes it so, whatever is there. Idempotent: it may be so already. Returns when it is so; gives up when cancelled.</summary>
    /// <exception cref="DriverFailedException">It cannot be made so.</exception>
    protected abstract Task MakeAsync(Trigger trigger, CancellationToken cancellationToken);

    /// <summary>Undoes it, whatever is there. Idempotent. Returns when it is known to be gone: the answer lets another machine start.</summary>
    /// <exception cref="DriverFailedException">It may still be there.</exception>
    protected abstract Task UnmakeAsync(Trigger trigger, CancellationToken cancellationToken);

    /// <summary>What differs from the wanted state, as a sentence; null: nothing. Changes nothing.</summary>
    /// <param name="made">What was told last: <see cref="Trigger.IsMaster"/> is the wanted state.</param>
    /// <exception cref="DriverFailedException">It could not be found out.</exception>
    protected abstract Task<string?> FindDriftAsync(Trigger made, CancellationToken cancellationToken);

    /// <summary>
    /// For what outlives this process: called once, before the daemon is connected, because a new driver process has no lease for what an earlier one may have left running. Gives up when cancelled.
    /// </summary>
    /// <exception cref="DriverFailedException">It may still run.</exception>
    public virtual Task CleanAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public abstract IAsyncEnumerable<DriverFinding> TestAsync(CancellationToken cancellationToken);

    protected sealed override async Task TriggerAsync(Trigger trigger, CancellationToken cancellationToken)
    {
        // The SDK's own stops (this process shuts down) come without a limit: nobody is waiting for the clock.
        if (trigger.Limit <= TimeSpan.Zero && !trigger.Kill)
            trigger = trigger with { Limit = trigger.IsMaster ? _terms.StartTimeout : Options.StopTimeout ?? _terms.StopTimeout };
        // A process that was frozen learns of its stop when the deadline has passed. That it is too late is no reason not to do it: given up at once, the state would stay.
        if (trigger is { IsMaster: false, Kill: true } && trigger.Limit < _terms.LateStopTimeout)
            trigger = trigger with { Limit = _terms.LateStopTimeout };
        lock (_gate)
        {
            _made = null;
            _look.Cancel();
        }

        // The look that was cancelled ends soon, or its library is to blame: a stop must not be lost to that, so it is not waited for longer than the limit allows.
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        limit.CancelAfter(trigger.Limit);
        try
        {
            await _turn.WaitAsync(limit.Token).ConfigureAwait(false);
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            throw new DriverFailedException($"Cannot {Verb(trigger)} {What}: a look at it hangs since {trigger.Limit.TotalSeconds:0.###} s. See what it waits for, and restart `clustd drivers` if need be.");
        }

        try
        {
            await ApplyAsync(trigger, limit.Token, cancellationToken).ConfigureAwait(false);
            lock (_gate) (_made, _failedLooks) = (trigger, 0);
        }
        catch (DriverFailedException) when (trigger.IsMaster && GoesOnAfterFailedStart)
        {
            lock (_gate) (_made, _failedLooks, _isWell) = (trigger, 0, false);
            throw;
        }
        finally
        {
            _turn.Release();
            _watch ??= Task.Run(WatchAsync, CancellationToken.None);
        }
    }

    protected override void Log(DriverLogLevel level, string text) => _host.Log(level, text);

    /// <summary>Something has happened that the next look should not wait for. Returns at once; any thread.</summary>
    protected void LookSoon()
    {
        lock (_gate) _bell.TrySetResult();
    }

    /// <summary>Ends the watch; called when the driver is disposed of, after its last stop.</summary>
    public virtual async Task EndWatchAsync()
    {
        await _ended.CancelAsync().ConfigureAwait(false);
        lock (_gate) _look.Cancel();
        if (_watch is not null) await _watch.ConfigureAwait(false);
    }

    private async Task ApplyAsync(Trigger trigger, CancellationToken limited, CancellationToken cancellationToken)
    {
        try
        {
            if (trigger.IsMaster) await MakeAsync(trigger, limited).ConfigureAwait(false);
            else await UnmakeAsync(trigger, limited).ConfigureAwait(false);
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested && limited.IsCancellationRequested)
        {
            throw new DriverFailedException($"Cannot {Verb(trigger)} {What}: it was not done within {trigger.Limit.TotalSeconds:0.###} s. See what it waits for, or raise the timeout of the service.");
        }
    }

    private async Task WatchAsync()
    {
        while (!_ended.IsCancellationRequested)
        {
            try
            {
                await NextLookAsync().ConfigureAwait(false);
                await LookAsync().ConfigureAwait(false);
            }
            catch (OperationCanceledException)
            {
                // A trigger came, or the end.
            }
            catch (Exception e)
            {
                Log(DriverLogLevel.Error, $"{Name}: looking at {What} failed: {e.Message}");
            }
        }
    }

    private async Task NextLookAsync()
    {
        using var wait = CancellationTokenSource.CreateLinkedTokenSource(_ended.Token);
        Task bell;
        lock (_gate) bell = _bell.Task;
        await Task.WhenAny(Task.Delay(_terms.LookEvery, _terms.Time, wait.Token), bell).ConfigureAwait(false);
        await wait.CancelAsync().ConfigureAwait(false);
        _ended.Token.ThrowIfCancellationRequested();
        lock (_gate)
        {
            if (_bell.Task.IsCompleted) _bell = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        }
    }

    private async Task LookAsync()
    {
        CancellationToken given;
        lock (_gate)
        {
            if (_made is null) return;
            if (_look.IsCancellationRequested) _look = new CancellationTokenSource();
            given = _look.Token;
        }

        using var look = CancellationTokenSource.CreateLinkedTokenSource(given);
        look.CancelAfter(_terms.LookLimit);
        if (!await _turn.WaitAsync(TimeSpan.Zero, look.Token).ConfigureAwait(false)) return;
        try
        {
            // Under the turn: no trigger is being done, and what was made last is what must be there.
            if (_made is not { } made || !MayAct(made)) return;
            string? drift = await FindDriftAsync(made, look.Token).ConfigureAwait(false);
            if (drift is null) await BecameWellAsync(made).ConfigureAwait(false);
            else await MendAsync(made, drift, look.Token).ConfigureAwait(false);
        }
        catch (OperationCanceledException) when (!given.IsCancellationRequested)
        {
            await FailedAsync(_made, $"{What} could not be looked at within {_terms.LookLimit.TotalSeconds:0.###} s.").ConfigureAwait(false);
        }
        catch (DriverFailedException e)
        {
            await FailedAsync(_made, e.Message).ConfigureAwait(false);
        }
        finally
        {
            _turn.Release();
        }
    }

    private async Task MendAsync(Trigger made, string drift, CancellationToken look)
    {
        Log(DriverLogLevel.Warning, $"{Name}: {drift} Making it as it should be.");
        _isWell = false;
        await ReportAsync(made, false, drift).ConfigureAwait(false);
        if (!MayAct(made)) return;
        // No longer than its lease: a stop that comes meanwhile cancels it, too, but the clock needs nobody who tells it.
        if (made.IsMaster) await MakeAsync(made with { Reason = drift }, look).ConfigureAwait(false);
        else await UnmakeAsync(made with { Reason = drift }, look).ConfigureAwait(false);
        _failedLooks = 0;
    }

    private async Task BecameWellAsync(Trigger made)
    {
        _failedLooks = 0;
        if (_isWell) return;
        _isWell = true;
        Log(DriverLogLevel.Info, $"{Name}: {What} is as it should be again.");
        await ReportAsync(made, true, "").ConfigureAwait(false);
    }

    private async Task FailedAsync(Trigger? made, string why)
    {
        Log(DriverLogLevel.Warning, $"{Name}: {why}");
        _isWell = false;
        if (made is null) return;
        await ReportAsync(made, false, why).ConfigureAwait(false);
        if (++_failedLooks < _terms.FailedLooksMax || !made.IsMaster || !Required) return;
        _failedLooks = 0;
        using var limit = new CancellationTokenSource(_terms.LookLimit);
        await ReportFailedAsync(made.Service, why, limit.Token).ConfigureAwait(false);
    }

    /// <summary>Whether a look that fails again and again moves the service. An endpoint of somebody else that is away for a minute should not.</summary>
    protected virtual bool Required => Options.Required;

    /// <summary>
    /// Whether looks make what a start could not, until a stop comes. A driver whose failure fails the promotion is stopped at once anyway; for one that is not required nobody else would try again.
    /// Only for what a newer token keeps from being made here late.
    /// </summary>
    protected virtual bool GoesOnAfterFailedStart => false;

    // What is not to be here may be undone at any time; what is to be here, only under the lease.
    private bool MayAct(Trigger made) => !made.IsMaster || LeaseEnd.IsValid(DriverClock.NowUs);

    private async Task ReportAsync(Trigger made, bool ok, string detail)
    {
        using var limit = new CancellationTokenSource(_terms.ReportLimit);
        try
        {
            await ReportHealthAsync(made.Service, ok, detail, limit.Token).ConfigureAwait(false);
        }
        catch (Exception e) when (e is OperationCanceledException or IOException or InvalidOperationException)
        {
            Log(DriverLogLevel.Debug, $"{Name}: the daemon could not be told how {What} is: {e.Message}");
        }
    }

    private static string Verb(Trigger trigger) => trigger.IsMaster ? "make" : "undo";
}

/// <summary>How a <see cref="StateDriver"/> looks after its state.</summary>
public sealed record StateDriverTerms
{
    public static readonly StateDriverTerms Default = new();

    public TimeSpan LookEvery { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>For one look, with what mends the drift that it finds.</summary>
    public TimeSpan LookLimit { get; init; } = TimeSpan.FromSeconds(10);

    public TimeSpan ReportLimit { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>So many looks in a row that fail or cannot mend are a failure of the service here.</summary>
    public int FailedLooksMax { get; init; } = 3;

    public TimeSpan StartTimeout { get; init; } = TimeSpan.FromSeconds(30); // as a service's

    public TimeSpan StopTimeout { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>At least this long a stop after the end of the lease goes on, also when its deadline has passed meanwhile.</summary>
    public TimeSpan LateStopTimeout { get; init; } = TimeSpan.FromSeconds(2);

    public TimeProvider Time { get; init; } = TimeProvider.System;
}
