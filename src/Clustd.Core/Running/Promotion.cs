using System.Collections.Immutable;
using Clustd.Core.Cluster;

namespace Clustd.Core.Running;

/// <summary>
/// Brings a run up, driver by driver in ascending order, each awaited; also keeps it up: the same walk starts a driver that comes late or comes back.
/// </summary>
internal sealed class Promotion(LocalService service, LocalRun run, Moment moment, Assignment mine, Instant freshUntil)
{
    // A driver that is not required may hold the others up for this long at most.
    private static readonly TimeSpan OptionalLimit = TimeSpan.FromSeconds(5);

    private readonly ServiceDefinition _definition = moment.DefinitionOf(service.Name);
    private readonly SortedSet<DriverName> _required = moment.RequiredFor(service.Name);

    private ServiceName Name => service.Name;

    public (LocalPhase Phase, string Reason) Advance()
    {
        if (mine.State == AssignmentState.Stopping && mine.SinceIndex == run.AbortedIndex)
        {
            moment.Wanted.Add(new Command.AbortMove(Name, run.Token, run.AbortReason));
        }

        // The one-run rule: nothing is started before all of an earlier run is proven stopped, whatever its token.
        var (left, stuck) = service.StopAtOnce(moment, $"'{Name}' begins anew; what runs of an earlier run stops first.", calls => calls.RunNumber != run.Number);
        if (stuck.Count > 0)
        {
            var reason = LocalService.StuckReason(stuck);
            run.Stop(RunIntent.StopAfterFailure, reason, moment.Now);
            run.Kill(moment.Now);
            return (LocalPhase.Stuck, reason);
        }

        if (left.Count > 0)
        {
            service.TellStandby(moment, _ => true, run.Token);
            return (LocalPhase.WaitingForLeaseEnd, $"waits until driver {left[0].Name} has stopped what it ran before, or its lease is over");
        }

        var waitsFor = Walk();
        if (run.Intent == RunIntent.Run)
        {
            waitsFor = Missing() ?? waitsFor;
        }

        if (run.Intent != RunIntent.Run)
        {
            return (LocalPhase.Demoting, run.StopReason);
        }

        if (waitsFor is null)
        {
            ReportRunning();
        }

        ReportStarting();
        return run.IsRunning ? (LocalPhase.Running, waitsFor ?? mine.Reason) : (LocalPhase.Promoting, waitsFor!);
    }

    private void ReportRunning()
    {
        if (!run.IsRunning)
        {
            run.IsRunning = true;
            moment.Note(Severity.Information, "service-running", $"'{Name}' runs here under token {run.Token}.", Name);
        }

        if (mine.State == AssignmentState.Starting)
        {
            moment.Wanted.Add(new Command.ReportRunning(Name, run.Token));
        }
    }

    // What the cluster knows as running was stopped here, because the session was not held, and is on its way up again: nobody is told that it runs until it does.
    private void ReportStarting()
    {
        if (!run.IsRunning && mine.State == AssignmentState.Running)
        {
            moment.Wanted.Add(new Command.ReportStarting(Name, run.Token, $"'{Name}' starts again on {moment.Settings.Self}: it had to stop while no majority confirmed the machine's session."));
        }
    }

    // Returns what is waited for, or null when every driver in line has started (or, not being required, has had its chance).
    private string? Walk()
    {
        service.TellStandby(moment, instance => !moment.IsActive(instance), run.Token);
        // Whoever fences comes before all others, whatever its order: nothing may start beside a machine that may still run it.
        var unfenced = run.IsRunning ? [] : moment.UnfencedOf(Name);
        var line = moment.Instances
            .Where(instance => instance.Answerable && moment.IsActive(instance) && instance.Follows(Name, moment.State))
            .OrderBy(instance => !unfenced.Overlaps(instance.Registration.Fences)).ThenBy(instance => instance.Registration.Order).ThenBy(instance => instance.Name);
        var confirmed = unfenced.Clear();
        foreach (var instance in line)
        {
            var fences = unfenced.Overlaps(instance.Registration.Fences);
            if (!fences && NotFenced(unfenced, confirmed) is { } notFenced)
            {
                return notFenced;
            }

            var calls = instance.CallsOf(Name);
            var required = fences || _required.Contains(instance.Name);
            if (calls.IsRunningIn(run) && calls.GaveUpRun != run.Number)
            {
                confirmed = confirmed.Union(instance.Registration.Fences);
                if (required)
                {
                    run.Started.Add(instance.Name);
                }

                continue;
            }

            if (calls.GaveUpRun == run.Number)
            {
                moment.DemandStop(instance, Name, run.Token, "the driver gave up", _definition.StopTimeout, kill: false);
                continue;
            }

            var blocked = Blocked(instance, calls);
            if (blocked is not null)
            {
                service.TellStandby(moment, other => ReferenceEquals(other, instance), run.Token);
                if (required)
                {
                    return blocked;
                }

                continue;
            }

            var outcome = Start(instance, calls, required);
            if (outcome is not null)
            {
                return outcome;
            }
        }

        return NotFenced(unfenced, confirmed);
    }

