using System.Collections.Immutable;
using Clustd.Core;
using Clustd.Core.Raft;

namespace Clustd.Simulation;

/// <summary>
/// What goes wrong, by name. A seed chooses some patterns and mixes them at random, several at once; all is healed when the quiet tail begins.
/// To add a pattern: add a line to <see cref="All"/> and its method.
/// </summary>
internal sealed partial class Faults
{
    private static readonly ImmutableArray<(string Name, Action<Faults> Strike)> All =
    [
        ("crash", faults => faults.Crash(faults.Anyone())),
        ("crash leader", faults => faults.Crash(faults.Leader())),
        ("crash master", faults => faults.Crash(faults.Master())),
        ("crash leader and master", faults => faults.CrashBoth()),
        ("crash majority", faults => faults.CrashMajority()),
        ("kill daemon", faults => faults.KillDaemon(faults.Anyone())),
        ("kill master's daemon", faults => faults.KillDaemon(faults.Master())),
        ("isolate", faults => faults.Isolate(faults.Anyone())),
        ("isolate leader", faults => faults.Isolate(faults.Leader())),
        ("isolate master", faults => faults.Isolate(faults.Master())),
        ("isolate leader with master", faults => faults.IsolatePair()),
        ("split", faults => faults.Split()),
        ("one way", faults => faults.OneWay()),
        ("mute master", faults => faults.Mute(faults.Master())),
        ("partial mesh", faults => faults.PartialMesh()),
        ("stale voter", faults => faults.StaleVoter()),
        ("flap", faults => faults.Flap()),
        ("freeze daemon", faults => faults.Freeze(faults.Anyone(), wholeHost: false)),
        ("freeze master's daemon", faults => faults.Freeze(faults.Master(), wholeHost: false)),
        ("freeze leader", faults => faults.Freeze(faults.Leader(), wholeHost: false)),
        ("freeze machine", faults => faults.Freeze(faults.Anyone(), wholeHost: true)),
        ("freeze master", faults => faults.Freeze(faults.Master(), wholeHost: true)),
        ("slow disk", faults => faults.SlowDisk()),
        ("slow network", faults => faults.SlowNetwork()),
        ("driver dies", faults => faults.DriverDies()),
        ("move", faults => faults.Move()),
        ("transfer leadership", faults => faults.TransferLeadership()),
        ("drain", faults => faults.Drain()),
        ("pause", faults => faults.Pause()),
        ("goodbye", faults => faults.Goodbye()),
    ];

    private readonly World _world;

    // When something strikes, and what. Campaigns give each strike a chance of its own, so that one can be left out and the others stay what they are.
    private readonly Chance _schedule;
    private Chance _chance;
    private ImmutableArray<(string Name, Action<Faults> Strike)> _strikes;
    private long _requests;

    public Faults(World world, Chance chance)
    {
        _world = world;
        _chance = _schedule = chance;
        _strikes = StrikesOf(world.Phase);
    }

    private long Lease => _world.Scenario.LeaseMicroseconds;

    public static IEnumerable<string> Names => All.Concat(OfMembership).Concat(OfCampaigns).Select(pattern => pattern.Name);

    public static ImmutableArray<string> Choose(Chance chance)
    {
        var names = All.Select(pattern => pattern.Name).ToList();
        var count = chance.Happens(0.25) ? names.Count : (int)chance.Between(1, 6);
        while (names.Count > count)
        {
            names.RemoveAt((int)chance.Between(0, names.Count - 1));
        }

        return [.. names];
    }

    /// <summary>Cold start: machines come up together or one after another.</summary>
    public long StartDelay() => _chance.Between(0, 1_000_000);

    public void Begin()
    {
        if (_strikes.Length > 0)
        {
            _world.Events.At(2_500_000, Striking());
        }

        _world.Events.At(_world.Phase.Ends, Quiet);
    }

    /// <summary>A campaign: faults again, others perhaps.</summary>
    public void BeginPhase()
    {
        _strikes = StrikesOf(_world.Phase);
        if (_strikes.Length > 0)
        {
            _world.Events.After(_schedule.Between(0, _world.Phase.FaultInterval), Striking());
        }

        _world.Events.At(_world.Phase.Ends, Quiet);
    }

