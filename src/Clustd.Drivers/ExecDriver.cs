using Clustd.Client;
using Clustd.Drivers.Processes;
using Clustd.Drivers.Shell;

namespace Clustd.Drivers;

/// <summary>A command that is run while this machine is the master, on the terminal of whoever asked for it: `clustd exec`.</summary>
public sealed record ExecOptions : DriverOptions
{
    public override string Kind => "exec";

    public override bool StopsForCertain => true;

    /// <summary>The command and its arguments; no shell reads them.</summary>
    public required IReadOnlyList<string> Command { get; init; }

    /// <summary>Losing the mastership ends it, instead of waiting to become master again.</summary>
    public bool EndsOnLoss { get; init; }
}

/// <summary>What an exec ended with. Closed set.</summary>
public abstract record ExecEnd
{
    private ExecEnd() { }

    /// <summary>The command has ended by itself, and nothing of it is left.</summary>
    public sealed record Ended(ChildExit Exit) : ExecEnd;

    /// <summary>The command could not be started. The message has three parts.</summary>
    public sealed record NotStarted(string Message) : ExecEnd;

    /// <summary>Control over the command was lost: somebody killed its guard, and the command with it. The message has three parts.</summary>
    public sealed record Failed(string Message) : ExecEnd;

    /// <summary>This machine is not the master any more, and the command is stopped. Only with <see cref="ExecOptions.EndsOnLoss"/>.</summary>
    public sealed record Lost(string Reason) : ExecEnd;
}

/// <summary>
/// Runs one command while this machine is the master, held by a guard as any `run:` app is, so that its stop is certain. Unlike an app, a command
/// may end: that is the end of the driver, which starts nothing afterwards.
/// </summary>
public sealed class ExecDriver : DriverMachine
{
    private static readonly TimeSpan StartTimeoutDefault = TimeSpan.FromSeconds(30), StopTimeoutDefault = TimeSpan.FromSeconds(10); // as a service's

    private readonly ExecOptions _options;
    private readonly DriverHost _host;
    private readonly SupervisedApp _app;
    private readonly Action<Trigger> _told;
    private readonly TaskCompletionSource<ExecEnd> _ended = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TaskCompletionSource _released = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private volatile bool _isRunning;

    /// <param name="told">Called with the trigger when the command is about to start, and when it is about to be stopped.</param>
    public ExecDriver(ExecOptions options, DriverHost host, Action<Trigger> told)
        : base(host.ClientOf(options), host.Address)
    {
        if (options.Command.Count == 0) throw new ArgumentException("Cannot run nothing: no command is given. Add it behind `--`.", nameof(options));
        (_options, _host, _told) = (options, host, told);
        _app = new SupervisedApp(
            options.Command[0], host.Guard, Describe, _ => { }, Log, LostControlAsync, ended: End);
    }

    /// <summary>Completes when the command has ended, or will never run here again.</summary>
    public Task<ExecEnd> Completion => _ended.Task;

    /// <summary>Completes when the daemon has taken the service from this driver after the end of the command.</summary>
    public Task Released => _released.Task;

    /// <summary>Whether the command may be running.</summary>
    public bool IsRunning => _isRunning;

    /// <summary>The service, as soon as a trigger has told its name.</summary>
    public string? Service { get; private set; }

    /// <summary>How the command ended when it was stopped last; null: it was not running then, or that cannot be known.</summary>
    public ChildExit? LastStop { get; private set; }

    protected override async Task TriggerAsync(Trigger trigger, CancellationToken cancellationToken)
    {
        Service = trigger.Service;
        // The SDK's own stops (this process shuts down) come without a limit: nobody is waiting for the clock.
        if (trigger.Limit <= TimeSpan.Zero && !trigger.Kill)
            trigger = trigger with { Limit = trigger.IsMaster ? StartTimeoutDefault : _options.StopTimeout ?? StopTimeoutDefault };
        _app.LeaseChanged(LeaseEnd);
        if (trigger.IsMaster) await StartAsync(trigger, cancellationToken).ConfigureAwait(false);
        else await StopAsync(trigger, cancellationToken).ConfigureAwait(false);
    }

    protected override void LeaseChanged(LeaseEnd lease) => _app.LeaseChanged(lease);

    protected override void Log(DriverLogLevel level, string text) => _host.Log(level, text);

    private async Task StartAsync(Trigger trigger, CancellationToken cancellationToken)
    {
        // Told again (a reconnect, a newer grant) while this process is on its way out.
        if (_ended.Task.IsCompleted) throw new AppFailedException($"'{_options.Command[0]}' has ended, and this `clustd exec` with it: nothing is started any more.");
        bool isNew = !_isRunning;
        _isRunning = true;
        if (isNew) _told(trigger);
        try
        {
            await _app.StartAsync(trigger, cancellationToken).ConfigureAwait(false);
        }
        catch (AppFailedException e)
        {
            _isRunning = false;
            // Without a lease it is not the command's fault: the daemon tries again.
            if (LeaseEnd.IsValid(DriverClock.NowUs)) _ended.TrySetResult(new ExecEnd.NotStarted(e.Message));
            throw;
        }
    }

    private async Task StopAsync(Trigger trigger, CancellationToken cancellationToken)
    {
        bool wasRunning = _isRunning;
        if (wasRunning && !_ended.Task.IsCompleted) _told(trigger);
        await _app.StopAsync(trigger, cancellationToken).ConfigureAwait(false);
        _isRunning = false;
        LastStop = wasRunning ? _app.LastExit : LastStop;
        if (_ended.Task.IsCompleted) _released.TrySetResult();
        else if (wasRunning && _options.EndsOnLoss) _ended.TrySetResult(new ExecEnd.Lost(trigger.Reason));
    }

    private void End(ChildExit? byItself, string reason)
    {
        _isRunning = false;
        _ended.TrySetResult(byItself is { } exit
            ? new ExecEnd.Ended(exit)
            : new ExecEnd.Failed($"'{_options.Command[0]}' was killed: {reason}. Find out who did that, then start it again."));
    }

    // Not the end: what is still running is held against this driver until it is gone.
    private Task LostControlAsync(string reason, CancellationToken cancellationToken)
    {
        Log(DriverLogLevel.Error, reason);
        return Task.CompletedTask;
    }

    private GuardSpec Describe(Trigger trigger, LeaseEnd lease) => new()
    {
        Command = _options.Command,
        Environment = AppEnvironment.For(trigger, Machine, Nothing),
        IsAttached = true,
        KillTimeoutMicros = lease.KillTimeoutUs,
        LeaseEnd = lease.EndsAtUs ?? 0,
        Report = new GuardReport
        {
            Host = _host.Address, Secret = _host.Secret, Driver = Name, Instance = Instance, Service = trigger.Service, Token = trigger.Token,
        },
    };

    private static readonly SortedDictionary<string, string> Nothing = new(StringComparer.Ordinal);
}
