using Clustd.Chaos.History;

namespace Clustd.Chaos.Checking;

/// <summary>Reads a history and says what in it must never be. Pure: the same history, the same verdict, on any machine and at any time.</summary>
public static class Checker
{
    // A daemon says goodbye, or cannot start, for this long after its disk was full or its store damaged.
    private const long AftermathUs = 20_000_000;

    public static Verdict Check(IReadOnlyList<HistoryRecord> history)
    {
        var verdict = new Verdict();
        foreach (var round in RoundView.Split(history))
        {
            var findings = new Findings(round.Round);
            ActCheck.Run(round, findings);
            ReadCheck.Run(round, findings);
            BoundCheck.Run(round, new HealthMap(round), findings);
            Health(round, findings);
            verdict = verdict with
            {
                Violations = verdict.Violations.AddRange(findings.Violations),
                Takeovers = verdict.Takeovers.AddRange(findings.Takeovers),
                Misses = verdict.Misses.AddRange(findings.Misses),
                Late = verdict.Late.AddRange(findings.Late),
                Acknowledged = verdict.Acknowledged + findings.Acknowledged,
                Reads = verdict.Reads + findings.Reads,
                Acts = verdict.Acts + findings.Acts,
                WatchedUs = verdict.WatchedUs + findings.WatchedUs,
                OwedUs = verdict.OwedUs + findings.OwedUs,
                Rounds = verdict.Rounds.Add(round.Round),
            };
        }

        return verdict;
    }

    private static void Health(RoundView round, Findings findings)
    {
        foreach (var wait in round.Records.OfType<HealthWaited>().Where(wait => wait.Missing is not null))
            findings.Add(ViolationKind.NotWellAgain, wait.Until, $"{(wait.Until - wait.At) / 1e6:0.0} s after all faults were undone: {wait.Missing}.");
        foreach (var end in round.Records.OfType<DaemonEnded>().Where(end => !end.IsExpected))
        {
            var excuse = round.Faults.Any(fault => fault.Began.Kind is FaultKind.DiskFull or FaultKind.StoreDamaged && fault.Began.Machines.Contains(end.Machine)
                && fault.Began.At <= end.At && (fault.EndedAt == long.MaxValue || end.At <= fault.EndedAt + AftermathUs));
            // The keeper may see the daemon gone before the injector has written down that it killed it.
            excuse |= end.ExitCode == 128 + 9 && round.Faults.Any(fault => fault.Began.Kind is FaultKind.ProcessesKilled or FaultKind.MachineKilled
                && fault.Began.Machines.Contains(end.Machine) && Math.Abs(fault.Began.At - end.At) < 1_000_000);
            if (!excuse) findings.Add(ViolationKind.DaemonEnded, end.At, $"The daemon of {end.Machine} ended with {end.ExitCode} by itself: {end.LastWords}");
        }
    }
}
