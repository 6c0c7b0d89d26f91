using System.Collections.Immutable;
using Clustd.Core.Raft;

namespace Clustd.Core.Cluster;

/// <summary>
/// Applies committed entries. Guards invariants and nothing else: a command that no longer fits (a late Assign of an ended session, a
/// Release of an old token) changes nothing. Deterministic: same state, same entry, same bytes on every machine.
/// </summary>
public static class StateMachine
{
    public static ClusterState Apply(ClusterState state, LogEntry entry) => Apply(state, entry, PlantedBug.None);

    internal static ClusterState Apply(ClusterState state, LogEntry entry, PlantedBug bug)
    {
        var next = entry.Command switch
        {
            Command.Form form => Form(state, form, bug),
            Command.NoOp noOp => state.Happened(entry, "leader-elected", $"{noOp.Leader} leads in term {entry.Term}.", machine: noOp.Leader),
            Command.ChangeMembers change => ChangeMembers(state, change, entry),
            Command.OpenSession open => OpenSession(state, open, entry, bug),
            Command.EndSession end => EndSession(state, end, entry, bug),
            Command.GrantGrace grant => GrantGrace(state, grant, entry, bug),
            Command.EndGrace end => EndGrace(state, end, entry, bug),
            Command.DefineServices define => DefineServices(state, define, entry, bug),
            Command.Assign assign => Assign(state, assign, entry),
            Command.ReportRunning running => ReportRunning(state, running, entry),
            Command.ReportStarting starting => ReportStarting(state, starting, entry),
            Command.ReportStuck stuck => ReportStuck(state, stuck, entry),
            Command.Release release => Release(state, release, entry, bug),
            Command.RequestMove move => RequestMove(state, move, entry),
            Command.AbortMove abort => AbortMove(state, abort, entry),
            Command.SetDrain drain => SetDrain(state, drain, entry),
            Command.SetPause pause => SetPause(state, pause, entry),
            Command.ClearFailures clear => ClearFailures(state, clear),
            Command.ConfirmFenced confirm => ConfirmFenced(state, confirm, entry),
            Command.SetFeatureLevel set => SetFeatureLevel(state, set, entry),
            _ => throw new System.Diagnostics.UnreachableException($"Command {entry.Command.GetType().Name} has no rule."),
        };
        return next with { AppliedIndex = entry.Index, AppliedTerm = entry.Term };
    }

    private static ClusterState Form(ClusterState state, Command.Form form, PlantedBug bug) => state with
    {
        Cluster = form.Cluster,
        EpochSeconds = bug.Is(PlantedBug.EpochNotRaised) ? 1 : form.EpochSeconds,
        Lease = form.Lease,
        FeatureLevel = form.FeatureLevel,
        Members = form.Members.ToImmutableSortedDictionary(member => member.Machine, member => member),
    };

    // Not judged here: it took effect when it was appended, and what a majority of the new list holds is so.
    private static ClusterState ChangeMembers(ClusterState state, Command.ChangeMembers change, LogEntry entry)
    {
        var members = change.Members.ToImmutableSortedDictionary(member => member.Machine, member => member);
        return (state with { Members = members, Drained = state.Drained.Intersect(members.Keys) }).Happened(entry, "members-changed", change.Reason);
    }

    private static ClusterState OpenSession(ClusterState state, Command.OpenSession open, LogEntry entry, PlantedBug bug)
    {
        if (!state.Members.TryGetValue(open.Machine, out var member) || member.Store != open.Store || state.SessionOf(open.Machine) is not null)
        {
            return state;
        }

        var id = bug.Is(PlantedBug.SessionIdsReused) ? entry.Index - (entry.Index % 64) + state.Members.Keys.ToList().IndexOf(open.Machine) : entry.Index;
        var session = new Session(new SessionId(id), open.Machine, open.Store, open.Lease);
        return (state with { Sessions = state.Sessions.Add(session.Id, session) })
            .Happened(entry, "session-opened", $"{open.Machine} is here: it holds a session and may run services.", machine: open.Machine);
    }

