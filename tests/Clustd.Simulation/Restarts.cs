using System.Collections.Immutable;
using Clustd.Core;
using Clustd.Core.Cluster;

namespace Clustd.Simulation;

/// <summary>
/// Daemons that restart on purpose, alone and among other faults, and the watch that it costs nothing (P5a). All its choices come from a chance of its
/// own, so that the other faults of a seed stay what they were. To add a pattern: add a line to <see cref="All"/> and its method.
/// </summary>
internal sealed class Restarts(World world)
{
    // Chosen so that the seeds which once failed, and are kept by number, have no restarts and keep their stories.
    private const ulong Salt = 0x5EED_C105_7D00_001A;

    private static readonly ImmutableArray<(string Name, Action<Restarts> Strike)> All =
    [
        ("restart", restarts => restarts.Restart(restarts.Anyone(), restarts.Briefly())),
        ("restart leader", restarts => restarts.Restart(restarts.Leader(), restarts.Briefly())),
        ("restart master", restarts => restarts.Restart(restarts.Master(), restarts.Briefly())),
        ("rolling restart", restarts => restarts.Roll()),
        ("restart and stay away", restarts => restarts.Restart(restarts.Master(), restarts.ForGood())),
        ("restart twice", restarts => restarts.Twice()),
        ("restart twice on a slow disk", restarts => restarts.OnSlowDisk(restarts.Twice)),
        ("restart on a slow disk and stay away", restarts => restarts.OnSlowDisk(() => restarts.Restart(restarts._slow ?? restarts.Master(), restarts.ForGood()))),
        ("restart and crash", restarts => restarts.AndCrash()),
        ("restart and die as soon as it is back", restarts => restarts.AndDie()),
        ("restart while the leader changes", restarts => restarts.WhileLeaderChanges()),
    ];

    private readonly Chance _schedule = new(world.Scenario.Seed ^ Salt ^ 0xFF);
    private readonly Chance _ofGraces = Chance.Of(world.Scenario.Seed, "graces");
    private Chance _chance = null!;
    private ImmutableArray<(string Name, Action<Restarts> Strike)> _strikes = [];
    private readonly Dictionary<SimulatedMachine, TimeSpan> _graces = [];
    private readonly Dictionary<SimulatedMachine, TimeSpan> _nextGraces = [];
    private readonly Dictionary<SimulatedMachine, Plan> _plans = [];
    private readonly List<Watch> _watches = [];
    private SimulatedMachine? _slow;
    private long _requests;

    /// <summary>What is to become of a machine whose daemon was asked to restart.</summary>
    private sealed record Plan(long Away, Action<bool>? Exited, Action? Back, Watch? Watch);

    /// <summary>A restart that nothing else disturbs, as far as is known yet.</summary>
    private sealed record Watch(SimulatedMachine Machine, long AskedAt, TimeSpan Grace, ImmutableArray<Act> Acts)
    {
        public bool IsVoid { get; set; }

        public List<TriggerCall> Calls { get; } = [];
    }

    private long Lease => world.Scenario.LeaseMicroseconds;

    /// <summary>In two of five seeds daemons restart; in half of those nothing else goes wrong.</summary>
    public static Scenario AddTo(Scenario scenario)
    {
        var chance = new Chance(scenario.Seed ^ Salt);
        if (!chance.Happens(0.4))
        {
            return scenario;
        }

        var with = scenario with { RestartPatterns = Choose(chance), RestartGraces = [scenario.Lease * 1.5, scenario.Lease * 3, scenario.Lease * 8] };
        return chance.Happens(0.5) ? with with { Patterns = [] } : with;
    }

    public static IEnumerable<string> Names => All.Select(pattern => pattern.Name);

    public static ImmutableArray<string> Choose(Chance chance)
    {
        var names = All.Select(pattern => pattern.Name).ToList();
        var count = (int)chance.Between(1, 4);
        while (names.Count > count)
        {
            names.RemoveAt((int)chance.Between(0, names.Count - 1));
        }

        return [.. names];
    }

    public void Begin()
    {
        _chance = _schedule;
        BeginPhase(3_000_000);
    }

