using Clustd.Core;

namespace Clustd.Simulation;

/// <summary>
/// P4, and that a minority stops: once nothing about who is healthy and connected has changed for the length of the bound, every service has
/// a master if a majority is well, and none if no majority can be reached. In the quiet tail nothing may fail over (P5).
/// </summary>
internal sealed class Health(World world)
{
    private const int PollsPerLease = 20;
    private long _changedAt;
    private long _version;
    private (SimulatedMachine Machine, long Version)? _goodbye;
    private readonly Dictionary<ServiceName, long> _withoutSince = [];
    private readonly Dictionary<(MachineId Machine, long Id), (long Since, TimeSpan Duration)> _graces = [];

    public double WorstShareOfBound { get; private set; }

    public void Begin()
    {
        Changed();
        Poll();
    }

    /// <summary>P5: in the quiet tail, once the bound is over, nothing is lost any more.</summary>
    public void Lost(string what)
    {
        if (world.Scenario.JudgesLiveness && !world.IsChaos && world.Events.Now - _changedAt > world.Bound && !IsGraceOpen() && Clique().Count == world.Machines.Length)
        {
            throw new ViolationException(Invariant.QuietIsStable, $"{what}, {world.Events.Now - _changedAt} µs after anything changed");
        }
    }

    public void Changed()
    {
        _changedAt = world.Events.Now;
        var version = ++_version;
        world.Events.After(world.Bound, () =>
        {
            if (version == _version)
            {
                CheckBounds();
            }
        });
    }

    /// <summary>To be called after the change that the goodbye itself is; only where all was well before.</summary>
    public void BeginsGoodbye(SimulatedMachine machine) => _goodbye = Clique().Count == world.Machines.Length ? (machine, _version + 1) : null;

    // The one change that belongs to it is the end of its session. Where that never came, the one change may be that another machine was lost: hence the second look.
    public bool WasUndisturbed(SimulatedMachine machine) =>
        _goodbye is { } goodbye && goodbye.Machine == machine && goodbye.Version == _version && !IsSlow && Clique().Count == world.Machines.Length
        && world.Machines.All(other => other == machine || !other.IsLeaving);

    public void CheckEnd()
    {
        foreach (var machine in world.Machines.Where(machine => world.Scenario.JudgesLiveness && machine.IsRunning))
        {
            if (!world.Checks.Newest.Members.TryGetValue(machine.Id, out var member) || member.Learner || member.Store != machine.Disk.Store)
            {
                throw new ViolationException(Invariant.EverybodyVotesAgain, $"{machine.Id} with {machine.Disk.Store} is {(member is null ? "no member" : $"{member}")} at the end");
            }
        }
    }

    private void Poll()
    {
        var isGraceOpen = IsGraceOpen();
        foreach (var service in world.Scenario.Services)
        {
            if (isGraceOpen)
            {
                _withoutSince.Remove(service.Name); // P4 says so openly: while a grace is open, the bound is the grace. It counts from its end.
            }
            else if (world.Acting.IsActing(service.Name) || !MustHaveMaster(service.Name))
            {
                if (_withoutSince.Remove(service.Name, out var since))
                {
                    Measure(since);
                }
            }
            else
            {
                _withoutSince[service.Name] = Math.Max(_changedAt, _withoutSince.GetValueOrDefault(service.Name, world.Events.Now));
                if (world.Events.Now - _withoutSince[service.Name] > world.Bound)
                {
                    throw NoMaster(service.Name);
                }
            }
        }

        world.Events.After(world.Scenario.LeaseMicroseconds / PollsPerLease, Poll);
    }

    /// <summary>A grace is open, and for no longer than it may be since anything changed: after that it is no excuse.</summary>
    private bool IsGraceOpen()
    {
        var isOpen = false;
        foreach (var session in world.Checks.Newest.Sessions.Values)
        {
            foreach (var grace in session.Graces.Values)
            {
                if (!_graces.TryGetValue((session.Machine, grace.Id), out var seen))
                {
                    _graces[(session.Machine, grace.Id)] = seen = (world.Events.Now, grace.Duration);
                }

                isOpen |= world.Events.Now - Math.Max(seen.Since, _changedAt) < Scenario.GraceBound(grace.Duration);
            }
        }

        return isOpen;
    }

    /// <summary>Until when a machine's drivers may act on by a grace, kill_timeout included; zero: it had none.</summary>
    private long ActsUntil(SimulatedMachine machine) => _graces.Where(grace => grace.Key.Machine == machine.Id)
        .Select(grace => grace.Value.Since + Scenario.GraceBound(grace.Value.Duration) + world.Bound).DefaultIfEmpty().Max();

    private void Measure(long since) =>
        WorstShareOfBound = Math.Max(WorstShareOfBound, (world.Events.Now - Math.Max(since, _changedAt)) / (double)world.Bound);

    private void CheckBounds()
    {
        if (QuorumIsPossible())
        {
            return;
        }

        foreach (var act in world.Acting.Acts)
        {
            if (ActsUntil(act.Machine) is var until && until > world.Events.Now)
            {
                var version = _version;
                world.Events.At(until, () =>
                {
                    if (version == _version)
                    {
                        CheckBounds();
                    }
                });
                return;
            }

            if (!act.IsExcused && act.Machine.HostFrozenUntil <= world.Events.Now)
            {
                throw new ViolationException(Invariant.MinorityStops, $"{act.Driver} on {act.Machine.Id} still acts for {act.Service}, {world.Bound} µs after the quorum was lost");
            }
        }
    }

