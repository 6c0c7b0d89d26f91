using System.Collections.Immutable;
using Clustd.Core.Cluster;
using Clustd.Core.Raft;

namespace Clustd.Core;

/// <summary>A driver that this machine's file lists: the machine is eligible for the service only while it is registered.</summary>
public sealed record ListedDriver(DriverName Name, ServiceName Service);

/// <summary>What a machine is told of itself at start; none of it changes while it runs.</summary>
public sealed record MachineSettings
{
    public required MachineId Self { get; init; }

    /// <summary>"host:port" under which others reach this machine.</summary>
    public required string Address { get; init; }

    /// <summary>Addresses of all machines, own one included, sorted ordinally.</summary>
    public required ImmutableArray<string> Addresses { get; init; }

    public required TimeSpan Lease { get; init; }

    public bool Witness { get; init; }

    /// <summary>How long its drivers may go on without this daemon when it restarts on purpose; at least the lease.</summary>
    public TimeSpan RestartGrace { get; init; } = TimeSpan.FromSeconds(15);

    /// <summary>Services the file names, sorted by name; default (not initialised) when it names none.</summary>
    public ImmutableArray<ServiceDefinition> Services { get; init; }

    /// <summary>The same as it travels: null when the file names none.</summary>
    public ImmutableArray<ServiceDefinition>? Proposal => Services.IsDefault ? null : Services;

    public ImmutableArray<ListedDriver> Drivers { get; init; } = [];

    /// <summary>Random per daemon start.</summary>
    public required ulong Incarnation { get; init; }

    /// <summary>Seed of all randomness in the core.</summary>
    public required ulong Seed { get; init; }

    /// <summary>The wall clock's Unix second at start: only ever used as the epoch if this machine forms a new cluster.</summary>
    public required long WallClockSeconds { get; init; }

    /// <summary>What this binary can do; a constant of the code, lower only in tests that play an older version.</summary>
    public int FeatureLevel { get; init; } = FeatureLevels.Own;

    /// <summary>Id of the one grace that this daemon may ask for; 53 bits, which JavaScript reads exactly.</summary>
    internal long GraceId => (long)(Incarnation & 0x1F_FFFF_FFFF_FFFF);

    /// <summary>A snapshot takes the place of the log's older half whenever it holds twice so many applied entries.</summary>
    public int SnapshotEvery { get; init; } = 1000;

    /// <summary>For tests only.</summary>
    internal PlantedBug PlantedBug { get; init; }

    /// <summary>For the simulator: in every so many-th step the services that are not due are looked at as well, and the process ends if anything comes of it. 0: never.</summary>
    internal int ChecksWhatIsOverlookedEvery { get; init; }
}

/// <summary>What the store held at start.</summary>
/// <param name="Store">Random identity of the store.</param>
/// <param name="HardState">Term and vote.</param>
/// <param name="Entries">The log behind the snapshot, contiguous.</param>
/// <param name="Snapshot">What all earlier entries amount to; null while the log is whole.</param>
public sealed record StoredState(StoreId Store, HardState HardState, ImmutableArray<LogEntry> Entries, ClusterState? Snapshot = null)
{
    /// <summary>Where the snapshot ends; index 0 without one.</summary>
    public LogPosition Base => Snapshot is { } snapshot ? snapshot.Position : default;

    /// <summary>Index of the last entry of all that was stored.</summary>
    public long LastIndex => Base.Index + Entries.Length;

    public static StoredState New(StoreId store) => new(store, HardState.Initial, []);
}
