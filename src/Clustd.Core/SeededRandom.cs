namespace Clustd.Core;

/// <summary>
/// The core's only source of randomness: a seed comes in, the sequence is the same on every runtime for ever, so a simulation replays.
/// Source: SplitMix64, Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014.
/// </summary>
public sealed class SeededRandom(ulong seed)
{
    private ulong _state = seed;

    public ulong NextUInt64()
    {
        _state += 0x9E3779B97F4A7C15;
        var z = _state;
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
        return z ^ (z >> 31);
    }

    /// <summary>Uniform in [0, 1).</summary>
    public double NextDouble() => (NextUInt64() >> 11) * (1.0 / (1UL << 53));

    /// <summary>Uniform in [minimum, maximum), to the microsecond.</summary>
    public TimeSpan NextBetween(TimeSpan minimum, TimeSpan maximum) =>
        TimeSpan.FromMicroseconds(Math.Floor(minimum.TotalMicroseconds + (NextDouble() * (maximum - minimum).TotalMicroseconds)));

    /// <summary>Uniform in [0, exclusiveMaximum).</summary>
    public int NextInt(int exclusiveMaximum) => (int)(NextUInt64() % (ulong)exclusiveMaximum);
}
