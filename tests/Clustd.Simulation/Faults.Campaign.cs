using System.Collections.Immutable;
using Clustd.Core;

namespace Clustd.Simulation;

/// <summary>What strikes in campaigns only: the seeds of the short runs keep their stories.</summary>
internal sealed partial class Faults
{
    private const string SetBack = "set back disk";

    private static readonly ImmutableArray<(string Name, Action<Faults> Strike)> OfCampaigns =
    [
        ("sleep", faults => faults.Sleep()),
        ("wall clock jumps", faults => faults.JumpWallClock()),
        ("stalled stream", faults => faults.StallStream()),
        ("lossy network", faults => faults.LosePackets()),
        ("duplicate connection", faults => faults.DuplicateConnection()),
        ("fsync fails", faults => faults.FailFsync()),
        ("full disk", faults => faults.FillDisk()),
        ("corrupt row", faults => faults.CorruptRow()),
        ("clone disk", faults => faults.CloneDisk()),
        (SetBack, faults => faults.SetBackDisk()),
        ("all drivers die", faults => faults.AllDriversDie()),
    ];

    /// <summary>What one machine alone, or one of two, gets over.</summary>
    public static ImmutableArray<string> ForFew(int machines) =>
        [.. ForTwo.Where(name => machines > 1 || name != "flap"), "freeze daemon", "freeze machine", "slow disk", "sleep", "wall clock jumps", "fsync fails", "full disk", "all drivers die", "crash"];

    public static ImmutableArray<string> ChooseForCampaign(Chance chance, bool withMembership)
    {
        var names = All.Concat(OfCampaigns).Concat(withMembership ? OfMembership : []).Select(pattern => pattern.Name).ToList();
        var count = chance.Happens(0.2) ? names.Count : (int)chance.Between(1, 7);
        while (names.Count > count)
        {
            names.RemoveAt((int)chance.Between(0, names.Count - 1));
        }

        return withMembership && chance.Happens(0.5) ? [.. names.Union(OfMembership.Select(pattern => pattern.Name))] : [.. names];
    }

    /// <summary>Suspended: nothing runs, its network card is off, its clock goes on.</summary>
    private void Sleep()
    {
        var machine = Anyone();
        if (!machine.HostIsUp)
        {
            return;
        }

        var duration = Math.Min(_chance.Skewed(Lease / 4, Lease * 20), Math.Max(1, _world.Phase.Ends - _world.Events.Now));
        Note($"{machine.Id} is suspended for {duration} µs");
        machine.Freeze(duration, wholeHost: true);
        Cut(duration, false, [.. Others(machine).SelectMany(other => Both(machine, other))]);
    }

    private void JumpWallClock()
    {
        var machine = Anyone();
        var seconds = _chance.Skewed(1, 400L * 24 * 3600) * (_chance.Happens(0.5) ? 1 : -1);
        Note($"{machine.Id}'s wall clock jumps by {seconds} s");
        machine.WallClockError += seconds;
    }

    /// <summary>A lost packet: what comes after it on the same connection waits until it has been sent again, and arrives all at once.</summary>
    private void StallStream()
    {
        if (_world.Machines.Length > 1)
        {
            var machine = Anyone();
            var other = _chance.Of(Others(machine));
            var length = _chance.Skewed(Lease / 50, Lease * 2);
            Note($"what {machine.Id} sends to {other.Id} waits behind a lost packet for {length} µs");
            _world.Network.Stall(machine.Index, other.Index, length);
            Until(length, () => { });
        }
    }

    private void LosePackets()
    {
        var share = _chance.Of([0.01, 0.05, 0.2]);
        Note($"{share * 100:0} % of all packets are lost and sent again");
        _world.Network.PacketLoss = share;
        Until(CutLength(), () => _world.Network.PacketLoss = 0);
    }

    /// <summary>Both have dialled: the newer connection takes the older one's place, and each side notices on its own.</summary>
    private void DuplicateConnection()
    {
        if (_world.Machines.Length > 1)
        {
            var machine = Anyone();
            var other = _chance.Of(Others(machine));
            if (_world.Network.Replace(machine.Index, other.Index))
            {
                Note($"a second connection of {machine.Id} and {other.Id} takes the place of the first");
            }
        }
    }

    /// <summary>What a failed fsync leaves on the disk is unknown, so the daemon ends at once and never tries again; its successor reads what is there.</summary>
    private void FailFsync()
    {
        var machine = Anyone();
        if (!machine.IsRunning)
        {
            return;
        }

        Note($"{machine.Id}'s next fsync fails");
        machine.Disk.FailsNext = () =>
        {
            _world.Note(machine.Id.Value, "its disk has failed: the daemon ends");
            machine.KillDaemon();
            _world.Changed();
            Until(_chance.Skewed(Lease / 20, Lease * 4), machine.StartDaemon);
        };
        Until(Lease * 8, () => machine.Disk.FailsNext = null);
    }

