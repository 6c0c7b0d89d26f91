namespace Clustd.Guard;

/// <summary>What the guard must do to its processes now.</summary>
internal enum KillStep { None, Terminate, Kill }

/// <summary>
/// When the app must go, and how hard. Pure: instants in µs on the machine's clock come in, a step comes out. Three things can end
/// an app: an order, the end of the lease, the death of the driver; the earliest KILL of all that apply is the one that counts.
/// </summary>
/// <param name="killTimeoutMicros">How long after the end of the lease everything must be seen gone.</param>
/// <param name="leaseEnd">Until when the app may run.</param>
internal sealed class KillSchedule(long killTimeoutMicros, long leaseEnd)
{
    // KILL goes out this much before the end, because the end binds what is SEEN gone: dying, reaping and looking take time too.
    private const long SeenGoneMarginMax = 100_000;

    private long _leaseEnd = leaseEnd;
    private long _killAt = long.MaxValue;
    private bool _termSent;
    private bool _leaseOver;

    /// <summary>Why the app is being ended; null while it may run.</summary>
    public string? Reason { get; private set; }

    public bool IsEnding => Reason is not null;

    /// <summary>
    /// The newest word about the lease; it may be a shorter one (the daemon said: over). A longer one does not bring back an app whose lease
    /// was once seen to be over: its processes were told to end.
    /// </summary>
    public void Renew(long leaseEnd)
    {
        if (!_leaseOver) _leaseEnd = leaseEnd;
    }

    /// <summary>End it: TERM now, KILL in time for everything to be seen gone at <paramref name="limit"/>.</summary>
    public void End(long now, long limit, string reason)
    {
        Reason ??= reason;
        long left = Math.Max(0, limit - now);
        _killAt = Math.Min(_killAt, now + left - Margin(left));
    }

    /// <summary>End it within the kill timeout from now: the driver says so, or is dead.</summary>
    public void EndSoon(long now, string reason) => End(now, Add(now, killTimeoutMicros), reason);

    /// <summary>
    /// The step that is due at <paramref name="now"/>, which must have been read after the last message was taken in: a lease that
    /// arrived while this process was frozen counts, one that ran out meanwhile does too.
    /// </summary>
    public KillStep Step(long now)
    {
        if (now >= _leaseEnd)
        {
            if (!_leaseOver)
            {
                _leaseOver = true;
                Reason ??= "the lease is over";
                _killAt = Math.Min(_killAt, LeaseKillAt);
                // Noticed so late that this process must have been frozen: no courtesy, KILL at once.
                if (now - _leaseEnd > Margin(killTimeoutMicros)) _killAt = now;
            }
        }
        if (now >= _killAt) return KillStep.Kill;
        if (!IsEnding || _termSent) return KillStep.None;
        _termSent = true;
        return KillStep.Terminate;
    }

    /// <summary>When the next step is due, if nothing else happens.</summary>
    public long NextStepAt => Math.Min(_leaseOver ? long.MaxValue : _leaseEnd, _killAt);

    private long LeaseKillAt => Add(_leaseEnd, killTimeoutMicros - Margin(killTimeoutMicros));

    private static long Margin(long limitMicros) => Math.Min(SeenGoneMarginMax, limitMicros / 4);

    private static long Add(long instant, long micros) => instant > long.MaxValue - micros ? long.MaxValue : instant + micros;
}
