using System.Globalization;

namespace Clustd.Core;

/// <summary>
/// A point on one machine's own clock, in µs since an arbitrary origin (boot). Instants of two machines, or of two boots, never compare.
/// The clock counts sleep and is not slewed: rule 1 of the lease argument.
/// </summary>
public readonly record struct Instant(long Microseconds) : IComparable<Instant>
{
    /// <summary>Later than every instant a clock will show: "never wake".</summary>
    public static readonly Instant Never = new(long.MaxValue);

    public static readonly Instant Origin = new(0);

    public static Instant operator +(Instant instant, TimeSpan duration) =>
        instant == Never ? Never : new(checked(instant.Microseconds + (duration.Ticks / TimeSpan.TicksPerMicrosecond)));

    public static Instant operator -(Instant instant, TimeSpan duration) =>
        instant == Never ? Never : new(checked(instant.Microseconds - (duration.Ticks / TimeSpan.TicksPerMicrosecond)));

    public static TimeSpan operator -(Instant left, Instant right) =>
        new(checked((left.Microseconds - right.Microseconds) * TimeSpan.TicksPerMicrosecond));

    public static bool operator <(Instant left, Instant right) => left.Microseconds < right.Microseconds;

    public static bool operator >(Instant left, Instant right) => left.Microseconds > right.Microseconds;

    public static bool operator <=(Instant left, Instant right) => left.Microseconds <= right.Microseconds;

    public static bool operator >=(Instant left, Instant right) => left.Microseconds >= right.Microseconds;

    public static Instant Min(Instant left, Instant right) => left < right ? left : right;

    public static Instant Max(Instant left, Instant right) => left > right ? left : right;

    public int CompareTo(Instant other) => Microseconds.CompareTo(other.Microseconds);

    public override string ToString() =>
        this == Never ? "never" : (Microseconds / 1_000_000m).ToString("0.000000", CultureInfo.InvariantCulture) + "s";
}
