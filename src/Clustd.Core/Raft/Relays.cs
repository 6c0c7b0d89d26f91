namespace Clustd.Core.Raft;

/// <summary>
/// Whose words go by way of a third machine, and whose. A leader that has had no direct answer from a member for some heartbeats says the same to it
/// once more through another member; whoever was spoken to that way answers that way, too. So a link that is down, or one whose TCP stream waits for a
/// segment that is lost again and again, costs no session as long as a third machine reaches both ends.
/// </summary>
/// <remarks>
/// Nothing about safety depends on the way that a message took: a stamp, an echo or an acknowledgement says the same however late it comes, and in whatever order
/// (rules 3 and 4 of the lease argument). What may not come out of order (votes, snapshots, requests of people) is not passed on.
/// </remarks>
internal sealed class Relays(LeaseTiming timing)
{
    // One heartbeat that was not answered: found out sooner than any election timeout ends.
    private readonly TimeSpan _patience = timing.Heartbeat * 1.5;

    // What is answered goes back the way that it came, until the next heartbeat would have come by it.
    private readonly TimeSpan _wayBack = timing.Heartbeat * 2;
    private readonly SortedDictionary<MachineId, Instant> _answeredAt = [];
    private readonly SortedDictionary<MachineId, Instant> _answeredAnyhowAt = [];

    // Until when a way that an answer came by counts as open. Meanwhile all goes by it: where each message took the next way in turn, every echo went by those that were closed
    // and every heartbeat by the open one, and a session lived whose machine never heard of it (campaign 1063026).
    private readonly TimeSpan _wayOpen = timing.Heartbeat * 3;
    private readonly SortedDictionary<MachineId, (MachineId Via, Instant At)> _answeredBy = [];
    private readonly SortedDictionary<MachineId, Instant> _triedAt = [];
    private readonly SortedDictionary<MachineId, Instant> _cameDirectlyAt = [];
    private readonly SortedDictionary<MachineId, (MachineId Via, Instant At)> _cameBy = [];
    private int _turn;

    /// <summary>All members can read what is passed on (<see cref="Cluster.FeatureLevels.Relay"/>).</summary>
    public bool IsEnabled { get; set; }

    /// <summary>When the present step began.</summary>
    public Instant Now { get; set; }

    /// <summary>Acks, heartbeats, echoes and proposals: each is harmless late, repeated, and after what was said later.</summary>
    public static bool IsFit(PeerBody body) => body is PeerBody.Append or PeerBody.AppendAnswer or PeerBody.Echo or PeerBody.Propose;

    /// <summary>A member answered this leader. Via: the machine that passed it on, null when it came directly.</summary>
    public void Answered(MachineId from, MachineId? via)
    {
        _answeredAnyhowAt[from] = Now;
        if (via is { } way)
        {
            _answeredBy[from] = (way, Now);
        }
        else
        {
            _answeredAt[from] = Now;
        }
    }

    /// <summary>Something of `from` came by way of `via`: perhaps only that way is open.</summary>
    public void CameBy(MachineId from, MachineId via) => _cameBy[from] = (via, Now);

    /// <summary>An Append came directly.</summary>
    public void CameDirectly(MachineId from) => _cameDirectlyAt[from] = Now;

    /// <summary>
    /// An acknowledgement of what came by way of another machine goes back that way only: one that comes directly tells the leader that both
    /// directions of the direct way are open.
    /// </summary>
    public bool IsDirectly(PeerBody body, MachineId to, MachineId? via) => body is not PeerBody.AppendAnswer || via is null || IsWithin(_cameDirectlyAt, to, _wayBack);

    /// <summary>A new leader has heard nobody yet, and accuses nobody of it.</summary>
    public void BecomeLeader(IEnumerable<MachineId> members)
    {
        _triedAt.Clear();
        _answeredAt.Clear();
        _answeredBy.Clear();
        _answeredAnyhowAt.Clear();
        foreach (var member in members)
        {
            _answeredAt[member] = _answeredAnyhowAt[member] = Now;
        }
    }

    /// <summary>Through whom this is to be said to `to` as well; null: not needed, or nobody can. `others`: members that are connected, neither self nor `to`.</summary>
    public MachineId? Via(MachineId to, bool isLeader, Func<IReadOnlyList<MachineId>> others)
    {
        if (!IsEnabled)
        {
            return null;
        }

        // Only the leader begins it, and only the leader ends it: did both go by what comes from the other, it would never end.
        if (!isLeader)
        {
            return _cameBy.TryGetValue(to, out var came) && Now - came.At <= _wayBack && others().Contains(came.Via) ? came.Via : null;
        }

        if (IsWithin(_answeredAt, to, _patience) || !IsDue(to))
        {
            return null;
        }

        // Those that answer directly themselves: the one that has proved to reach it, else all in turn.
        var candidates = others().Where(other => IsWithin(_answeredAt, other, _patience)).ToList();
        if (_answeredBy.TryGetValue(to, out var open) && Now - open.At <= _wayOpen && candidates.Contains(open.Via))
        {
            return open.Via;
        }

        return candidates.Count == 0 ? null : candidates[_turn++ % candidates.Count];
    }

    // Whoever has not answered on any way for a lease is probably down: it is tried once a lease, which costs next to nothing.
    private bool IsDue(MachineId to)
    {
        if (IsWithin(_answeredAnyhowAt, to, timing.Lease) || !IsWithin(_triedAt, to, timing.Lease))
        {
            _triedAt[to] = Now;
            return true;
        }

        return false;
    }

    private bool IsWithin(SortedDictionary<MachineId, Instant> instants, MachineId machine, TimeSpan time) =>
        instants.TryGetValue(machine, out var at) && Now - at <= time;
}
