using System.Runtime.CompilerServices;
using Clustd.Client;
using Clustd.Drivers.Shell;

namespace Clustd.Drivers.Ocf;

/// <summary>Starts, watches and stops what an OCF resource agent manages: an address, a file system, a daemon.</summary>
public sealed class OcfDriver : StateDriver
{
    // An action bounds itself by what the agent's meta-data says; a trigger cancels a look at any time.
    private static readonly TimeSpan LookLimit = TimeSpan.FromHours(2);

    // From TERM to seen gone, for what an agent has left running although it says that it has stopped.
    private static readonly TimeSpan RestLimit = TimeSpan.FromSeconds(1);

    private readonly OcfDriverOptions _options;
    private readonly OcfAgent _agent;
    private readonly OcfFamily _family;
    private readonly RestartPolicy _restarts = new();
    private bool _isOurs; // started by this process, and not stopped since

    public OcfDriver(OcfDriverOptions options, DriverHost host)
        : base(options, host, StateDriverTerms.Default with { LookEvery = options.MonitorEvery, LookLimit = LookLimit })
    {
        _options = options;
        _agent = new OcfAgent(options, host.Guard, (level, text) => host.Log(level, $"{options.EffectiveName}: {text}"));
        _family = new OcfFamily(ended: LookSoon);
    }

    protected override string What => _options.Agent.ToString();

    protected override void LeaseChanged(LeaseEnd lease) => _family.LeaseChanged(lease);

    protected override async Task MakeAsync(Trigger trigger, CancellationToken cancellationToken)
    {
        var time = new Countdown(trigger.Limit);
        await CheckAsync(trigger, cancellationToken).ConfigureAwait(false);
        OcfAgent.MakeRunFolder();
        OcfExit exit = await CallAsync("monitor", trigger, Least(time.Left / 3, MonitorLimit), cancellationToken).ConfigureAwait(false);
        if (exit.IsRunning && _isOurs) return;
        // What an earlier process or somebody else has started is not held by us; what is half there is no ground to start on.
        if (exit.IsRunning || exit.IsBroken) await StopAsync(trigger, time, cancellationToken).ConfigureAwait(false);
        await EndFamilyAsync(Least(time.Left, RestLimit), "it is started again").ConfigureAwait(false);
        _family.LeaseChanged(LeaseEnd);
        exit = await _agent.CallAsync("start", trigger, Machine, time.Left, TimeSpan.Zero, cancellationToken, _options.HoldsProcesses ? _family : null).ConfigureAwait(false);
        if (!exit.IsSuccess) throw Failed("start", exit, "See what it says, and correct `parameters`.");
        exit = await CallAsync("monitor", trigger, time.Left, cancellationToken).ConfigureAwait(false);
        if (!exit.IsRunning) throw Failed("start", exit, "It says that it has started, and its monitor says otherwise: see its log.");
        _isOurs = true;
        _family.Watch();
    }

    protected override async Task UnmakeAsync(Trigger trigger, CancellationToken cancellationToken)
    {
        var time = new Countdown(trigger.Limit);
        _isOurs = false;
        if (trigger.Kill)
        {
            // Every millisecond counts, and a wrong parameter has been told long ago. The guard has killed already, or does it beside the agent.
            Task ended = EndFamilyAsync(Least(time.Left, TimeSpan.FromMicroseconds(LeaseEnd.KillTimeoutUs)), trigger.Reason);
            OcfExit killed = await CallAsync("stop", trigger, time.Left, cancellationToken).ConfigureAwait(false);
            await ended.ConfigureAwait(false);
            EnsureStopped(killed);
            return;
        }
        await CheckAsync(trigger, cancellationToken).ConfigureAwait(false);
        await StopAsync(trigger, time, cancellationToken).ConfigureAwait(false);
        await EndFamilyAsync(Least(time.Left, RestLimit), "the agent has stopped it").ConfigureAwait(false);
    }