    private static ImmutableArray<(string Name, Action<Faults> Strike)> StrikesOf(Phase phase) =>
        [.. All.Concat(OfMembership).Concat(OfCampaigns).Concat(Aimed).Where(pattern => phase.Patterns.Contains(pattern.Name))];

    // In this phase only: what is planned beyond its end lapses.
    private Action Striking()
    {
        var phase = _world.Phase;
        return () => StrikeAgain(phase);
    }

    private void StrikeAgain(Phase phase)
    {
        if (!_world.IsChaos || phase != _world.Phase)
        {
            return;
        }

        var (name, strike) = _schedule.Of(_strikes);
        var number = _world.Injections.Next("f");
        if (_world.Scenario.IsCampaign)
        {
            _chance = Chance.Of(_world.Scenario.Seed, number);
        }

        _world.Injections.Strike(number, name, () => strike(this));
        _world.Changed();
        _world.Events.After(_schedule.Skewed(_world.Phase.FaultInterval / 8, _world.Phase.FaultInterval * 3), () => StrikeAgain(phase));
    }

    private void Quiet()
    {
        Note("the faults are over, the quiet tail begins");
        _world.Changed();
        AskUntil(new Request.Pause(false), () => !_world.Checks.Newest.Paused);
        foreach (var machine in _world.Machines)
        {
            // Nothing but an operator ends a call that hangs for ever.
            foreach (var driver in machine.Drivers.Where(driver => driver.IsHanging))
            {
                driver.Kill();
                Later(_world.Scenario.LeaseMicroseconds / 10, driver.Start);
            }

            AskUntil(new Request.Drain(machine.Id, false), () => !_world.Checks.Newest.Drained.Contains(machine.Id));
            if (_world.Phase.Patterns.Contains(RemoveAndAdd))
            {
                AskUntil(new Request.AddMachine(machine.Id), () => _world.Checks.Newest.Members.IsEmpty || _world.Checks.Newest.Members.ContainsKey(machine.Id));
            }
        }
    }

    private void AskUntil(Request request, Func<bool> done)
    {
        if (_world.IsChaos)
        {
            return; // Faults again: what is asked for now is somebody else's business.
        }

        if (!done())
        {
            Ask(request);
            _world.Changed();
        }

        // Later requests of the chaos may still be under way: look again.
        _world.Events.After(Math.Max(Lease / 2, 200_000), () => AskUntil(request, done));
    }

    private SimulatedMachine Anyone() => _chance.Of(_world.Machines);

    private SimulatedMachine Leader() => _world.Checks.Leader is { } leader ? _world.MachineOf(leader.Machine) : Anyone();

    private SimulatedMachine Master() => _world.Acting.MasterOf(_chance.Of(_world.Scenario.Services).Name) is { } master ? _world.MachineOf(master) : Anyone();

    private void Crash(SimulatedMachine machine)
    {
        if (!machine.HostIsUp)
        {
            return;
        }

        Note($"{machine.Id} loses its power");
        machine.CrashHost();
        Until(_chance.Skewed(Lease / 10, Lease * 8), () =>
        {
            Note($"{machine.Id} boots");
            machine.BootHost();
            _world.Network.HostIsBack(machine.Index);
            Later(_chance.Between(0, Lease / 2), machine.StartDaemon);
        });
    }

    private void CrashBoth()
    {
        var (leader, master) = (Leader(), Master());
        Crash(leader);
        Crash(master);
    }

    private void CrashMajority()
    {
        foreach (var machine in Some((_world.Machines.Length / 2) + 1))
        {
            Crash(machine);
        }
    }

    private void KillDaemon(SimulatedMachine machine)
    {
        if (!machine.IsRunning)
        {
            return;
        }

        Note($"{machine.Id}'s daemon is killed");
        machine.KillDaemon();
        Until(_chance.Skewed(Lease / 50, Lease * 4), machine.StartDaemon);
    }

    private void Isolate(SimulatedMachine machine)
    {
        var closes = _chance.Happens(0.3);
        Note($"{machine.Id} is cut off{(closes ? ", sockets close" : " silently")}");
        Cut(CutLength(), closes, [.. Others(machine).SelectMany(other => Both(machine, other))]);
    }

