using Clustd.Core.Cluster;

namespace Clustd.Core;

/// <summary>The agreed state as far as this machine has applied it, and when it applied what, on its own clock.</summary>
internal sealed class Replica(Raft.Raft raft, Instant startedAt, PlantedBug bug)
{
    private readonly SortedDictionary<long, Instant> _appliedAt = [];

    public ClusterState State { get; private set; } = ClusterState.Empty;

    /// <summary>Index of the no-op of this machine's own leadership; meaningless while it does not lead.</summary>
    public long NoOpIndex { get; set; } = long.MaxValue;

    /// <summary>Rule 6: no confirmation, EndSession or Assign before the leader's own no-op is applied.</summary>
    public bool MayDecide => raft.IsLeader && State.AppliedIndex >= NoOpIndex;

    /// <summary>When this machine applied the entry; what an earlier start of it applied counts from this start (rule 11).</summary>
    public Instant AppliedAt(long index) => _appliedAt.TryGetValue(index, out var at) ? at : startedAt;

    /// <summary>When this leader itself saw the session opened in its own term; the origin for those it inherited.</summary>
    public Instant OpenedAt(Session session) => session.Id.Value > NoOpIndex ? AppliedAt(session.Id.Value) : Instant.Origin;

    /// <summary>
    /// Applies the next entry that is committed and on this machine's own disk, or returns null. Own disk: whatever this daemon acts on, its
    /// successor must find in the log (it then knows what a former incarnation cannot have started, rule 14).
    /// </summary>
    public Raft.LogEntry? ApplyNext(Instant now)
    {
        if (State.AppliedIndex >= Math.Min(raft.CommitIndex, raft.DurableIndex))
        {
            return null;
        }

        var entry = raft.Log[State.AppliedIndex + 1];
        State = StateMachine.Apply(State, entry, bug);
        _appliedAt[entry.Index] = now;
        return entry;
    }

    /// <summary>Commands in the log that are not applied yet, oldest first.</summary>
    public IEnumerable<Command> UnderWay
    {
        get
        {
            for (var index = State.AppliedIndex + 1; index <= raft.Log.LastIndex; index++)
            {
                yield return raft.Log[index].Command;
            }
        }
    }

    /// <summary>Rule 7: from the moment EndSession is in the log, nothing of that session is accepted or confirmed.</summary>
    public bool IsEnding(SessionId session) => UnderWay.Any(command => command is Command.EndSession end && end.Session == session);

    /// <summary>
    /// A grace of this session is in the log and not applied here, as while this leader's own disk is slow: the holder may have applied it, and count on it,
    /// already. Until it is applied nobody can tell when the session ends.
    /// </summary>
    public bool IsGraceUnderWay(SessionId session) => UnderWay.Any(command => command is Command.GrantGrace grant && grant.Session == session);
}
