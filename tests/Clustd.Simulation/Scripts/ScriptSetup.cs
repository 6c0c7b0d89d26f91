using System.Collections.Immutable;
using Clustd.Core;
using Clustd.Core.Cluster;

namespace Clustd.Simulation.Scripts;

/// <summary>What a script's first lines say of its world; all else is as by default, and nothing happens by chance but delays of a millisecond or so.</summary>
internal sealed record ScriptSetup
{
    public static readonly DriverPlan App = new(
        new DriverName("app"), new ServiceName("web"), Order: 0, Required: false, KillPromptness: 0.2, KillLateness: 0, Guarded: true, FailShare: 0, HangShare: 0);

    public ulong Seed { get; init; } = 1;

    /// <summary>All machines that the story knows, late comers included.</summary>
    public int Machines { get; init; } = 3;

    public TimeSpan Lease { get; init; } = TimeSpan.FromSeconds(2);

    public TimeSpan RestartGrace { get; init; } = TimeSpan.FromSeconds(15);

    public int SnapshotEvery { get; init; } = 1000;

    public ImmutableSortedSet<int> Witnesses { get; init; } = [];

    /// <summary>Machines that the first files do not name.</summary>
    public ImmutableSortedSet<int> Newcomers { get; init; } = [];

    /// <summary>Parts per million, by machine.</summary>
    public ImmutableSortedDictionary<int, int> Clocks { get; init; } = ImmutableSortedDictionary<int, int>.Empty;

    public ImmutableSortedDictionary<int, int> Versions { get; init; } = ImmutableSortedDictionary<int, int>.Empty;

    /// <summary>Machines whose file lists others than all that the story begins with.</summary>
    public ImmutableSortedDictionary<int, ImmutableArray<int>> Lists { get; init; } = ImmutableSortedDictionary<int, ImmutableArray<int>>.Empty;

    public ImmutableArray<ServiceDefinition> Services { get; init; } = [];

    public ImmutableArray<DriverPlan> Drivers { get; init; } = [];

    /// <summary>Those that the story begins with.</summary>
    public IEnumerable<int> First => Enumerable.Range(0, Machines).Where(index => !Newcomers.Contains(index));

    public static string NameOf(int machine) => $"cm-{machine + 1}";

    /// <summary>One service with one driver, if the script says nothing else.</summary>
    public ScriptSetup Complete => this with
    {
        Services = Services.IsEmpty ? [new ServiceDefinition { Name = App.Service }] : Services,
        Drivers = Drivers.IsEmpty ? [.. (Services.IsEmpty ? [App.Service] : Services.Select(service => service.Name)).Select(service => App with { Service = service, Name = NameFor(service) })] : Drivers,
    };

    /// <summary>What one daemon's file says of itself. Tokens count from 1: the epoch, which is a date, would only make them long.</summary>
    public MachineSettings Adjust(int machine, MachineSettings settings) => settings with
    {
        WallClockSeconds = 0,
        RestartGrace = RestartGrace,
        Addresses = [.. Listed(machine).Distinct().Select(index => $"{NameOf(index)}:3001").Order(StringComparer.Ordinal)],
    };

    public Scenario ToScenario()
    {
        var whole = Complete;
        return new Scenario
        {
            Seed = Seed,
            Machines = Machines,
            Lease = Lease,
            Services = [.. whole.Services.OrderBy(service => service.Name)],
            Drivers = whole.Drivers,
            ClockRates = [.. Enumerable.Range(0, Machines).Select(index => Clocks.GetValueOrDefault(index))],
            NetworkDelayMin = 500,
            NetworkDelayMax = 1_000,
            NetworkSpikeShare = 0,
            LossShare = 0,
            DiskDelayMin = 1_000,
            DiskDelayMax = 2_000,
            DiskSpikeShare = 0,
            StallMax = 0,
            StallShare = 0,
            JsonShare = 1,
            ChaosEnd = long.MaxValue / 4, // A script ends where its text does.
            FaultInterval = long.MaxValue / 4,
            Patterns = [],
            Extras = Versions.IsEmpty ? Extras.None
                : new Extras(HasReaders: false, HasDiskStalls: false, [.. Enumerable.Range(0, Machines).Select(index => Versions.GetValueOrDefault(index, FeatureLevels.Own))]),
            Witnesses = [.. Witnesses],
            SnapshotEvery = SnapshotEvery,
            Script = this,
        };
    }

    private IEnumerable<int> Listed(int machine) => [.. Lists.TryGetValue(machine, out var listed) ? listed : First, machine];

    private static DriverName NameFor(ServiceName service) => service == App.Service ? App.Name : new DriverName($"{service}-app");
}
