using System.Collections.Immutable;
using Clustd.Core;
using Clustd.Core.Cluster;

namespace Clustd.Config;

/// <summary>A configuration in the words of the core.</summary>
public static class CoreSettings
{
    /// <param name="incarnation">Random per daemon start.</param>
    /// <param name="seed">Of all randomness in the core.</param>
    /// <param name="wallClockSeconds">The wall clock's Unix second at start.</param>
    public static MachineSettings ToMachineSettings(this ClustdConfig config, ulong incarnation, ulong seed, long wallClockSeconds) => new()
    {
        Self = new MachineId(config.Cluster.Id),
        Address = config.Server.RemoteAddress.ToString(),
        Addresses = [.. config.ClusterAddresses.Select(a => a.ToString())],
        Lease = config.Cluster.Lease,
        Witness = config.Cluster.Witness,
        RestartGrace = config.Cluster.RestartGrace,
        Services = config.Services is null ? default : [.. config.Services.Select(ToDefinition)],
        Drivers = [.. config.Drivers.Where(d => d.Required).Select(d => new ListedDriver(new DriverName(d.EffectiveName), new ServiceName(d.Service ?? ServiceConfig.DefaultName)))],
        Incarnation = incarnation,
        Seed = seed,
        WallClockSeconds = wallClockSeconds,
    };

    /// <summary>Lists without a meaning in their order are sorted: files that list the same things propose the same definition.</summary>
    public static ServiceDefinition ToDefinition(this ServiceConfig service) => new()
    {
        Name = new ServiceName(service.Name),
        StartTimeout = service.StartTimeout,
        StopTimeout = service.StopTimeout,
        KillTimeout = service.KillTimeout,
        Prefer = [.. service.Prefer.Select(id => new MachineId(id))],
        Machines = [.. service.Machines.Select(id => new MachineId(id)).Order()],
        Drivers = [.. service.Drivers.Select(name => new DriverName(name)).Order()],
        ApartFrom = [.. service.ApartFrom.Select(name => new ServiceName(name)).Order()],
        Failback = service.Failback,
        OnStopFailure = service.OnStopFailure == StopFailureAction.Takeover ? OnStopFailure.Takeover : OnStopFailure.Block,
        RequiresFencing = service.RequiresFencing,
        FencesOnStopFailure = service.OnStopFailure == StopFailureAction.Fence,
    };
}
