namespace Clustd;

/// <summary>The latest durations of something that happens often. One thread adds; any thread may read, and sees a moment more or less.</summary>
internal sealed class DurationRing
{
    // At a 10 ms heartbeat the last ten seconds; a sort of it takes some 30 µs.
    private const int Capacity = 1024;

    private readonly long[] _microseconds = new long[Capacity];
    private long _count;
    private long _maximum;

    public void Add(TimeSpan duration)
    {
        var microseconds = (long)duration.TotalMicroseconds;
        Volatile.Write(ref _microseconds[_count % Capacity], microseconds);
        if (microseconds > _maximum)
        {
            Volatile.Write(ref _maximum, microseconds);
        }

        Volatile.Write(ref _count, _count + 1);
    }

    public DurationSummary Summarize()
    {
        var count = Volatile.Read(ref _count);
        var latest = new long[Math.Min(count, Capacity)];
        for (var i = 0; i < latest.Length; i++)
        {
            latest[i] = Volatile.Read(ref _microseconds[i]);
        }

        Array.Sort(latest);
        TimeSpan At(double share) => latest.Length == 0 ? TimeSpan.Zero : TimeSpan.FromMicroseconds(latest[(int)((latest.Length - 1) * share)]);
        return new DurationSummary(count, At(0.5), At(0.99), TimeSpan.FromMicroseconds(Volatile.Read(ref _maximum)));
    }
}

/// <summary>Count and Maximum are since the start, Median and Percentile99 over the latest 1024.</summary>
public sealed record DurationSummary(long Count, TimeSpan Median, TimeSpan Percentile99, TimeSpan Maximum);
