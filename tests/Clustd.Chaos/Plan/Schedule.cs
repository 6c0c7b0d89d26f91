using System.Collections.Immutable;
using Clustd.Chaos.History;

namespace Clustd.Chaos.Plan;

/// <summary>
/// What is done, and in which order, from the seed alone: the same on every machine, whatever can be injected there. How much of it is reached in a given time, and
/// on which machine "the master" is just then, is real time's doing.
/// </summary>
public static class Schedule
{
    // How often relative to each other. Kills of processes make a service cool down on a machine, pauses switch P4 off: fewer of those.
    private static readonly ImmutableArray<(FaultKind Kind, int Weight)> Weights =
    [
        (FaultKind.MachineKilled, 16), (FaultKind.Frozen, 18), (FaultKind.ProcessesKilled, 9), (FaultKind.CableCut, 10), (FaultKind.SilentDrop, 10), (FaultKind.OneWayDrop, 9),
        (FaultKind.PartialMesh, 7), (FaultKind.Loss, 7), (FaultKind.Starved, 5), (FaultKind.DiskFull, 4), (FaultKind.StoreDamaged, 5), (FaultKind.WallClockMoved, 5),
        (FaultKind.Stopped, 5), (FaultKind.Restarted, 5), (FaultKind.RollingRestart, 2), (FaultKind.Drained, 6), (FaultKind.Paused, 2), (FaultKind.Moved, 9), (FaultKind.LeaderMoved, 6),
    ];

    /// <summary>The plan of one cluster: as many machines as <paramref name="sizes"/> says in turns, and what happens to them, without an end.</summary>
    public static RoundPlan Round(int seed, int round, ImmutableArray<int> sizes)
    {
        var random = new Random(unchecked((seed * 1_000_003) + round));
        return new RoundPlan(round, sizes[round % sizes.Length], HasOwnWallClock: random.Next(2) == 0, Episodes(random));
    }

    private static IEnumerable<Episode> Episodes(Random random)
    {
        for (var number = 1; ; number++)
        {
            var count = random.Next(100) switch { < 55 => 1, < 87 => 2, _ => 3 };
            var faults = Enumerable.Range(0, count).Select(each => Fault(random, each)).ToImmutableArray();
            yield return new Episode(number, faults, Seconds(random, 0.2, 2.5), IsAwaited: random.Next(100) < 70);
        }
    }

    private static PlannedFault Fault(Random random, int each)
    {
        var kind = Kind(random);
        // Always as many draws, whatever the kind: a change of one kind's rules leaves the rest of the plan alone.
        var (aim, pick, otherPick, roles, level, length) = (random.Next(100), random.Next(1000), random.Next(1000), random.Next(1, 16), random.NextDouble(), random.NextDouble());
        var after = each == 0 ? TimeSpan.Zero : Seconds(random, 0, 2);
        return new PlannedFault(
            kind,
            aim switch { < 55 => Aim.Master, < 75 => Aim.Leader, _ => Aim.Any },
            pick,
            otherPick,
            kind is FaultKind.Frozen or FaultKind.ProcessesKilled ? RolesOf(kind, roles, aim) : Roles.None,
            after,
            LengthOf(kind, length),
            level);
    }

    private static FaultKind Kind(Random random)
    {
        var at = random.Next(Weights.Sum(each => each.Weight));
        foreach (var (kind, weight) in Weights)
        {
            if ((at -= weight) < 0) return kind;
        }

        throw new System.Diagnostics.UnreachableException("The weights are summed above.");
    }

    // Each combination, and the whole machine more often: that is what a suspended one is.
    private static Roles RolesOf(FaultKind kind, int roles, int aim) => kind == FaultKind.Frozen && aim % 3 == 0 ? Roles.All : (Roles)roles;

    // Seconds. Freezes: most are short, one in eight up to 30 s.
    private static TimeSpan LengthOf(FaultKind kind, double share) => TimeSpan.FromSeconds(kind switch
    {
        FaultKind.Frozen => share < 0.875 ? 1 + (share * 6) : 7 + ((share - 0.875) * 8 * 23),
        FaultKind.ProcessesKilled => share * share * 4, // The daemon's absence: half of them within a lease.
        FaultKind.MachineKilled or FaultKind.Stopped => 0.3 + (share * 6),
        FaultKind.Restarted => 0.1 + (share * 4),
        FaultKind.RollingRestart => 0.1 + (share * 1.5),
        FaultKind.Starved => 2 + (share * 6),
        FaultKind.DiskFull => 1 + (share * 6),
        FaultKind.StoreDamaged => 2 + (share * 3),
        FaultKind.Paused => 1 + (share * 3),
        FaultKind.Moved or FaultKind.LeaderMoved => 0,
        _ => 1 + (share * 7),
    });

    private static TimeSpan Seconds(Random random, double from, double to) => TimeSpan.FromSeconds(from + (random.NextDouble() * (to - from)));
}

/// <summary>One cluster's life.</summary>
/// <param name="HasOwnWallClock">The first machine's daemon runs under libfaketime, so that its wall clock can be moved.</param>
public sealed record RoundPlan(int Round, int Machines, bool HasOwnWallClock, IEnumerable<Episode> Episodes);
