using System.Collections.Immutable;

namespace Clustd.Core.Running;

/// <summary>What this machine does with one service just now.</summary>
public enum LocalPhase
{
    Standby,

    /// <summary>Assigned here, but something of an earlier run is not yet proven stopped.</summary>
    WaitingForLeaseEnd,
    Promoting,
    Running,
    Demoting,

    /// <summary>A stop failed and nothing proves that it is over.</summary>
    Stuck,
}

/// <summary>One service as this machine sees its own part in it. Token is None when nothing runs or may run here.</summary>
public sealed record LocalServiceView(ServiceName Service, LocalPhase Phase, Token Token, string Reason);

/// <summary>One instance of a driver that this machine knows of. IsActive: the one of its name that may be told to start.</summary>
public sealed record DriverView(
    DriverName Name,
    string Instance,
    ImmutableArray<ServiceName> Services,
    bool IsConnected,
    bool IsActive,
    bool IsRequired,
    bool StopsForCertain,
    string? LastError);