    /// <summary>A campaign: faults again, others perhaps.</summary>
    public void BeginPhase() => BeginPhase(world.Events.Now + _schedule.Between(0, Lease * 2));

    private void BeginPhase(long firstAt)
    {
        _strikes = [.. All.Where(pattern => world.Phase.RestartPatterns.Contains(pattern.Name))];
        if (_strikes.Length > 0)
        {
            var phase = world.Phase;
            world.Events.At(firstAt, () => StrikeAgain(phase));
        }
    }

    /// <summary>The grace that the next daemon of this machine is started with; two in a row may differ.</summary>
    public TimeSpan GraceFor(SimulatedMachine machine) =>
        _graces[machine] = _nextGraces.Remove(machine, out var planned) ? planned
            : world.Scenario.RestartGraces.IsEmpty ? TimeSpan.FromSeconds(15)
            : (world.Scenario.IsCampaign ? _ofGraces : _chance).Of(world.Scenario.RestartGraces);

    /// <summary>A driver is told something.</summary>
    public void Called(SimulatedMachine machine, TriggerCall call)
    {
        foreach (var watch in _watches.Where(watch => watch.Machine == machine && watch.Acts.Any(act => act.Service == call.Service)))
        {
            watch.Calls.Add(call);
        }
    }

    /// <summary>The daemon has ended as it was asked to; whoever asked starts it again.</summary>
    public void Exited(SimulatedMachine machine, bool hasGrace)
    {
        world.Restarted();
        if (world.Scenario.Script is not null)
        {
            return; // The script says when it is started again.
        }

        var plan = _plans.Remove(machine, out var known) ? known : new Plan(Lease / 10, null, null, null);
        plan.Exited?.Invoke(hasGrace);
        if (plan.Watch is { } watch && !hasGrace)
        {
            watch.IsVoid = true;
        }

        var generation = machine.Generation;
        world.Events.At(Math.Max(world.Events.Now, Math.Min(world.Events.Now + plan.Away, world.Phase.Ends)), () =>
        {
            if (machine.Generation == generation)
            {
                machine.StartDaemon();
                world.Restarted();
                plan.Back?.Invoke();
            }

            if (plan.Watch is { } judged)
            {
                world.Events.After(world.Scenario.Slack + Lease, () => Judge(judged));
            }
        });
    }

    /// <summary>One restart, from which the daemon comes back too late or not at all.</summary>
    public void StayAway(SimulatedMachine machine) => Restart(machine, ForGood());

    private void StrikeAgain(Phase phase)
    {
        if (!world.IsChaos || phase != world.Phase)
        {
            return;
        }

        var (name, strike) = _schedule.Of(_strikes);
        var number = world.Injections.Next("r");
        if (world.Scenario.IsCampaign)
        {
            _chance = Chance.Of(world.Scenario.Seed, number);
        }

        world.Injections.Strike(number, name, () => strike(this));
        // With nothing else going on, most restarts come after everything has settled: those are watched.
        var pause = world.Phase.Patterns.IsEmpty && _schedule.Happens(0.7) ? world.Bound + (Lease * 2) : world.Phase.FaultInterval;
        world.Events.After(pause + _schedule.Between(0, Lease * 2), () => StrikeAgain(phase));
    }

    private void Restart(SimulatedMachine machine, long away, Action<bool>? exited = null, Action? back = null)
    {
        if (!machine.IsRunning || machine.IsLeaving || _plans.ContainsKey(machine))
        {
            return;
        }

        _watches.ForEach(watch => watch.IsVoid = true); // Two at a time may cost the majority.
        var watch = WatchOf(machine, away);
        if (watch is not null)
        {
            _watches.Add(watch);
        }

        _plans[machine] = new Plan(away, exited, back, watch);
        world.NoteFault($"{machine.Id} is to restart, with a grace of {_graces[machine].TotalMilliseconds} ms, and to be back {away} µs later{(watch is null ? "" : ": it must cost nothing")}");
        machine.Post(new Input.RestartRequested("an operator restarts it.", $"restart-{++_requests}"));
        var generation = machine.Generation;
        world.Events.After(Lease * 3, () =>
        {
            if (machine.Generation == generation)
            {
                return; // Frozen, perhaps: it still may.
            }

            _plans.Remove(machine);
        });
    }

