using System.Collections.Immutable;
using Clustd.Core.Cluster;
using Clustd.Core.Raft;

namespace Clustd.Core.Leading;

/// <summary>What placement sees besides the agreed state. AppliedAt says when this machine applied a log index (its own clock).</summary>
public sealed record PlacementView(ClusterState State, SortedDictionary<MachineId, MachineReport> Reports, Func<long, Instant> AppliedAt, Instant Now);

/// <summary>One decision about one service. Command null: no action, because of Reason. Either way the reason is a sentence.</summary>
public sealed record PlacementDecision(ServiceName Service, Command? Command, string Reason);

/// <summary>Where a service could go. Machine null: nowhere, because of Reason.</summary>
public sealed record PlacementTarget(MachineId? Machine, string Reason);

/// <summary>
/// Who should run what, and why. Runs on the leader only, after its no-op was applied (rule 6). Policy, not safety: a bad decision moves a
/// service needlessly, never twice at once, because <see cref="StateMachine"/> and the waits of rule 11 stand behind it.
/// </summary>
public static class Placement
{
    /// <summary>A machine is forgiven its failures of a service after it has run it for this long.</summary>
    public static readonly TimeSpan ForgivenAfter = TimeSpan.FromMinutes(10);

    // An automatic move that was just aborted, or a service that just started, is left alone for this long: a failing stop must not become a busy loop.
    private static readonly TimeSpan SettleBeforeChoice = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan SettleBeforeDuty = TimeSpan.FromSeconds(1);

    /// <summary>One decision for every service, in the order of their names; wakeAt is when time alone may change one of them.</summary>
    public static ImmutableArray<PlacementDecision> Decide(PlacementView view, out Instant wakeAt)
    {
        var choice = new MachineChoice(view);
        var decisions = ImmutableArray.CreateBuilder<PlacementDecision>(view.State.Services.Count);
        foreach (var (name, service) in view.State.Services)
        {
            var decision = service.Assignment is { } assignment
                ? DecideAssigned(view, choice, name, service, assignment)
                : DecideUnassigned(view, choice, name, service);
            if (decision.Command is Command.Assign assign)
            {
                choice.Place(name, assign.Machine);
            }

            decisions.Add(decision);
        }

        wakeAt = choice.WakeAt;
        return decisions.ToImmutable();
    }

    /// <summary>Where an operator's move without a target, or a drain, would bring the service.</summary>
    public static PlacementTarget Target(PlacementView view, ServiceName service, MachineId? except) =>
        view.State.Services.TryGetValue(service, out var known)
            ? new MachineChoice(view).Best(service, known, except)
            : new PlacementTarget(null, $"'{service}' is not defined");

    /// <summary>Whether this machine could take the service now; the reason says why not, or why.</summary>
    public static PlacementTarget CanRun(PlacementView view, ServiceName service, MachineId machine)
    {
        if (!view.State.Services.TryGetValue(service, out var known))
        {
            return new PlacementTarget(null, $"'{service}' is not defined");
        }

        var obstacle = new MachineChoice(view).Obstacle(service, known, machine);
        return obstacle is null ? new PlacementTarget(machine, $"{machine} can run '{service}'") : new PlacementTarget(null, $"{machine} {obstacle}");
    }

    /// <summary>What the live machines' files propose the services to be.</summary>
    public static ServicesDecision DefineServices(PlacementView view) => ServicesProposal.Decide(view);

    private static PlacementDecision DecideUnassigned(PlacementView view, MachineChoice choice, ServiceName name, ServiceState service)
    {
        if (service.Retired)
        {
            return Nothing(name, "it is no longer defined");
        }

        if (service.Vacated is { } vacated)
        {
            // Rule 11: what ran under the ended session is dead k·kill_timeout after we applied its end.
            var over = view.AppliedAt(vacated.Index) + LeaseTiming.Stretch(vacated.KillTimeout);
            if (!choice.IsOver(over))
            {
                return Nothing(name, $"the session of {vacated.Machine} ended, and what ran there has until its kill_timeout is over to stop");
            }
        }

        if (view.State.Paused)
        {
            return Nothing(name, "the cluster is paused, so nobody takes it over; `clustd unpause` ends that");
        }

        var target = choice.Best(name, service, except: null);
        if (service.NextTarget is { } wanted)
        {
            var obstacle = choice.Obstacle(name, service, wanted);
            target = obstacle is null ? new PlacementTarget(wanted, $"{wanted} was asked for")
                : target with { Reason = $"{wanted} was asked for but {obstacle}; {target.Reason}" };
        }

        if (target.Machine is not { } machine)
        {
            return Nothing(name, $"no machine can run it: {target.Reason}");
        }

        var last = view.State.LastTokenOf(name);
        var first = Token.FirstOf(view.State.EpochSeconds);
        var reason = $"'{name}' goes to {machine}, because {target.Reason}.";
        var session = view.State.SessionOf(machine)!.Id;
        return new PlacementDecision(
            name, new Command.Assign(name, machine, session, (last > first ? last : first).Next(), service.Definition.KillTimeout, reason), reason);
    }

