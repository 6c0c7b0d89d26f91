using System.Diagnostics;

namespace Clustd.Simulation;

/// <summary>
/// Leaves out of a failed run one strike after another for as long as the same invariant breaks: what is left is what it takes. Delta debugging: Zeller and
/// Hildebrandt, "Simplifying and isolating failure-inducing input", IEEE TSE 2002. Each try is a run of its own, so what comes out has been seen to fail.
/// </summary>
internal static class Minimizer
{
    private const int LinesKept = 70;

    /// <summary>The smallest run found within `patience`, told as a story, with the command that replays it.</summary>
    public static string StoryOf(SeedResult failed, TimeSpan patience)
    {
        var clock = Stopwatch.StartNew();
        var invariant = failed.Violation!.Invariant;
        var runs = 0;
        bool Fails(IReadOnlyCollection<string> strikes)
        {
            runs++;
            return Runner.Run(failed.Scenario with { OnlyStrikes = strikes.ToHashSet() }, new Transcript(null)).Violation?.Invariant == invariant;
        }

        var left = failed.Strikes.ToList();
        if (!Fails(left))
        {
            return failed.Report(); // What came to nothing mattered after all, as the choices of a short run's later faults depend on it.
        }

        for (var size = (left.Count + 1) / 2; size >= 1 && clock.Elapsed < patience; size = size == 1 ? 0 : (size + 1) / 2)
        {
            for (var at = 0; at < left.Count && clock.Elapsed < patience;)
            {
                List<string> without = [.. left.Take(at), .. left.Skip(at + size)];
                if (Fails(without))
                {
                    left = without;
                }
                else
                {
                    at += size;
                }
            }
        }

        var transcript = new Transcript(null, LinesKept, IsWorthTelling);
        var smallest = Runner.Run(failed.Scenario with { OnlyStrikes = left.ToHashSet() }, transcript);
        return $"""
            {string.Join('\n', smallest.Tail)}

            FAILED at commit {LongRun.Commit}: {failed.Scenario with { Phases = [], OnlyStrikes = null }}
            {smallest.Violation!.Message}
            {left.Count} of {failed.Strikes.Length} faults are enough ({runs} runs in {clock.Elapsed.TotalSeconds:0} s).
            Replay: {smallest.Replay}
            The whole run: {failed.Replay}
            """;
    }

    // What a reader needs to follow: what went wrong, who leads, what was decided, who acts. Not what everybody said to everybody.
    private static bool IsWorthTelling(string who, object what) => what switch
    {
        Core.Raft.LogEntry { Command: not Core.Cluster.Command.NoOp } => true,
        Core.Output.Noted noted => noted.Severity >= Core.Severity.Warning,
        string text => !text.StartsWith("driver ", StringComparison.Ordinal) || text.Contains("hangs", StringComparison.Ordinal) || text.Contains("lease", StringComparison.Ordinal),
        _ => false,
    };
}
