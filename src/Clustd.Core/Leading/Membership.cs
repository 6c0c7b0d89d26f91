using System.Collections.Immutable;
using Clustd.Core.Cluster;
using Clustd.Core.Raft;

namespace Clustd.Core.Leading;

/// <summary>A change of the members, or why there is none; one sentence in three parts.</summary>
internal sealed record MembershipDecision(Command.ChangeMembers? Change, string Sentence);

/// <summary>
/// Keeps the members in step with what is there, on the leader only and one change at a time: a machine that came back with another store is taken in anew,
/// a learner that has caught up votes, and where only two vote, the one that leaves does not take its vote with it. Operators add and remove.
/// </summary>
internal sealed class Membership(MachineSettings settings, Raft.Raft raft, Replica replica, LeaderDuties duties, Forming forming)
{
    /// <summary>Only after an entry of the leader's own term is applied, so committed, and only when the change before it is (Ongaro, section 4.1, with his correction of 2015).</summary>
    private bool MayChange => raft.IsLeader && replica.State.FeatureLevel >= FeatureLevels.Membership
        && (replica.MayDecide || settings.PlantedBug.Is(PlantedBug.ChangeBeforeNoOp))
        && (raft.IsMembershipCommitted || settings.PlantedBug.Is(PlantedBug.TwoChangesAtOnce));

    /// <summary>Called in every step: proposes the next change that is due, if any.</summary>
    public void Decide(Instant now)
    {
        if (MayChange && (ReplacedStore(now) ?? NeedlessVote() ?? EarnedVote(now)) is { } change)
        {
            raft.Propose(change, now);
        }
    }

    /// <summary>An operator wants this machine in.</summary>
    public MembershipDecision Add(MachineId machine)
    {
        if (raft.Members.TryGetValue(machine, out var known))
        {
            return Refused($"Nothing to do: {machine} is {(known.Learner ? "a learner and votes as soon as it has caught up" : "a member already")}.");
        }

        if (!forming.Met.TryGetValue(machine, out var met) || !raft.IsConnected(machine))
        {
            return Refused($"Cannot add {machine}: it is not connected to the leader, {settings.Self}. Start clustd there with the machines of this cluster in `cluster.machines`, then ask again.");
        }

        if (met.Hello.IsFormed && met.Cluster != raft.Cluster)
        {
            return Refused($"Cannot add {machine}: it belongs to another cluster ({met.Cluster}). Move its data directory away, start it again, then ask again.");
        }

        if (CloneOf(met.Store) is { } original)
        {
            return Refused($"Cannot add {machine}: its store is a copy of that of {original}. Move its data directory away, start it again, then ask again.");
        }

        if (!MayChange)
        {
            return Refused($"Cannot add {machine}: another change of the members is not complete yet. Ask again in a moment.");
        }

        var learner = new Member(machine, met.Store, met.Hello.Address, met.Hello.Witness, Learner: true);
        return Change(raft.Members.SetItem(machine, learner), $"{machine} is taken in as a learner; it votes as soon as it has caught up.");
    }

    /// <summary>An operator wants this machine out.</summary>
    public MembershipDecision Remove(MachineId machine, Instant now)
    {
        if (!raft.Members.TryGetValue(machine, out var member))
        {
            return Refused($"Cannot remove {machine}: there is no such machine. The machines are {string.Join(", ", raft.Members.Keys)}.");
        }

        if (machine == settings.Self)
        {
            return Refused($"Cannot remove {machine}: it leads. Hand leadership over to another machine, then ask again.");
        }

        if (replica.State.SessionOf(machine) is not null)
        {
            return Refused($"Cannot remove {machine}: it holds a session and may run services. Stop clustd there first (`clustd stop`), then ask again.");
        }

        if (!MayChange)
        {
            return Refused($"Cannot remove {machine}: another change of the members is not complete yet. Ask again in a moment.");
        }

        var left = raft.Members.Remove(machine);
        return !member.Learner && !HearsMajorityOf(left, now)
            ? Refused($"Cannot remove {machine}: too few of the other machines answer, disks included, so nothing could be decided without it. Bring them back first.")
            : Change(left, $"{machine} is no longer a member, because an operator removed it.");
    }