    private static ClusterState EndSession(ClusterState state, Command.EndSession end, LogEntry entry, PlantedBug bug)
    {
        if (!state.Sessions.TryGetValue(end.Session, out var session))
        {
            return state;
        }

        var next = (state with { Sessions = state.Sessions.Remove(end.Session) })
            .Happened(entry, "session-ended", $"{session.Machine} lost its session: {end.Reason}", machine: session.Machine);
        foreach (var (name, service) in state.Services)
        {
            if (service.Assignment is { } held && held.Session == end.Session)
            {
                // Rule 11: whoever assigns anew counts k·kill_timeout from when it applies this very entry.
                var sentence = $"'{name}' has no master: {end.Reason} Waiting until what ran on {held.Machine} is dead for certain.";
                next = next
                    .With(name, service.WithUnfenced(held.Machine) with
                    {
                        Assignment = null,
                        Vacated = new Vacated(held.Machine, held.Token, bug.Is(PlantedBug.KillTimeoutOfDefinition) ? service.Definition.KillTimeout : held.KillTimeout, entry.Index),
                        NextTarget = held.MoveTarget,
                        Reason = sentence,
                    })
                    .Happened(entry, "vacated", sentence, name, held.Machine, held.Token);
            }
        }

        return next;
    }

    private static ClusterState GrantGrace(ClusterState state, Command.GrantGrace grant, LogEntry entry, PlantedBug bug)
    {
        if (!state.Sessions.TryGetValue(grant.Session, out var session) || session.Graces.ContainsKey(grant.Id))
        {
            return state;
        }

        // Rule 16: added to those there are. A shorter one must not replace a longer one that drivers still count on.
        var graces = bug.Is(PlantedBug.GraceReplaced) ? session.Graces.Clear() : session.Graces;
        var grace = new RestartGrace(grant.Id, grant.Grace, grant.Drivers, entry.Index);
        return (state with { Sessions = state.Sessions.SetItem(session.Id, session with { Graces = graces.Add(grant.Id, grace) }) })
            .Happened(entry, "restart-announced", $"{session.Machine} restarts its daemon: its drivers go on without it, and for up to {grant.Grace.TotalSeconds:0.###} s nobody takes over.", machine: session.Machine);
    }

    private static ClusterState EndGrace(ClusterState state, Command.EndGrace end, LogEntry entry, PlantedBug bug)
    {
        if (!state.Sessions.TryGetValue(end.Session, out var session) || (!session.Graces.ContainsKey(end.Id) && !bug.Is(PlantedBug.GraceEndedWithoutId)))
        {
            return state; // Late: it is over already, and another one is not meant (rule 16).
        }

        var graces = bug.Is(PlantedBug.GraceEndedWithoutId) ? session.Graces.Clear() : session.Graces.Remove(end.Id);
        return (state with { Sessions = state.Sessions.SetItem(session.Id, session with { Graces = graces }) })
            .Happened(entry, "restart-ended", $"The restart of {session.Machine} is over: no driver of it counts on its grace any more.", machine: session.Machine);
    }

    private static ClusterState DefineServices(ClusterState state, Command.DefineServices define, LogEntry entry, PlantedBug bug)
    {
        var services = state.Services.ToBuilder();
        foreach (var (name, service) in state.Services)
        {
            // What still runs, or may, is kept until it is released; the highest token is kept for ever (rule 17).
            services[name] = service with { Retired = true };
            if (service.Assignment is null && service.Vacated is null)
            {
                services.Remove(name);
            }
        }

        foreach (var definition in define.Services)
        {
            services[definition.Name] = state.Services.TryGetValue(definition.Name, out var known)
                ? known with { Definition = definition, Retired = false, Unfenced = definition.RequiresFencing ? known.Unfenced : null }
                : new ServiceState(definition, null, null, ImmutableSortedDictionary<MachineId, FailureRecord>.Empty, false) { Reason = "Newly defined." };
        }

        var tokens = bug.Is(PlantedBug.TokensForgotten) ? state.LastTokens.RemoveRange(state.LastTokens.Keys.Where(name => !state.Services.ContainsKey(name))) : state.LastTokens;
        return (state with { Services = services.ToImmutable(), LastTokens = tokens })
            .Happened(entry, "services-defined", $"The services are now: {string.Join(", ", define.Services.Select(service => service.Name.Value))}.");
    }

