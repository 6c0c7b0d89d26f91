using System.Collections.Immutable;
using Clustd.Core.Raft;

namespace Clustd.Core;

/// <summary>One connection of one driver to this daemon; never reused within an incarnation.</summary>
public readonly record struct DriverConnection(long Value) : IComparable<DriverConnection>
{
    public int CompareTo(DriverConnection other) => Value.CompareTo(other.Value);
}

/// <summary>
/// What a driver says of one service when it registers: what it may be running (master) or has stopped. Unsettled: it may be running, but a start or stop is
/// in flight or has failed, so nobody can say that it does.
/// </summary>
public readonly record struct DriverServiceState(ServiceName Service, bool IsMaster, Token Token, bool Unsettled = false);

/// <summary>What a driver says of itself when it registers. Services empty: it follows the default service (or the only one there is).</summary>
public sealed record DriverRegistration
{
    public required DriverName Name { get; init; }

    /// <summary>Random per driver process: a second instance of a name waits until the first is proven stopped or its lease is over.</summary>
    public required string Instance { get; init; }

    public ImmutableArray<ServiceName> Services { get; init; } = [];

    public int Order { get; init; }

    public bool Required { get; init; }

    /// <summary>True: `stop: certain`, what it runs is dead for sure when the lease is over. False: best-effort.</summary>
    public bool StopsForCertain { get; init; }

    /// <summary>Machines that it can fence: its start is complete when those of them that the trigger names are confirmed to be off.</summary>
    public ImmutableArray<MachineId> Fences { get; init; } = [];

    public TimeSpan? StopTimeout { get; init; }

    public TimeSpan? KillTimeout { get; init; }

    public ImmutableArray<DriverServiceState> States { get; init; } = [];
}

/// <summary>All that may enter the core. The daemon reads the clock after it has dequeued an input (rule 2).</summary>
public abstract record Input
{
    private Input()
    {
    }

    /// <summary>The wake-up that <see cref="MachineCore.WakeAt"/> asked for; harmless at any other time.</summary>
    public sealed record Tick : Input;

    public sealed record PeerConnected(MachineId Machine) : Input;

    /// <summary>The connection was closed: the other's process may be dead (or not; nothing unsafe follows from a false alarm).</summary>
    public sealed record PeerLost(MachineId Machine) : Input;

    public sealed record PeerSpoke(MachineId From, PeerMessage Message) : Input;

    /// <summary>All persists up to this sequence are durable.</summary>
    public sealed record Persisted(long Sequence) : Input;

    public sealed record DriverRegistered(DriverConnection Connection, DriverRegistration Registration) : Input;

    public sealed record DriverLost(DriverConnection Connection) : Input;

    /// <summary>The driver's answer to a trigger. Error null: acknowledged.</summary>
    public sealed record DriverAnswered(DriverConnection Connection, ServiceName Service, long Sequence, string? Error) : Input;

    /// <summary>The driver asks how long its lease is from its own stamp on.</summary>
    public sealed record DriverRenewed(DriverConnection Connection, long Stamp) : Input
    {
        /// <summary>What the driver counts to hold from its stamp on, whoever granted it; null: it does not say.</summary>
        public TimeSpan? Left { get; init; }
    }

    /// <summary>Proof, from a guard: nothing that this instance started for this service under this token (or before) is left.</summary>
    public sealed record DriverStopped(DriverName Name, string Instance, ServiceName Service, Token Token, string Reason) : Input;

    /// <summary>What ran under this token failed by itself and the driver has given up.</summary>
    public sealed record DriverFailed(DriverConnection Connection, ServiceName Service, Token Token, string Reason) : Input;

    public sealed record RequestMade(string Id, Request Request) : Input;

    /// <summary>A reader wants to see all that was decided before now: answered by <see cref="Output.BarrierAnswered"/>. The id is unique for ever.</summary>
    public sealed record BarrierRequested(string Id) : Input;

    /// <summary>Stop everything here in good order, release, leave. Answered by <see cref="Output.Departed"/>.</summary>
    public sealed record GoodbyeRequested(string Reason) : Input;

    /// <summary>
    /// This daemon ends in order to be started again: its drivers go on under one long lease, if a majority grants it. Answered by
    /// <see cref="Output.RequestAnswered"/> as soon as that is known, if Id is not null, and in any case by <see cref="Output.ReadyToRestart"/>.
    /// </summary>
    public sealed record RestartRequested(string Reason, string? Id = null) : Input;
}
