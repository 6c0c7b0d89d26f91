using System.Collections.Immutable;
using Clustd.Core.Cluster;
using Clustd.Core.Raft;

namespace Clustd.Core.Running;

/// <summary>What runs on this machine, and which driver is to be told what.</summary>
public sealed class LocalServices(MachineSettings settings, Instant startedAt)
{
    /// <summary>What this machine wants in the log until the applied state shows it. Saying it again is harmless.</summary>
    public IReadOnlyList<Command> Wanted { get; } = [];

    /// <summary>The earliest moment at which Reconcile must run again.</summary>
    public Instant WakeAt { get; } = startedAt;

    public MachineReport Report { get; } = new((long)(settings.Incarnation >> 33 << 32) | 1, false, [], settings.Services);

    /// <summary>Nothing runs or may run here under any token: all is released or proven stopped. True only after Leave.</summary>
    public bool IsEmpty { get; }

    public IReadOnlyList<LocalServiceView> View { get; } = [];

    public IReadOnlyList<DriverView> DriverViews { get; } = [];

    public void Registered(DriverConnection connection, DriverRegistration registration, Instant now)
    {
    }

    public void Lost(DriverConnection connection, Instant now)
    {
    }

    public void Answered(DriverConnection connection, ServiceName service, long sequence, string? error, Instant now)
    {
    }

    public void Renewed(DriverConnection connection, long stamp, Instant now)
    {
    }

    public void Stopped(DriverName name, string instance, ServiceName service, Token token, string reason, Instant now)
    {
    }

    public void Failed(DriverConnection connection, ServiceName service, Token token, string reason, Instant now)
    {
    }

    public void Leave(string reason, Instant now)
    {
    }

    public void Reconcile(ClusterState state, SessionHold hold, Instant now, List<Output> outputs)
    {
    }
}
