using System.Globalization;
using Clustd.Chaos.History;

namespace Clustd.Chaos.Checking;

/// <summary>
/// P4: how long every service was without a master, against the bound that `clustd check` prints, for as long as a healthy majority was there. P4's clock begins with
/// the loss of the master's machine, else with its last act, and not before the majority was healthy.
/// </summary>
internal static class BoundCheck
{
    // Two commits, a message's way, and the start of the app (guard, shell) on a machine that does other things as well.
    private const long CommitsAndStartUs = 250_000;

    // An app that is killed with its machine has acted a few ms before.
    private const long BetweenActsUs = 50_000;

    /// <summary>What P4 adds to the printed bound in words: an election that runs just then, one split vote included, commits, and the app's own start.</summary>
    public static long AllowanceUs(RoundStarted round) => (round.LeaseMs * 1000 / 2) + CommitsAndStartUs;

    public static void Run(RoundView round, HealthMap health, Findings findings)
    {
        foreach (var service in round.Round.Services)
        {
            ActsSeen? last = null;
            foreach (var acts in round.ActsOf(service).Where(acts => acts.IsAccepted))
            {
                // The service's first act is not looked at: the round begins when all is well.
                if (last is not null) Between(round, health, findings, last, acts, acts.At);
                last = acts;
            }

            if (last is not null) Between(round, health, findings, last, null, round.EndsAt);
            findings.WatchedUs += round.EndsAt - round.Round.At;
            findings.OwedUs += health.Owed(service, null, round.Round.At, round.EndsAt).Sum(owed => owed.Until - owed.From);
        }
    }

    private static void Between(RoundView round, HealthMap health, Findings findings, ActsSeen last, ActsSeen? next, long nextAt)
    {
        var bound = round.Round.BoundMs * 1000;
        var lost = round.Faults.FirstOrDefault(fault => fault.Began.LosesMachine() && fault.Began.Machines.Contains(last.Machine)
            && fault.Began.At >= last.Until - bound && fault.Began.At <= nextAt && fault.EndedAt >= last.Until);
        var since = lost is not null && lost.Began.At < last.Until + BetweenActsUs && next?.Token != last.Token ? lost.Began.At : last.Until;
        var owed = health.Owed(last.Service, last.Machine, since, nextAt);
        foreach (var (from, until) in owed) Miss(round, findings, last, next, from, until, bound);
        if (next is null || next.Token == last.Token) return;
        long? took = owed is [.., var final] && final.Until == nextAt ? nextAt - final.From : null;
        findings.Takeovers.Add(new Takeover(round.Round.Round, last.Service, last.Machine, next.Machine, next.Token, nextAt,
            Causes.Of(round, health, last, nextAt), took, nextAt - last.Until, bound));
    }

    private static void Miss(RoundView round, Findings findings, ActsSeen last, ActsSeen? next, long from, long until, long bound)
    {
        var allowance = AllowanceUs(round.Round);
        if (until - from <= bound + allowance) return;
        var miss = new BoundMiss(round.Round.Round, last.Service, from, until, bound, allowance, round.LatenessWithin(from, until), Story(round, last, next, from, until));
        findings.Misses.Add(miss);
        if (!miss.IsExplainedByLoad)
        {
            findings.Add(ViolationKind.MissedBound, until, string.Create(CultureInfo.InvariantCulture,
                $"'{last.Service}' had no master for {miss.TookUs / 1e6:0.000} s; bound {bound / 1e6:0.000} s, allowance {allowance / 1e6:0.000} s, lateness of this machine {miss.LatenessUs / 1e6:0.000} s.\n{miss.Story}"));
        }
    }

    // Everything around it, so that each miss can be explained by itself.
    private static string Story(RoundView round, ActsSeen last, ActsSeen? next, long from, long until)
    {
        var zero = round.Round.At;
        var lines = new List<(long At, string Words)>
        {
            (last.Until, $"last act of token {last.Token} on {last.Machine}"),
            (from, "P4's clock begins"),
            (until, next is null || until != next.At ? "still no master" : $"first act of token {next.Token} on {next.Machine}"),
        };
        foreach (var fault in round.Faults.Where(fault => fault.Began.At <= until && fault.EndedAt >= from - 10_000_000))
        {
            lines.Add((fault.Began.At, $"fault {fault.Began.Id}: {fault.Began.Row()} {string.Join(", ", fault.Began.Machines)} {fault.Began.Detail}"));
            if (fault.EndedAt != long.MaxValue) lines.Add((fault.EndedAt, $"fault {fault.Began.Id} ends"));
        }

        var decided = round.Records.OfType<Decided>().Where(each => each.At >= from - 3_000_000 && each.At <= until + 2_000_000 && (each.Service is null || each.Service == last.Service));
        lines.AddRange(decided.DistinctBy(each => (each.Index, each.Sentence)).Select(each => (each.At, $"seen on {each.On}: {each.Index} {each.Kind}: {each.Sentence}")));
        lines.AddRange(round.Records.OfType<DaemonEnded>().Where(each => each.At >= from - 3_000_000 && each.At <= until).Select(each => (each.At, $"the daemon of {each.Machine} ends with {each.ExitCode}")));
        lines.AddRange(round.Loads.Where(load => load.At >= from && load.At <= until + 1_000_000 && load.WorstLateUs > 20_000).Select(load => (load.At, $"this machine: {load.WorstLateUs / 1e3:0} ms late, load {load.Load1:0.0}, {load.BusyShare:P0} busy")));
        return string.Join('\n', lines.OrderBy(line => line.At).Select(line => string.Create(CultureInfo.InvariantCulture, $"    {(line.At - zero) / 1e6,8:0.000} s  {line.Words}")));
    }
}
