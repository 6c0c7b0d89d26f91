using System.Collections.Immutable;
using Clustd.Core;
using Clustd.Core.Cluster;
using Clustd.Simulation.Scripts;

namespace Clustd.Simulation;

/// <summary>One driver as every machine's file lists it.</summary>
/// <param name="KillPromptness">Share of kill_timeout that it uses up after the end of its lease: 1 is the last permitted instant.</param>
/// <param name="KillLateness">Share of the guard that its killer is late by besides: the guard is there to pay for exactly this.</param>
/// <param name="Guarded">Its app is held by a guard that survives the driver process, kills the app and proves it.</param>
internal sealed record DriverPlan(
    DriverName Name, ServiceName Service, int Order, bool Required, double KillPromptness, double KillLateness, bool Guarded, double FailShare, double HangShare)
{
    /// <summary>False: `stop: best-effort`, as start and stop scripts have it.</summary>
    public bool StopsForCertain { get; init; } = true;

    /// <summary>It runs nothing: its start turns off those whom the service is taken over from.</summary>
    public bool IsFence { get; init; }

    /// <summary>False: it connects all the same, but no machine's file lists it, so no machine waits for it.</summary>
    public bool IsListed { get; init; } = true;
}

/// <summary>All that one seed decides before the first event. Times are µs of true time unless the type says otherwise.</summary>
internal sealed record Scenario
{
    public required ulong Seed { get; init; }

    public required int Machines { get; init; }

    public required TimeSpan Lease { get; init; }

    public required ImmutableArray<ServiceDefinition> Services { get; init; }

    public required ImmutableArray<DriverPlan> Drivers { get; init; }

    /// <summary>Clock rates of the machines, parts per million off.</summary>
    public required ImmutableArray<int> ClockRates { get; init; }

    public required long NetworkDelayMin { get; init; }

    public required long NetworkDelayMax { get; init; }

    public required double NetworkSpikeShare { get; init; }

    /// <summary>Share of sends that get lost on a living connection: the contract permits it.</summary>
    public required double LossShare { get; init; }

    public required long DiskDelayMin { get; init; }

    public required long DiskDelayMax { get; init; }

    public required double DiskSpikeShare { get; init; }

    /// <summary>Longest stall of a loop, and how often one precedes a step.</summary>
    public required long StallMax { get; init; }

    public required double StallShare { get; init; }

    /// <summary>Share of messages and log entries that go through their JSON.</summary>
    public required double JsonShare { get; init; }

    public required long ChaosEnd { get; init; }

    /// <summary>Mean time between the beginnings of faults.</summary>
    public required long FaultInterval { get; init; }

    /// <summary>Names of the fault patterns of this seed.</summary>
    public required ImmutableArray<string> Patterns { get; init; }

    /// <summary>Names of the patterns of restarts on purpose; empty: nobody restarts.</summary>
    public ImmutableArray<string> RestartPatterns { get; init; } = [];

    /// <summary>Lengths of the restart graces that daemons are started with.</summary>
    public ImmutableArray<TimeSpan> RestartGraces { get; init; } = [];

    /// <summary>Not empty: a campaign, several times of faults with quiet ones in between. Empty: one time of faults, from the beginning to <see cref="ChaosEnd"/>.</summary>
    public ImmutableArray<Phase> Phases { get; init; } = [];

    public bool IsCampaign => !Phases.IsEmpty;

    /// <summary>Campaigns: when it is over. Other runs end when the quiet tail has been judged.</summary>
    public long Length { get; init; }

    /// <summary>Machines, by index, that vote and run nothing.</summary>
    public ImmutableArray<int> Witnesses { get; init; } = [];

    /// <summary>By how much each machine's wall clock is off at first, seconds; default: not at all.</summary>
    public ImmutableArray<long> WallClockErrors { get; init; }

    /// <summary>The number of machines that was asked for; null: the seed decided.</summary>
    public int? ForcedMachines { get; init; }

    /// <summary>Numbers of the only strikes that are to be made; null: all of them.</summary>
    public IReadOnlySet<string>? OnlyStrikes { get; init; }

