using System.Collections.Immutable;
using Clustd.Core.Cluster;
using Clustd.Core.Raft;

namespace Clustd.Core.Running;

/// <summary>
/// The holder's side of the lease argument: makes stamps, takes their echoes, and knows until when this machine may act. Lost, late and
/// repeated echoes are harmless: each says only what a quorum confirmed about one instant of this machine's own clock.
/// </summary>
internal sealed class SessionHolder(MachineId self, StoreId store, ulong incarnation, PlantedBug bug)
{
    private SessionHold _ordinary = SessionHold.None;

    // The grace that this daemon asked for; until when it counts is known once it is applied.
    private (SessionId Session, long Id, Instant AskedAt)? _asked;
    private (SessionId Session, Instant Until)? _grace;

    // Asked for with every heartbeat; found out once per set of sessions.
    private ImmutableSortedDictionary<SessionId, Session>? _ownOf;
    private Session? _own;

    // Nobody can confirm a stamp that was not made yet.
    private Instant _newestStamp = new(long.MinValue);

    // The newest echo that counts on entries which are not applied here yet.
    private PeerBody.Echo? _early;

    public SessionHold Hold => _grace is { } grace && grace.Session == _ordinary.Session && grace.Until > _ordinary.Until
        ? _ordinary with { Until = grace.Until, UntilWithoutGrace = _ordinary.Until }
        : _ordinary;

    public bool HasGrace => _grace is { } grace && grace.Session == _ordinary.Session;

    /// <summary>
    /// The own disk does not answer. What this machine holds it goes on holding; but a session that it does not hold it cannot take up either, because it applies
    /// nothing, so it does not keep it from ending (a daemon that came back to a disk that had failed kept its service from everybody, seed 9027).
    /// </summary>
    public bool IsDiskStalled { get; set; }

    /// <summary>Rule 7: the session named is the one in the applied state; none asks the leader for one.</summary>
    public Stamp Stamp(ClusterState state, Instant now)
    {
        _newestStamp = now;
        var isKept = !IsDiskStalled || Hold.IsHeld(now);
        return new Stamp(isKept ? OwnSession(state)?.Id ?? SessionId.None : SessionId.None, incarnation, now);
    }

    /// <summary>True when the hold was prolonged. Echoes to another incarnation, or of a session that is not ours, are ignored (rule 3).</summary>
    public bool Echoed(PeerBody.Echo echo, ClusterState state)
    {
        if (echo.Incarnation != incarnation || echo.At > _newestStamp || OwnSession(state) is not { } session
            || session.Id != echo.Session || session.Lease != echo.Lease)
        {
            return false;
        }

        if (state.AppliedIndex < echo.Index)
        {
            // What a former incarnation of this daemon asked for (a Release of what it had stopped, say) may still be on its way through the log.
            _early = echo;
            return false;
        }

        var until = bug.Is(PlantedBug.NoGuard) ? echo.At + echo.Lease : LeaseTiming.HeldUntil(echo.At, echo.Lease);
        if (_ordinary.Session == echo.Session && until <= _ordinary.Until)
        {
            return false;
        }

        _ordinary = new SessionHold(echo.Session, until);
        return true;
    }

    /// <summary>
    /// From here on a grace of this id is this daemon's own. It counts from `askedAt`, a reading of this clock from before the command existed: whoever applies it
    /// does so later, and waits k·grace from then (rule 16).
    /// </summary>
    public void AskGrace(SessionId session, long id, Instant askedAt) => _asked = (session, id, askedAt);

    /// <summary>After entries were applied: a session that has ended is not held, whatever the clock says.</summary>
    public void StateApplied(ClusterState state, Instant now)
    {
        if (_ordinary.Session != SessionId.None && OwnSession(state)?.Id != _ordinary.Session)
        {
            _ordinary = SessionHold.None;
        }

        TakeGrace(state, now);

        if (_early is { } early && state.AppliedIndex >= early.Index)
        {
            _early = null;
            Echoed(early, state);
        }
    }

    // Rule 16: once the ordinary lease has lapsed, a grace comes too late: the leader may have decided to end the session before it saw the grace.
    private void TakeGrace(ClusterState state, Instant now)
    {
        if (_asked is not { } asked || OwnSession(state) is not { } session || session.Id != asked.Session || !session.Graces.TryGetValue(asked.Id, out var grace))
        {
            return;
        }

        _asked = null;
        if (_ordinary.Session == session.Id && (_ordinary.IsHeld(now) || bug.Is(PlantedBug.LateGraceTaken)))
        {
            _grace = (session.Id, (bug.Is(PlantedBug.GraceFromApplied) ? now : asked.AskedAt) + grace.Duration - LeaseTiming.GuardOf(session.Lease));
        }
    }

    /// <summary>A session of another store of the same machine is not ours: a wiped or cloned disk never takes one up.</summary>
    public Session? OwnSession(ClusterState state)
    {
        if (!ReferenceEquals(_ownOf, state.Sessions))
        {
            _own = state.SessionOf(self) is { } session && (session.Store == store || bug.Is(PlantedBug.SessionOfAnotherStore)) ? session : null;
            _ownOf = state.Sessions;
        }

        return _own;
    }
}
