using System.Collections.Immutable;
using Clustd.Core.Cluster;
using Clustd.Core.Raft;

namespace Clustd.Core;

/// <summary>One call of a driver. At most one per (driver, service) is under way.</summary>
/// <param name="Limit">How long the daemon waits for the answer.</param>
/// <param name="Kill">The lease is over: stop at once, order is a courtesy.</param>
public sealed record TriggerCall(ServiceName Service, bool IsMaster, Token Token, string Reason, long Sequence, TimeSpan Limit, bool Kill)
{
    /// <summary>Of a start: machines that may still run it, to be fenced before anything else starts. Only drivers that fence one of them act on it.</summary>
    public ImmutableArray<MachineId> TakesOverFrom { get; init; } = [];
}

/// <summary>How loud an event is.</summary>
public enum Severity
{
    Debug,
    Information,
    Warning,
    Error,
}

/// <summary>All that the core wants done. The daemon performs them in order.</summary>
public abstract record Output
{
    private Output()
    {
    }

    /// <summary>To be sent now: whatever the message depends on is durable. May be lost; nothing waits for it.</summary>
    public sealed record Send(MachineId To, PeerMessage Message) : Output;

    /// <summary>Say why and close the connection.</summary>
    public sealed record Disconnect(MachineId Machine, string Reason) : Output;

    /// <summary>
    /// Make durable, in order, and answer with <see cref="Input.Persisted"/>: first the truncation, then the snapshot (it takes the place of the former one and of
    /// all entries up to its applied index), then the entries, then term and vote, in one transaction.
    /// </summary>
    public sealed record Persist(long Sequence, HardState? HardState, long? TruncateFrom, ImmutableArray<LogEntry> Entries, ClusterState? Snapshot = null) : Output;

    /// <summary>Services: those it will be told about. KillTimeout is the longest it may take once the lease is over.</summary>
    public sealed record DriverAccepted(DriverConnection Connection, ImmutableArray<ServiceName> Services, TimeSpan Lease, TimeSpan KillTimeout) : Output;

    /// <summary>In three parts; the connection is then closed.</summary>
    public sealed record DriverRefused(DriverConnection Connection, string Reason) : Output;

    public sealed record Trigger(DriverConnection Connection, TriggerCall Call) : Output;

    /// <summary>The start under way is to be cancelled; its answer is still awaited.</summary>
    public sealed record CancelTrigger(DriverConnection Connection, ServiceName Service, long Sequence) : Output;

    /// <summary>
    /// The lease in effect is from the driver's stamp on; zero is none. Null: this daemon has just started and cannot tell yet, so the
    /// driver keeps what the former one gave it (a daemon that is back within the lease costs no failover, P5).
    /// </summary>
    public sealed record DriverLease(DriverConnection Connection, long Stamp, TimeSpan? Left) : Output
    {
        /// <summary>This lease takes the place of a longer one, which a daemon gave before it restarted.</summary>
        public bool Shortens { get; init; }
    }

    /// <summary>Index: this machine has applied all that was decided when the barrier was asked for. Null: that is not known, and Sentence says why, in three parts.</summary>
    public sealed record BarrierAnswered(string Id, long? Index, string Sentence) : Output;

    public sealed record RequestAnswered(string Id, RequestOutcome Outcome) : Output;

    /// <summary>
    /// For the log and the event history of this machine. Kind is a stable word like "session-held". Index: the log entry that it tells of, if any.
    /// </summary>
    public sealed record Noted(Severity Severity, string Kind, string Sentence, ServiceName? Service = null, long? Index = null) : Output;

    /// <summary>This machine's store is not what the cluster knows it to be; in three parts. The daemon must end: nothing that it says is heard any more.</summary>
    public sealed record StoreRefused(string Reason) : Output;

    /// <summary>The goodbye is complete: nothing runs here, the session has ended. The daemon may exit.</summary>
    public sealed record Departed : Output;

    /// <summary>The daemon may exit, to be started again: its drivers go on. HasGrace false: only for what is left of the ordinary lease.</summary>
    public sealed record ReadyToRestart(bool HasGrace) : Output;
}
