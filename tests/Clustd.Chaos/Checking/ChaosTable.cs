using System.Globalization;
using System.Text;
using Clustd.Chaos.History;

namespace Clustd.Chaos.Checking;

/// <summary>A verdict for people, as Markdown.</summary>
public static class ChaosTable
{
    public static string Of(IReadOnlyList<HistoryRecord> history, Verdict verdict)
    {
        var text = new StringBuilder();
        Run(text, history, verdict);
        Faults(text, history, verdict);
        Promises(text, verdict);
        return text.ToString();
    }

    private static void Run(StringBuilder text, IReadOnlyList<HistoryRecord> history, Verdict verdict)
    {
        if (history.OfType<RunStarted>().FirstOrDefault() is { } run)
            text.Append(CultureInfo.InvariantCulture, $"Seed {run.Seed}, {run.WallClock}, {run.Machine}, {run.Program}.\n");
        var minutes = history.Count == 0 ? 0 : (history.Max(record => record.At) - history.Min(record => record.At)) / 60e6;
        var loads = history.OfType<LoadSeen>().ToList();
        text.Append(CultureInfo.InvariantCulture, $"{minutes:0.0} minutes, {verdict.Rounds.Length} clusters ({string.Join(", ", verdict.Rounds.GroupBy(round => round.Machines.Length).OrderBy(group => group.Key).Select(group => $"{group.Count()} of {group.Key} machines"))})");
        if (verdict.Rounds is [var first, ..]) text.Append(CultureInfo.InvariantCulture, $", lease {first.LeaseMs} ms, kill_timeout {first.KillTimeoutMs} ms, bound {first.BoundMs} ms and an allowance of {BoundCheck.AllowanceUs(first) / 1000} ms");
        text.Append(".\n");
        if (loads.Count > 0)
        {
            var late = loads.Select(load => load.WorstLateUs).Order().ToList();
            text.Append(CultureInfo.InvariantCulture, $"This machine: {loads.Average(load => load.BusyShare):P0} busy, load {loads.Average(load => load.Load1):0.0}; a thread of the harness woke at worst {late[^1] / 1e3:0} ms late, in 99 of 100 seconds at most {late[(late.Count - 1) * 99 / 100] / 1e3:0} ms.\n");
        }
    }

    private static void Faults(StringBuilder text, IReadOnlyList<HistoryRecord> history, Verdict verdict)
    {
        text.Append("\n| fault | injected | takeovers | owed by P4 | min ms | median | p95 | max | max, share of bound |\n|---|---|---|---|---|---|---|---|---|\n");
        var injected = history.OfType<FaultBegan>().GroupBy(fault => fault.Row()).ToDictionary(group => group.Key, group => group.Count());
        foreach (var row in injected.Keys.Concat(verdict.Takeovers.Select(takeover => takeover.Row)).Distinct().Order(StringComparer.Ordinal))
            Row(text, row, injected.TryGetValue(row, out var count) ? count.ToString(CultureInfo.InvariantCulture) : "-", [.. verdict.Takeovers.Where(takeover => takeover.Row == row)]);
        Row(text, "**all**", injected.Values.Sum().ToString(CultureInfo.InvariantCulture), verdict.Takeovers);
        foreach (var skipped in history.OfType<FaultSkipped>().GroupBy(skip => (skip.Kind, skip.Why)))
            text.Append(CultureInfo.InvariantCulture, $"\nNot injected, {skipped.Count()} times: {FaultEffects.Text(skipped.Key.Kind)}: {skipped.Key.Why}\n");
    }

    private static void Row(StringBuilder text, string name, string injected, IReadOnlyList<Takeover> takeovers)
    {
        var owed = takeovers.Where(takeover => takeover.TookUs is not null).OrderBy(takeover => takeover.TookUs).ToList();
        text.Append(CultureInfo.InvariantCulture, $"| {name} | {injected} | {takeovers.Count} | {owed.Count} |");
        if (owed.Count == 0)
        {
            text.Append(" | | | | |\n");
            return;
        }

        // Nearest rank: of few takeovers the 95th percentile is the longest.
        string Ms(double share) => (owed[Math.Max(0, (int)Math.Ceiling(share * owed.Count) - 1)].TookUs!.Value / 1e3).ToString("0", CultureInfo.InvariantCulture);
        text.Append(CultureInfo.InvariantCulture, $" {Ms(0)} | {Ms(0.5)} | {Ms(0.95)} | {Ms(1)} | {owed.Max(takeover => (double)takeover.TookUs!.Value / takeover.BoundUs):P0} |\n");
    }

    private static void Promises(StringBuilder text, Verdict verdict)
    {
        int Count(ViolationKind kind) => verdict.Violations.Count(violation => violation.Kind == kind);
        var explained = verdict.Misses.Count(miss => miss.IsExplainedByLoad);
        text.Append(CultureInfo.InvariantCulture, $"""

            | checked | of | violations |
            |---|---|---|
            | overlap: an act of an old token behind one of a newer token (P2) | {verdict.Acts} acts | {Count(ViolationKind.Overlap) + Count(ViolationKind.TwoCopies)} |
            | acts with an old token after a freeze of the killer (P3), accepted | {verdict.Late.Sum(late => late.Count)} late acts, the last one {Math.Max(0, verdict.Late.Select(late => late.AfterThawUs).DefaultIfEmpty(0).Max()) / 1e3:0} ms after the thaw | {Count(ViolationKind.TokenGoesBack)} |
            | a token with two holders, or never granted (P1) | {verdict.Takeovers.Length} takeovers | {Count(ViolationKind.TwoHolders) + Count(ViolationKind.NotGranted)} |
            | acknowledged commands lost | {verdict.Acknowledged} commands, {verdict.Reads} confirmed reads | {Count(ViolationKind.LostAcknowledgement)} |
            | machines that disagree about the log | | {Count(ViolationKind.ReplicasDisagree)} |
            | no master within the bound (P4) | {(verdict.WatchedUs == 0 ? 0 : (double)verdict.OwedUs / verdict.WatchedUs):P0} of the time | {Count(ViolationKind.MissedBound)}, and {explained} that the load of this machine explains |
            | not well long after all faults were undone | | {Count(ViolationKind.NotWellAgain)} |
            | daemons that ended by themselves | | {Count(ViolationKind.DaemonEnded)} |

            """);
    }
}