    private void IsolatePair()
    {
        var (leader, master) = (Leader(), Master());
        Note($"{leader.Id} and {master.Id} are cut off together");
        Cut(CutLength(), _chance.Happens(0.2), [.. _world.Machines.Where(other => other != leader && other != master).SelectMany(other => Both(leader, other).Concat(Both(master, other)).Distinct())]);
    }

    private void Split()
    {
        var side = Some((int)_chance.Between(1, _world.Machines.Length - 1));
        Note($"the network splits: [{string.Join(", ", side.Select(machine => machine.Id))}] | the others");
        Cut(CutLength(), _chance.Happens(0.2), [.. side.SelectMany(machine => _world.Machines.Except(side).SelectMany(other => Both(machine, other)))]);
    }

    private void OneWay()
    {
        var machine = _chance.Happens(0.5) ? Leader() : Anyone();
        var others = Others(machine).Where(_ => _chance.Happens(0.7)).ToList();
        var outward = _chance.Happens(0.5);
        Note($"nothing gets {(outward ? "from" : "to")} {machine.Id} {(outward ? "to" : "from")} [{string.Join(", ", others.Select(other => other.Id))}]");
        Cut(CutLength(), false, [.. others.Select(other => outward ? (machine, other) : (other, machine))]);
    }

    /// <summary>
    /// Where the lease inequality is tight: what the machine says is lost, what it is told arrives, so the last stamp that the leader received is also
    /// the last one that it confirmed, and nothing but k is left between the holder's end and the leader's.
    /// </summary>
    private void Mute(SimulatedMachine machine)
    {
        Note($"nothing gets from {machine.Id} to anybody");
        Cut(_chance.Between(Lease, Lease * 4), false, [.. Others(machine).Select(other => (machine, other))]);
    }

    private void PartialMesh()
    {
        foreach (var machine in _world.Machines)
        {
            foreach (var other in Others(machine).Where(other => other.Index > machine.Index && _chance.Happens(0.35)))
            {
                Note($"{machine.Id} and {other.Id} are cut from each other");
                Cut(CutLength(), _chance.Happens(0.3), [.. Both(machine, other)]);
            }
        }
    }

    /// <summary>
    /// Rule 9's nightmare: some voters have not heard of the master's stamps for a while when leader and master get cut off together, and one of them
    /// becomes the leader. Only the ages in the others' votes keep it from ending the session too early.
    /// </summary>
    private void StaleVoter()
    {
        var (leader, master) = (Leader(), Master());
        var stale = Others(leader).Where(machine => machine != master).Take((_world.Machines.Length / 2) - (leader == master ? 0 : 1)).ToList();
        if (stale.Count == 0)
        {
            IsolatePair();
            return;
        }

        var first = _chance.Between(Lease / 5, Lease * 3 / 2);
        Note($"[{string.Join(", ", stale.Select(machine => machine.Id))}] stop hearing {leader.Id}; in {first} µs {leader.Id} and {master.Id} are cut off");
        Cut(first, false, [.. stale.Select(machine => (leader, machine))]);
        Later(first, () => Cut(
            _chance.Between(Lease, Lease * 4),
            false,
            [.. _world.Machines.Where(other => other != leader && other != master).SelectMany(other => Both(leader, other).Concat(Both(master, other)).Distinct())]));
    }

    private void Flap()
    {
        var machine = Anyone();
        var other = _chance.Of(Others(machine));
        Note($"the connection of {machine.Id} and {other.Id} breaks");
        _world.Network.Break(machine.Index, other.Index);
    }

