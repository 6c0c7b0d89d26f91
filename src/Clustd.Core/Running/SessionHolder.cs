using Clustd.Core.Cluster;
using Clustd.Core.Raft;

namespace Clustd.Core.Running;

/// <summary>
/// The holder's side of the lease argument: makes stamps, takes their echoes, and knows until when this machine may act. Lost, late and
/// repeated echoes are harmless: each says only what a quorum confirmed about one instant of this machine's own clock.
/// </summary>
internal sealed class SessionHolder(MachineId self, StoreId store, ulong incarnation)
{
    // Nobody can confirm a stamp that was not made yet.
    private Instant _newestStamp = new(long.MinValue);

    // The newest echo that counts on entries which are not applied here yet.
    private PeerBody.Echo? _early;

    public SessionHold Hold { get; private set; } = SessionHold.None;

    /// <summary>Rule 7: the session named is the one in the applied state; none asks the leader for one.</summary>
    public Stamp Stamp(ClusterState state, Instant now)
    {
        _newestStamp = now;
        return new Stamp(OwnSession(state)?.Id ?? SessionId.None, incarnation, now);
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

        var until = LeaseTiming.HeldUntil(echo.At, echo.Lease);
        if (Hold.Session == echo.Session && until <= Hold.Until)
        {
            return false;
        }

        Hold = new SessionHold(echo.Session, until);
        return true;
    }

    /// <summary>After entries were applied: a session that has ended is not held, whatever the clock says.</summary>
    public void StateApplied(ClusterState state)
    {
        if (Hold.Session != SessionId.None && OwnSession(state)?.Id != Hold.Session)
        {
            Hold = SessionHold.None;
        }

        if (_early is { } early && state.AppliedIndex >= early.Index)
        {
            _early = null;
            Echoed(early, state);
        }
    }

    /// <summary>A session of another store of the same machine is not ours: a wiped or cloned disk never takes one up.</summary>
    public Session? OwnSession(ClusterState state) => state.SessionOf(self) is { } session && session.Store == store ? session : null;
}
