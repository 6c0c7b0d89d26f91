using System.Globalization;
using System.Text;

namespace Clustd.Simulation;

/// <summary>The zoo as people read it: on the console while it is looked through, and in docs/zoo.md.</summary>
internal static class ZooTable
{
    public static string Line(ZooCatch found)
    {
        var caughtBy = found.Bug.CaughtBy is { } invariant ? (found.Seed is null ? $"NOT CAUGHT by {invariant}" : invariant) : found.IsAsExpected ? "none can: " + found.Bug.Why : "CAUGHT, which nobody expected";
        var needed = found.Seed is { } seed ? $"{seed} ({found.Bug.Limit})" : $"- ({found.Bug.Limit})";
        return Line(found.Bug.Bug.ToString(), found.Bug.Rule, caughtBy, needed, found.Took.TotalSeconds.ToString("0.0", CultureInfo.InvariantCulture))
            + (found.Others.Count > 0 ? $"  (others in {found.Others.Count} seeds)" : "") + (found.Control is { } control ? $"\n    WITHOUT THE BUG: {control}" : "");
    }

    public static string Line(string bug, string rule, string caughtBy, string needed, string seconds) =>
        $"{bug,-24} {rule,-14} {needed,-20} {seconds,6}  {caughtBy}";

    /// <summary>The table of docs/zoo.md, between its marks.</summary>
    public static string Of(IEnumerable<ZooBug> bugs)
    {
        var table = new StringBuilder("| rule | planted bug | what is wrong | caught by | within | in which worlds |\n|---|---|---|---|---|---|\n");
        foreach (var bug in bugs)
        {
            var caughtBy = bug.CaughtBy is { } invariant ? invariant : $"none: {bug.Why}";
            table.Append(CultureInfo.InvariantCulture, $"| {bug.Rule} | `{bug.Bug}` | {bug.What} | {caughtBy} | {bug.Limit} | {bug.In}{(bug.CaughtBy is not null && bug.Why.Length > 0 ? $"; {bug.Why}" : "")} |\n");
        }

        return table.ToString();
    }
}
