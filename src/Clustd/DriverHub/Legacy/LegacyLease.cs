namespace Clustd.Hub.Legacy;

/// <summary>
/// The lease of a driver that knows none: asked for and watched here. Counted from when it was asked for, like any driver's, so that it ends before the
/// loop counts it as ended, also when the loop stands still and says nothing.
/// </summary>
/// <param name="time">Need not count the time that the machine sleeps: the loop's clock does, and it tells every driver to stop when it wakes.</param>
/// <param name="ask">Hands a renewal with this stamp to the loop.</param>
/// <param name="isOver">Called from a timer when the end has come and no answer moved it.</param>
internal sealed class LegacyLease : IDisposable
{
    private readonly TimeProvider _time;
    private readonly Action<long> _ask;
    private readonly Action _isOver;
    private readonly ITimer _renewal;
    private readonly ITimer _end;
    private readonly Lock _gate = new();
    private long _lastStamp;
    private long _lastAnswered;
    private long? _endsAtUs;

    public LegacyLease(TimeProvider time, Action<long> ask, Action isOver)
    {
        (_time, _ask, _isOver) = (time, ask, isOver);
        _renewal = time.CreateTimer(_ => Renew(), null, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
        _end = time.CreateTimer(_ => EndReached(), null, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
    }

    public bool IsHeld
    {
        get
        {
            lock (_gate)
            {
                return _endsAtUs is { } end && NowUs < end;
            }
        }
    }

    private long NowUs => (long)(_time.GetTimestamp() * (1_000_000.0 / _time.TimestampFrequency));

    /// <summary>Asks at once, and then again and again.</summary>
    public void Begin(TimeSpan every)
    {
        _renewal.Change(every, every);
        Renew();
    }

    public void Renew()
    {
        long stamp;
        lock (_gate)
        {
            // Each its own, and growing, however coarse the clock.
            stamp = _lastStamp = Math.Max(_lastStamp + 1, NowUs);
        }

        _ask(stamp);
    }

    /// <summary>The loop's answer. `left` null: it cannot tell yet, and what was granted stays. False when it changes nothing.</summary>
    public bool Take(long stamp, TimeSpan? left)
    {
        lock (_gate)
        {
            if (left is not { } granted || stamp <= _lastAnswered)
            {
                return false;
            }

            _lastAnswered = stamp;
            _endsAtUs = stamp + (granted.Ticks / TimeSpan.TicksPerMicrosecond);
            Watch();
            return true;
        }
    }

    public void Dispose()
    {
        _renewal.Dispose();
        _end.Dispose();
    }

    private void EndReached()
    {
        lock (_gate)
        {
            if (_endsAtUs is not { } end)
            {
                return;
            }

            if (NowUs < end)
            {
                Watch(); // Moved meanwhile, or the timer was early.
                return;
            }
        }

        _isOver();
    }

    private void Watch()
    {
        var left = _endsAtUs!.Value - NowUs;
        _end.Change(left > 0 ? TimeSpan.FromMilliseconds(Math.Ceiling(left / 1_000.0)) : Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
    }
}
