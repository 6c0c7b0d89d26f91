using System.Diagnostics;
using Clustd.Core;

namespace Clustd.Simulation;

/// <summary>What became of the search for one planted bug.</summary>
/// <param name="Seed">The first seed in which the expected invariant caught it; null: none did.</param>
/// <param name="Others">Other invariants that caught it before, each with its seed.</param>
/// <param name="Control">What the same seed violates without the bug; null: nothing, as it must be.</param>
internal sealed record ZooCatch(ZooBug Bug, ulong? Seed, string? Message, IReadOnlyList<string> Others, string? Control, TimeSpan Took)
{
    /// <summary>Caught by name in time, and by nothing when there is no bug. What none can catch must really be caught by none.</summary>
    public bool IsAsExpected => Bug.CaughtBy is null ? Seed is null && Others.Count == 0 : Seed is not null && Control is null;
}

/// <summary>Looks for planted bugs, seed by seed.</summary>
internal static class ZooHunt
{
    public static ZooCatch Run(ZooBug bug, ulong from = 1)
    {
        var clock = Stopwatch.StartNew();
        var others = new List<string>();
        for (var seed = from; seed < from + bug.Limit; seed++)
        {
            var result = Runner.Run(bug.ScenarioOf(seed, bug.Bug), new Transcript(null));
            if (result.Violation is not { } violation)
            {
                continue;
            }

            if (violation.Invariant != bug.CaughtBy)
            {
                others.Add($"{seed}: {violation.Message}");
                continue;
            }

            // The very same world with the rule kept: it must not be the world that is to blame.
            var control = Runner.Run(bug.ScenarioOf(seed, PlantedBug.None), new Transcript(null)).Violation?.Message;
            return new ZooCatch(bug, seed, violation.Message, others, control, clock.Elapsed);
        }

        return new ZooCatch(bug, null, null, others, null, clock.Elapsed);
    }
}
