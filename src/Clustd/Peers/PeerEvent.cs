namespace Clustd.Peers;

/// <summary>
/// What the network between machines tells the daemon. For one machine the order is always connected, messages, lost; a
/// connection that replaces another says lost before it says connected.
/// </summary>
public abstract record PeerEvent
{
    private PeerEvent() { } // closed set: only the cases below

    /// <summary>The one connection of this pair is up.</summary>
    /// <param name="MachineId">Proven by its certificate.</param>
    /// <param name="Address">Where it says that it listens, <c>host:port</c>.</param>
    /// <param name="Incarnation">Random number of its process: another one means that it was restarted.</param>
    public sealed record PeerConnected(string MachineId, string Address, ulong Incarnation) : PeerEvent;

    /// <summary>The connection is gone; what was sent and not yet read may be lost.</summary>
    public sealed record PeerLost(string MachineId, string Reason) : PeerEvent;

    /// <summary>One message, whole, in the order sent within its class. The memory is the receiver's to keep.</summary>
    public sealed record PeerMessageReceived(string MachineId, ReadOnlyMemory<byte> Message) : PeerEvent;

    /// <summary>Dialling fails. Raised when the reason changes, not at each attempt.</summary>
    /// <param name="Reason">As in "10.0.0.2:3001 connection refused".</param>
    /// <param name="Advice">As in "open the port or start clustd there".</param>
    public sealed record PeerUnreachable(string Address, string Reason, string Advice) : PeerEvent;

    /// <summary>Somebody is there, and one of us will not have the other. At most once a minute for the same reason.</summary>
    /// <param name="Subject">Machine id if proven, else the address.</param>
    /// <param name="Reason">Three parts: what, why, what to do.</param>
    public sealed record PeerRefused(string Subject, string Reason) : PeerEvent;
}

public enum PeerState
{
    /// <summary>Not tried yet, or the attempt is under way for the first time.</summary>
    Dialling,
    Connected,
    Unreachable,
    Refused,

    /// <summary>The address is our own under another name.</summary>
    Self,
}

/// <summary>One line of what is known about another machine, for <c>status</c> and for "waiting for ...".</summary>
/// <param name="MachineId">Null while nobody has proven an id at this address.</param>
/// <param name="Since">When <paramref name="State"/> began; wall clock, for people.</param>
/// <param name="LastError">The last sentence about a failure; null if there was none since the last connection.</param>
public sealed record PeerView(string Address, string? MachineId, PeerState State, DateTimeOffset Since, string? LastError);
