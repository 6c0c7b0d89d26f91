namespace Clustd.Client;

/// <summary>
/// What a start was granted: the right to act as master of one service, for as long as <see cref="IsValid"/> says so. Every start gets a new one, also when
/// the token is the same. May be read from any thread, as often as wanted: no lock is taken.
/// </summary>
/// <remarks>
/// The driver asks for the lease by its own clock and counts from when it asked, so however late the answer is read, it stops before anybody else may
/// start. What no lease can do is to reach into the gap between a check and the act that follows it: a process frozen there (SIGSTOP, a suspended machine, a
/// long pause of the garbage collector) acts late, once. Hand <see cref="Token"/> to the resources you write to, and let them refuse an older one.
/// </remarks>
public sealed class Lease
{
    // Never disposed: whoever holds the lease may ask for the token at any time, and a source without a timer holds nothing but memory.
    private readonly CancellationTokenSource ending = new();
    private readonly Func<long> endsAtUs;
    private readonly Func<long> nowUs;
    private volatile bool isOver;

    /// <param name="service">The service.</param>
    /// <param name="token">Fencing token of the grant.</param>
    /// <param name="endsAtUs">End of the driver's lease on its clock, microseconds; <see cref="long.MinValue"/> while there is none.</param>
    /// <param name="nowUs">The driver's clock, microseconds.</param>
    internal Lease(string service, long token, Func<long> endsAtUs, Func<long> nowUs)
    {
        Service = service;
        Token = token;
        this.endsAtUs = endsAtUs;
        this.nowUs = nowUs;
    }

    /// <summary>The service that may be acted for.</summary>
    public string Service { get; }

    /// <summary>Fencing token of the grant: grows with every grant of the service and is never reused.</summary>
    public long Token { get; }

    /// <summary>
    /// Whether the driver may act as master now, by the clock at this very moment: true until the lease ends, a stop that cannot wait is ordered, or a stop has
    /// succeeded. A planned stop leaves it true while it is carried out, so that work in hand can be finished.
    /// </summary>
    public bool IsValid => RemainingUs > 0;

    /// <summary>How much is left unless it is renewed; zero when nothing is. It is renewed several times a second, so this is mostly close to the whole lease.</summary>
    public TimeSpan Remaining => TimeSpan.FromMicroseconds(RemainingUs);

    /// <summary>
    /// Cancelled when the driver is to stop: the lease is over, the service moves, the start was given up or has failed, the driver shuts down. It stays
    /// cancelled. Callbacks run on the thread pool.
    /// </summary>
    public CancellationToken CancellationToken => ending.Token;

    // What ended it is looked at last, the clock before that: whatever happens meanwhile makes the answer smaller.
    private long RemainingUs
    {
        get
        {
            var end = endsAtUs();
            var now = nowUs();
            return isOver || end <= now ? 0 : Math.Min(end - now, long.MaxValue / 16);
        }
    }

    /// <summary>What was started is to stop. Returns at once, and runs no code of others on this thread.</summary>
    internal void Stop() => ending.CancelAsync().ContinueWith(
        static failed => _ = failed.Exception, // A callback of user code threw: it had its chance, and the stop follows whatever it does.
        CancellationToken.None, TaskContinuationOptions.OnlyOnFaulted, TaskScheduler.Default);

    /// <summary>Nothing may be done under it any more, for good.</summary>
    internal void End()
    {
        isOver = true;
        Stop();
    }
}