    private static ClusterState Assign(ClusterState state, Command.Assign assign, LogEntry entry)
    {
        if (!state.Services.TryGetValue(assign.Service, out var service) || service.Retired || service.Assignment is not null
            || !state.Sessions.TryGetValue(assign.Session, out var session) || session.Machine != assign.Machine
            || assign.Token <= state.LastTokenOf(assign.Service))
        {
            return state; // Rule 7: a late Assign of an ended session is dead, and a token never comes back.
        }

        var assignment = new Assignment(
            assign.Machine, assign.Session, assign.Token, assign.KillTimeout, AssignmentState.Starting, null, assign.Reason, entry.Index);
        return (state with { LastTokens = state.LastTokens.SetItem(assign.Service, assign.Token) })
            .With(assign.Service, service with { Assignment = assignment, Vacated = null, NextTarget = null, Reason = assign.Reason })
            .Happened(entry, "assigned", assign.Reason, assign.Service, assign.Machine, assign.Token);
    }

    private static ClusterState ReportRunning(ClusterState state, Command.ReportRunning running, LogEntry entry)
    {
        if (Held(state, running.Service, running.Token) is not { State: AssignmentState.Starting } held)
        {
            return state;
        }

        // It runs: who started it has fenced all of them before (Promotion).
        var fenced = state.Services[running.Service].Unfenced?.Remove(held.Machine);
        var next = state.With(running.Service, held with { State = AssignmentState.Running, SinceIndex = entry.Index });
        next = next.With(running.Service, next.Services[running.Service] with { Unfenced = null });
        return (fenced is { Count: > 0 } ? next.Happened(entry, "fenced", $"{string.Join(" and ", fenced)} was fenced before '{running.Service}' started on {held.Machine}.", running.Service, held.Machine, running.Token) : next)
            .Happened(entry, "running", $"'{running.Service}' runs on {held.Machine}.", running.Service, held.Machine, running.Token);
    }

    private static ClusterState ReportStarting(ClusterState state, Command.ReportStarting starting, LogEntry entry)
    {
        if (Held(state, starting.Service, starting.Token) is not { State: AssignmentState.Running } held)
        {
            return state;
        }

        return state
            .With(starting.Service, held with { State = AssignmentState.Starting, SinceIndex = entry.Index, IsResumed = true })
            .Happened(entry, "starting-again", starting.Reason, starting.Service, held.Machine, starting.Token);
    }

    private static ClusterState ReportStuck(ClusterState state, Command.ReportStuck stuck, LogEntry entry) =>
        Held(state, stuck.Service, stuck.Token) is { } held && held.State != AssignmentState.Stuck
            ? state
                .With(stuck.Service, held with { State = AssignmentState.Stuck, SinceIndex = entry.Index, Reason = stuck.Reason })
                .Happened(entry, "stuck", stuck.Reason, stuck.Service, held.Machine, stuck.Token)
            : state;

    private static ClusterState Release(ClusterState state, Command.Release release, LogEntry entry, PlantedBug bug)
    {
        if (!state.Services.TryGetValue(release.Service, out var service))
        {
            return state;
        }

        var isAny = bug.Is(PlantedBug.ReleaseOfAnyToken);
        if (service.Vacated is { } vacated && (isAny || vacated.Token == release.Token))
        {
            return state // Rule 11: only the release of that very token ends the wait early.
                .With(release.Service, service.WithoutUnfenced(vacated.Machine) with { Vacated = null, Reason = release.Reason })
                .Happened(entry, "released", release.Reason, release.Service, vacated.Machine, release.Token);
        }

        if (service.Assignment is not { } held || (held.Token != release.Token && !isAny))
        {
            return state;
        }

        var failures = service.Failures;
        if (release.Failed)
        {
            var count = failures.TryGetValue(held.Machine, out var before) ? before.Count : 0;
            failures = failures.SetItem(held.Machine, new FailureRecord(count + 1, entry.Index, release.Reason));
        }

        return state
            .With(release.Service, (release.MayStillRun ? service.WithUnfenced(held.Machine) : service.WithoutUnfenced(held.Machine)) with { Assignment = null, NextTarget = held.MoveTarget, Failures = failures, Reason = release.Reason })
            .Happened(entry, release.Failed ? "failed" : "released", release.Reason, release.Service, held.Machine, release.Token);
    }