    private ViolationException NoMaster(ServiceName service) =>
        new(Invariant.MajorityHasMaster, $"{service} has no master, though [{string.Join(", ", Clique().Select(machine => machine.Id))}] have been well for {world.Events.Now - _changedAt} µs; "
            + $"the bound is {world.Bound} µs; the cluster says: {world.Checks.Newest.Services.GetValueOrDefault(service)}; "
            + string.Join("; ", Clique().SelectMany(machine => machine.Core!.Local.View.Where(view => view.Service == service).Select(view => $"{machine.Id} says: {view.Phase}, {view.Reason}"))));

    private bool MustHaveMaster(ServiceName service)
    {
        if (!world.Scenario.JudgesLiveness)
        {
            return false;
        }

        var clique = Clique();
        var state = world.Checks.Newest;
        if (state.Members.IsEmpty || !IsMajority(clique) || state.Paused || world.Machines.Any(machine => machine.IsLeaving && machine.IsRunning))
        {
            return false;
        }

        // A hanging driver may use up timeouts that are the operator's, not the lease's.
        if (world.Machines.Any(machine => machine.Drivers.Exists(driver => driver.IsAlive && driver.IsHanging)))
        {
            return false;
        }

        if (IsSlow)
        {
            return false;
        }

        // In a partial mesh the leader may be outside of the clique and out of reach for the only machine that could take over (seed 7580).
        var leader = world.Checks.Leader is { } known ? world.MachineOf(known.Machine) : null;
        var failures = state.Services.GetValueOrDefault(service)?.Failures;
        return clique.Exists(machine => !state.Drained.Contains(machine.Id)
            // Whoever is not taken in yet, or again with a new store, runs nothing; that it is taken in, the end demands (seeds 227941, 243660).
            && state.Members.TryGetValue(machine.Id, out var member) && member.Store == machine.Disk.Store
            && (leader is null || leader == machine || !IsCut(machine, leader))
            && failures?.ContainsKey(machine.Id) != true
            && machine.Drivers.Count > 0 // A witness runs nothing.
            && machine.Drivers.TrueForAll(driver => driver.IsAlive));
    }

    // A round trip beyond the election timeout elects nobody: that is not a healthy majority (seed 9606).
    private bool IsSlow => world.Network.PacketLoss > 0 || world.Network.StalledUntil > world.Events.Now || world.Network.Slowness > world.Scenario.LeaseMicroseconds / 50
        || world.Machines.Any(machine => machine.Disk.Slowness > world.Scenario.LeaseMicroseconds / 50);

    /// <summary>A majority whichever membership counts in the end: what was applied last, and what is in anybody's log.</summary>
    private bool IsMajority(List<SimulatedMachine> set) => Memberships().All(voters => world.IsMajority(voters, set.Contains));

    private IEnumerable<List<(MachineId Machine, StoreId Store)>> Memberships()
    {
        if (!world.Checks.Newest.Members.IsEmpty)
        {
            yield return [.. world.Checks.Newest.Members.Values.Where(member => !member.Learner).Select(member => (member.Machine, member.Store))];
        }

        foreach (var machine in world.Machines.Where(machine => machine.Core is { Consensus.Members.IsEmpty: false }))
        {
            foreach (var voters in machine.Core!.Consensus.LatestVoters)
            {
                yield return voters;
            }
        }
    }

    /// <summary>The largest set of machines that run, are not frozen, have a disk that answers and a version that is new enough, and are all connected with each other.</summary>
    private List<SimulatedMachine> Clique()
    {
        var able = world.Machines.Where(machine => machine.Answers && !machine.Disk.IsStalled && machine.FeatureLevel >= world.Checks.HighestLevelProposed).ToList();
        if (AreConnected(able))
        {
            return able;
        }

        var best = new List<SimulatedMachine>();
        for (var set = 1; set < 1 << able.Count; set++)
        {
            if (System.Numerics.BitOperations.PopCount((uint)set) > best.Count && able.Where((_, i) => (set & (1 << i)) != 0).ToList() is var members && AreConnected(members))
            {
                best = members;
            }
        }

        return best;
    }

    private bool AreConnected(List<SimulatedMachine> machines)
    {
        for (var i = 0; i < machines.Count; i++)
        {
            for (var j = i + 1; j < machines.Count; j++)
            {
                if (IsCut(machines[i], machines[j]))
                {
                    return false;
                }
            }
        }

        return true;
    }

    private bool IsCut(SimulatedMachine a, SimulatedMachine b) => world.Network.IsCut(a.Index, b.Index) || world.Network.IsCut(b.Index, a.Index);

    private bool QuorumIsPossible()
    {
        foreach (var start in world.Machines)
        {
            var reached = new HashSet<int>();
            var open = new Stack<SimulatedMachine>();
            if (start.IsRunning)
            {
                open.Push(start);
            }

            while (open.TryPop(out var machine))
            {
                if (reached.Add(machine.Index))
                {
                    foreach (var next in world.Machines)
                    {
                        if (next.IsRunning && next != machine && (!world.Network.IsCut(machine.Index, next.Index) || !world.Network.IsCut(next.Index, machine.Index)))
                        {
                            open.Push(next);
                        }
                    }
                }
            }

            var memberships = Memberships().ToList();
            if (memberships.Count == 0 ? reached.Count * 2 > world.Machines.Length : memberships.Any(voters => world.IsMajority(voters, machine => reached.Contains(machine.Index))))
            {
                return true;
            }
        }

        return false;
    }
}
