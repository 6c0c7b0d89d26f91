using System.Collections.Immutable;
using Clustd.Core;
using Clustd.Core.Raft;

namespace Clustd.Simulation;

/// <summary>
/// Patterns that no ordinary seed draws: each leads straight to the corner where one rule is all that is between safe and unsafe, so that the zoo need not wait for
/// chance. With the rule kept they are as harmless as any other.
/// </summary>
internal sealed partial class Faults
{
    private static ImmutableArray<(string Name, Action<Faults> Strike)> Aimed =>
    [
        ("only the leader knows", faults => faults.OnlyTheLeaderKnows()),
        ("back too late", faults => faults.BackTooLate()),
        ("slow candidate", faults => faults.SlowCandidate()),
        ("leaders come and go", faults => faults.LeadersComeAndGo()),
        ("leader goes after an end", faults => faults.LeaderGoesAfterAnEnd()),
        ("leader dies", faults => faults.LeaderDies()),
        ("leader stalls", faults => faults.LeaderStalls()),
        ("daemon back at the end", faults => faults.DaemonBackAtTheEnd()),
        ("driver's connection breaks", faults => faults.DriverConnectionBreaks()),
        ("daemon dies in a move", faults => faults.DaemonDiesInMove()),
        ("daemon dies over its release", faults => faults.DaemonDiesOverRelease()),
        ("leader lost with its commit", faults => faults.LeaderLostWithItsCommit()),
        ("slow leader while the master restarts", faults => faults.SlowLeaderWhileMasterRestarts()),
        .. AimedAtMembers,
    ];

    /// <summary>Rule 5: of those that acknowledged the master's last stamp only the leader itself is left, and it has to vote.</summary>
    private void OnlyTheLeaderKnows()
    {
        var (leader, master) = (Leader(), Master());
        if (leader == master)
        {
            Ask(new Request.TransferLeadership(null));
            return;
        }

        var late = Others(leader).Where(machine => machine != master).ToList();
        var first = _chance.Between(Lease / 4, Lease * 6 / 5);
        Note($"[{IdsOf(late)}] are cut off; in {first} µs {master.Id} is, too; {leader.Id} hears from the first again when it leads no more");
        Cut(first + (Lease * 7 / 10), false, [.. late.SelectMany(machine => Both(machine, leader))]);
        Cut(first + (Lease * 4), false, [.. late.SelectMany(machine => Both(machine, master))]);
        Later(first, () => Cut(Lease * 4, false, [.. Both(leader, master)]));
    }

    /// <summary>Rule 7: the master is heard again when the end of its session is in the log and not applied yet, and then not any more.</summary>
    private void BackTooLate()
    {
        var (leader, master) = (Leader(), Master());
        if (leader == master)
        {
            Ask(new Request.TransferLeadership(null));
            return;
        }

        var cut = Lease + _chance.Between(Lease / 50, Lease / 5);
        Note($"{master.Id} is cut off for {cut} µs, and again soon after; disks are slow");
        foreach (var machine in _world.Machines)
        {
            machine.Disk.Slowness = Lease * 3 / 10;
            Until(Lease * 5, () => machine.Disk.Slowness = 0);
        }

        ImmutableArray<(SimulatedMachine, SimulatedMachine)> lines = [.. Others(master).SelectMany(other => Both(master, other))];
        Cut(cut, false, lines);
        Later(cut + _chance.Between(Lease / 20, Lease * 3 / 10), () => Cut(Lease * 4, false, lines));
    }

    /// <summary>Rule 9: between a pre-vote and the vote the voter acknowledges rounds of the old leader, because the candidate's disk is slow.</summary>
    private void SlowCandidate()
    {
        var (leader, service) = (Leader(), _chance.Of(_world.Scenario.Services).Name);
        if (_world.Acting.MasterOf(service) != leader.Id)
        {
            Ask(new Request.Move(service, leader.Id));
            return;
        }

        var (candidate, voter) = (Others(leader)[0], Others(leader)[1]);
        Note($"{candidate.Id}, with a slow disk, hears {leader.Id} no more; {voter.Id} does again after it has promised its vote");
        candidate.Disk.Slowness = Lease / 8;
        Until(Lease * 3, () => candidate.Disk.Slowness = 0);
        Cut(Lease * 5, false, [.. Both(leader, candidate)]);
        foreach (var (from, to) in Both(leader, voter))
        {
            _world.Network.Cut(from.Index, to.Index, closesSockets: false);
        }

        void Heal()
        {
            foreach (var (from, to) in Both(leader, voter))
            {
                _world.Network.Heal(from.Index, to.Index);
            }
        }

        var isHealed = false;
        When(() => candidate.Core is { Consensus.Role: Role.Candidate }, Lease / 2, () =>
        {
            isHealed = true;
            Heal();
            Later(_chance.Between(Lease / 20, Lease / 8), () => Cut(Lease * 4, true, [.. Both(leader, voter)]));
        });
        Until(Lease, () =>
        {
            if (!isHealed)
            {
                Heal();
            }
        });
    }