    protected override async Task<string?> FindDriftAsync(Trigger made, CancellationToken cancellationToken)
    {
        // To a standby interval 0 is told, a probe: that something is not installed there, or badly set up, is no news every ten seconds.
        TimeSpan interval = made.IsMaster ? _options.MonitorEvery : TimeSpan.Zero;
        OcfExit exit = await _agent.CallAsync("monitor", made, Machine, MonitorLimit, interval, cancellationToken).ConfigureAwait(false);
        if (!made.IsMaster) return exit.IsRunning ? $"{What} runs here, where it must not." : null;
        if (exit.IsRunning) return null;
        if (exit.Code != OcfExit.NotRunning && !exit.IsBroken) throw Failed("monitor", exit, "It is watched further; after three such answers in a row the service moves.");
        string said = exit.Reason.Length == 0 ? "" : $" ({exit.Reason.TrimEnd('.')})";
        string drift = exit.Code == OcfExit.NotRunning ? $"{What} does not run any more{said}." : $"{What} has failed: {exit.Sentence.TrimEnd('.')}.";
        if (_restarts.Ended(DriverClock.NowUs, exit.Sentence.TrimEnd('.')) is not RestartDecision.GiveUp gaveUp) return drift;
        if (Required) await ReportFailedAsync(made.Service, $"{What} {gaveUp.Reason}", cancellationToken).ConfigureAwait(false);
        throw new DriverFailedException($"{What} {gaveUp.Reason}. See why it does not stay.");
    }

    public override async IAsyncEnumerable<DriverFinding> TestAsync([EnumeratorCancellation] CancellationToken cancellationToken)
    {
        yield return ListFinding();
        if (!Environment.IsPrivilegedProcess)
            yield return new(FindingLevel.Doubtful, "rights", $"This is {Environment.UserName}, and most agents need root. Run `clustd drivers` as root, or be sure that this one does not.");
        var nobody = new Trigger(_options.Service ?? "default", IsMaster: false, 0, "clustd driver test", TimeSpan.FromSeconds(20), Kill: false);
        OcfMetadata? metadata = null;
        DriverFinding? failed = null;
        try
        {
            metadata = await _agent.ReadMetadataAsync(nobody, null, cancellationToken).ConfigureAwait(false);
        }
        catch (DriverFailedException e)
        {
            failed = new(FindingLevel.Bad, "agent", e.Message);
        }
        if (failed is not null) yield return failed;
        if (metadata is null) yield break;
        yield return new(FindingLevel.Good, "agent", _options.AgentFile);
        var errors = metadata.Check(_options.Parameters, _options.Agent);
        foreach (string error in errors) yield return new(FindingLevel.Bad, "parameters", error);
        if (errors.Count == 0) yield return new(FindingLevel.Good, "parameters", _options.Parameters.Count == 0 ? "none, and none is required" : string.Join(", ", _options.Parameters.Keys));
        yield return TimeoutFinding(metadata);
        if (errors.Count > 0) yield break;
        OcfAgent.MakeRunFolder();
        yield return ValidationFinding(await _agent.CallAsync("validate-all", nobody, null, metadata.TimeoutOf("validate-all"), TimeSpan.Zero, cancellationToken).ConfigureAwait(false));
        OcfExit monitor = await _agent.CallAsync("monitor", nobody, null, metadata.TimeoutOf("monitor"), TimeSpan.Zero, cancellationToken).ConfigureAwait(false);
        yield return monitor.IsRunning ? new(FindingLevel.Good, "monitor", "it runs here now")
            : monitor.Code == OcfExit.NotRunning ? new(FindingLevel.Good, "monitor", "it does not run here now")
            : new(FindingLevel.Bad, "monitor", $"It cannot tell whether it runs: {monitor.Sentence}. Correct what it names.");
    }