    public PlantedBug Bug { get; init; }

    public Extras Extras { get; init; } = Extras.None;

    /// <summary>Not null: a long quiet run instead of faults.</summary>
    public SoakPlan? Soak { get; init; }

    /// <summary>Not null: a script decides what happens, and when.</summary>
    public ScriptSetup? Script { get; init; }

    /// <summary>Applied entries between two snapshots.</summary>
    public int SnapshotEvery { get; init; } = 1000;

    /// <summary>Local services that are not due are looked at as well, in every so many-th step of a machine, and nothing may come of it. 0: never.</summary>
    public int ChecksWhatIsOverlookedEvery { get; init; } = OverlookedEvery;

    /// <summary>Every driver is started twice on every machine, under one name.</summary>
    public bool HasDoubles { get; init; }

    /// <summary>P4 and P5 are judged too, not only what must never happen.</summary>
    public bool JudgesLiveness { get; init; } = true;

    /// <summary>What is overlooked stays so until something else happens to it: it need not be looked for in every single step.</summary>
    private const int OverlookedEvery = 16;

    public long LeaseMicroseconds => (long)Lease.TotalMicroseconds;

    public TimeSpan LongestKill => Services.Max(service => service.KillTimeout);

    /// <summary>Lease and kill_timeout on a slow clock, twice stretched: what P4 promises before elections and commits.</summary>
    public long LeasePart => (long)(LeaseTiming.Stretch(LeaseTiming.Stretch(Lease + LongestKill)).TotalMicroseconds * 1.0102);

    /// <summary>
    /// What P4 adds openly: elections with splits (three timeouts of lease/4), reconnecting (the simulator dials every lease/10 at
    /// most), a driver coming back, four commits on a slow disk, starting two drivers in order, stalls on the way. With disks that stall: half a lease until
    /// the leader notices, a quarter until it steps down, and another election.
    /// </summary>
    public long Slack =>
        (LeaseMicroseconds * 3 / 4) + (Extras.HasDiskStalls ? LeaseMicroseconds : 0) + (4 * (StallMax + (2 * NetworkDelayMax) + (2 * DiskDelayMax * 7))) + ((2 + Drivers.Count(driver => driver.IsFence)) * StartMax) + 300_000;

    /// <summary>P4: by then a healthy majority has a master, and by then a minority has stopped.</summary>
    public long Bound => LeasePart + Slack;

    public long End => IsCampaign ? Length : Soak is null ? ChaosEnd + QuietLength + (RestartPatterns.IsEmpty ? 0 : 2 * GraceBound(RestartGraces.Max())) : ChaosEnd;

    /// <summary>How long nothing must happen for P4, P5 and the return of all votes to be judged.</summary>
    public long QuietLength => (3 * Bound) + 3_000_000;

    /// <summary>The longest, in true time, that a grace may keep others from taking over: granted at once, counted by a slow clock.</summary>
    public static long GraceBound(TimeSpan grace) => (long)(LeaseTiming.Stretch(LeaseTiming.Stretch(grace)).TotalMicroseconds * 1.0102);

    /// <summary>Longest start or ordered stop of a healthy driver.</summary>
    public long StartMax => Script is null ? LeaseMicroseconds / 10 : 10_000;