    private static ClusterState RequestMove(ClusterState state, Command.RequestMove move, LogEntry entry) =>
        Held(state, move.Service, move.Token) is { State: AssignmentState.Starting or AssignmentState.Running } held
            ? state
                .With(move.Service, held with { State = AssignmentState.Stopping, MoveTarget = move.Target, Reason = move.Reason, SinceIndex = entry.Index })
                .Happened(entry, "move-requested", move.Reason, move.Service, held.Machine, move.Token)
            : state;

    private static ClusterState AbortMove(ClusterState state, Command.AbortMove abort, LogEntry entry) =>
        Held(state, abort.Service, abort.Token) is { State: AssignmentState.Stopping } held
            ? state
                .With(abort.Service, held with { State = AssignmentState.Starting, MoveTarget = null, Reason = abort.Reason, SinceIndex = entry.Index, IsResumed = true })
                .Happened(entry, "move-aborted", abort.Reason, abort.Service, held.Machine, abort.Token)
            : state;

    private static ClusterState SetDrain(ClusterState state, Command.SetDrain drain, LogEntry entry) =>
        state.Drained.Contains(drain.Machine) == drain.Drained
            ? state
            : (state with { Drained = drain.Drained ? state.Drained.Add(drain.Machine) : state.Drained.Remove(drain.Machine) })
                .Happened(entry, drain.Drained ? "drained" : "undrained", drain.Reason, machine: drain.Machine);

    private static ClusterState SetPause(ClusterState state, Command.SetPause pause, LogEntry entry) =>
        state.Paused == pause.Paused
            ? state
            : (state with { Paused = pause.Paused }).Happened(entry, pause.Paused ? "paused" : "unpaused", pause.Reason);

    private static ClusterState ClearFailures(ClusterState state, Command.ClearFailures clear) =>
        state.Services.TryGetValue(clear.Service, out var service)
            ? state.With(clear.Service, service with { Failures = service.Failures.Remove(clear.Machine) })
            : state;

    private static ClusterState ConfirmFenced(ClusterState state, Command.ConfirmFenced confirm, LogEntry entry)
    {
        var next = state;
        foreach (var (name, service) in state.Services)
        {
            if (service.Unfenced?.Contains(confirm.Machine) == true)
            {
                next = next.With(name, service.WithoutUnfenced(confirm.Machine)).Happened(entry, "fenced", confirm.Reason, name, confirm.Machine);
            }
        }

        return next;
    }

    private static ClusterState SetFeatureLevel(ClusterState state, Command.SetFeatureLevel set, LogEntry entry) =>
        set.Level <= state.FeatureLevel
            ? state
            : (state with { FeatureLevel = set.Level })
                .Happened(entry, "feature-level", $"All machines run a version that can do feature level {set.Level}: the cluster uses it from now on.");

    private static Assignment? Held(ClusterState state, ServiceName name, Token token) =>
        state.Services.TryGetValue(name, out var service) && service.Assignment is { } held && held.Token == token ? held : null;

    private static ClusterState With(this ClusterState state, ServiceName name, Assignment assignment) =>
        state.With(name, state.Services[name] with { Assignment = assignment, Reason = assignment.Reason });

    private static ClusterState With(this ClusterState state, ServiceName name, ServiceState service) =>
        service is { Retired: true, Assignment: null, Vacated: null }
            ? state with { Services = state.Services.Remove(name) }
            : state with { Services = state.Services.SetItem(name, service) };

    private static ClusterState Happened(
        this ClusterState state, LogEntry entry, string kind, string sentence, ServiceName? service = null, MachineId? machine = null, Token? token = null)
    {
        var events = state.Events.Add(new ClusterEvent(entry.Index, entry.Term, kind, service, machine, token, sentence));
        return state with { Events = events.Count > ClusterState.EventsKept ? events.RemoveAt(0) : events };
    }
}