    private static PlacementDecision DecideAssigned(PlacementView view, MachineChoice choice, ServiceName name, ServiceState service, Assignment assignment)
    {
        var machine = assignment.Machine;
        switch (assignment.State)
        {
            case AssignmentState.Stuck:
                return Nothing(name, $"it is stuck on {machine}: {assignment.Reason}");
            case AssignmentState.Stopping:
                return Nothing(name, $"it is being stopped on {machine}: {assignment.Reason}");
        }

        if (view.State.Paused)
        {
            return Nothing(name, $"the cluster is paused; it stays on {machine}");
        }

        var since = view.AppliedAt(assignment.SinceIndex);
        if (service.Retired)
        {
            return choice.IsOver(since + SettleBeforeDuty) ? Move(name, assignment, null, $"'{name}' is no longer defined") : Nothing(name, "it has just settled");
        }

        var duty = view.State.Drained.Contains(machine) ? $"{machine} is drained"
            : !MachineChoice.IsAllowed(service.Definition, machine) ? $"{machine} is no longer among the machines that may run '{name}'"
            : null;
        if (duty is not null)
        {
            if (!choice.IsOver(since + SettleBeforeDuty))
            {
                return Nothing(name, $"{duty}, but '{name}' changed its state there a moment ago; it moves in a second");
            }

            var target = choice.Best(name, service, machine);
            return Move(name, assignment, target.Machine, target.Machine is { } to ? $"{duty}; '{name}' goes to {to}, because {target.Reason}" : $"{duty}, and no other machine can run '{name}': {target.Reason}");
        }

        if (assignment.State == AssignmentState.Running && service.Failures.ContainsKey(machine) && choice.IsOver(since + ForgivenAfter))
        {
            return new PlacementDecision(name, new Command.ClearFailures(name, machine), $"'{name}' has run on {machine} for {ForgivenAfter.TotalMinutes:0} min: its failures there are forgiven.");
        }

        if (BetterPlace(view, choice, name, service, machine) is { } better)
        {
            return choice.IsOver(since + SettleBeforeChoice) ? Move(name, assignment, better.Machine, better.Reason) : Nothing(name, $"{better.Reason}, but it changed its state a moment ago; it moves in some seconds");
        }

        return Nothing(name, $"it is at home on {machine}");
    }

    private static PlacementTarget? BetterPlace(PlacementView view, MachineChoice choice, ServiceName name, ServiceState service, MachineId machine)
    {
        // Looked for only where one of the two below can be true, and where a cool-down may end, which this leader then wakes up for.
        var lacksDriver = view.Reports.ContainsKey(machine) && !choice.HasDriver(machine, name);
        var isPreferredElsewhere = service.Definition.Failback && MachineChoice.Rank(service.Definition, machine) > 0;
        if ((!lacksDriver && !isPreferredElsewhere && service.Failures.IsEmpty) || choice.Best(name, service, machine) is not { Machine: { } other })
        {
            return null;
        }

        if (lacksDriver && choice.HasDriver(other, name))
        {
            return new PlacementTarget(other, $"{machine} has no driver for '{name}' and {other} has");
        }

        var rank = MachineChoice.Rank(service.Definition, other);
        return service.Definition.Failback && rank < MachineChoice.Rank(service.Definition, machine)
            ? new PlacementTarget(other, $"'{name}' fails back to {other}, which it prefers to {machine}")
            : null;
    }

    private static PlacementDecision Move(ServiceName name, Assignment assignment, MachineId? target, string reason) =>
        new(name, new Command.RequestMove(name, assignment.Token, target, reason), reason + ".");

    private static PlacementDecision Nothing(ServiceName name, string because) => new(name, null, $"No action for '{name}', because {because.TrimEnd('.')}.");
}
