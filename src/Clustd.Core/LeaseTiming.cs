namespace Clustd.Core;

/// <summary>
/// The sums of the lease argument, each with its proof in docs/guarantees.md. All results err to the safe side: what is waited for is
/// rounded up, what is handed out is rounded down, in µs.
/// </summary>
public sealed record LeaseTiming
{
    // ρ: each clock's rate is within 1 % of true time. k = (1+ρ)/(1−ρ) = 1.020202..., rounded up. 1+2ρ is too small: overlap was seen.
    private const long StretchNumerator = 10_203;
    private const long StretchDenominator = 10_000;

    public LeaseTiming(TimeSpan lease)
    {
        Lease = lease;
        Heartbeat = lease / 20;
        ElectionMinimum = lease * 0.15;
        ElectionMaximum = lease * 0.25;
        Guard = GuardOf(lease);
    }

    /// <summary>How long a confirmed stamp holds a session.</summary>
    public TimeSpan Lease { get; }

    /// <summary>Interval of a leader's rounds: lease/20.</summary>
    public TimeSpan Heartbeat { get; }

    /// <summary>Election timeouts are drawn from [0.15, 0.25) of the lease: short ones beat long ones, because a false election costs next to nothing (rule 9).</summary>
    public TimeSpan ElectionMinimum { get; }

    public TimeSpan ElectionMaximum { get; }

    /// <summary>What the holder gives up of its lease, to pay for the killer's own scheduling (rule 13).</summary>
    public TimeSpan Guard { get; }

    /// <summary>Delay between the ranks when a closed socket starts elections: the first rank usually wins before the second begins.</summary>
    public TimeSpan RankStagger => TimeSpan.FromMilliseconds(15);

    /// <summary>50 ms, or lease/8 for short leases.</summary>
    public static TimeSpan GuardOf(TimeSpan lease)
    {
        var eighth = lease / 8;
        var fixedGuard = TimeSpan.FromMilliseconds(50);
        return eighth < fixedGuard ? eighth : fixedGuard;
    }

    /// <summary>k·duration, rounded up to the next µs: what a waiter counts on its clock so that a holder's clock has certainly counted `duration`.</summary>
    public static TimeSpan Stretch(TimeSpan duration)
    {
        var microseconds = (duration.Ticks + TimeSpan.TicksPerMicrosecond - 1) / TimeSpan.TicksPerMicrosecond;
        return TimeSpan.FromMicroseconds(((microseconds * StretchNumerator) + StretchDenominator - 1) / StretchDenominator);
    }

    /// <summary>When the holder must have stopped acting, on the clock that made the stamp: stamp + lease − guard.</summary>
    public static Instant HeldUntil(Instant stamp, TimeSpan lease) => stamp + lease - GuardOf(lease);
}
