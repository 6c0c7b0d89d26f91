using System.Collections.Immutable;
using Clustd.Core;

namespace Clustd.Simulation;

/// <summary>
/// The worlds in which planted bugs are looked for: what a seed draws by chance, with the corner that a rule is about made the ordinary case. Each is honest:
/// with the rule kept, its seeds are clean.
/// </summary>
internal static class ZooWorld
{
    /// <summary>These faults and no others, every so many leases; no lost messages, no clumsy drivers, nothing that happens besides.</summary>
    public static Scenario Only(Scenario scenario, double leases, params string[] patterns) => scenario with
    {
        Patterns = [.. patterns],
        RestartPatterns = [],
        Extras = Extras.None,
        SnapshotEvery = 1000,
        LossShare = 0,
        Drivers = [.. scenario.Drivers.Select(driver => driver with { FailShare = 0, HangShare = 0 })],
        FaultInterval = (long)(scenario.LeaseMicroseconds * leases),
        JudgesLiveness = false,
    };

    /// <summary>Everybody uses up what he may: clocks at the ends of what is permitted, killers at the last permitted instant.</summary>
    public static Scenario Tight(Scenario scenario) => scenario with
    {
        Drivers = [.. scenario.Drivers.Select(driver => driver with { KillPromptness = 1, KillLateness = 1 })],
        ClockRates = [.. scenario.ClockRates.Select(rate => rate < 0 ? -SimulatedClock.RateErrorMax : SimulatedClock.RateErrorMax)],
    };

    /// <summary>Long leases on a fast network with fast disks: a heartbeat, or a share of the lease, is more than any delay and than the guard.</summary>
    public static Scenario Long(Scenario scenario) => Leased(scenario, TimeSpan.FromSeconds(5)) with
    {
        NetworkDelayMax = 300,
        DiskDelayMax = 300,
        NetworkSpikeShare = 0,
        DiskSpikeShare = 0,
        StallMax = 100,
        StallShare = 0.001,
    };

    /// <summary>Another lease, and with it all that is a share of it.</summary>
    public static Scenario Leased(Scenario scenario, TimeSpan lease)
    {
        var ratio = lease / scenario.Lease;
        long Scaled(long time) => (long)(time * ratio);
        return scenario with
        {
            Lease = lease,
            Services = [.. scenario.Services.Select(service => service with { KillTimeout = service.KillTimeout * ratio, StartTimeout = lease * 2, StopTimeout = lease * 2 })],
            NetworkDelayMin = Math.Min(100, Scaled(scenario.NetworkDelayMax)),
            NetworkDelayMax = Scaled(scenario.NetworkDelayMax),
            DiskDelayMax = Math.Max(100, Scaled(scenario.DiskDelayMax)),
            StallMax = scenario.StallMax == 1_000 ? 1_000 : Scaled(scenario.StallMax),
            ChaosEnd = 3_000_000 + Scaled(scenario.ChaosEnd - 3_000_000),
            FaultInterval = Scaled(scenario.FaultInterval),
        };
    }

    /// <summary>What runs has this long to die once its lease is over, as a share of the lease.</summary>
    public static Scenario Killing(Scenario scenario, double share) =>
        scenario with { Services = [.. scenario.Services.Select(service => service with { KillTimeout = scenario.Lease * share })] };

    /// <summary>Every second start fails.</summary>
    public static Scenario Failing(Scenario scenario) => scenario with { Drivers = [.. scenario.Drivers.Select(driver => driver with { FailShare = 0.5 })] };

    /// <summary>Daemons restart on purpose, in these ways, with these graces as shares of the lease.</summary>
    public static Scenario Restarting(Scenario scenario, ImmutableArray<string> patterns, params double[] graces) =>
        scenario with { RestartPatterns = patterns, RestartGraces = [.. graces.Select(grace => scenario.Lease * grace)] };

    /// <summary>So many leases of faults.</summary>
    public static Scenario For(Scenario scenario, int leases) => scenario with { ChaosEnd = 3_000_000 + (scenario.LeaseMicroseconds * leases) };
}
