namespace Clustd.Client;

/// <summary>
/// When the driver's lease ends, by its own clock. Pure: no I/O, time comes in, so the simulator runs it too.
/// The driver sends a stamp; the daemon answers how much of the machine's lease was left when it answered; the driver is safe until
/// stamp + left. It counts from when it ASKED, so however late the answer is read, the driver stops first (LEASE rule: the last hop).
/// </summary>
public sealed class DriverLease
{
    // More unanswered stamps than this and the connection is given up long before; the oldest are then forgotten, their answers ignored.
    private const int UnansweredMax = 64;

    private readonly List<long> unanswered = []; // Invariant: strictly ascending, all later than lastAnswered.
    private long lastSent = long.MinValue;
    private long lastAnswered = long.MinValue;

    /// <summary>End of the lease on the driver's clock, microseconds; null while none was ever granted. May lie in the past.</summary>
    public long? EndsAt { get; private set; }

    /// <summary>When the oldest stamp that is still unanswered was sent, or null.</summary>
    public long? OldestUnanswered => unanswered.Count > 0 ? unanswered[0] : null;

    /// <summary>Whether the driver may act as master at <paramref name="now"/>.</summary>
    public bool IsValid(long now) => EndsAt is { } end && now < end;

    /// <summary>What is left of the lease at <paramref name="now"/>, microseconds; 0: there is none. Goes out with every renewal.</summary>
    public long LeftAt(long now) => EndsAt is { } end && end > now ? end - now : 0;

    /// <summary>Records that <paramref name="stamp"/> goes out. False: it is not later than the one before, so it must not be sent.</summary>
    public bool Sent(long stamp)
    {
        if (stamp <= lastSent)
            return false;
        lastSent = stamp;
        if (unanswered.Count == UnansweredMax)
            unanswered.RemoveAt(0);
        unanswered.Add(stamp);
        return true;
    }

    /// <summary>
    /// Takes the answer to a stamp. <paramref name="leftUs"/>: what was left of the lease; 0: there is none, stop; null: the daemon cannot tell
    /// yet (it has just started), what was granted before stays. Answers to unknown or older stamps are ignored. The end never moves back, unless the daemon
    /// says that this lease takes the place of a longer one (<paramref name="shortens"/>: it is back from a restart that had a long lease, and is glad to
    /// know when the driver has an ordinary one again). True: the end changed.
    /// </summary>
    public bool Answered(long stamp, long? leftUs, long now, bool shortens = false)
    {
        var index = unanswered.IndexOf(stamp);
        if (index < 0 || stamp <= lastAnswered)
            return false;
        lastAnswered = stamp;
        unanswered.RemoveRange(0, index + 1);
        if (leftUs is not { } left)
            return false;
        if (left <= 0)
        {
            if (!IsValid(now))
                return false;
            EndsAt = now;
            return true;
        }
        var end = left > long.MaxValue - Math.Max(stamp, 0) ? long.MaxValue : stamp + left;
        if (EndsAt is { } before && (end == before || (end < before && !shortens)))
            return false; // A promise once made stays: an answer that was merely slow must not cost a moment of the lease.
        EndsAt = end;
        return true;
    }

    /// <summary>The connection is gone: what was asked on it will not be answered. The lease itself stays.</summary>
    public void ConnectionLost() => unanswered.Clear();
}
