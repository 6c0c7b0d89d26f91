namespace Clustd.Client.Testing;

/// <summary>
/// A clock that stands still until the test moves it. Its timers fire while it is moved, on the thread that moves it, in order; so a driver that waits by
/// <c>Task.Delay(time, clock)</c> is under the test's control as well. Safe to use from any thread.
/// </summary>
public sealed class FakeClock : TimeProvider
{
    private readonly object gate = new();
    private readonly List<FakeTimer> timers = [];
    private long now = TimeSpan.TicksPerHour; // Not zero: what takes "never" for zero is to be noticed.

    /// <inheritdoc/>
    public override long TimestampFrequency => TimeSpan.TicksPerSecond;

    /// <summary>The clock in microseconds, as the driver protocol counts.</summary>
    public long NowUs => GetTimestamp() / TimeSpan.TicksPerMicrosecond;

    /// <inheritdoc/>
    public override long GetTimestamp() => Interlocked.Read(ref now);

    /// <summary>Begins at the start of the year 2000 and moves with the clock.</summary>
    public override DateTimeOffset GetUtcNow() => new DateTimeOffset(2000, 1, 1, 0, 0, 0, TimeSpan.Zero).AddTicks(GetTimestamp());

    /// <summary>Moves the clock.</summary>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="time"/> is negative.</exception>
    public void Advance(TimeSpan time)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(time, TimeSpan.Zero);
        AdvanceTo(GetTimestamp() + time.Ticks);
    }

    /// <inheritdoc/>
    public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
    {
        var timer = new FakeTimer(this, () => callback(state));
        timer.Change(dueTime, period);
        return timer;
    }

    internal void AdvanceToUs(long us) => AdvanceTo(us * TimeSpan.TicksPerMicrosecond);

    private void AdvanceTo(long end)
    {
        while (true)
        {
            FakeTimer? due;
            lock (gate)
            {
                due = timers.Where(timer => timer.DueAt <= end).MinBy(timer => timer.DueAt);
                Interlocked.Exchange(ref now, Math.Max(GetTimestamp(), due?.DueAt ?? end));
                due?.Fired();
            }
            if (due is null)
                return;
            due.Run(); // Not under the lock: it may set timers.
        }
    }

    private sealed class FakeTimer(FakeClock clock, Action run) : ITimer
    {
        private TimeSpan period;

        public long DueAt { get; private set; }

        public Action Run => run;

        public bool Change(TimeSpan dueTime, TimeSpan period)
        {
            lock (clock.gate)
            {
                clock.timers.Remove(this);
                this.period = period;
                DueAt = clock.GetTimestamp() + dueTime.Ticks;
                if (dueTime >= TimeSpan.Zero) // Timeout.InfiniteTimeSpan: never.
                    clock.timers.Add(this);
            }
            return true;
        }

        public void Fired()
        {
            if (period > TimeSpan.Zero)
                DueAt += period.Ticks;
            else
                clock.timers.Remove(this);
        }

        public void Dispose()
        {
            lock (clock.gate)
                clock.timers.Remove(this);
        }

        public ValueTask DisposeAsync()
        {
            Dispose();
            return ValueTask.CompletedTask;
        }
    }
}
