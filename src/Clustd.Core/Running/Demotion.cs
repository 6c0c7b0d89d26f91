using Clustd.Core.Cluster;

namespace Clustd.Core.Running;

/// <summary>
/// Ends a run: in descending order, each driver awaited, within stop_timeout for the whole chain. Where that fails, a move is aborted;
/// a failure or a goodbye goes on to kill. Only acknowledgements, a guard's proof or the end of leases lead to Release.
/// </summary>
internal sealed class Demotion(LocalService service, LocalRun run, Moment moment, Assignment mine, Instant freshUntil)
{
    private readonly ServiceDefinition _definition = moment.DefinitionOf(service.Name);

    private ServiceName Name => service.Name;

    // A cluster that does not know of fencing would take it for a plain takeover: then it blocks.
    private bool IsFenced => _definition is { FencesOnStopFailure: true, RequiresFencing: true } && moment.State.FeatureLevel >= FeatureLevels.Fencing;

    public (LocalPhase Phase, string Reason) Advance()
    {
        service.TellStandby(moment, _ => true, run.Token);
        if (run.ReleaseWanted)
        {
            // What was proven stays proven: nothing starts in this run any more. Its driver may be given a lease for another service meanwhile, and must not count
            // as running this one again; a move was aborted because of that, and the service started under the token that was being released.
            return (LocalPhase.Standby, $"stopped, because {service.RepeatRelease(moment)}");
        }

        var (foreignLeft, foreignStuck) = service.StopAtOnce(moment, run.StopReason, calls => calls.RunNumber != run.Number);
        var left = new List<DriverInstance>(foreignLeft);
        var stuck = new List<DriverInstance>(foreignStuck);
        if (run.KillSince is null && !StopInOrder(left))
        {
            return (LocalPhase.Running, run.AbortReason);
        }

        if (run.KillSince is not null)
        {
            var (ownLeft, ownStuck) = service.StopAtOnce(moment, run.StopReason, calls => calls.RunNumber == run.Number);
            left = [.. foreignLeft, .. ownLeft];
            stuck.AddRange(ownStuck);
        }

        if (left.Count > 0 && !moment.Settings.PlantedBug.Is(PlantedBug.ReleasedWhenTold))
        {
            return (LocalPhase.Demoting, $"driver {left[0].Name} is stopping, because {run.StopReason}");
        }

        return stuck.Count > 0 ? Stuck(stuck) : Release(stuckReason: null);
    }

    // False: the stop failed and the move is aborted.
    private bool StopInOrder(List<DriverInstance> left)
    {
        var deadline = run.StopSince + _definition.StopTimeout;
        var descending = moment.Instances
            .Where(instance => instance.Calls.TryGetValue(Name, out var calls) && calls.Owes && calls.RunNumber == run.Number && moment.MayRun(instance, Name))
            .OrderByDescending(instance => instance.Registration.Order).ThenByDescending(instance => instance.Name);
        var answerable = false;
        foreach (var instance in descending)
        {
            left.Add(instance);
            if (answerable || !instance.Answerable)
            {
                continue; // its turn has not come; or nobody is there to be told, and time goes on proving without us
            }

            answerable = true;
            var calls = instance.Calls[Name];
            var remaining = deadline > moment.Now ? deadline - moment.Now : TimeSpan.Zero;
            if (calls.HasFailed(isMaster: false, run.Token, kill: false))
            {
                return StopFailed($"driver {instance.Name} failed to stop '{Name}': {calls.Error}");
            }

            if (moment.IsOver(deadline))
            {
                calls.StopFailed = true;
                return StopFailed($"driver {instance.Name} did not stop '{Name}' within {LocalService.Words(_definition.StopTimeout)}");
            }

            moment.DemandStop(instance, Name, run.Token, run.StopReason, remaining, kill: false);
        }

        return true;
    }

    private bool StopFailed(string why)
    {
        if (run.Intent == RunIntent.StopForMove)
        {
            run.Abort(mine.SinceIndex, $"The move is aborted: {why}. The service goes on here; look at the driver, then move it again.", moment.Now);
            moment.Note(Severity.Error, "move-aborted", run.AbortReason, Name);
            return false;
        }

        run.Kill(moment.Now);
        moment.Note(Severity.Warning, "service-killed", $"{why}. All drivers of '{Name}' now stop at once, within {LocalService.Words(run.KillTimeout)}.", Name);
        return true;
    }

    private (LocalPhase Phase, string Reason) Stuck(List<DriverInstance> stuck)
    {
        var reason = LocalService.StuckReason(stuck);
        if (_definition.OnStopFailure == OnStopFailure.Takeover || IsFenced)
        {
            // The operator accepted that two may run, or has this machine fenced: but not before every lease and limit is over.
            var over = stuck.Max(instance => Instant.Max(instance.LeaseUntil, run.KillSince ?? moment.Now)) + LeaseTiming.Stretch(run.KillTimeout);
            return moment.IsOver(over) ? Release(reason) : (LocalPhase.Demoting, reason);
        }

        if (!run.StuckNoted)
        {
            run.StuckNoted = true;
            moment.Note(Severity.Error, "service-stuck", $"'{Name}' is stuck: {reason}", Name);
        }

        if (mine.State != AssignmentState.Stuck)
        {
            moment.Wanted.Add(new Command.ReportStuck(Name, run.Token, reason));
        }

        return (LocalPhase.Stuck, reason);
    }

    private (LocalPhase Phase, string Reason) Release(string? stuckReason)
    {
        // Rule 14: "all acknowledged" over drivers that have not come back yet is no proof.
        if (run.Inherited && !moment.IsOver(freshUntil) && !moment.Settings.PlantedBug.Is(PlantedBug.ReleasedOverNoDrivers))
        {
            return (LocalPhase.WaitingForLeaseEnd, "the daemon has just started: a driver that has not come back yet may still run until its lease is over");
        }

        if (run.Inherited && mine.State == AssignmentState.Stuck && Unheard() is { } unheard)
        {
            return (LocalPhase.Stuck, $"its stop had failed before this daemon started; waits for driver {unheard} to acknowledge the stop");
        }

        var reason = stuckReason is null ? run.StopReason : $"{run.StopReason}. {stuckReason} It is released all the same: on_stop_failure is {(IsFenced ? "fence" : "takeover")}.";
        run.ReleaseWanted = true;
        moment.Note(Severity.Information, "service-stopped", $"'{Name}' (token {run.Token}) has stopped here: {reason}", Name);
        service.WantRelease(moment, new Command.Release(Name, run.Token, reason, run.Intent == RunIntent.StopAfterFailure && !run.IsAbsence)
        {
            MayStillRun = stuckReason is not null && IsFenced,
        });
        return (LocalPhase.Standby, $"stopped, because {reason}");
    }

    private DriverName? Unheard()
    {
        foreach (var name in moment.RequiredFor(Name))
        {
            if (!moment.Instances.Any(instance => instance.Name == name && instance.CallsOf(Name).Acknowledged == false))
            {
                return name;
            }
        }

        return null;
    }
}