    public static Scenario FromSeed(ulong seed, int? machines = null, PlantedBug bug = PlantedBug.None)
    {
        var chance = new Chance(seed ^ 0x5EED_C105_7D00_0001);
        var count = machines ?? (chance.Happens(0.5) ? 3 : 5);
        var leaseMicroseconds = chance.Of([200_000L, 400_000, 1_000_000, 1_000_000, 1_000_000, 2_000_000, 5_000_000]);
        var lease = TimeSpan.FromMicroseconds(leaseMicroseconds);
        var services = Definitions(chance, leaseMicroseconds);
        // Networks and disks scale with the lease, or nobody would choose that lease: 20 ms and 10 ms at 1 s.
        var delayMax = chance.Of([leaseMicroseconds / 2_000, leaseMicroseconds / 200, leaseMicroseconds / 50]);
        var diskMax = chance.Of([leaseMicroseconds / 1_000, leaseMicroseconds / 100]);
        var stalls = chance.Happens(0.5);
        var chaosLeases = chance.Between(25, 60);
        var scenario = new Scenario
        {
            Seed = seed,
            Machines = count,
            ForcedMachines = machines,
            Lease = lease,
            Services = services,
            Drivers = Plans(chance, services),
            ClockRates = Rates(chance, count),
            NetworkDelayMin = Math.Min(100, delayMax),
            NetworkDelayMax = delayMax,
            NetworkSpikeShare = chance.Happens(0.5) ? 0 : 0.002,
            LossShare = chance.Happens(0.7) ? 0 : 0.01,
            DiskDelayMin = 100,
            DiskDelayMax = diskMax,
            DiskSpikeShare = chance.Happens(0.5) ? 0 : 0.02,
            StallMax = stalls ? leaseMicroseconds / 20 : 1_000,
            StallShare = stalls ? 0.01 : 0.001,
            JsonShare = 0.05,
            ChaosEnd = 3_000_000 + (leaseMicroseconds * chaosLeases),
            FaultInterval = leaseMicroseconds * chance.Between(1, 8),
            Patterns = Faults.Choose(chance),
            Bug = bug,
        };
        scenario = chance.Happens(0.1) ? scenario.Tight(chance) : scenario;

        // Choices of a later day come from a source of their own: seeds that tell of older rules keep their stories.
        var later = new Chance(seed ^ 0x5EED_C105_7D00_0002);
        scenario = scenario with { SnapshotEvery = (int)later.Of([10L, 40, 1000]) };
        scenario = later.Happens(0.2) ? scenario.WithMembershipFaults(later, machines) : Restarts.AddTo(scenario);
        var extras = Extras.FromSeed(seed, scenario.Machines, bug);
        return scenario with
        {
            Extras = extras,
            // Long stalls are judged only when nothing else happens for the length of the bound.
            FaultInterval = extras.HasDiskStalls ? scenario.FaultInterval * 4 : scenario.FaultInterval,
        };
    }

    public override string ToString() =>
        $"seed {Seed}: {Machines} machines, lease {Lease.TotalMilliseconds} ms, "
        + string.Join(", ", Services.Select(service => $"{service.Name} (kill_timeout {service.KillTimeout.TotalMilliseconds} ms)"))
        + $", clocks {string.Join(" ", ClockRates)} ppm, network {NetworkDelayMin}..{NetworkDelayMax} µs, disk {DiskDelayMin}..{DiskDelayMax} µs, stalls to {StallMax} µs"
        + $"{(IsCampaign ? $", {string.Join("; ", Phases)}" : FaultInterval == 0 ? "" : $", faults every {FaultInterval / 1_000} ms: {string.Join(", ", [.. Patterns, .. RestartPatterns])}")}{Extras}{(Bug == PlantedBug.None ? "" : $", planted bug {Bug}")}";

    /// <summary>
    /// A world in which nothing but k and the guard is between safe and unsafe: long leases, so that 2 % of one are more than any delay, clocks at
    /// the ends of what is permitted, killers at the last permitted instant, and masters that are cut off at the worst moment.
    /// </summary>
    public Scenario Tight(Chance chance)
    {
        var lease = TimeSpan.FromSeconds(5);
        return this with
        {
            Lease = lease,
            Services = [.. Services.Select(service => service with { KillTimeout = TimeSpan.FromSeconds(chance.Of([0.5, 2.5, 5])), StartTimeout = lease * 2, StopTimeout = lease * 2 })],
            Drivers = [.. Drivers.Select(driver => driver with { KillPromptness = 1, KillLateness = 1, FailShare = 0, HangShare = 0 })],
            ClockRates = [.. ClockRates.Select(_ => chance.Happens(0.5) ? SimulatedClock.RateErrorMax : -SimulatedClock.RateErrorMax)],
            NetworkDelayMax = 300,
            DiskDelayMax = 300,
            NetworkSpikeShare = 0,
            DiskSpikeShare = 0,
            LossShare = 0,
            StallMax = 100,
            ChaosEnd = 3_000_000 + ((long)lease.TotalMicroseconds * 40),
            FaultInterval = (long)lease.TotalMicroseconds * 3,
            Patterns = ["mute master", "isolate master", "isolate leader with master", "stale voter", "crash leader and master", "move"],
        };
    }