    /// <summary>The reserve lets the daemon say goodbye; it does not start again before there is room.</summary>
    private void FillDisk()
    {
        var machine = Anyone();
        if (!machine.IsRunning || machine.IsLeaving)
        {
            return;
        }

        const string Full = "its disk is full";
        Note($"{machine.Id}'s disk is full");
        machine.CannotStart = Full;
        machine.Post(new Input.GoodbyeRequested(Full));
        var generation = machine.Generation;
        Until(_chance.Between(Lease * 3, Lease * 8), () =>
        {
            if (machine.CannotStart != Full)
            {
                return; // Its store was damaged meanwhile: room on the disk mends nothing (campaign 221798).
            }

            machine.CannotStart = null;
            StartAgain(machine, generation);
        });
    }

    /// <summary>The store does not read what it cannot trust; an operator moves it away.</summary>
    private void CorruptRow()
    {
        if (LoseStoreOf(Anyone()) is not { } machine)
        {
            return;
        }

        Note($"a row of {machine.Id}'s store is damaged when its daemon is started again");
        machine.CannotStart = "its store is damaged";
        _absentee = machine;
        machine.KillDaemon();
        Later(Lease / 10, machine.StartDaemon);
        Until(_chance.Skewed(Lease / 2, Lease * 4), () =>
        {
            machine.KillDaemon();
            machine.WipeDisk();
            machine.CannotStart = null;
            _absentee = null;
            machine.StartDaemon();
        });
    }

    /// <summary>An image of one machine's disk is put into another machine: the same voter twice, if anybody believed it.</summary>
    private void CloneDisk()
    {
        if (LoseStoreOf(Anyone()) is not { } machine)
        {
            return;
        }

        var original = _chance.Of(Others(machine));
        Note($"{machine.Id} is started with a copy of {original.Id}'s disk");
        machine.KillDaemon();
        machine.Disk.Clone(original.Disk.Read());
        Later(_chance.Between(1_000, Lease), machine.StartDaemon);
        Until(_chance.Skewed(Lease, Lease * 4), () =>
        {
            machine.KillDaemon();
            machine.WipeDisk();
            machine.StartDaemon();
        });
    }

    /// <summary>
    /// An old backup of its own disk is put into a machine. It must be refused, or be as if it had never acknowledged what it has forgotten. Only that is forgotten,
    /// and others hold it: a forgotten vote, or the memory of what its drivers were told, nobody could notice.
    /// </summary>
    private void SetBackDisk()
    {
        if (LoseStoreOf(Anyone()) is not { } machine)
        {
            return;
        }

        var image = machine.Disk.Read();
        _absentee = machine;
        Note($"a backup of {machine.Id}'s disk is made");
        Until(_chance.Between(Lease / 2, Lease * 6), () =>
        {
            _absentee = null;
            var present = machine.Disk.Read();
            var forgotten = present.Entries.Where(entry => entry.Index > image.LastIndex).ToList();
            if (!_world.IsChaos || !machine.IsRunning || machine.IsLeaving || present.Store != image.Store || present.HardState != image.HardState || present.Base != image.Base
                || forgotten.Count == 0 || forgotten.Exists(entry => entry.Command is Core.Cluster.Command.Assign { Machine: var to } && to == machine.Id || !IsHeldWithout(machine, entry)))
            {
                _world.Injections.CameToNothing(SetBack);
                return;
            }

            Note($"{machine.Id}'s disk is set back by {forgotten.Count} entries to {image.LastIndex}");
            machine.KillDaemon();
            machine.Disk.SetBack(image);
            machine.WasSetBack = true;
            Later(_chance.Between(1_000, Lease / 4), machine.StartDaemon);
        });
    }

    private bool IsHeldWithout(SimulatedMachine machine, Core.Raft.LogEntry entry) =>
        Others(machine).Count(other => other.Disk.Holds(entry.Index, entry.Term)) * 2 > _world.Machines.Length;

    /// <summary>The daemon stays, without its drivers.</summary>
    private void AllDriversDie()
    {
        var machine = _chance.Happens(0.6) ? Master() : Anyone();
        foreach (var driver in machine.Drivers.Where(driver => driver.IsAlive))
        {
            _world.Injections.Effects++;
            driver.Kill();
            Until(_chance.Skewed(Lease / 50, Lease * 3), driver.Start);
        }
    }

    // As with a wiped disk: one at a time, and only while what it held is held by a majority without it.
    private SimulatedMachine? LoseStoreOf(SimulatedMachine machine) =>
        _world.Machines.Length >= 3 && AreAllVoters() && _absentee is null && machine.HostIsUp && machine.IsRunning && !machine.IsLeaving ? machine : null;
}