    /// <summary>Null: it may cost something, because more goes on than this restart, or because it takes too long.</summary>
    private Watch? WatchOf(SimulatedMachine machine, long away)
    {
        var grace = _graces[machine];
        var acts = world.Acting.Acts.Where(act => act.Machine == machine && !act.IsExcused).ToImmutableArray();
        // An earlier grace that nobody ended, because its machine lost its power, is over only when some daemon has waited it out.
        var isSettled = world.Events.Now - world.ChangedAt > world.Bound && world.Checks.Newest.SessionOf(machine.Id) is { Graces.IsEmpty: true }
            && acts.All(act => world.Checks.Newest.Services.GetValueOrDefault(act.Service)?.Assignment is { State: AssignmentState.Running } held && held.Token == act.Token)
            && !world.Scenario.Services.Any(service => service.Failback)
            && _plans.Count == 0 && world.Machines.All(other => other.Answers && other.Core!.Hold.IsHeld(other.LocalNow)
                && other.Drivers.TrueForAll(driver => driver.IsAlive && !driver.IsHanging));
        var isQuick = (Lease * 2) + away + world.Scenario.Slack < grace.TotalMicroseconds * 0.97;
        return isSettled && isQuick && world.Scenario.JudgesLiveness && world.Events.Now + (Lease * 3) + away < world.Phase.Ends
            ? new Watch(machine, world.Events.Now, grace, acts)
            : null;
    }

    private void Judge(Watch watch)
    {
        _watches.Remove(watch);
        if (watch.IsVoid || world.ChangedAt >= watch.AskedAt)
        {
            return;
        }

        foreach (var act in watch.Acts)
        {
            if (!world.Acting.Acts.Contains(act))
            {
                throw Cost(watch, $"{act.Driver} has stopped acting for {act.Service}");
            }

            if (world.Checks.Newest.Services[act.Service].Assignment is not { } held || held.Token != act.Token || held.Machine != watch.Machine.Id)
            {
                throw Cost(watch, $"{act.Service} has moved");
            }
        }

        if (watch.Calls.Count > 0)
        {
            throw Cost(watch, $"a driver of {watch.Calls[0].Service} was told something: {watch.Calls[0]}");
        }

        if (world.Checks.Newest.SessionOf(watch.Machine.Id) is not { Graces.IsEmpty: true } session)
        {
            throw Cost(watch, "it has no session, or its grace is still open");
        }

        world.Note("watch", $"the restart of {watch.Machine.Id} has cost nothing; session {session.Id}");
    }

    private static ViolationException Cost(Watch watch, string what) => new(
        Invariant.RestartIsFree, $"{watch.Machine.Id} was asked to restart at {watch.AskedAt} with a grace of {watch.Grace.TotalMilliseconds} ms, and {what}");

    private void Roll(int index = 0)
    {
        if (index < world.Machines.Length)
        {
            // Half of the time each waits until the one before is judged.
            var pause = _chance.Happens(0.5) ? _chance.Between(Lease / 2, Lease * 2) : world.Scenario.Slack + (Lease * 2);
            Restart(world.Machines[index], Briefly(), back: () => world.Events.After(pause, () => Roll(index + 1)));
        }
    }

    /// <summary>The second restart comes before all drivers are back from the first, with a shorter grace: they may still count on the longer one.</summary>
    private void Twice()
    {
        var machine = _slow ?? Master();
        var gap = _chance.Happens(0.5) ? 0 : _chance.Between(0, Lease / 2);
        if (_graces.GetValueOrDefault(machine) > world.Scenario.Lease * 2 || _chance.Happens(0.5))
        {
            Restart(machine, _chance.Between(1_000, 20_000), back: () => WhenHeld(machine, gap, () => Restart(machine, _chance.Happens(0.6) ? ForGood() : Briefly())));
            _nextGraces[machine] = _chance.Happens(0.6) ? world.Scenario.Lease * 1.5 : world.Scenario.Lease * 8;
        }
    }

