using System.Globalization;
using System.Runtime.CompilerServices;
using Clustd.Client;
using Clustd.Drivers.Processes;

namespace Clustd.Drivers.Shell;

/// <summary>Runs an app (<c>run:</c>) or two scripts (<c>start:</c>, <c>stop:</c>) when this machine becomes the master, and when it no longer is.</summary>
public sealed class ShellDriver : DriverMachine, ITestableDriver
{
    private static readonly TimeSpan StartTimeoutDefault = TimeSpan.FromSeconds(30), StopTimeoutDefault = TimeSpan.FromSeconds(10); // as a service's

    private static readonly TimeSpan FlushLimit = TimeSpan.FromSeconds(1);

    private readonly ShellDriverOptions _options;
    private readonly DriverHost _host;
    private readonly OutputLog _output;
    private readonly SupervisedApp? _app;
    private readonly ScriptPair? _scripts;

    public ShellDriver(ShellDriverOptions options, DriverHost host)
        : base(host.ClientOf(options), host.Address)
    {
        if (options.Validate() is [var error, ..]) throw new ArgumentException(error, nameof(options));
        (_options, _host) = (options, host);
        string name = options.Service ?? options.Name ?? "default";
        _output = new OutputLog(name, host.Log);
        if (options.Run is { } run)
        {
            _app = new SupervisedApp(name, host.Guard, (trigger, lease) => Describe(trigger, run, lease), _output.Add, Log,
                (reason, cancellationToken) => ReportFailedAsync(_runningService ?? name, reason, cancellationToken));
        }
        else
        {
            _scripts = new ScriptPair(name, options.Start, options.Stop, host.Guard,
                (trigger, script) => Describe(trigger, script, LeaseEnd) with { IsScript = true, Report = null }, _output.Add, Log);
        }
    }

    private string? _runningService; // the name under which the daemon knows the default service

    protected override Task TriggerAsync(Trigger trigger, CancellationToken cancellationToken)
    {
        _runningService = trigger.Service;
        // The SDK's own stops (this process shuts down) come without a limit: nobody is waiting for the clock.
        if (trigger.Limit <= TimeSpan.Zero && !trigger.Kill)
            trigger = trigger with { Limit = trigger.IsMaster ? StartTimeoutDefault : _options.StopTimeout ?? StopTimeoutDefault };
        if (_app is not null)
        {
            _app.LeaseChanged(LeaseEnd);
            return trigger.IsMaster ? _app.StartAsync(trigger, cancellationToken) : _app.StopAsync(trigger, cancellationToken);
        }
        return trigger.IsMaster ? _scripts!.StartAsync(trigger, cancellationToken) : _scripts!.StopAsync(trigger, cancellationToken);
    }

    /// <summary>For the end of the process: what the app said last is still on its way to the log. Bounded, because a log may hang.</summary>
    internal async Task FlushOutputAsync()
    {
        Task flushed = _output.DisposeAsync().AsTask();
        await Task.WhenAny(flushed, Task.Delay(FlushLimit)).ConfigureAwait(false);
    }

    public async IAsyncEnumerable<DriverFinding> TestAsync([EnumeratorCancellation] CancellationToken cancellationToken)
    {
        await Task.CompletedTask.ConfigureAwait(false);
        yield return File.Exists(_options.Shell)
            ? new(FindingLevel.Good, "shell", _options.Shell)
            : new(FindingLevel.Bad, "shell", $"'{_options.Shell}' is not there: no command could be run. Name another one in `shell`.");
        string folder = _options.WorkingDirectory ?? Environment.CurrentDirectory;
        yield return Directory.Exists(folder)
            ? new(FindingLevel.Good, "cwd", Path.GetFullPath(folder))
            : new(FindingLevel.Bad, "cwd", $"'{folder}' is no folder (looked up from {Environment.CurrentDirectory}): no command could be run there. Correct `cwd`.");
        if (_options.User is { } user)
            yield return UserFinding(user);
        if (_options.Start is not null && _options.Stop is null)
            yield return new(FindingLevel.Doubtful, "stop", "There is `start` without `stop`: nothing ends what was begun. Add `stop`, or use `run`.");
    }

    private static DriverFinding UserFinding(string user)
    {
        if (!Environment.IsPrivilegedProcess && user != Environment.UserName)
            return new(FindingLevel.Bad, "user", $"Commands cannot be run as '{user}': that needs root, and this is {Environment.UserName}. Run `clustd drivers` as root, or remove `user`.");
        bool isNumber = uint.TryParse(user, NumberStyles.None, CultureInfo.InvariantCulture, out _);
        bool isThere = isNumber || File.ReadLines("/etc/passwd").Any(line => line.StartsWith($"{user}:", StringComparison.Ordinal));
        return isThere
            ? new(FindingLevel.Good, "user", user)
            : new(FindingLevel.Doubtful, "user", $"'{user}' is not in /etc/passwd: unless another directory knows it, no command will start. Correct `user`.");
    }

    protected override void LeaseChanged(LeaseEnd lease) => _app?.LeaseChanged(lease);

    protected override void Log(DriverLogLevel level, string text) => _host.Log(level, text);

    private GuardSpec Describe(Trigger trigger, string commandLine, LeaseEnd lease) => new()
    {
        Command = [_options.Shell, "-c", commandLine],
        Environment = AppEnvironment.For(trigger, Machine, _options.Environment),
        WorkingDirectory = _options.WorkingDirectory,
        User = _options.User,
        // Whoever needs less than is granted is killed sooner: a machine's watchdog may need the rest.
        KillTimeoutMicros = _options.KillTimeout is { } needed ? Math.Min(lease.KillTimeoutUs, (long)needed.TotalMicroseconds) : lease.KillTimeoutUs,
        LeaseEnd = lease.EndsAtUs ?? 0,
        Report = new GuardReport
        {
            Host = _host.Address, Secret = _host.Secret, Driver = Client.Name!, Instance = Instance, Service = trigger.Service, Token = trigger.Token,
        },
    };
}
