using System.Diagnostics;
using Clustd.Core.Cluster;

namespace Clustd.Core.Running;

/// <summary>
/// Which services a step looks at. A service is looked at again when something that it depends on may have changed, and only then:
/// <list type="bullet">
/// <item>what is agreed about it: its <see cref="ServiceState"/> is another object (<see cref="MarkWhatChanged"/>);</item>
/// <item>what a driver said or its connection did: that service, or all that the driver has to do with where it concerns the driver as a whole, and all
/// of all instances of that name where there are several (<see cref="MarkFor"/>, <see cref="MarkServicesOf"/>);</item>
/// <item>the hold: it was got, lost or lapsed, or is of another session; the machine leaves or restarts; a driver of a former daemon is back; which services
/// there are: all of them;</item>
/// <item>the time: a deadline that was met when it was looked at is over (<see cref="Deadlines"/>);</item>
/// <item>its own last pass: it did or changed something, so the next one may find more (<see cref="LocalService.Trace"/>).</item>
/// </list>
/// The simulator looks at all the others as well, again and again, and finds that nothing comes of it.
/// </summary>
public sealed partial class LocalServices
{
    private long _passes;

    private void MarkWhatChanged(ClusterState state, SessionHold hold, bool lapsed, Instant now)
    {
        var (former, formerLease) = (_state, Lease);
        _state = state;
        var formerSession = _lastHold.Session;
        var session = hold.IsHeld(now) ? hold.Session : SessionId.None;
        if (lapsed || session != formerSession || Lease != formerLease || !MarkChangedServices(former, state))
        {
            _due.MarkAll();
        }

        if (_due.IsAll)
        {
            foreach (var instance in _instances)
            {
                instance.TermsInDoubt = true;
            }
        }

        if (now >= _serviceDueAt && !_settings.PlantedBug.Is(PlantedBug.DeadlineOverlooked))
        {
            foreach (var service in _services.Values)
            {
                if (service.Deadlines.Earliest <= now)
                {
                    _due.Mark(service.Name);
                }
            }
        }
    }

    // False when there are others than before. Both are sorted, so one walk finds out.
    private bool MarkChangedServices(ClusterState former, ClusterState state)
    {
        if (ReferenceEquals(state.Services, former.Services))
        {
            return ReferenceEquals(state.LastTokens, former.LastTokens); // Tokens change with what they are granted for.
        }

        if (state.Services.Count != former.Services.Count)
        {
            return false;
        }

        using var before = former.Services.GetEnumerator();
        foreach (var (name, service) in state.Services)
        {
            before.MoveNext();
            if (before.Current.Key != name)
            {
                return false;
            }

            if (!ReferenceEquals(before.Current.Value, service))
            {
                _due.Mark(name);
                DoubtTerms(name, service);
            }
        }

        return true;
    }

    // Who follows it was promised more time than it grants now.
    private void DoubtTerms(ServiceName name, ServiceState service)
    {
        foreach (var instance in _instances)
        {
            instance.TermsInDoubt |= instance.Answerable && instance.Follows(name, _state)
                && (service.Definition.KillTimeout < instance.Terms.KillTimeout || service.Assignment?.KillTimeout < instance.Terms.KillTimeout);
        }
    }

    // An input that concerns one service of one driver. A second instance of the name may wait for what the first one still runs.
    private void MarkFor(DriverInstance instance, ServiceName service)
    {
        _due.Mark(service);
        foreach (var other in _instances)
        {
            if (!ReferenceEquals(other, instance) && other.Name == instance.Name)
            {
                MarkServicesOf(instance);
                return;
            }
        }
    }

    // All that any instance of this name has to do with.
    private void MarkServicesOf(DriverInstance instance)
    {
        foreach (var one in _instances)
        {
            if (one.Name != instance.Name)
            {
                continue;
            }

            one.TermsInDoubt = true;
            foreach (var service in one.Calls.Keys)
            {
                _due.Mark(service);
            }

            foreach (var service in one.FollowedIn(_state))
            {
                _due.Mark(service);
            }
        }
    }

    private void Disconnect(DriverInstance instance)
    {
        MarkServicesOf(instance);
        instance.ConnectionLost();
    }

    /// <summary>
    /// While the lease lasted, what it bounds may have run; that stays so, and the deadlines follow the lease by themselves. Otherwise what counted as over is
    /// not over any more.
    /// </summary>
    private void LeaseExtended(DriverInstance instance, bool wasOver)
    {
        _haveDeadlinesMoved = true;
        foreach (var (name, calls) in instance.Calls)
        {
            if (calls.Owes && (wasOver || (_services.TryGetValue(name, out var service) && service.Phase != LocalPhase.Running)))
            {
                _due.Mark(name);
            }
        }
    }

