using System.Globalization;
using System.Text;
using Clustd.Core;

namespace Clustd.Simulation;

/// <summary>`--zoo`: looks for every planted bug and prints the table; with --bug NAME for one, with --bug NAME --seed S tells the story of one seed.</summary>
internal static class ZooProgram
{
    public static int Run(string[] args)
    {
        string? Value(string name) => Array.IndexOf(args, name) is var at and >= 0 && at + 1 < args.Length ? args[at + 1] : null;
        ulong Number(string name, ulong otherwise) => Value(name) is { } text ? ulong.Parse(text, CultureInfo.InvariantCulture) : otherwise;
        var wanted = Value("--bug")?.Split(',');
        var bugs = Zoo.All.Where(bug => wanted is null || wanted.Contains(bug.Bug.ToString(), StringComparer.OrdinalIgnoreCase)).ToList();
        if (args.Contains("--markdown"))
        {
            Console.Write(ZooTable.Of(Zoo.All));
            return 0;
        }

        if (Value("--seed") is not null)
        {
            return Tell(bugs[0], Number("--seed", 1), args.Contains("--without") ? PlantedBug.None : bugs[0].Bug);
        }

        if (args.Contains("--clean"))
        {
            return Clean(bugs, Number("--from", 1), Number("--seeds", 20));
        }

        var (passed, failed) = (0, 0);
        Console.WriteLine(ZooTable.Line("bug", "rule", "caught by", "seeds needed (limit)", "s"));
        var hunts = bugs.AsParallel().AsOrdered().WithDegreeOfParallelism((int)Number("--threads", 2)).WithMergeOptions(ParallelMergeOptions.NotBuffered)
            .Select(bug => ZooHunt.Run(Value("--limit") is null ? bug : bug with { Limit = Number("--limit", 1) }, Number("--from", 1)));
        foreach (var found in hunts)
        {
            _ = found.IsAsExpected ? passed++ : failed++;
            Console.WriteLine(ZooTable.Line(found));
            if (args.Contains("--verbose"))
            {
                Console.WriteLine($"    {found.Message}");
                foreach (var other in found.Others.Take(6))
                {
                    Console.WriteLine($"    also {(other.Length > 300 ? other[..300] : other)}");
                }
            }
        }

        Console.WriteLine($"\n{passed} passed, {failed} failed, 0 skipped");
        return failed == 0 ? 0 : 1;
    }

    /// <summary>The worlds of these bugs with every rule kept: nothing may be found in them.</summary>
    private static int Clean(List<ZooBug> bugs, ulong from, ulong seeds)
    {
        var failed = 0;
        foreach (var bug in bugs)
        {
            for (var seed = from; seed < from + seeds; seed++)
            {
                if (Runner.Run(bug.ScenarioOf(seed, PlantedBug.None), new Transcript(null)).Violation is { } violation)
                {
                    failed++;
                    Console.WriteLine($"{bug.Bug}, seed {seed}, without the bug: {(violation.Message.Length > 400 ? violation.Message[..400] : violation.Message)}");
                }
            }
        }

        Console.WriteLine($"{bugs.Count} worlds, {seeds} seeds each, {failed} failed");
        return failed == 0 ? 0 : 1;
    }

    private static int Tell(ZooBug bug, ulong seed, PlantedBug planted)
    {
        using var output = new StreamWriter(Console.OpenStandardOutput(), Encoding.UTF8);
        var result = Runner.Run(bug.ScenarioOf(seed, planted), new Transcript(output));
        output.WriteLine(result.Violation is null ? $"clean: {result.Scenario}" : $"FAILED {result.Scenario}\n{result.Violation.Message}");
        return result.Violation is null ? 0 : 1;
    }
}