    /// <summary>Rule 9, one hump: a master is lost for good, and leadership goes from hand to hand. Whoever leads must not wait from its own election.</summary>
    private void LeadersComeAndGo()
    {
        var (leader, master) = (Leader(), Master());
        if (leader == master || !AllIsWell())
        {
            Ask(new Request.TransferLeadership(null));
            return;
        }

        var lostAt = _world.Events.Now;
        Note($"{master.Id} loses its power for good, and leadership goes from hand to hand");
        Crash(master, Lease * 14);
        for (var i = 1; i <= 16; i++)
        {
            _world.Events.After(Lease * 3 * i / 10, () => Leader().Post(new Input.RequestMade($"h{++_requests}", new Request.TransferLeadership(null))));
        }

        _world.Events.After(_world.Scenario.Bound + (Lease / 2), () =>
        {
            if (_world.Scenario.Services.FirstOrDefault(service => !_world.Acting.IsActing(service.Name)) is { } without && _world.ChangedAt == lostAt)
            {
                throw new ViolationException(Invariant.OneHump, $"{without.Name} has no master {_world.Events.Now - lostAt} µs after {master.Id} was lost; nothing else was, only leadership moved");
            }
        });
    }

    /// <summary>Rule 11: whoever decides on a vacated service is not the one who ended the session.</summary>
    private void LeaderGoesAfterAnEnd()
    {
        var (leader, master) = (Leader(), Master());
        if (leader == master || _world.Checks.Newest.SessionOf(master.Id) is not { } session)
        {
            Ask(new Request.TransferLeadership(null));
            return;
        }

        Note($"{master.Id} is cut off; leadership moves as soon as its session has ended");
        Cut(Lease * 4, false, [.. Others(master).SelectMany(other => Both(master, other))]);
        When(() => !_world.Checks.Newest.Sessions.ContainsKey(session.Id), Lease * 3, () => Leader().Post(new Input.RequestMade($"e{++_requests}", new Request.TransferLeadership(null))));
    }

    /// <summary>P5, rule 4: the leader's machine is lost, nothing else. Whatever acts elsewhere must not notice, if one election was enough.</summary>
    private void LeaderDies()
    {
        var leader = Leader();
        var term = _world.Checks.Elections;
        var acts = _world.Acting.Acts.Where(act => act.Machine != leader).ToList();
        if (!AllIsWell() || acts.Count == 0)
        {
            Ask(new Request.TransferLeadership(null));
            return;
        }

        Note($"{leader.Id} loses its power, and nothing else happens: it must cost nothing");
        Crash(leader, Lease * 4);
        var changedAt = _world.ChangedAt;
        _world.Events.After(Lease * 2, () =>
        {
            if (_world.ChangedAt == changedAt && _world.Checks.Elections == term + 1 && acts.Find(act => !_world.Acting.Acts.Contains(act)) is { } lost)
            {
                throw new ViolationException(Invariant.LeaderChangeIsFree, $"{lost.Driver} on {lost.Machine.Id} has stopped acting for {lost.Service}, although only {leader.Id}, the leader, was lost");
            }
        });
    }

    /// <summary>P5, rule 8: the leader's daemon is frozen, nobody else can lead, and all others are well. When it thaws it must not end their sessions.</summary>
    private void LeaderStalls()
    {
        var leader = Leader();
        var sessions = _world.Checks.Newest.Sessions.Values.Where(session => session.Machine != leader.Id).ToList();
        if (!AllIsWell() || sessions.Count == 0)
        {
            return;
        }

        var length = _chance.Between(Lease * 11 / 10, Lease * 5 / 2);
        Note($"{leader.Id}'s daemon stalls for {length} µs");
        leader.Freeze(length, wholeHost: false);
        _world.Events.After(length + (Lease / 2), () =>
        {
            if (_world.Events.Now - _world.ChangedAt <= Lease / 2 && sessions.Find(session => !_world.Checks.Newest.Sessions.ContainsKey(session.Id)) is { } ended)
            {
                throw new ViolationException(Invariant.StallBlamesNobody, $"{leader.Id} stalled for {length} µs and then ended session {ended.Id} of {ended.Machine}, which was well");
            }
        });
    }

    /// <summary>Rules 11 and 14: the master's daemon is back just when its session has ended, and before its drivers are.</summary>
    private void DaemonBackAtTheEnd()
    {
        var master = Master();
        if (!master.IsRunning)
        {
            return;
        }

        Note($"{master.Id}'s daemon is killed, and back when its session is over");
        master.KillDaemon();
        Until(_chance.Between(Lease * 9 / 10, Lease * 13 / 10), master.StartDaemon);
    }

    /// <summary>Rule 14: the daemon that was to stop a service in good order dies, and the next one holds the session before a driver is back.</summary>
    private void DaemonDiesInMove()
    {
        var master = Master();
        Move();
        Later(_chance.Between(0, Lease / 10), () =>
        {
            if (master.IsRunning)
            {
                Note($"{master.Id}'s daemon dies in a move");
                master.KillDaemon();
                Until(_chance.Between(500, Lease / 100), master.StartDaemon);
            }
        });
    }

