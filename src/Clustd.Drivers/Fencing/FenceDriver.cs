using System.Runtime.CompilerServices;
using Clustd.Client;

namespace Clustd.Drivers.Fencing;

/// <summary>
/// Turns one other machine off, and confirms that, before the service that it was lost with starts here. It comes before all other drivers of the service: the daemon sees to
/// that. A start that takes nothing over from that machine, and every stop, does nothing.
/// </summary>
public sealed class FenceDriver : StateDriver
{
    private static readonly TimeSpan RetryPause = TimeSpan.FromSeconds(1);

    private readonly FenceDriverOptions _options;
    private readonly FenceAgent _agent;

    public FenceDriver(FenceDriverOptions options, DriverHost host)
        : base(options, host, StateDriverTerms.Default with { LookEvery = options.MonitorEvery })
    {
        (_options, _agent) = (options, new FenceAgent(options));
    }

    protected override string What => $"the fencing of {_options.Machine}";

    // A device that does not answer is shown; it moves nothing, because what runs here does not need it.
    protected override bool Required => false;

    protected override async Task MakeAsync(Trigger trigger, CancellationToken cancellationToken)
    {
        if (!trigger.TakesOverFrom.Contains(_options.Machine)) return;
        Log(DriverLogLevel.Warning, $"{Name}: {_options.Machine} was lost while it ran '{trigger.Service}': it is turned off by {_options.Agent} before anything starts here.");
        string why = "";
        while (true)
        {
            try
            {
                if (await TurnOffAsync(cancellationToken).ConfigureAwait(false) is not { } problem)
                {
                    Log(DriverLogLevel.Warning, $"{Name}: {_options.Machine} is off.");
                    return;
                }
                why = problem;
                Log(DriverLogLevel.Warning, $"{Name}: {why} It is tried again.");
                await Task.Delay(RetryPause, cancellationToken).ConfigureAwait(false);
            }
            catch (OperationCanceledException) when (why.Length > 0)
            {
                throw new DriverFailedException($"{_options.Machine} could not be fenced within {trigger.Limit.TotalSeconds:0.###} s: {why} Mend that, or, if you know that it is off, run `clustd machine confirm-off {_options.Machine}`.");
            }
        }
    }

    protected override Task UnmakeAsync(Trigger trigger, CancellationToken cancellationToken) => Task.CompletedTask;

    protected override async Task<string?> FindDriftAsync(Trigger made, CancellationToken cancellationToken)
    {
        AgentEnd end = await _agent.RunAsync("monitor", cancellationToken).ConfigureAwait(false);
        return end.Code == 0 ? null : throw new DriverFailedException($"The fence device of {_options.Machine} does not answer as it should: {_options.Agent} said {end.Code}: {end.Output}. Until it does, '{made.Service}' cannot be taken over from there.");
    }

    public override async IAsyncEnumerable<DriverFinding> TestAsync([EnumeratorCancellation] CancellationToken cancellationToken)
    {
        if (_agent.Path is not { } path)
        {
            yield return new(FindingLevel.Bad, "agent", $"There is no fence agent '{_options.Agent}': it is neither in PATH nor in /usr/sbin. Install it (on Debian: `apt-get install fence-agents`), or correct `agent`.");
            yield break;
        }

        yield return new(FindingLevel.Good, "agent", path);
        yield return await FindAsync("device", "monitor", code => code == 0, cancellationToken).ConfigureAwait(false);
        yield return await FindAsync($"power of {_options.Machine}", "status", code => code is 0 or FenceAgent.IsOff, cancellationToken).ConfigureAwait(false);
        if (_options.Action == FenceAction.Reboot)
            yield return new(FindingLevel.Doubtful, "action", "With `reboot` the agent's word is taken that the machine was off in between. `off` can be looked at afterwards.");
    }

    private async Task<DriverFinding> FindAsync(string subject, string action, Func<int, bool> isGood, CancellationToken cancellationToken)
    {
        try
        {
            AgentEnd end = await _agent.RunAsync(action, cancellationToken).ConfigureAwait(false);
            return isGood(end.Code)
                ? new(FindingLevel.Good, subject, action == "status" ? end.Code == FenceAgent.IsOff ? "off" : "on" : "answers")
                : new(FindingLevel.Bad, subject, $"`{_options.Agent}` with action={action} ended with {end.Code}: {end.Output}. Try it by hand, and correct `options` or `password`.");
        }
        catch (DriverFailedException e)
        {
            return new(FindingLevel.Bad, subject, e.Message);
        }
    }

    // Null: it is off. Else why not.
    private async Task<string?> TurnOffAsync(CancellationToken cancellationToken)
    {
        string action = _options.Action == FenceAction.Off ? "off" : "reboot";
        AgentEnd done = await _agent.RunAsync(action, cancellationToken).ConfigureAwait(false);
        if (done.Code != 0) return $"{_options.Agent} with action={action} ended with {done.Code}: {done.Output}.";
        if (_options.Action == FenceAction.Reboot) return null;
        // Not the same question twice: some agents say that they have sent the order.
        AgentEnd seen = await _agent.RunAsync("status", cancellationToken).ConfigureAwait(false);
        return seen.Code == FenceAgent.IsOff ? null : $"{_options.Agent} has turned it off, and its status says {seen.Code} and not {FenceAgent.IsOff} (off): {seen.Output}.";
    }
}
