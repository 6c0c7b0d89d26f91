using System.Collections.Immutable;
using System.Diagnostics;
using Clustd.Core.Cluster;

namespace Clustd.Core.Raft;

/// <summary>
/// Who belongs to the cluster and who votes: what the latest membership entry in the log says, committed or not (section 4.1). Changes go one voter
/// at a time, and only after the one before, and an entry of the leader's own term, are committed (section 4.1; the second condition is
/// Ongaro's correction of 2015, "bug in single-server membership changes").
/// </summary>
public sealed partial class Raft
{
    // The membership before the log's first entry (index 0, or the snapshot's), then one for every membership entry in the log.
    private readonly List<(long Index, ImmutableSortedDictionary<MachineId, Member> Members)> _memberships = [];

    // Connected machines, and the store that each said it speaks with; none until it has said so.
    private readonly SortedDictionary<MachineId, StoreId> _connected = [];
    private readonly List<long> _reached = [];

    /// <summary>Voters and learners.</summary>
    public ImmutableSortedDictionary<MachineId, Member> Members { get; private set; } = ImmutableSortedDictionary<MachineId, Member>.Empty;

    /// <summary>The same in their order: walked through in every step, which the sorted dictionary makes dear.</summary>
    public ImmutableArray<Member> MemberList { get; private set; } = [];

    /// <summary>Those of <see cref="Members"/> that vote, sorted.</summary>
    public ImmutableArray<MachineId> Voters { get; private set; } = [];

    /// <summary>This machine, with this very store, is a voter.</summary>
    public bool IsVoter { get; private set; }

    /// <summary>No membership entry is on its way: the next may be appended, once the leader's no-op is committed.</summary>
    public bool IsMembershipCommitted => _memberships.Count == 0 || _memberships[^1].Index <= CommitIndex;

    public IReadOnlyCollection<MachineId> Connected => _connected.Keys;

    private IEnumerable<MachineId> OtherVoters => Voters.Where(machine => machine != _self);

    public bool IsConnected(MachineId machine) => _connected.ContainsKey(machine);

    /// <summary>The store that the connected machine speaks with; none if it is not connected or has not said so yet.</summary>
    public StoreId StoreOf(MachineId machine) => _connected.TryGetValue(machine, out var store) ? store : StoreId.None;

    /// <summary>A connected machine has said with which store it speaks.</summary>
    public void Met(MachineId machine, StoreId store)
    {
        if (_connected.ContainsKey(machine))
        {
            _connected[machine] = store;
        }
    }

    /// <summary>True when the message is from a member of this cluster, speaking with the store that the cluster knows.</summary>
    public bool IsFromMember(MachineId from, PeerMessage message) =>
        IsFromCluster(message) && Members.TryGetValue(from, out var member) && member.Store == message.Sender;

    /// <summary>
    /// Of this cluster, though perhaps not of the members that this machine knows: whoever asks for a vote or leads may have a newer list (section 4.2.2).
    /// A vote or an acknowledgement, on the other hand, counts only for whom one asked.
    /// </summary>
    public bool IsFromCluster(PeerMessage message) => IsFormed && message.Cluster == Cluster;

    /// <summary>Leader only: what the voter or learner has, as far as this leader knows; null for others.</summary>
    public long? MatchIndexOf(MachineId machine) => _peers.TryGetValue(machine, out var progress) ? progress.MatchIndex : null;

    /// <summary>Leader only: heard from it within the check-quorum window.</summary>
    public bool IsHeard(MachineId machine, Instant now) =>
        machine == _self || (_peers.TryGetValue(machine, out var progress) && now - progress.HeardAt < CheckQuorumWindow);

    private void MembershipAppended(LogEntry entry)
    {
        var members = entry.Command switch
        {
            Command.Form form => form.Members,
            Command.ChangeMembers change => change.Members,
            _ => default,
        };
        if (!members.IsDefault)
        {
            _memberships.Add((entry.Index, members.ToImmutableSortedDictionary(member => member.Machine, member => member)));
            TakeMembership();
        }
    }

    private void MembershipTruncated(long from)
    {
        if (_memberships.RemoveAll(membership => membership.Index >= from) > 0)
        {
            TakeMembership();
        }
    }

    private void MembershipOf(ClusterState snapshot)
    {
        Cluster = snapshot.Cluster;
        _memberships.RemoveAll(membership => membership.Index <= snapshot.AppliedIndex);
        _memberships.Insert(0, (snapshot.AppliedIndex, snapshot.Members));
        TakeMembership();
    }

    private void TakeMembership()
    {
        Members = _memberships.Count > 0 ? _memberships[^1].Members : ImmutableSortedDictionary<MachineId, Member>.Empty;
        MemberList = [.. Members.Values];
        Voters = [.. Members.Values.Where(member => !member.Learner).Select(member => member.Machine)];
        IsVoter = Members.TryGetValue(_self, out var self) && self.Store == _store && !self.Learner;
        if (!IsLeader)
        {
            return;
        }

        foreach (var machine in _peers.Keys.Where(machine => !Members.TryGetValue(machine, out var member) || member.Store != _peers[machine].Store).ToList())
        {
            _peers.Remove(machine);
        }

        foreach (var member in Members.Values.Where(member => member.Machine != _self && !_peers.ContainsKey(member.Machine)))
        {
            _peers[member.Machine] = new PeerProgress { Store = member.Store, NextIndex = Log.LastIndex + 1, HeardAt = _leaderNow };
        }
    }

    /// <summary>The highest value that a majority of the voters has reached. A leader that has no vote (any more) does not count itself.</summary>
    private long ReachedByMajority(long own, Func<PeerProgress, long> valueOf)
    {
        _reached.Clear();
        foreach (var voter in _bug.Is(PlantedBug.MajorityOfOldMembership) && !IsMembershipCommitted ? FormerVoters : Voters)
        {
            _reached.Add(voter == _self ? own : _peers.TryGetValue(voter, out var progress) ? valueOf(progress) : 0);
        }

        return _reached.Count == 0 ? 0 : Quorum.Reached(_reached);
    }

    /// <summary>Voters of the memberships in the log, the latest first: for the simulator's checks.</summary>
    internal IEnumerable<List<(MachineId Machine, StoreId Store)>> LatestVoters =>
        Enumerable.Reverse(_memberships).Select(membership => membership.Members.Values.Where(member => !member.Learner).Select(member => (member.Machine, member.Store)).ToList());

    private ImmutableArray<MachineId> FormerVoters =>
        _memberships.Count < 2 ? Voters : [.. _memberships[^2].Members.Values.Where(member => !member.Learner).Select(member => member.Machine)];

    private int VotersAmong(IEnumerable<MachineId> machines) => machines.Count(machine => Voters.BinarySearch(machine) >= 0);
}
