using System.Globalization;
using Clustd.Chaos.Checking;
using Clustd.Chaos.Faults;
using Clustd.Chaos.History;
using Clustd.Chaos.Plan;
using Clustd.EndToEnd.Harness;

namespace Clustd.Chaos.Run;

/// <summary>A whole run: clusters one after the other, each with its share of faults, until the time is over.</summary>
internal sealed class ChaosRun(Arguments arguments, string directory, CancellationToken cancellationToken)
{
    private static readonly TimeSpan ShortestRound = TimeSpan.FromSeconds(20); // A cluster that lives for less has hardly begun.
    private readonly long _since = ActObserver.Now;
    private readonly HashSet<(string Machine, int Fault)> _ended = [];
    private int _faults;
    private int _takeovers;
    private int _violations;
    private double _worstSeconds;
    private double _worstShare;

    private TimeSpan Elapsed => TimeSpan.FromMicroseconds(ActObserver.Now - _since);

    /// <summary>The history.</summary>
    public async Task<IReadOnlyList<HistoryRecord>> RunAsync()
    {
        Leftovers.Release();
        using var history = new HistoryFile(Path.Combine(directory, "history.jsonl"));
        history.Add(new RunStarted(_since, arguments.Seed, await VersionAsync(), Machine(), System.Environment.ProcessorCount, DateTimeOffset.UtcNow.ToString("yyyy-MM-dd HH:mm 'UTC'", CultureInfo.InvariantCulture)));
        history.Added += Tell;
        using (new LoadMeter(history))
        {
            var whole = TimeSpan.FromMinutes(arguments.Minutes);
            for (var round = 0; !cancellationToken.IsCancellationRequested && (round == 0 || Elapsed + ShortestRound < whole); round++)
            {
                var until = TimeSpan.FromTicks(Math.Min((Elapsed + arguments.Round).Ticks, whole.Ticks));
                await RoundAsync(Schedule.Round(arguments.Seed, round, arguments.Sizes), history, until);
            }
        }

        return history.All();
    }

    private async Task RoundAsync(RoundPlan plan, HistoryFile history, TimeSpan until)
    {
        await using var cluster = Cluster.Prepare(plan, history, arguments.Lease);
        var first = history.All().Count;
        var missing = await cluster.StartAsync();
        cluster.Begin(new RoundStarted(
            ActObserver.Now, plan.Round, [.. cluster.Keepers.Select(keeper => keeper.Id)], [.. Cluster.Services], (long)arguments.Lease.TotalMilliseconds, Cluster.KillTimeoutMs,
            (long)Clustd.Config.FailoverBound.Of(arguments.Lease, TimeSpan.FromMilliseconds(Cluster.KillTimeoutMs)).TotalMilliseconds));
        if (missing is not null) history.Add(new HealthWaited(ActObserver.Now - (long)Eventually.Patience.TotalMicroseconds, ActObserver.Now, $"a new cluster did not begin: {missing}"));
        var injector = new Injector(cluster);
        var isWell = missing is null;
        foreach (var episode in plan.Episodes.TakeWhile(_ => isWell))
        {
            var faults = episode.Faults.Where(fault => arguments.Only.IsEmpty || arguments.Only.Contains(fault.Kind)).ToList();
            if (faults.Count == 0) continue;
            await Task.WhenAll(faults.Select(injector.RunAsync));
            if (injector.HasFailed) isWell = false;
            else if (episode.IsAwaited) isWell = await Health.WaitAsync(cluster, cancellationToken);
            await Task.Delay(episode.Quiet, CancellationToken.None);
            Progress(cluster);
            if (Elapsed >= until || cancellationToken.IsCancellationRequested) break;
        }

        if (isWell && await Health.WaitAsync(cluster, cancellationToken))
        {
            foreach (var keeper in cluster.Keepers) await cluster.Watcher.ReadAsync(keeper.Machine);
        }

        cluster.End();
        Judge(cluster, plan, [.. history.All().Skip(first)]);
    }

    private void Judge(Cluster cluster, RoundPlan plan, IReadOnlyList<HistoryRecord> records)
    {
        var verdict = Checker.Check(records);
        _takeovers += verdict.Takeovers.Length;
        _violations += verdict.Violations.Length;
        foreach (var takeover in verdict.Takeovers.Where(takeover => takeover.TookUs is not null))
        {
            if (takeover.TookUs!.Value / 1e6 <= _worstSeconds) continue;
            (_worstSeconds, _worstShare) = (takeover.TookUs.Value / 1e6, (double)takeover.TookUs.Value / takeover.BoundUs);
        }

        foreach (var violation in verdict.Violations) Say($"VIOLATION {violation.Kind}: {violation.Sentence}");
        foreach (var miss in verdict.Misses.Where(miss => miss.IsExplainedByLoad)) Say($"bound missed, explained by this machine's load: '{miss.Service}' {miss.TookUs / 1e6:0.000} s, {miss.LatenessUs / 1e6:0.000} s late\n{miss.Story}");
        if (verdict.Violations.IsEmpty && verdict.Misses.IsEmpty) return;
        foreach (var machine in cluster.Machines.All)
        {
            var kept = Directory.CreateDirectory(Path.Combine(directory, $"round-{plan.Round}", machine.Id)).FullName;
            foreach (var file in Directory.EnumerateFiles(machine.Home).Where(file => Path.GetExtension(file) is "" or ".log" or ".yml")) File.Copy(file, Path.Combine(kept, Path.GetFileName(file)), overwrite: true);
        }
    }

    private void Tell(HistoryRecord record)
    {
        switch (record)
        {
            case RoundStarted round:
                Say($"cluster {round.Round + 1}: {round.Machines.Length} machines");
                break;
            case FaultBegan fault:
                _faults++;
                Say($"fault {fault.Id}: {fault.Row()} {string.Join(", ", fault.Machines)} {fault.Detail}".TrimEnd());
                break;
            case FaultSkipped skipped:
                Say($"not injected: {FaultEffects.Text(skipped.Kind)}: {skipped.Why}");
                break;
            case DaemonEnded end when _ended.Add((end.Machine, _faults)): // One that cannot start is tried again and again.
                Say($"the daemon of {end.Machine} ended with {end.ExitCode}: {end.LastWords}");
                break;
            case HealthWaited { Missing: { } missing }:
                Say($"not well again: {missing}");
                break;
        }
    }

    private void Progress(Cluster cluster) => Say(string.Create(CultureInfo.InvariantCulture,
        $"... {_faults} faults, {_takeovers + cluster.Recorder.Takeovers} takeovers, worst {_worstSeconds:0.00} s ({_worstShare:P0} of the bound; the present cluster's is judged at its end), {cluster.Recorder.Refused} late acts refused here, {_violations} violations"));

    private void Say(string words) => Console.WriteLine($"{Elapsed:hh\\:mm\\:ss} {words}");

    private static async Task<string> VersionAsync()
    {
        var finished = await ClustdProgram.RunAsync([ClustdProgram.Path, "version"]);
        return $"{finished.Out.Trim()}, {(File.Exists(Path.Combine(Path.GetDirectoryName(ClustdProgram.Path)!, "clustd.dll")) ? "JIT" : "NativeAOT")}";
    }

    private static string Machine() => string.Create(CultureInfo.InvariantCulture, $"{System.Environment.ProcessorCount} processors, Linux {System.Environment.OSVersion.Version}");
}
