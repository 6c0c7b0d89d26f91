using System.Collections.Immutable;
using Clustd.Core;

namespace Clustd.Simulation;

/// <summary>
/// A long run from one seed: clusters of one to nine machines, and times of faults, each with patterns of its own, between quiet ones in which everything must
/// come to rest (P4, P5, all votes back). The same seed and length are the same run.
/// </summary>
internal static class Campaign
{
    private const ulong Salt = 0xCA3B_A160_0000_0001;
    private const long FirstFaultsAt = 2_500_000;

    public static Scenario FromSeed(ulong seed, TimeSpan length, int? machines = null, PlantedBug bug = PlantedBug.None)
    {
        var chance = new Chance(seed ^ Salt);
        var count = machines ?? (int)chance.Of([1L, 2, 2, 3, 3, 3, 3, 3, 3, 3, 3, 3, 4, 4, 5, 5, 5, 5, 6, 7, 9]);
        // As people set it: mostly the default of 2 s, now and then what the fast ones choose.
        var leaseMicroseconds = chance.Of([200_000L, 400_000, 1_000_000, 1_000_000, 1_000_000, 1_000_000, .. Enumerable.Repeat(2_000_000L, 10), .. Enumerable.Repeat(5_000_000L, 5)]);
        var services = Scenario.Definitions(chance, leaseMicroseconds);
        var stalls = chance.Happens(0.5);
        var scenario = new Scenario
        {
            Seed = seed,
            Length = (long)length.TotalMicroseconds,
            Machines = count,
            ForcedMachines = machines,
            Witnesses = count >= 3 && chance.Happens(0.3) ? [(int)chance.Between(0, count - 1)] : [],
            WallClockErrors = [.. Enumerable.Range(0, count).Select(_ => chance.Happens(0.7) ? 0 : chance.Between(-1_000_000_000, 1_000_000_000))],
            Lease = TimeSpan.FromMicroseconds(leaseMicroseconds),
            Services = services,
            Drivers = Scenario.Plans(chance, services),
            ClockRates = Scenario.Rates(chance, count),
            NetworkDelayMin = Math.Min(100, leaseMicroseconds / 2_000),
            NetworkDelayMax = chance.Of([leaseMicroseconds / 2_000, leaseMicroseconds / 200, leaseMicroseconds / 50]),
            NetworkSpikeShare = chance.Happens(0.5) ? 0 : 0.002,
            LossShare = chance.Happens(0.7) ? 0 : 0.01,
            DiskDelayMin = 100,
            DiskDelayMax = chance.Of([leaseMicroseconds / 1_000, leaseMicroseconds / 100]),
            DiskSpikeShare = chance.Happens(0.5) ? 0 : 0.02,
            StallMax = stalls ? leaseMicroseconds / 20 : 1_000,
            StallShare = stalls ? 0.01 : 0.001,
            JsonShare = 0.01,
            ChaosEnd = 0,
            FaultInterval = 0,
            Patterns = [],
            RestartGraces = [.. new[] { 1.5, 3, 8 }.Select(leases => TimeSpan.FromMicroseconds(leaseMicroseconds * leases))],
            SnapshotEvery = (int)chance.Of([10L, 40, 1000]),
            Bug = bug,
        };
        var isTight = chance.Happens(0.1);
        scenario = isTight ? scenario.Tight(chance) : scenario;
        scenario = scenario with { Extras = Extras.FromSeed(seed, count, bug) };
        return scenario with { Phases = Phases(scenario, isTight ? [.. scenario.Patterns] : [], chance) };
    }

    private static ImmutableArray<Phase> Phases(Scenario scenario, ImmutableArray<string> tight, Chance chance)
    {
        var phases = ImmutableArray.CreateBuilder<Phase>();
        var lease = scenario.LeaseMicroseconds;
        var quiet = scenario.QuietLength + (2 * Scenario.GraceBound(scenario.RestartGraces.Max()));
        var begins = FirstFaultsAt;
        while (true)
        {
            var ends = Math.Min(begins + (lease * chance.Between(25, 60)), scenario.Length - quiet);
            if (ends - begins < lease * 10 && phases.Count > 0)
            {
                return phases.ToImmutable();
            }

            // Long stalls of a disk are judged only when nothing else happens for the length of the bound.
            var interval = lease * chance.Between(1, 8) * (scenario.Extras.HasDiskStalls ? 4 : 1);
            var (patterns, restarts) = Patterns(scenario.Machines, tight, chance);
            phases.Add(new Phase(begins, Math.Max(ends, begins + lease), interval, patterns, restarts));
            begins = ends + quiet;
        }
    }

    private static (ImmutableArray<string> Patterns, ImmutableArray<string> Restarts) Patterns(int machines, ImmutableArray<string> tight, Chance chance)
    {
        var restarts = chance.Happens(0.3) ? Restarts.Choose(chance) : [];
        if (!restarts.IsEmpty && chance.Happens(0.4))
        {
            return ([], restarts);
        }

        return (machines < 3 ? Faults.ForFew(machines) : !tight.IsEmpty && chance.Happens(0.7) ? tight : Faults.ChooseForCampaign(chance, withMembership: chance.Happens(0.3)), restarts);
    }
}
