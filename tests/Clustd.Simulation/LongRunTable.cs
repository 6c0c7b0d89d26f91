using System.Globalization;
using System.Text;
using System.Text.Json;

namespace Clustd.Simulation;

/// <summary>`--table FILE...`: the parts of one or more long runs, summed up as the table of docs/testing.md.</summary>
internal static class LongRunTable
{
    private const double SecondsPerYear = 365.25 * 24 * 3600;

    /// <summary>All parts, in order; the last line may be half written. No seed counts twice: of two parts with the same beginning the later one does.</summary>
    public static List<LongRunPart> Read(IEnumerable<string> files)
    {
        var parts = new SortedDictionary<(double Minutes, ulong From), LongRunPart>();
        foreach (var line in files.SelectMany(File.ReadLines).Where(line => line.Length > 0 && line[^1] == '}'))
        {
            var part = JsonSerializer.Deserialize<LongRunPart>(line)!;
            parts[(part.SimulatedMinutes, part.From)] = part;
        }

        return [.. parts.Values];
    }

    public static string Of(List<LongRunPart> parts)
    {
        if (parts.Count == 0)
        {
            return "Nothing has been run yet.";
        }

        var overlapping = parts.Zip(parts.Skip(1)).FirstOrDefault(pair => pair.First.SimulatedMinutes == pair.Second.SimulatedMinutes && pair.First.From + pair.First.Seeds > pair.Second.From);
        if (overlapping.First is not null)
        {
            return $"Seeds {overlapping.Second.From} and following are in two parts: their sum would count them twice. Run ranges that begin at a multiple of the same size.";
        }

        var simulated = parts.Sum(part => part.SimulatedSeconds);
        var violations = parts.SelectMany(part => part.Violations).ToList();
        var table = new StringBuilder();
        void Row(string what, FormattableString value) => table.Append(CultureInfo.InvariantCulture, $"| {what} | {FormattableString.Invariant(value)} |\n");
        table.Append("| | |\n|---|---|\n");
        Row("seeds", $"{parts.Sum(part => (long)part.Seeds):N0}{string.Concat(parts.GroupBy(part => part.SimulatedMinutes).Select(group => $"; {group.Sum(part => (long)part.Seeds):N0} of {group.Key} simulated minutes"))}");
        Row("commits", $"{string.Join(", ", parts.Select(part => part.Commit).Distinct())}");
        Row("simulated", $"{simulated / SecondsPerYear:0.000} years ({simulated / 3600:N0} hours)");
        Row("faults injected", $"{parts.Sum(part => part.Faults.Values.Sum()):N0}");
        Row("failovers", $"{parts.Sum(part => part.Failovers):N0}");
        Row("drivers started", $"{parts.Sum(part => part.Starts):N0}");
        Row("elections", $"{parts.Sum(part => part.Elections):N0}");
        Row("decisions committed", $"{parts.Sum(part => part.Commits):N0}");
        Row("acts at the outside resource", $"{parts.Sum(part => part.Acts):N0}, of which refused for an old token {parts.Sum(part => part.ActsRefused):N0} (all of machines that were frozen as a whole)");
        Row("longest time without a master, where there had to be one", $"{parts.Max(part => part.WorstShareOfBound) * 100:0} % of the bound");
        Row("violations", $"{violations.Count:N0}{string.Concat(violations.Take(20).Select(one => $"; seed {one.Seed}: {one.Invariant}"))}");
        table.Append("\n| fault | times |\n|---|---|\n");
        foreach (var fault in parts.SelectMany(part => part.Faults).GroupBy(fault => fault.Key).OrderBy(group => group.Key, StringComparer.Ordinal))
        {
            Row(fault.Key, $"{fault.Sum(one => one.Value):N0}");
        }

        return table.ToString();
    }
}
