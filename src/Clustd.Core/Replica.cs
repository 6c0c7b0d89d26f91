using Clustd.Core.Cluster;

namespace Clustd.Core;

/// <summary>The agreed state as far as this machine has applied it, and when it applied what, on its own clock.</summary>
internal sealed class Replica(Raft.Raft raft, ClusterState? stored, Instant startedAt, int snapshotEvery, PlantedBug bug)
{
    private readonly SortedDictionary<long, Instant> _appliedAt = [];

    // Leader only: sessions whose end is in the log up to that index.
    private readonly SortedSet<SessionId> _ending = [];
    private long _endingKnownTo;

    // What a snapshot of another machine told of counts as applied when it was taken over: later than any entry in it was applied elsewhere.
    private (long Index, Instant At) _tookOver;

    // The state to save next: one of some entries ago, so that the log behind it is long enough for followers that are a little late.
    private ClusterState _toSave = stored ?? ClusterState.Empty;

    public ClusterState State { get; private set; } = stored ?? ClusterState.Empty;

    /// <summary>Index of the no-op of this machine's own leadership; meaningless while it does not lead.</summary>
    public long NoOpIndex
    {
        get;
        set
        {
            field = value;
            _ending.Clear();
            _endingKnownTo = State.AppliedIndex;
        }
    } = long.MaxValue;

    /// <summary>Rule 6: no confirmation, EndSession or Assign before the leader's own no-op is applied.</summary>
    public bool MayDecide => raft.IsLeader && (State.AppliedIndex >= NoOpIndex || bug.Is(PlantedBug.DecidesBeforeNoOp));

    /// <summary>When this machine applied the entry; what an earlier start of it applied counts from this start (rule 11).</summary>
    public Instant AppliedAt(long index) => _appliedAt.TryGetValue(index, out var at) ? at : index <= _tookOver.Index ? _tookOver.At : startedAt;

    /// <summary>When this leader itself saw the session opened in its own term; the origin for those it inherited.</summary>
    public Instant OpenedAt(Session session) => session.Id.Value > NoOpIndex ? AppliedAt(session.Id.Value) : Instant.Origin;

    /// <summary>
    /// Applies the next entry that is committed and on this machine's own disk, or returns null. Own disk: whatever this daemon acts on, its
    /// successor must find in the log (it then knows what a former incarnation cannot have started, rule 14).
    /// </summary>
    public Raft.LogEntry? ApplyNext(Instant now)
    {
        if (State.AppliedIndex < raft.Log.Base.Index || State.AppliedIndex >= Math.Min(raft.CommitIndex, bug.Is(PlantedBug.AppliedBeforeFsync) ? raft.Log.LastIndex : raft.DurableIndex))
        {
            return null;
        }

        var entry = raft.Log[State.AppliedIndex + 1];
        State = StateMachine.Apply(State, entry, bug);
        _appliedAt[entry.Index] = now;
        return entry;
    }

    /// <summary>
    /// Of two voters none decides without the other. As applied: a change that is only on its way may be lost together with the other machine, and then both would
    /// be needed again (seed 2568).
    /// </summary>
    public bool IsOneOfTwoVoters(MachineId self) =>
        State.Members.Values.Count(member => !member.Learner) == 2 && State.Members.TryGetValue(self, out var member) && !member.Learner
        && (raft.IsVoter || !raft.IsMembershipCommitted);

    /// <summary>True when another machine's snapshot took the place of what was applied here. Its own disk comes first, as with entries.</summary>
    public bool TakeOverSnapshot(Instant now)
    {
        if (State.AppliedIndex >= raft.Log.Base.Index || (raft.DurableIndex < raft.Log.Base.Index && !bug.Is(PlantedBug.SnapshotNotDurable)))
        {
            return false;
        }

        State = _toSave = raft.Snapshot!;
        _tookOver = bug.Is(PlantedBug.SnapshotCountsFromStart) ? (0, startedAt) : (State.AppliedIndex, now);
        return true;
    }

    /// <summary>After entries were applied: saves a snapshot when the log has grown long enough, and forgets what only the dropped entries needed.</summary>
    public void Compact()
    {
        if (State.AppliedIndex - _toSave.AppliedIndex < snapshotEvery)
        {
            return;
        }

        if (_toSave.AppliedIndex > raft.Log.Base.Index)
        {
            raft.Compact(_toSave);
            ForgetInstants();
        }

        _toSave = State;
    }

    // Entries that the state still names (a vacated service, a failure, a session, a restart grace) are asked for by their index.
    private void ForgetInstants()
    {
        var named = new SortedSet<long>(State.Sessions.Keys.Select(session => session.Value));
        named.UnionWith(State.Sessions.Values.SelectMany(session => session.Graces.Values.Select(grace => grace.Index)));
        foreach (var service in State.Services.Values)
        {
            named.Add(service.Assignment?.SinceIndex ?? 0);
            named.Add(service.Vacated?.Index ?? 0);
            named.UnionWith(service.Failures.Values.Select(failure => failure.Index));
        }

        foreach (var index in _appliedAt.Keys.Where(index => index <= raft.Log.Base.Index && !named.Contains(index)).ToList())
        {
            _appliedAt.Remove(index);
        }
    }

    /// <summary>Commands in the log that are not applied yet, oldest first.</summary>
    public IEnumerable<Command> UnderWay
    {
        get
        {
            for (var index = FirstUnderWay; index <= raft.Log.LastIndex; index++)
            {
                yield return raft.Log[index].Command;
            }
        }
    }

    // A snapshot that was installed and is not on this machine's disk yet is not applied either; what it covers is not under way.
    private long FirstUnderWay => Math.Max(State.AppliedIndex, raft.Log.Base.Index) + 1;

    public bool IsUnderWay(Command command)
    {
        for (var index = FirstUnderWay; index <= raft.Log.LastIndex; index++)
        {
            if (raft.Log[index].Command == command)
            {
                return true;
            }
        }

        return false;
    }

    /// <summary>Rule 7: from the moment EndSession is in the log, nothing of that session is accepted or confirmed.</summary>
    public bool IsEnding(SessionId session)
    {
        // A leader's log only grows, so each entry is looked at once; ids are never reused, so what was applied meanwhile may stay.
        for (var index = Math.Max(_endingKnownTo + 1, FirstUnderWay); index <= raft.Log.LastIndex; index++)
        {
            if (raft.Log[index].Command is Command.EndSession end)
            {
                _ending.Add(end.Session);
            }
        }

        _endingKnownTo = raft.Log.LastIndex;
        return _ending.Contains(session);
    }

    /// <summary>
    /// A grace of this session is in the log and not applied here, as while this leader's own disk is slow: the holder may have applied it, and count on it,
    /// already. Until it is applied nobody can tell when the session ends.
    /// </summary>
    public bool IsGraceUnderWay(SessionId session)
    {
        for (var index = FirstUnderWay; index <= raft.Log.LastIndex; index++)
        {
            if (raft.Log[index].Command is Command.GrantGrace grant && grant.Session == session && !bug.Is(PlantedBug.GraceUnderWayIgnored))
            {
                return true;
            }
        }

        return false;
    }
}
