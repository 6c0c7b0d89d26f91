using System.Collections.Immutable;
using Clustd.Core;
using Clustd.Core.Raft;

namespace Clustd.Simulation;

/// <summary>Machines that come and go: wiped disks, removals and additions, snapshots that a leader-to-be has just taken over.</summary>
internal sealed partial class Faults
{
    private const string RemoveAndAdd = "remove and add";

    private static readonly ImmutableArray<(string Name, Action<Faults> Strike)> OfMembership =
    [
        ("wipe disk", faults => faults.WipeDisk()),
        (RemoveAndAdd, faults => faults.RemoveThenAdd()),
        ("snapshot successor", faults => faults.SnapshotSuccessor()),
        ("many decisions", faults => faults.ManyDecisions(faults.Leader(), faults.Lease / 2)),
    ];

    private SimulatedMachine? _absentee;

    /// <summary>Of two machines only one may fail in a way that the other one can get over: in good order.</summary>
    public static ImmutableArray<string> ForTwo => ["goodbye", "move", "transfer leadership", "kill daemon", "flap", "driver dies"];

    public static ImmutableArray<string> ChooseMembership(Chance chance)
    {
        var others = All.Select(pattern => pattern.Name).ToList();
        return [.. OfMembership.Select(pattern => pattern.Name), .. Enumerable.Range(0, (int)chance.Between(0, 4)).Select(_ => chance.Of(others)).Distinct()];
    }

    /// <summary>
    /// A disk dies with all that it promised. One at a time, and only while every other store is in the membership: what a majority holds must be held by
    /// somebody still (an operator who wipes a second disk before the first machine is back has lost what only those two held).
    /// </summary>
    private void WipeDisk()
    {
        var machine = Anyone();
        if (_world.Machines.Length < 3 || !AreAllVoters() || _absentee is not null || !machine.HostIsUp)
        {
            return;
        }

        Note($"{machine.Id} loses its disk");
        var isWholeHost = _chance.Happens(0.5);
        if (isWholeHost)
        {
            machine.CrashHost();
        }
        else
        {
            machine.KillDaemon();
        }

        machine.WipeDisk();
        Until(_chance.Skewed(Lease / 10, Lease * 4), () =>
        {
            if (isWholeHost)
            {
                machine.BootHost();
                _world.Network.HostIsBack(machine.Index);
            }

            machine.StartDaemon();
        });
    }

    private void RemoveThenAdd()
    {
        var machine = Anyone();
        if (_world.Machines.Length < 3 || !AreAllVoters() || _absentee is not null || !machine.IsRunning || machine.IsLeaving)
        {
            return;
        }

        Note($"{machine.Id} is to be removed, and added again");
        _absentee = machine;
        machine.Post(new Input.GoodbyeRequested("an operator takes it out"));
        var generation = machine.Generation;
        var patience = Lease * 3;
        for (var attempt = 1; attempt <= 4; attempt++)
        {
            Later(patience * attempt / 2, () => Ask(new Request.RemoveMachine(machine.Id)));
        }

        Until(patience * 3, () =>
        {
            StartAgain(machine, generation);
            _absentee = null;
        });
        for (var attempt = 1; attempt <= 4; attempt++)
        {
            Later((patience * 3) + (Lease * attempt), () => Ask(new Request.AddMachine(machine.Id)));
        }
    }

    /// <summary>
    /// Rule 11's corner: a machine that missed everything takes over a snapshot that tells of a vacated service, and leads before the wait for what ran there is
    /// over. It must count from the snapshot, not from its own start long ago.
    /// </summary>
    private void SnapshotSuccessor()
    {
        var (leader, master) = (Leader(), Master());
        var late = Others(leader).Find(machine => machine != master && machine.IsRunning);
        if (_world.Machines.Length < 5 || late is null || leader == master)
        {
            return;
        }

        Note($"{late.Id} hears nothing until the session of {master.Id} has ended and a snapshot tells of it, then is to lead");
        var ended = Lease + (Lease / 16);
        var heard = ended + (Lease / 10);
        Cut(Lease * 3, false, [.. Others(master).SelectMany(other => Both(master, other))]);
        Cut(heard, false, [.. Others(late).Where(other => other != master).SelectMany(other => Both(late, other))]);
        Later(ended, () => ManyDecisions(leader, Lease / 20));
        for (var attempt = 0; attempt < 12; attempt++)
        {
            Later(heard + (Lease * attempt / 50), () => leader.Post(new Input.RequestMade($"s{++_requests}", new Request.TransferLeadership(late.Id))));
        }
    }

    /// <summary>A log that grows: snapshots become due.</summary>
    private void ManyDecisions(SimulatedMachine leader, long within)
    {
        const int Pairs = 8;
        for (var i = 0; i < Pairs * 2; i++)
        {
            var isPaused = i % 2 == 0;
            Later(within * i / (Pairs * 2), () => leader.Post(new Input.RequestMade($"d{++_requests}", new Request.Pause(isPaused))));
        }
    }

    // By what is decided, and by what is only in somebody's log: a removal that waits for a slow disk counts already, and that disk with it (campaign 240437).
    private bool AreAllVoters()
    {
        var applied = _world.Checks.Newest;
        return applied.Members.Count == _world.Machines.Length
            && applied.Members.Values.All(member => !member.Learner && _world.MachineOf(member.Machine) is { WasSetBack: false } machine && machine.Disk.Store == member.Store)
            && !_world.Machines.SelectMany(machine => machine.Disk.Read().Entries).Any(entry => entry.Index > applied.AppliedIndex && entry.Command is Core.Cluster.Command.ChangeMembers)
            && _world.Machines.Where(machine => machine.IsRunning).All(machine => machine.Core!.Consensus.LatestVoters.All(voters => voters.Count() == _world.Machines.Length));
    }
}
