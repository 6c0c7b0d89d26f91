using Clustd.Drivers;
using System.Text;

namespace Clustd.Config;

/// <summary>What one machine was told by its file and its environment: checked, with every default filled in. Swapped whole on reload.</summary>
public sealed record ClustdConfig
{
    public required ServerConfig Server { get; init; }
    public required ClusterConfig Cluster { get; init; }

    /// <summary>Services that the file proposes, sorted by name. Null: the file names none, so this machine takes the cluster's.</summary>
    public IReadOnlyList<ServiceConfig>? Services { get; init; }

    /// <summary>Built-in drivers of this machine, in the order of the file.</summary>
    public IReadOnlyList<DriverOptions> Drivers { get; init; } = [];

    /// <summary>The device that resets this machine when nothing decides here any more. Null: none is used.</summary>
    public WatchdogConfig? Watchdog { get; init; }

    /// <summary>Full path of the file that this came from. Null: it came from text.</summary>
    public string? Path { get; init; }

    /// <summary>The services to propose when a cluster forms: those of the file or, without any, the 2018 "cluster master".</summary>
    public IReadOnlyList<ServiceConfig> ServicesOrDefault => Services ?? [ServiceConfig.Default];

    /// <summary>All machines of the cluster, this one included: normalised, without duplicates, in ordinal order of "host:port".</summary>
    public IReadOnlyList<MachineAddress> ClusterAddresses => ConfigHash.Members(this);

    /// <summary>SHA-256 (lower-case hex) of {lease, members}: must be the same on all machines before a cluster forms.</summary>
    public string ClusterHash => ConfigHash.OfCluster(this);

    /// <summary>SHA-256 (lower-case hex) of {services}: a proposal takes effect when all live machines have the same. Null: this machine proposes none.</summary>
    public string? ServicesHash => Services is null ? null : ConfigHash.OfServices(Services);
}

/// <summary>Where this machine listens and keeps its data.</summary>
public sealed record ServerConfig
{
    public string BindAddress { get; init; } = ConfigKeys.BindAddress.Default!;
    public int BindPort { get; init; } = (int)ConfigKeys.BindPort.Default!.Value;

    /// <summary>Where the other machines reach this one.</summary>
    public required MachineAddress RemoteAddress { get; init; }

    /// <summary>Full path of the folder of state.db. Loading a configuration does not create it.</summary>
    public required string DataDirectory { get; init; }

    /// <summary>Drivers of 2018 may come in, over loopback.</summary>
    public bool LegacyDrivers { get; init; }
}

/// <summary>The cluster, and this machine's place in it.</summary>
public sealed record ClusterConfig
{
    /// <summary>The secret itself: `file:` and `credential:` have been read.</summary>
    public required string Secret { get; init; }

    /// <summary>Valid beside <see cref="Secret"/> while a rotation is under way.</summary>
    public string? OldSecret { get; init; }

    public required string Id { get; init; }

    /// <summary>The OTHER machines, in the order of the file: one's own address has been taken out.</summary>
    public IReadOnlyList<MachineAddress> Machines { get; init; } = [];

    public TimeSpan Lease { get; init; } = ConfigKeys.Lease.Default;

    /// <summary>This machine votes and runs nothing.</summary>
    public bool Witness { get; init; }

    public TimeSpan RestartGrace { get; init; } = ConfigKeys.RestartGrace.Default;

    // A record prints its members; a secret must not reach a log that way.
    private bool PrintMembers(StringBuilder text)
    {
        text.Append($"Id = {Id}, Machines = [{string.Join(", ", Machines)}], Lease = {Lease}, Witness = {Witness}, RestartGrace = {RestartGrace}, Secret = (hidden)");
        return true;
    }
}

/// <summary>The watchdog of the machine.</summary>
/// <param name="Device">Full path, "/dev/watchdog".</param>
/// <param name="Timeout">Whole seconds.</param>
public sealed record WatchdogConfig(string Device, TimeSpan Timeout);

/// <summary>Something of which exactly one copy is active.</summary>
public sealed record ServiceConfig
{
    public const string DefaultName = "default";

    /// <summary>The one service of a cluster whose files name none.</summary>
    public static ServiceConfig Default { get; } = new() { Name = DefaultName };

    public required string Name { get; init; }
    public TimeSpan StartTimeout { get; init; } = ConfigKeys.StartTimeout.Default;

    /// <summary>For the whole chain of drivers, while the lease lives (a planned stop).</summary>
    public TimeSpan StopTimeout { get; init; } = ConfigKeys.StopTimeout.Default;

    /// <summary>For the whole chain of drivers, once the lease is over; part of the failover bound.</summary>
    public TimeSpan KillTimeout { get; init; } = ConfigKeys.KillTimeout.Default;

    /// <summary>Machine ids, the most wanted first.</summary>
    public IReadOnlyList<string> Prefer { get; init; } = [];

    /// <summary>Move back to a preferred machine as soon as it can run the service.</summary>
    public bool Failback { get; init; }

    /// <summary>Names of services that must not share a machine with this one.</summary>
    public IReadOnlyList<string> ApartFrom { get; init; } = [];

    /// <summary>Names of drivers that must be connected on a machine before it can run the service. Empty: none is named.</summary>
    public IReadOnlyList<string> Drivers { get; init; } = [];

    /// <summary>Ids of the machines that may run the service. Empty: all.</summary>
    public IReadOnlyList<string> Machines { get; init; } = [];

    public StopFailureAction OnStopFailure { get; init; } = StopFailureAction.Block;

    /// <summary>Nothing starts elsewhere before a machine that was lost as the master is fenced.</summary>
    public bool RequiresFencing { get; init; }
}

/// <summary>What happens to a service whose stop failed where killing is not certain.</summary>
public enum StopFailureAction
{
    /// <summary>Nobody takes over while that machine's session lives.</summary>
    Block,

    /// <summary>The next machine takes over although the old one may still run something.</summary>
    Takeover,

    /// <summary>The next machine fences it first. Only with <see cref="ServiceConfig.RequiresFencing"/>.</summary>
    Fence,
}
