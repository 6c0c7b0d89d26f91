namespace Clustd.Client;

/// <summary>Until when this driver may act as master, as far as it knows.</summary>
/// <param name="EndsAtUs">
/// Instant on <see cref="DriverClock"/>, microseconds; null while no lease was ever granted. The clock is the same in every process of
/// this machine, so the instant may be handed to a child process.
/// </param>
/// <param name="KillTimeoutUs">How long after that instant everything must be gone, microseconds.</param>
public readonly record struct LeaseEnd(long? EndsAtUs, long KillTimeoutUs)
{
    /// <summary>Whether the lease is in effect at <paramref name="nowUs"/> (<see cref="DriverClock.NowUs"/>).</summary>
    public bool IsValid(long nowUs) => EndsAtUs is { } end && nowUs < end;
}
