using System.Collections.Immutable;
using Clustd.Core;
using Clustd.Core.Raft;

namespace Clustd.Simulation;

/// <summary>Aimed patterns about who belongs to the cluster, which disks, and what the services are.</summary>
internal sealed partial class Faults
{
    private static ImmutableArray<(string Name, Action<Faults> Strike)> AimedAtMembers =>
    [
        ("new voter and nobody else", faults => faults.NewVoterAndNobodyElse()),
        ("voter before it knows", faults => faults.VoterBeforeItKnows()),
        ("wipe the master's disk", faults => faults.WipeMastersDisk()),
        ("second forming", faults => faults.SecondForming()),
        ("begin anew", faults => faults.BeginAnew()),
        ("shorter kill_timeout", faults => faults.ShorterKillTimeout()),
        ("service removed and added", faults => faults.RemoveServiceThenAdd()),
    ];

    /// <summary>
    /// Rules 5 and 9: a machine becomes a voter, and of those that are left when leader and master are cut off, only it has heard the master's newest stamps:
    /// while the entry that makes it a voter was on its way, and before it knew.
    /// </summary>
    private void NewVoterAndNobodyElse()
    {
        var (leader, master) = (Leader(), Master());
        if (_world.Machines.Length != 5 || leader == master || !AreAllVoters() || _absentee is not null)
        {
            Ask(new Request.TransferLeadership(null));
            return;
        }

        var late = Others(leader).Where(machine => machine != master && machine.IsRunning).ToList();
        var newcomer = late[0];
        late.RemoveAt(0);
        Note($"{newcomer.Id} loses its disk, and is soon to vote; then [{IdsOf(late)}] hear nothing, and then {leader.Id} and {master.Id} are cut off");
        newcomer.KillDaemon();
        newcomer.WipeDisk();
        Until(Lease / 10, newcomer.StartDaemon);
        var store = newcomer.Disk.Store;
        bool Votes() => leader.Core?.Consensus is { IsLeader: true } raft && raft.Members.TryGetValue(newcomer.Id, out var member) && member.Store == store && !member.Learner;
        When(Votes, Lease * 3, () =>
        {
            var stale = _chance.Between(Lease / 5, Lease * 2 / 5);
            foreach (var machine in new[] { leader, master, newcomer })
            {
                machine.Disk.Slowness = Lease / 2;
                Until(Lease * 2, () => machine.Disk.Slowness = 0);
            }

            Cut(stale, false, [.. late.SelectMany(machine => Both(machine, leader).Concat(Both(machine, master)))]);
            Later(stale, () => Cut(Lease * 4, false, [.. late.Append(newcomer).SelectMany(machine => Both(machine, leader).Concat(Both(machine, master)))]));
        });
    }

    /// <summary>
    /// Rule 5: a machine that has been a learner for a while is a voter by its leader's list, and the word that says so is lost. The one round that it helps to confirm
    /// before it hears of it is the last: leader and master are then cut off, and the other voters have not heard that round.
    /// </summary>
    private void VoterBeforeItKnows()
    {
        var (leader, master) = (Leader(), Master());
        if (_world.Machines.Length != 5 || leader == master || !AreAllVoters() || _absentee is not null)
        {
            Ask(new Request.TransferLeadership(null));
            return;
        }

        var late = Others(leader).Where(machine => machine != master && machine.IsRunning).ToList();
        var newcomer = late[0];
        late.RemoveAt(0);
        Note($"{newcomer.Id} loses its disk, is a learner for a while, and then a voter that does not know it when only it hears the last round");
        newcomer.KillDaemon();
        newcomer.WipeDisk();
        Until(Lease / 10, newcomer.StartDaemon);
        var store = newcomer.Disk.Store;
        Core.Cluster.Member? Known() => leader.Core?.Consensus is { IsLeader: true } raft && raft.Members.TryGetValue(newcomer.Id, out var member) && member.Store == store ? member : null;
        var away = Lease * 13 / 10;
        When(() => Known() is not null, Lease * 2, () =>
        {
            Cut(away, false, [.. Others(newcomer).SelectMany(other => Both(newcomer, other))]);
            Later(away, () => When(() => Known() is { Learner: false }, Lease * 2, () => LoseOneWordThenTheLeader(leader, master, newcomer, late)));
        });
    }

    private void LoseOneWordThenTheLeader(SimulatedMachine leader, SimulatedMachine master, SimulatedMachine newcomer, List<SimulatedMachine> late)
    {
        var next = leader.Core!.Consensus.NextRound;
        Cut(10_000, false, [(leader, newcomer)]);
        Cut(Lease * 5, false, [.. late.SelectMany(machine => Both(machine, leader).Concat(Both(machine, master)))]);
        When(() => leader.Core?.Consensus.ConfirmedRound >= next, Lease, () =>
            Later(10_000, () => Cut(Lease * 4, false, [.. Both(newcomer, leader), .. Both(newcomer, master)])));
    }