    private void Freeze(SimulatedMachine machine, bool wholeHost)
    {
        if (!machine.IsRunning)
        {
            return;
        }

        var duration = Math.Min(_chance.Skewed(Lease / 20, Lease * 4), Math.Max(1, _world.Phase.Ends - _world.Events.Now));
        Note($"{machine.Id}{(wholeHost ? "" : "'s daemon")} freezes for {duration} µs");
        if (_chance.Happens(0.5))
        {
            machine.FreezeBeforeOutputs(duration, wholeHost);
        }
        else
        {
            machine.Freeze(duration, wholeHost);
        }
    }

    private void SlowDisk()
    {
        var machine = Anyone();
        var slowness = _chance.Skewed(Lease / 100, Lease / 2);
        Note($"{machine.Id}'s disk becomes slow by {slowness} µs");
        machine.Disk.Slowness = slowness;
        Until(CutLength(), () => machine.Disk.Slowness = 0);
    }

    private void SlowNetwork()
    {
        _world.Network.Slowness = _chance.Skewed(Lease / 100, Lease / 8);
        Note($"the network becomes slow by {_world.Network.Slowness} µs");
        Until(CutLength(), () => _world.Network.Slowness = 0);
    }

    private void DriverDies()
    {
        var machine = _chance.Happens(0.6) ? Master() : Anyone();
        if (machine.Drivers.Count > 0)
        {
            var driver = _chance.Of(machine.Drivers);
            _world.Injections.Effects++;
            driver.Kill();
            Until(_chance.Skewed(Lease / 50, Lease * 3), driver.Start);
        }
    }

    private void Move() => Ask(new Request.Move(_chance.Of(_world.Scenario.Services).Name, _chance.Happens(0.5) ? Anyone().Id : null));

    private void TransferLeadership() => Ask(new Request.TransferLeadership(_chance.Happens(0.5) ? Anyone().Id : null));

    private void Drain()
    {
        var machine = _chance.Happens(0.5) ? Master() : Anyone();
        Ask(new Request.Drain(machine.Id, true));
        Until(_chance.Between(Lease, Lease * 6), () => Ask(new Request.Drain(machine.Id, false)));
    }

    private void Pause()
    {
        Ask(new Request.Pause(true));
        Until(_chance.Between(Lease, Lease * 4), () => Ask(new Request.Pause(false)));
    }

    private void Goodbye()
    {
        var machine = _chance.Happens(0.5) ? Master() : Anyone();
        if (!machine.IsRunning || machine.IsLeaving)
        {
            return;
        }

        _world.Injections.Effects++;
        machine.Post(new Input.GoodbyeRequested("an operator stops it"));
        var generation = machine.Generation;
        Until(_chance.Between(Lease * 3, Lease * 6), () => StartAgain(machine, generation));
    }

    /// <summary>What does not get done with its goodbye is killed, as systemd would; also if it has not even heard of it yet.</summary>
    private static void StartAgain(SimulatedMachine machine, int generation)
    {
        if (machine.IsLeaving || machine.Generation == generation)
        {
            machine.KillDaemon();
        }

        machine.StartDaemon();
    }

    private void Ask(Request request)
    {
        var machine = Anyone();
        _world.Injections.Effects++;
        machine.Post(new Input.RequestMade($"r{++_requests}", request));
        _world.Changed();
    }

    private void Cut(long length, bool closesSockets, ImmutableArray<(SimulatedMachine From, SimulatedMachine To)> directions)
    {
        foreach (var (from, to) in directions)
        {
            _world.Network.Cut(from.Index, to.Index, closesSockets);
        }

        _world.Changed();
        Until(length, () =>
        {
            foreach (var (from, to) in directions)
            {
                _world.Network.Heal(from.Index, to.Index);
            }

            Note($"heals: {string.Join(", ", directions.Select(direction => $"{direction.From.Id}>{direction.To.Id}"))}");
        });
    }

    private long CutLength() => _chance.Skewed(Lease / 10, Lease * 8);

    // Every fault ends with the chaos at the latest.
    private void Until(long length, Action end) =>
        _world.Events.At(Math.Max(_world.Events.Now, Math.Min(_world.Events.Now + length, _world.Phase.Ends)), () =>
        {
            end();
            _world.Changed();
        });

    private void Later(long delay, Action action) => _world.Events.After(delay, () =>
    {
        action();
        _world.Changed();
    });

    private List<SimulatedMachine> Others(SimulatedMachine machine) => [.. _world.Machines.Where(other => other != machine)];

    private List<SimulatedMachine> Some(int count)
    {
        var machines = _world.Machines.ToList();
        while (machines.Count > count)
        {
            machines.RemoveAt((int)_chance.Between(0, machines.Count - 1));
        }

        return machines;
    }

    private void Note(string sentence) => _world.NoteFault(sentence);

    private static IEnumerable<(SimulatedMachine From, SimulatedMachine To)> Both(SimulatedMachine a, SimulatedMachine b) => [(a, b), (b, a)];
}