    /// <summary>
    /// Rule 3: what a daemon released, because a start had failed, is decided and not applied there when it dies; its successor must not take the session up before it
    /// has applied that.
    /// </summary>
    private void DaemonDiesOverRelease()
    {
        var (service, next) = (_chance.Of(_world.Scenario.Services).Name, Anyone());
        next.Disk.Slowness = Lease * 3 / 10;
        Until(Lease * 4, () => next.Disk.Slowness = 0);
        Ask(new Request.Move(service, next.Id));
        bool IsHeld(Core.Cluster.ClusterState? state) => state?.Services.GetValueOrDefault(service)?.Assignment?.Machine == next.Id;
        When(() => IsHeld(_world.Checks.Newest), Lease * 2, () => When(() => !IsHeld(_world.Checks.Newest) && IsHeld(next.Core?.State), Lease * 3, () =>
        {
            Note($"{next.Id}'s daemon dies before it has applied its own release");
            next.KillDaemon();
            next.Disk.StalledUntil = Math.Min(_world.Events.Now + (Lease * 4), _world.Scenario.ChaosEnd);
            Until(_chance.Between(500, Lease / 100), next.StartDaemon);
        }));
    }

    /// <summary>Rule 6: the only one that knows of a commit, and has answered for it, is lost. Its successor must not answer before it has committed that too.</summary>
    private void LeaderLostWithItsCommit()
    {
        var leader = Leader();
        var applied = leader.Core?.State.AppliedIndex ?? 0;
        leader.Post(new Input.RequestMade($"c{++_requests}", new Request.Pause(!_world.Checks.Newest.Paused)));
        foreach (var other in Others(leader))
        {
            other.Disk.Slowness = Lease / 5;
            Until(Lease * 2, () => other.Disk.Slowness = 0);
        }

        When(() => leader.Core is { Consensus.IsLeader: true } core && core.State.AppliedIndex > applied, Lease, () =>
        {
            Note($"{leader.Id} is lost with what it alone knows to be committed");
            Cut(Lease * 3, true, [.. Others(leader).SelectMany(other => Both(leader, other))]);
        });
    }

    /// <summary>Rule 15: a driver and its daemon lose each other, and both live on.</summary>
    private void DriverConnectionBreaks()
    {
        var machine = _chance.Happens(0.8) ? Master() : Anyone();
        _chance.Of(machine.Drivers).BreakConnection();
    }

    /// <summary>Rule 10: the holder counts on a grace that the others have committed, and the leader has not applied it, its disk being slow, when the lease is over.</summary>
    private void SlowLeaderWhileMasterRestarts()
    {
        var (leader, master) = (Leader(), Master());
        if (leader == master || !master.IsRunning || master.IsLeaving)
        {
            Ask(new Request.TransferLeadership(null));
            return;
        }

        var mute = _chance.Between(Lease * 6 / 10, Lease * 85 / 100);
        Note($"{leader.Id}'s disk is slow, nothing gets from {master.Id} to anybody, but for the one moment in which it asks for its restart");
        leader.Disk.Slowness = Lease * 2 / 5;
        Until(Lease * 3, () => leader.Disk.Slowness = 0);
        ImmutableArray<(SimulatedMachine, SimulatedMachine)> lines = [.. Others(master).Select(other => (master, other))];
        Cut(mute, false, lines);
        Later(mute, () => _world.Restarts.StayAway(master));
        Later(mute + Math.Max(1_000, Lease / 500), () => Cut(Lease * 2, false, lines));
    }

    private bool AllIsWell() => _world.Events.Now - _world.ChangedAt > _world.Scenario.Bound
        && _world.Machines.All(machine => machine.Answers && machine.Core!.Hold.IsHeld(machine.LocalNow) && machine.Drivers.TrueForAll(driver => driver.IsAlive && !driver.IsHanging))
        && _world.Scenario.Services.All(service => _world.Checks.Newest.Services.GetValueOrDefault(service.Name)?.Assignment?.State == Core.Cluster.AssignmentState.Running);

    /// <summary>As soon as the condition is true, looked at every 200 µs for as long as `limit`.</summary>
    private void When(Func<bool> condition, long limit, Action action)
    {
        if (condition())
        {
            action();
            _world.Changed();
        }
        else if (limit > 0 && _world.IsChaos)
        {
            _world.Events.After(200, () => When(condition, limit - 200, action));
        }
    }

    private void Crash(SimulatedMachine machine, long length)
    {
        machine.CrashHost();
        _world.Changed();
        Until(length, () =>
        {
            machine.BootHost();
            _world.Network.HostIsBack(machine.Index);
            machine.StartDaemon();
        });
    }

    private static string IdsOf(IEnumerable<SimulatedMachine> machines) => string.Join(", ", machines.Select(machine => machine.Id));
}
