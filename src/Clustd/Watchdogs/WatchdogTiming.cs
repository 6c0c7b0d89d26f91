using Clustd.Core;

namespace Clustd.Watchdogs;

/// <summary>
/// The sums of a machine's watchdog, beside those of the lease: docs/decisions/0017-the-machines-watchdog.md has the argument. A feed at f is a promise that the machine
/// is reset by f + <see cref="Longest"/> unless it is fed again. What runs here must be gone by H + kill_timeout, where H is when this machine's hold on its session
/// ends. So it is fed only where the one comes before the other.
/// </summary>
internal readonly record struct WatchdogTiming(TimeSpan Timeout)
{
    /// <summary>No watchdog counts less: linux/watchdog.h has whole seconds.</summary>
    public static readonly TimeSpan TimeoutMin = TimeSpan.FromSeconds(1);

    /// <summary>More is of no use to anybody whose lease is long.</summary>
    public static readonly TimeSpan TimeoutMax = TimeSpan.FromSeconds(60);

    // Devices count in coarse steps (iTCO: 0.6 s) and by crystals of their own: a tenth late is late.
    private const double LatenessMax = 1.1;

    private const int FeedsPerTimeout = 8;

    // A stamp is seldom older than this, election included; an older one keeps the watchdog from being fed for a while, and that is no reset yet.
    private const double StampAgeMax = 0.25; // share of the lease

    /// <summary>Often: what the last feed came too early is taken from the time that a stop may take.</summary>
    public TimeSpan FeedEvery => Timeout / FeedsPerTimeout;

    /// <summary>The machine is reset by then for certain, counted from the last feed.</summary>
    public TimeSpan Longest => Timeout * LatenessMax;

    /// <summary>
    /// How long before what runs here must be gone the machine may already be reset, because a feed was early or the device is punctual. What has to be killed must be dead before that,
    /// or the machine goes with it.
    /// </summary>
    public TimeSpan Room => Longest - Timeout + FeedEvery;

    /// <summary>The longest whole number of seconds that fits this lease and kill_timeout; less than <see cref="TimeoutMin"/>: none does.</summary>
    public static TimeSpan LongestFor(TimeSpan lease, TimeSpan killTimeout)
    {
        var inTime = (Ordinary(lease) + killTimeout) / LatenessMax;
        var calm = killTimeout / 2 / (LatenessMax - 1 + (1.0 / FeedsPerTimeout));
        var longest = inTime < calm ? inTime : calm;
        // A hair over, for the sake of doubles: 0.45s / 2 / 0.225 must be a whole second.
        var whole = TimeSpan.FromSeconds(Math.Floor(longest.TotalSeconds + 1e-6));
        return whole < TimeoutMax ? whole : TimeoutMax;
    }

    /// <summary>The longest whole number of seconds after which a reset still comes within this.</summary>
    public static TimeSpan LongestWithin(TimeSpan left) => left > TimeSpan.Zero ? TimeSpan.FromSeconds(Math.Floor(left.TotalSeconds / LatenessMax)) : TimeSpan.Zero;

    /// <summary>
    /// The shortest kill_timeout with which this fits the lease. Shorter, it would not be fed although all is well, or the room would be more than half of kill_timeout: what stops in time
    /// after a lease that has lapsed would be too late for the watchdog.
    /// </summary>
    public TimeSpan KillTimeoutMin(TimeSpan lease)
    {
        var inTime = Longest - Ordinary(lease);
        var calm = Room * 2;
        return inTime > calm ? inTime : calm;
    }

    /// <summary>With a feed now the machine would still be reset before what runs under this hold must be gone.</summary>
    public bool MayFeed(Instant now, Instant heldUntil, TimeSpan killTimeout) => now + Longest <= heldUntil + killTimeout;

    private static TimeSpan Ordinary(TimeSpan lease) => lease - LeaseTiming.GuardOf(lease) - (lease * StampAgeMax);
}