    /// <summary>What is decided elsewhere is applied here much later: decided, applied and asked are then three different moments.</summary>
    private void OnSlowDisk(Action strike)
    {
        var machine = Master();
        machine.Disk.Slowness = _chance.Between(Lease / 10, Lease * 2 / 5);
        world.Changed();
        _slow = machine;
        strike();
        _slow = null;
        world.Events.At(Math.Max(world.Events.Now, Math.Min(world.Events.Now + (Lease * 4), world.Phase.Ends)), () =>
        {
            machine.Disk.Slowness = 0;
            world.Changed();
        });
    }

    private void AndCrash()
    {
        var machine = Master();
        Restart(machine, Briefly(), back: () => world.Events.After(_chance.Between(0, Lease * 2), () =>
        {
            world.Changed();
            if (world.IsChaos && machine.HostIsUp)
            {
                world.NoteFault($"{machine.Id} loses its power, soon after its restart");
                machine.CrashHost();
                world.Events.At(Math.Max(world.Events.Now, Math.Min(world.Events.Now + (Lease * 4), world.Phase.Ends)), () =>
                {
                    if (!machine.HostIsUp)
                    {
                        machine.BootHost();
                        world.Network.HostIsBack(machine.Index);
                    }

                    machine.StartDaemon();
                    world.Changed();
                });
            }
        }));
    }

    /// <summary>Drivers that have not come back yet count on the grace: whoever ended it at once would be too early.</summary>
    private void AndDie()
    {
        var machine = Master();
        Restart(machine, _chance.Between(1_000, Lease), back: () => WhenHeld(machine, _chance.Between(0, 30_000), () =>
        {
            world.Changed();
            if (world.IsChaos)
            {
                world.NoteFault($"{machine.Id}'s daemon is killed, as soon as it is back from its restart");
                machine.KillDaemon();
                world.Events.At(Math.Max(world.Events.Now, Math.Min(world.Events.Now + ForGood(), world.Phase.Ends)), () =>
                {
                    machine.StartDaemon();
                    world.Changed();
                });
            }
        }));
    }

    private void WhileLeaderChanges() => Restart(Master(), _chance.Happens(0.5) ? Briefly() : ForGood(), exited: _ => world.Events.After(_chance.Between(0, Lease), () =>
    {
        var leader = Leader();
        world.Changed();
        if (_chance.Happens(0.5) && leader.IsRunning && world.IsChaos)
        {
            world.NoteFault($"the leader's daemon, {leader.Id}, is killed while another machine restarts");
            leader.KillDaemon();
            world.Events.At(Math.Max(world.Events.Now, Math.Min(world.Events.Now + (Lease / 2), world.Phase.Ends)), () =>
            {
                leader.StartDaemon();
                world.Changed();
            });
        }
        else
        {
            Anyone().Post(new Input.RequestMade($"restart-{++_requests}", new Core.Raft.Request.TransferLeadership(null)));
        }
    }));

    // The daemon that has just come back does something as soon as it holds its session again.
    private void WhenHeld(SimulatedMachine machine, long gap, Action action)
    {
        var generation = machine.Generation;
        void Look()
        {
            if (machine.Generation == generation && world.IsChaos)
            {
                if (machine.Core is { } core && core.Hold.IsHeld(machine.LocalNow)) // Without one while its store is damaged or full, say.
                {
                    world.Events.After(gap, action);
                }
                else
                {
                    world.Events.After(1_000, Look);
                }
            }
        }

        Look();
    }

    private SimulatedMachine Anyone() => _chance.Of(world.Machines);

    private SimulatedMachine Leader() => world.Checks.Leader is { } leader ? world.MachineOf(leader.Machine) : Anyone();

    private SimulatedMachine Master() => world.Acting.MasterOf(_chance.Of(world.Scenario.Services).Name) is { } master ? world.MachineOf(master) : Anyone();

    private long Briefly() => _chance.Skewed(Lease / 50, Lease * 4);

    private long ForGood() => Lease * _chance.Between(4, 14);
}