    /// <summary>The master's daemon dies together with its disk, in a move, while its drivers run on; a new daemon with an empty store is back at once.</summary>
    private void WipeMastersDisk()
    {
        var master = Master();
        if (_world.Machines.Length < 3 || !AreAllVoters() || _absentee is not null || !master.IsRunning)
        {
            return;
        }

        Move();
        Later(_chance.Between(0, Lease / 10), () =>
        {
            if (master.IsRunning && AreAllVoters())
            {
                Note($"{master.Id}'s daemon dies together with its disk, in a move");
                master.KillDaemon();
                master.WipeDisk();
                Until(_chance.Between(500, Lease / 100), master.StartDaemon);
            }
        });
    }

    /// <summary>Rule 17: a machine that was away when the cluster formed meets one whose disk was wiped, while the only other one is cut off.</summary>
    private void SecondForming()
    {
        var members = _world.Machines.Where(machine => machine.Core is { Consensus.IsFormed: true }).ToList();
        var without = _world.Machines.Where(machine => machine.Core is { Consensus.IsFormed: false }).ToList();
        var wiped = members.Count > 0 ? members[^1] : null;
        if (wiped is null || members.Count + without.Count < _world.Machines.Length || _absentee is not null || !AreAllFormedVoters(members))
        {
            return;
        }

        _absentee = wiped;
        Note($"{wiped.Id} loses its disk while [{IdsOf(members.Where(machine => machine != wiped))}] are cut off");
        wiped.CrashHost();
        wiped.WipeDisk();
        Cut(Lease * 6, false, [.. members.Where(machine => machine != wiped).SelectMany(member => Others(member).SelectMany(other => Both(member, other))).Distinct()]);
        Until(Lease / 5, () =>
        {
            wiped.BootHost();
            _world.Network.HostIsBack(wiped.Index);
            wiped.StartDaemon();
        });
        Until(Lease * 8, () => _absentee = null);
    }

    private bool AreAllFormedVoters(List<SimulatedMachine> machines) =>
        machines.TrueForAll(machine => _world.Checks.Newest.Members.TryGetValue(machine.Id, out var member) && !member.Learner && member.Store == machine.Disk.Store);

    /// <summary>Rule 17: an operator stops all, throws every store away and forms a new cluster on the same machines, for the same resource.</summary>
    private void BeginAnew()
    {
        Note("an operator stops everything, moves every store away and starts again");
        foreach (var machine in _world.Machines)
        {
            machine.CrashHost();
            machine.WipeDisk();
        }

        _world.Checks.BeginsAnew();
        Until(Lease + 2_000_000, () =>
        {
            foreach (var machine in _world.Machines.Where(machine => !machine.HostIsUp))
            {
                machine.BootHost();
                _world.Network.HostIsBack(machine.Index);
                machine.StartDaemon();
            }
        });
    }

    /// <summary>Rule 12: all files name a shorter kill_timeout, and the master is cut off when the others have agreed on it and it has not heard.</summary>
    private void ShorterKillTimeout()
    {
        var master = Master();
        if (Leader() == master || !master.IsRunning)
        {
            Ask(new Request.TransferLeadership(null));
            return;
        }

        var isShort = _world.Definitions[0].KillTimeout < _world.Scenario.Services[0].KillTimeout;
        var kill = isShort ? _world.Scenario.Services[0].KillTimeout : TimeSpan.FromMicroseconds(Lease / 50);
        Redefine([.. _world.Scenario.Services.Select(service => service with { KillTimeout = kill })]);
        master.Disk.Slowness = Lease * 3 / 10;
        Until(Lease * 2, () => master.Disk.Slowness = 0);
        When(() => _world.Checks.Newest.Services.Values.All(service => service.Definition.KillTimeout == kill), Lease * 3, () =>
        {
            if (!isShort)
            {
                Note($"{master.Id} is cut off before it hears of the new kill_timeout");
                Cut(Lease * 4, false, [.. Others(master).SelectMany(other => Both(master, other))]);
            }
        });
    }

    /// <summary>Rule 17: the first service is taken out of all files, and put in again.</summary>
    private void RemoveServiceThenAdd()
    {
        if (_world.Definitions.Length == _world.Scenario.Services.Length)
        {
            Redefine(_world.Scenario.Services.RemoveAt(0));
            Later((Lease * 3) + 3_000_000, () => Redefine(_world.Scenario.Services));
        }
    }

    private void Redefine(ImmutableArray<Core.Cluster.ServiceDefinition> definitions)
    {
        Note($"all files now say: {string.Join(", ", definitions.Select(definition => $"{definition.Name} with a kill_timeout of {definition.KillTimeout.TotalMilliseconds} ms"))}");
        _world.Definitions = definitions;
        foreach (var machine in _world.Machines.Where(machine => machine.IsRunning))
        {
            machine.KillDaemon();
            Until(_chance.Between(1_000, Lease / 20), machine.StartDaemon);
        }
    }
}