    private DriverFinding ListFinding() => OcfAgentList.Has(_options.Agent)
        ? new(FindingLevel.Good, "list", $"{_options.Agent} needs no Pacemaker")
        : new(FindingLevel.Doubtful, "list", $"{_options.Agent} is not among the agents that were examined: it may need Pacemaker. Watch its first start and stop.");

    // The service's limits are not known here, only what this driver asks of them.
    private DriverFinding TimeoutFinding(OcfMetadata metadata)
    {
        var (start, stop) = (metadata.TimeoutOf("start"), metadata.TimeoutOf("stop"));
        string advice = $"the agent asks for {start.TotalSeconds:0} s to start and {stop.TotalSeconds:0} s to stop";
        return _options.StopTimeout is { } given && given < stop
            ? new(FindingLevel.Doubtful, "timeouts", $"A stop may be killed too early: `stop_timeout` is {given.TotalSeconds:0.###} s, and {advice}. Raise it here and in the service.")
            : new(FindingLevel.Good, "timeouts", $"{advice}: `start_timeout` and `stop_timeout` of the service should be no less");
    }

    private static DriverFinding ValidationFinding(OcfExit exit) => exit.Code switch
    {
        OcfExit.Success => new(FindingLevel.Good, "validate-all", "the agent accepts its parameters"),
        OcfExit.Unimplemented => new(FindingLevel.Good, "validate-all", "the agent has none"),
        _ => new(FindingLevel.Bad, "validate-all", $"The agent does not accept its parameters: {exit.Sentence}. Correct what it names."),
    };

    private TimeSpan MonitorLimit => _agent.Metadata?.TimeoutOf("monitor") ?? TimeSpan.FromSeconds(20);

    private static TimeSpan Least(TimeSpan one, TimeSpan other) => one < other ? one : other;

    private async Task StopAsync(Trigger trigger, Countdown time, CancellationToken cancellationToken)
    {
        EnsureStopped(await CallAsync("stop", trigger, time.Left, cancellationToken).ConfigureAwait(false));
        OcfExit exit = await CallAsync("monitor", trigger, time.Left, cancellationToken).ConfigureAwait(false);
        if (exit.IsRunning || exit.Code == OcfExit.FailedPromoted) throw Failed("stop", exit, "It says that it has stopped, and its monitor says otherwise: see to it by hand.");
    }

    private void EnsureStopped(OcfExit exit)
    {
        if (!exit.IsSuccess && exit.Code != OcfExit.NotRunning) throw Failed("stop", exit, "It may still run: see to it by hand.");
    }

    private async Task EndFamilyAsync(TimeSpan limit, string reason)
    {
        if (await _family.EndAsync(limit, reason).ConfigureAwait(false) is { } left)
            throw new DriverFailedException($"Cannot stop {What}: still running is {left}. It does not end when killed (it hangs in the kernel). End it by hand.");
    }

    private async Task CheckAsync(Trigger trigger, CancellationToken cancellationToken)
    {
        var metadata = await _agent.ReadMetadataAsync(trigger, Machine, cancellationToken).ConfigureAwait(false);
        if (metadata.Check(_options.Parameters, _options.Agent) is [var first, ..]) throw new DriverFailedException(first);
    }

    private Task<OcfExit> CallAsync(string action, Trigger trigger, TimeSpan limit, CancellationToken cancellationToken) =>
        _agent.CallAsync(action, trigger, Machine, limit, TimeSpan.Zero, cancellationToken);

    private DriverFailedException Failed(string action, OcfExit exit, string toDo) => new($"{What}: {action} failed: {exit.Sentence.TrimEnd('.')}. {toDo}");

    // A bit less than the daemon waits, so that what became of a hanging agent is known when the answer is due.
    private readonly struct Countdown(TimeSpan limit)
    {
        private readonly long _end = DriverClock.NowUs + (long)(limit * 0.95).TotalMicroseconds;

        public TimeSpan Left => TimeSpan.FromMicroseconds(Math.Max(1_000, _end - DriverClock.NowUs));
    }
}