    private void LookAtServices(Moment moment, bool lapsed, List<Output> outputs)
    {
        if (_due.IsAll)
        {
            foreach (var service in _listed.Services)
            {
                _report.Look(service, moment.State, _instances, moment.IsActive);
            }
        }

        var wantedChanged = false;
        _due.Begin(_due.IsAll ? Names() : null);
        while (_due.TryTake(out var name))
        {
            if (!_services.TryGetValue(name, out var service))
            {
                _services[name] = service = new LocalService(name);
            }

            var isSettled = LookAt(service, moment, lapsed, outputs, ref wantedChanged);
            _report.Look(name, moment.State, _instances, moment.IsActive);
            if (!isSettled)
            {
                _due.Mark(name);
            }
            else if (IsForgotten(service, moment))
            {
                _services.Remove(name);
            }
        }

        if (_settings.ChecksWhatIsOverlookedEvery > 0 && ++_passes % _settings.ChecksWhatIsOverlookedEvery == 0)
        {
            CheckTheOthers(moment, lapsed, outputs);
        }

        SumUp(wantedChanged);
    }

    /// <summary>True when another pass would change nothing, unless something that it depends on changes.</summary>
    private bool LookAt(LocalService service, Moment moment, bool lapsed, List<Output> outputs, ref bool wantedChanged)
    {
        var before = service.Trace;
        var said = outputs.Count;
        service.Deadlines.Clear();
        moment.Deadlines = service.Deadlines;
        moment.Wanted.Clear();
        var freshUntil = FreshUntil(moment.KillTimeoutOf(service.Name));
        service.Reconcile(moment, lapsed, freshUntil, StoredLastIndex, _nextRun);
        service.MayRunHere = service.MayRun(moment);
        service.KillTimeout = service.Run?.KillTimeout ?? (service.MayRunHere && service.KillTimeout > TimeSpan.Zero ? service.KillTimeout : moment.KillTimeoutOf(service.Name));
        service.IsEmpty = !service.MayRunHere && (IsFirst || moment.IsOver(freshUntil));
        moment.Deadlines = _ownDeadlines;
        var wantsTheSame = service.Wants.Count == moment.Wanted.Count && (service.Wants.Count == 0 || service.Wants.SequenceEqual(moment.Wanted));
        if (!wantsTheSame)
        {
            service.Wants = [.. moment.Wanted];
            wantedChanged = true;
        }

        return wantsTheSame && outputs.Count == said && service.Trace == before;
    }

    // Defined nowhere, run by nobody, followed by nobody: a driver that registers under ever new names must not slow this machine down for ever.
    private bool IsForgotten(LocalService service, Moment moment)
    {
        if (service.Run is not null || !service.IsEmpty || service.IsRefusedAhead(moment.State) || moment.State.Services.ContainsKey(service.Name))
        {
            return false;
        }

        foreach (var instance in _instances)
        {
            if (instance.Calls.ContainsKey(service.Name) || instance.Follows(service.Name, moment.State))
            {
                return false;
            }
        }

        return true;
    }

    private void SumUp(bool wantedChanged)
    {
        if (wantedChanged)
        {
            var wanted = new List<Command>();
            foreach (var service in _services.Values)
            {
                wanted.AddRange(service.Wants);
            }

            Wanted = wanted;
        }

        if (_due.Pass.Count == 0 && !_haveDeadlinesMoved)
        {
            return;
        }

        _haveDeadlinesMoved = false;
        (_hasRun, _areEmpty, _serviceDueAt) = (false, true, Instant.Never);
        foreach (var service in _services.Values)
        {
            _hasRun |= service.Run is not null;
            _areEmpty &= service.IsEmpty;
            _serviceDueAt = Instant.Min(_serviceDueAt, service.Deadlines.Earliest);
        }
    }

    // For the simulator. Whoever was not due is looked at all the same: nothing may come of it, and no deadline may turn out to be earlier.
    private void CheckTheOthers(Moment moment, bool lapsed, List<Output> outputs)
    {
        var taken = new SortedSet<ServiceName>(_due.Pass);
        foreach (var service in _services.Values.Where(service => !taken.Contains(service.Name) && !_due.IsMarked(service.Name)).ToList())
        {
            var dueAt = service.Deadlines.Earliest;
            var (wanted, isNews) = (false, _report.IsNews);
            var isSettled = LookAt(service, moment, lapsed, outputs, ref wanted);
            _report.Look(service.Name, moment.State, _instances, moment.IsActive);
            if (!isSettled || service.Deadlines.Earliest < dueAt || _report.IsNews != isNews)
            {
                throw new UnreachableException($"Service '{service.Name}' was overlooked: it is {service.Phase} now ({service.Reason}), and {(isSettled ? "due earlier than it knew" : "had something to do")}.");
            }
        }
    }

    private SortedSet<ServiceName> Names()
    {
        var names = new SortedSet<ServiceName>(_state.Services.Keys);
        names.UnionWith(_services.Keys);
        foreach (var instance in _instances)
        {
            names.UnionWith(instance.Calls.Keys);
            names.UnionWith(instance.FollowedIn(_state));
        }

        return names;
    }
}