    // All drivers that fence a machine are through by now. A machine that none of them names: one that fences it may still connect; then another machine may have one.
    private string? NotFenced(ImmutableSortedSet<MachineId> unfenced, ImmutableSortedSet<MachineId> confirmed)
    {
        if (unfenced.Except(confirmed) is not { IsEmpty: false } left)
        {
            return null;
        }

        var machine = left[0];
        if (!moment.IsOver(run.PromoteSince + _definition.StartTimeout))
        {
            return $"waits for a driver that fences {machine}, which was lost while it ran '{Name}'";
        }

        Fail($"'{Name}' requires that {machine} is fenced before it starts elsewhere, and no driver here fences it. Add a `fence` driver for {machine} to this machine's file, or, if you know that {machine} is off, run `clustd machine confirm-off {machine}`");
        return run.StopReason;
    }

    private string? Blocked(DriverInstance instance, DriverCalls calls)
    {
        if (calls.Owes && calls.RunNumber != run.Number)
        {
            return $"driver {instance.Name} has not yet acknowledged the stop of an earlier run";
        }

        foreach (var other in moment.Instances)
        {
            if (!ReferenceEquals(other, instance) && other.Name == instance.Name && moment.KeepsOthersOut(other))
            {
                return $"another instance of driver {instance.Name} may still run: one at a time";
            }
        }

        return run.Inherited && !calls.Owes && !moment.IsOver(freshUntil)
            ? $"the daemon has just started: an instance of driver {instance.Name} that has not come back yet may still run"
            : null;
    }

    private string? Start(DriverInstance instance, DriverCalls calls, bool required)
    {
        var limit = required || _definition.StartTimeout < OptionalLimit ? _definition.StartTimeout : OptionalLimit;
        calls.DueSince ??= moment.Now;
        if (calls.HasFailed(isMaster: true, run.Token, kill: false))
        {
            return Late(instance, calls, required, $"driver {instance.Name} could not start '{Name}': {calls.Error}");
        }

        if (calls.UnderWay is null && moment.IsRestarting)
        {
            return $"the daemon restarts: its successor starts driver {instance.Name}";
        }

        if (calls.UnderWay is null)
        {
            moment.Note(Severity.Information, "driver-told", $"Driver {instance.Name} is told to start '{Name}' under token {run.Token}.", Name);
            moment.Start(instance, Name, run, mine.Reason);
        }

        if (moment.IsOver(Instant.Max(calls.DueSince.Value, run.PromoteSince) + limit))
        {
            return Late(instance, calls, required, $"driver {instance.Name} did not answer within {LocalService.Words(limit)} when told to start '{Name}'");
        }

        return $"driver {instance.Name} is starting";
    }

    private string? Late(DriverInstance instance, DriverCalls calls, bool required, string reason)
    {
        if (required)
        {
            Fail(reason);
            return reason;
        }

        if (calls.NotedRun != run.Number)
        {
            calls.NotedRun = run.Number;
            moment.Note(Severity.Warning, "driver-failed", $"{reason}. It is not required, so '{Name}' goes on without it.", Name);
        }

        return null;
    }

    // A required driver that is not there: awaited while it may still come, or while what it runs may still be alive.
    private string? Missing()
    {
        foreach (var name in _required)
        {
            var instances = moment.Instances.Where(instance => instance.Name == name).ToList();
            if (instances.Any(instance => instance.Answerable && moment.IsActive(instance) && instance.Follows(Name, moment.State)))
            {
                continue;
            }

            var mayRun = instances.Any(instance => moment.MayRun(instance, Name));
            if (run.IsRunning && !run.Started.Contains(name) && !(run.Inherited && mine.State == AssignmentState.Running))
            {
                continue; // required only since the service runs: shown as missing, moves nothing
            }

            var deadline = run.IsRunning ? (run.Inherited ? freshUntil : moment.Now)
                : (run.Inherited ? Instant.Max(freshUntil, run.PromoteSince) : run.PromoteSince) + _definition.StartTimeout;
            if (mayRun || !moment.IsOver(deadline))
            {
                return mayRun ? $"driver {name} was lost; it may come back until its lease is over" : $"waits for driver {name} to connect";
            }

            // One that was back, and is lost later, has failed like any other.
            run.IsAbsence = run is { IsRunning: true, Inherited: true } && !run.Started.Contains(name);
            Fail(run.IsAbsence ? $"the daemon was away for longer than the lease, and driver {name} has stopped '{Name}' meanwhile"
                : run.IsRunning ? $"driver {name}, which '{Name}' requires, was lost and did not come back before its lease was over"
                : $"driver {name}, which '{Name}' requires, did not connect within {LocalService.Words(_definition.StartTimeout)}");
            return run.StopReason;
        }

        return null;
    }

    private void Fail(string reason)
    {
        run.Stop(RunIntent.StopAfterFailure, reason, moment.Now);
        moment.Note(Severity.Error, "service-failed", $"'{Name}' cannot stay on this machine: {reason}. It stops here and is released.", Name);
    }
}