    /// <summary>Another store under a member's name: its disk was wiped or replaced, and what it promised is forgotten. So it is another voter, and begins as a learner.</summary>
    private Command.ChangeMembers? ReplacedStore(Instant now)
    {
        foreach (var member in raft.MemberList)
        {
            var store = raft.StoreOf(member.Machine);
            if (store == StoreId.None || store == member.Store || CloneOf(store) is not null || !forming.Met.TryGetValue(member.Machine, out var met) || met.Store != store
                || (met.Cluster != ClusterId.None && met.Cluster != raft.Cluster))
            {
                continue;
            }

            var learner = !settings.PlantedBug.Is(PlantedBug.WipedKeepsVote) || member.Learner;
            var members = raft.Members.SetItem(member.Machine, member with { Store = store, Address = met.Hello.Address, Witness = met.Hello.Witness, Learner = learner });
            if (member.Learner || HearsMajorityOf(members, now))
            {
                return Change(members, $"{member.Machine} came back with another store, so it is taken in anew as a learner; it votes again as soon as it has caught up.").Change;
            }
        }

        return null;
    }

    /// <summary>Where two vote, neither decides anything alone: the one that leaves in good order gives its vote up, and the other one carries on.</summary>
    private Command.ChangeMembers? NeedlessVote()
    {
        if (raft.Voters.Length != 2 || settings.PlantedBug.Is(PlantedBug.GoodbyeKeepsVote))
        {
            return null;
        }

        foreach (var voter in raft.Voters)
        {
            if (voter != settings.Self && duties.Reports.TryGetValue(voter, out var report) && report.WantsNoVote)
            {
                return Change(
                    raft.Members.SetItem(voter, raft.Members[voter] with { Learner = true }),
                    $"{voter} leaves and gives up its vote, so {settings.Self} decides alone until it is back.").Change;
            }
        }

        return null;
    }

    private Command.ChangeMembers? EarnedVote(Instant now)
    {
        foreach (var learner in raft.MemberList)
        {
            // Caught up: it has all that is committed. What is on its way it gets like everybody else.
            if (learner.Learner && raft.IsHeard(learner.Machine, now) && raft.MatchIndexOf(learner.Machine) >= raft.CommitIndex
                && raft.StoreOf(learner.Machine) == learner.Store && duties.Reports.TryGetValue(learner.Machine, out var report) && !report.Leaving)
            {
                return Change(
                    raft.Members.SetItem(learner.Machine, learner with { Learner = false }), $"{learner.Machine} has caught up and votes.").Change;
            }
        }

        return null;
    }

    private bool HearsMajorityOf(ImmutableSortedDictionary<MachineId, Member> members, Instant now)
    {
        var voters = members.Values.Where(member => !member.Learner).ToList();
        return voters.Count > 0 && voters.Count(voter => raft.IsHeard(voter.Machine, now) && !IsStalled(voter.Machine)) >= Quorum.Of(voters.Count);
    }

    // It answers, and writes nothing down: a change that needs it would be stuck half-way (campaign 112319).
    private bool IsStalled(MachineId machine) => duties.Reports.TryGetValue(machine, out var report) && report.Stalled is not null;

    private MachineId? CloneOf(StoreId store)
    {
        foreach (var member in raft.MemberList)
        {
            if (member.Store == store)
            {
                return member.Machine;
            }
        }

        return null;
    }

    private static MembershipDecision Change(ImmutableSortedDictionary<MachineId, Member> members, string sentence) =>
        new(new Command.ChangeMembers([.. members.Values], sentence), sentence);

    private static MembershipDecision Refused(string sentence) => new(null, sentence);
}
