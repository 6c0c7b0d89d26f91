using System.Net;
using Clustd.Peers;

namespace Clustd.Http;

/// <summary>The one port that serves machines, drivers and people.</summary>
public sealed record OnePortOptions
{
    /// <summary>An IP address, <c>0.0.0.0</c> and <c>::</c> included, or <c>localhost</c>.</summary>
    public required string BindAddress { get; init; }

    public required int Port { get; init; }

    /// <summary>Still under way when the host is built: certificates take as long as all the rest of the start.</summary>
    public required Task<ClusterIdentity> Identity { get; init; }

    /// <summary>What a connection has to send its first byte, and then to finish its TLS handshake.</summary>
    public TimeSpan OpeningTimeout { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>Told when a machine came whose cluster secret is not ours: its address, and its fingerprint. At most once a minute per address.</summary>
    public Action<IPAddress, string>? OnWrongSecret { get; init; }

    public TimeProvider Time { get; init; } = TimeProvider.System;
}
