using Clustd.Client.Protocol;

namespace Clustd.Client.Running;

/// <summary>One call of user code, waiting or in flight, and everyone who waits for it. Guarded by the lock of its <see cref="ServiceTriggers"/>.</summary>
internal sealed class PendingCall(TriggerParams trigger, Action<RpcError?> reply) : IDisposable
{
    private const int RepliesMax = 16; // A daemon waits for one; more come only from a peer gone wrong, and must not fill memory.

    private readonly CancellationTokenSource cancellation = new();
    private readonly List<Action<RpcError?>> replies = [reply];

    public TriggerParams Trigger { get; private set; } = trigger;

    public bool IsMaster => Trigger.IsMaster;

    /// <summary>By the name of the latest trigger that it answers.</summary>
    public long Sequence => Trigger.Sequence;

    public bool Cancelled { get; set; }

    /// <summary>The lease was over before it could begin.</summary>
    public bool LacksLease { get; set; }

    /// <summary>User code runs, or is about to: from here on something may be running. Before, a start only waits for its lease.</summary>
    public bool HasBegun { get; set; }

    public CancellationToken Token => cancellation.Token;

    /// <summary>What the start is granted, or what is stopped was granted.</summary>
    public Lease? Lease { get; set; }

    /// <summary>Whether this call does what <paramref name="other"/> asks for. A planned stop is not the stop that cannot wait, and a cancelled call is none.</summary>
    public bool Joins(TriggerParams other) =>
        !Cancelled && other.IsMaster == IsMaster && other.Token == Trigger.Token && (Trigger.Kill || !other.Kill);

    public void Join(TriggerParams other, Action<RpcError?> reply)
    {
        Trigger = other with { Token = Math.Max(Trigger.Token, other.Token), Kill = Trigger.Kill || other.Kill };
        if (replies.Count == RepliesMax)
        {
            replies[0](RpcError.Of(DriverErrorCodes.TriggerSuperseded, "The same trigger was sent again, many times; the last ones are answered."));
            replies.RemoveAt(0);
        }
        replies.Add(reply);
    }

    public Trigger ToTrigger() =>
        new(Trigger.Service, Trigger.IsMaster, Trigger.Token, Trigger.Reason, TimeSpan.FromMicroseconds(Math.Clamp(Trigger.LimitUs, 0, long.MaxValue / 16)), Trigger.Kill)
        {
            Lease = Lease,
            TakesOverFrom = Trigger.TakesOverFrom ?? [],
        };

    public void Reply(RpcError? error)
    {
        foreach (var waiting in replies)
            waiting(error);
        replies.Clear();
    }

    /// <summary>Returns at once and runs no callback on this thread.</summary>
    public void CancelToken() => cancellation.CancelAsync().ContinueWith(
        static failed => _ = failed.Exception, // A callback of user code threw: the outcome of the call is what counts, and that is reported.
        CancellationToken.None, TaskContinuationOptions.OnlyOnFaulted, TaskScheduler.Default);

    public void Dispose() => cancellation.Dispose();
}
