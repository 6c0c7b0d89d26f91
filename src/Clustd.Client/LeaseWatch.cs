namespace Clustd.Client;

/// <summary>What is due, see <see cref="LeaseWatch.Due"/>.</summary>
[Flags]
public enum LeaseDue
{
    /// <summary>Nothing.</summary>
    Nothing = 0,

    /// <summary>Send a renewal; its stamp is the <c>now</c> that was passed in, and is recorded.</summary>
    Renew = 1,

    /// <summary>The lease is over: stop everything at once. Said once per end.</summary>
    Over = 2,

    /// <summary>The daemon has not answered for too long: drop the connection and make another.</summary>
    Reconnect = 4,
}

/// <summary>When a driver renews its lease, when it is over, and when a silent daemon is given up. Pure, like <see cref="DriverLease"/>: runs in the simulator too.</summary>
public sealed class LeaseWatch
{
    private long? overReported; // The end that Over was said for.
    private bool connected;
    private long renewEvery;
    private long answerLimit;
    private long renewAt;
    private long renewedAt;

    /// <summary>The lease.</summary>
    public DriverLease Lease { get; } = new();

    /// <summary>How long after the end of the lease everything must be gone, as the daemon last said.</summary>
    public long KillTimeoutUs { get; private set; }

    /// <summary>A connection is registered: renew at once, then every <paramref name="renewEveryUs"/>.</summary>
    public void Connected(long leaseUs, long renewEveryUs, long killTimeoutUs, long now)
    {
        connected = true;
        renewEvery = renewEveryUs;
        // Half a lease: late enough to forgive a stalled daemon, early enough to reconnect before the lease is over.
        answerLimit = Math.Max(2 * renewEveryUs, leaseUs / 2);
        // A lease that lasts was given under the old limit, and others count on that: until it is over, a new limit can only be shorter.
        KillTimeoutUs = Lease.EndsAt is { } end && overReported != end ? Math.Min(KillTimeoutUs, killTimeoutUs) : killTimeoutUs;
        renewAt = now;
    }

    /// <summary>The connection is gone. The lease stays: a lost connection is not a stop.</summary>
    public void Disconnected()
    {
        connected = false;
        Lease.ConnectionLost();
    }

    /// <summary>Renew at the next chance: somebody waits for a lease.</summary>
    public void RenewSoon(long now) => renewAt = Math.Min(renewAt, now);

    /// <summary>What is due at <paramref name="now"/>, the driver's clock in microseconds.</summary>
    public LeaseDue Due(long now)
    {
        var due = LeaseDue.Nothing;
        if (Lease.EndsAt is { } end && now >= end && overReported != end)
        {
            overReported = end;
            due |= LeaseDue.Over;
        }
        if (!connected)
            return due;
        if (Lease.OldestUnanswered is { } asked && now - asked >= answerLimit)
            return due | LeaseDue.Reconnect;
        if (now >= RenewAt && Lease.Sent(now))
        {
            renewedAt = now;
            renewAt = now + renewEvery;
            due |= LeaseDue.Renew;
        }
        return due;
    }

    // While less than half a lease is left, eight times as often: the daemon may have just got a longer one, and must be asked before this one is over.
    // Left out, a service was restarted although its machine had never lost its session (7 days of packet loss in the simulator).
    private long RenewAt => Lease.EndsAt is { } end && overReported != end && end - renewedAt < 2 * renewEvery
        ? Math.Min(renewAt, renewedAt + (renewEvery / 8))
        : renewAt;

    /// <summary>When <see cref="Due"/> should be asked again, at the latest.</summary>
    public long NextAt()
    {
        var next = long.MaxValue;
        if (Lease.EndsAt is { } end && overReported != end)
            next = end;
        if (!connected)
            return next;
        if (Lease.OldestUnanswered is { } asked)
            next = Math.Min(next, asked + answerLimit);
        return Math.Min(next, RenewAt);
    }
}