    /// <summary>
    /// Every service requires fencing, and every machine has a driver that fences all others; now and then it fails. It is the last in order, so that only the rule
    /// brings it to the front.
    /// </summary>
    public Scenario WithFencing(double failShare) => this with
    {
        Extras = Extras with { Levels = default }, // Of a version that knows no fencing such services would not even be defined.
        Services = [.. Services.Select(service => service with { RequiresFencing = true, FencesOnStopFailure = true })],
        Drivers =
        [
            .. Drivers, .. Services.Select(service => new DriverPlan(
                new DriverName($"{service.Name}-fence"), service.Name, 100, Required: true, KillPromptness: 0, KillLateness: 0, Guarded: false, FailShare: failShare, HangShare: 0) { IsFence = true }),
        ],
    };

    /// <summary>Machines that come and go for good or with empty disks, and pairs of machines that part in good order.</summary>
    private Scenario WithMembershipFaults(Chance chance, int? machines)
    {
        var count = machines ?? (int)chance.Of([2L, 3, 4, 5, 5]);
        return this with
        {
            Machines = count,
            ClockRates = Rates(chance, count),
            Patterns = count == 2 ? Faults.ForTwo : Faults.ChooseMembership(chance),
            SnapshotEvery = (int)chance.Of([5L, 10, 40]),
        };
    }

    internal static ImmutableArray<ServiceDefinition> Definitions(Chance chance, long lease)
    {
        var names = new[] { "bot", "web" }.Take(chance.Happens(0.6) ? 1 : 2);
        return
        [
            .. names.Select(name => new ServiceDefinition
            {
                Name = new ServiceName(name),
                KillTimeout = TimeSpan.FromMicroseconds(chance.Of([lease / 20, lease / 2, lease / 2, lease])),
                StartTimeout = TimeSpan.FromMicroseconds(lease * 2),
                StopTimeout = TimeSpan.FromMicroseconds(lease * 2),
                Prefer = chance.Happens(0.3) ? [new MachineId("m1")] : [],
                Failback = chance.Happens(0.2),
            }),
        ];
    }

    internal static ImmutableArray<DriverPlan> Plans(Chance chance, ImmutableArray<ServiceDefinition> services)
    {
        var plans = ImmutableArray.CreateBuilder<DriverPlan>();
        var clumsy = chance.Happens(0.2);
        foreach (var service in services)
        {
            var count = chance.Happens(0.75) ? 1 : 2;
            for (var order = 0; order < count; order++)
            {
                plans.Add(new DriverPlan(
                    new DriverName($"{service.Name}-{order + 1}"),
                    service.Name,
                    order,
                    Required: order == 0 || chance.Happens(0.5),
                    KillPromptness: chance.Happens(0.6) ? 1 : chance.Share(),
                    KillLateness: chance.Happens(0.5) ? 1 : chance.Share(),
                    Guarded: chance.Happens(0.5),
                    FailShare: clumsy ? 0.05 : 0,
                    HangShare: clumsy ? 0.03 : 0));
            }
        }

        return plans.ToImmutable();
    }

    // The corners are where the inequalities are tight: half of all worlds have every clock at one end of what is permitted.
    internal static ImmutableArray<int> Rates(Chance chance, int count)
    {
        var extreme = chance.Happens(0.5);
        return
        [
            .. Enumerable.Range(0, count).Select(_ => extreme
                ? (chance.Happens(0.5) ? SimulatedClock.RateErrorMax : -SimulatedClock.RateErrorMax)
                : (int)chance.Between(-SimulatedClock.RateErrorMax, SimulatedClock.RateErrorMax)),
        ];
    }
}
