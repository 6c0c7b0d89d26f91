using System.Security.Cryptography;

namespace Clustd.Peers;

/// <summary>How a <see cref="PeerNetwork"/> behaves. The times are those of the transport; leases are not its business.</summary>
public sealed record PeerNetworkOptions
{
    /// <summary>Id of this machine.</summary>
    public required string Self { get; init; }

    /// <summary>Where the others reach this machine, <c>host:port</c> or a URL.</summary>
    public required string SelfAddress { get; init; }

    /// <summary>Where to look for the others: <c>ws://</c>, <c>wss://</c> or <c>host:port</c>. One's own is ignored.</summary>
    public required IReadOnlyList<string> Addresses { get; init; }

    public required ClusterIdentity Identity { get; init; }

    /// <summary>Tells this process from any other with the same id, a former one included.</summary>
    public ulong Incarnation { get; init; } = BitConverter.ToUInt64(RandomNumberGenerator.GetBytes(8));

    /// <summary>Largest single message. Snapshots go in chunks well below, so that they cannot hold up heartbeats.</summary>
    public int MessageBytesMax { get; init; } = 8 * 1024 * 1024;

    /// <summary>
    /// What may wait for one peer. Four of the largest messages: more means that it has not read for seconds, and then it is better
    /// served by a fresh connection and a snapshot than by a backlog of stale heartbeats.
    /// </summary>
    public int QueueBytesMax { get; init; } = 32 * 1024 * 1024;

    /// <summary>A connection on which nothing was heard for so long is dropped. Each side speaks at least four times as often.</summary>
    public TimeSpan SilenceMax { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>How long an existing connection has to prove that it lives when a newer one wants its place.</summary>
    public TimeSpan ProbeTimeout { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>Limit of each step of a dial: name, TCP, TLS with upgrade.</summary>
    public TimeSpan DialTimeout { get; init; } = TimeSpan.FromSeconds(2);

    /// <summary>Limit of the greeting. Both sides may have to probe an older connection meanwhile.</summary>
    public TimeSpan GreetingTimeout { get; init; } = TimeSpan.FromSeconds(5);

    public TimeSpan RedialMin { get; init; } = TimeSpan.FromMilliseconds(50);

    public TimeSpan RedialMax { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>Pause before the next dial after one side closed the connection on purpose.</summary>
    public TimeSpan ClosePause { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>TCP gives up when sent bytes stay unacknowledged for so long: a cut shows up before the silence does.</summary>
    public TimeSpan TcpUserTimeout { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>How long a connection may take to say goodbye when the network is disposed.</summary>
    public TimeSpan GoodbyeTimeout { get; init; } = TimeSpan.FromMilliseconds(250);
}
