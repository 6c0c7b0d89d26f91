using System.Collections.Immutable;
using Clustd.Core.Cluster;

namespace Clustd.Simulation;

/// <summary>
/// What some worlds have besides the faults of their seed. Drawn apart from all else, so that worlds without them keep their stories.
/// </summary>
/// <param name="HasReaders">Clients read through any machine, at random.</param>
/// <param name="HasDiskStalls">Disks stall for seconds, or for as long as there are faults.</param>
/// <param name="Levels">Feature levels of the machines' first binaries; default: all of today's.</param>
internal sealed record Extras(bool HasReaders, bool HasDiskStalls, ImmutableArray<int> Levels)
{
    public static readonly Extras None = new(false, false, default);

    public bool HasUpgrades => !Levels.IsDefault;

    public static Extras FromSeed(ulong seed, int machines, Core.PlantedBug bug)
    {
        var chance = new Chance(seed ^ 0xE874_A500_0000_0003);
        var levels = Enumerable.Range(0, machines).Select(_ => chance.Happens(0.6) ? 1 : FeatureLevels.Own).ToImmutableArray();
        return new Extras(
            chance.Happens(0.3) || bug == Core.PlantedBug.BarrierWithoutRound,
            chance.Happens(0.2) || bug == Core.PlantedBug.StalledLeaderStays,
            chance.Happens(0.2) || bug == Core.PlantedBug.LevelByMajority ? levels : default);
    }

    public override string ToString() =>
        $"{(HasReaders ? ", readers" : "")}{(HasDiskStalls ? ", disk stalls" : "")}{(HasUpgrades ? $", versions {string.Join(" ", Levels)}" : "")}";
}
