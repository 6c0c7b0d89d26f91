namespace Clustd;

/// <summary>Durations of something that happens often, over the last minute. One thread adds; any thread may read, and sees a moment more or less.</summary>
internal sealed class RecentDurations
{
    /// <summary>How far back a summary looks.</summary>
    public static readonly TimeSpan Window = TimeSpan.FromMinutes(1);

    // A minute at the shortest lease (heartbeats every 5 ms) is 12,000; at the default 1,200. What is lost of a longer row is its beginning.
    private const int Capacity = 8192;

    private readonly uint[] _microseconds = new uint[Capacity];
    private readonly uint[] _milliseconds = new uint[Capacity]; // when; wraps after 49 days, which differences do not mind
    private long _count;

    /// <param name="at">On any clock that only goes forward; the same one for <see cref="Summarize"/>.</param>
    public void Add(TimeSpan duration, TimeSpan at)
    {
        var place = _count % Capacity;
        Volatile.Write(ref _microseconds[place], (uint)Math.Clamp(duration.TotalMicroseconds, 0, uint.MaxValue));
        Volatile.Write(ref _milliseconds[place], Milliseconds(at));
        Volatile.Write(ref _count, _count + 1);
    }

    public RecentSummary Summarize(TimeSpan now)
    {
        var kept = Math.Min(Volatile.Read(ref _count), Capacity);
        var recent = new List<uint>((int)kept);
        for (var i = 0; i < kept; i++)
        {
            if (unchecked(Milliseconds(now) - Volatile.Read(ref _milliseconds[i])) <= Window.TotalMilliseconds) recent.Add(Volatile.Read(ref _microseconds[i]));
        }

        if (recent.Count == 0) return new RecentSummary(0, TimeSpan.Zero, TimeSpan.Zero);
        recent.Sort();
        return new RecentSummary(recent.Count, TimeSpan.FromMicroseconds(recent[(int)Math.Ceiling(recent.Count * 0.99) - 1]), TimeSpan.FromMicroseconds(recent[^1]));
    }

    private static uint Milliseconds(TimeSpan at) => unchecked((uint)(long)at.TotalMilliseconds);
}

/// <summary>Over the last minute. Percentile99: 99 of 100 took no longer.</summary>
public sealed record RecentSummary(int Count, TimeSpan Percentile99, TimeSpan Maximum);
