using System.Collections.Immutable;
using System.Globalization;
using System.Text;
using Clustd.Benchmarks.Measurements;
using Clustd.Benchmarks.Record;
using Clustd.Benchmarks.Statistics;
using Clustd.Benchmarks.Subjects;

namespace Clustd.Benchmarks;

/// <summary>RESULTS.md: every figure with a sentence that says what it is, from the runs as they were recorded.</summary>
internal sealed class ResultsDocument
{
    private readonly StringBuilder _text = new();
    private readonly ImmutableArray<Run> _runs;

    private ResultsDocument(ImmutableArray<Run> runs) => _runs = runs;

    public static string Write(ImmutableArray<Run> runs)
    {
        var document = new ResultsDocument(runs);
        document.WriteAll();
        return document._text.ToString();
    }

    private void WriteAll()
    {
        Line("# Results");
        Line();
        Line("Written by `benchmarks/run`; the single runs are in `artifacts/benchmarks/runs.jsonl`. Three machines, each a network namespace with a cable to a bridge of its own, all on one real machine: the");
        Line("network has no delay worth mentioning, and three machines share the processors of one. All processes are real; clustd and the probe are compiled ahead of time. Times are in ms unless said, p95 by nearest");
        Line("rank (of 20 runs the 19th). A repetition of a measurement replaces it here.");
        Line();
        WriteSessions();
        WriteTakeovers();
        WritePeers();
        WriteMoves();
        WriteColdStarts();
        WriteIdle();
        WriteServices();
    }

    private void WriteSessions()
    {
        Line($"Machine: {MachineFacts.Describe()}.");
        Line();
        Table("measured", "commit", "app that acts", "busy before, by others", "load meanwhile, median (ours included)", "command");
        foreach (var session in _runs.GroupBy(run => run.Session).OrderBy(session => session.Key.Started))
        {
            var load = new Sample(session.Select(run => run.Load));
            Row($"{session.Key.Started:yyyy-MM-dd HH:mm}", session.Key.Commit, session.Key.App, $"{Number(session.Key.BusyBefore)} %", Number(load.Median), $"`{session.Key.Command}`");
        }
    }

    private void WriteTakeovers()
    {
        Heading("Takeovers: how to read the next tables");
        Line("- A time is from the fault to when the next machine's driver is told `trigger(true)`, which is clustd's part; and to the first act of the app under `run:`, which adds guard, shell and the app's own start.");
        Line("- *Bound* is k·(lease + kill_timeout), k = 1.0203. It leaves out two commits, and an election that is running just then.");
        Line("- *Overlap* is the largest over all runs: how long the old app acted after the new one's first act, in the order of the one pipe that both write to. Negative: so long, at least, nobody acted.");
        Line("- *Humps* are groups of runs that no gap of a quarter of the lease divides; a run on its own is an outlier. Losing the leader too must not make a second one.");
        Line("- *Vacated*: the session of the lost machine is ended. *Assigned*: what ran there is dead for certain, and the service granted anew. Both as the new master applied them; medians, from the fault.");
        foreach (var fault in Fault.All)
        {
            var groups = Groups(fault.Name, Setting.All.Select(setting => setting.Name));
            if (groups.Count == 0) continue;
            Heading($"{fault.Name}: {Lower(fault.Sentence)}");
            Table("setting", "case", "runs", "until", "min", "median", "p95", "max", "bound", "≤ bound", "≤ bound + 100 ms", "overlap", "humps");
            foreach (var (setting, @case, runs) in groups)
            {
                foreach (var (value, name) in new[] { ("trigger", "trigger(true)"), ("app", "app acts") }) TakeoverRow(setting, @case, runs, value, name);
            }

            Line();
            Line("Where the time goes, medians:");
            Line();
            Table("setting", "case", "vacated", "assigned", "trigger(true)", "app acts", "old app's last act");
            foreach (var (setting, @case, runs) in groups)
                Row([setting, @case, .. new[] { "vacated", "assigned", "trigger", "app", "old stopped" }.Select(name => Of(runs, name) is { } sample ? Number(sample.Median) : "-")]);
            if (fault.Thaws) WriteThaw(groups);
            Line();
            foreach (var (setting, @case, runs) in groups.Where(group => Of(group.Runs, "trigger") is not null)) Picture($"{fault.Name}, {setting}, {@case}, until trigger(true)", Of(runs, "trigger")!);
            Failures(groups);
        }
    }

    private void TakeoverRow(string setting, string @case, IReadOnlyList<Run> runs, string value, string name)
    {
        if (Of(runs, value) is not { } sample) return;
        var (bound, gap) = Setting.All.FirstOrDefault(each => each.Name == setting) is { } known ? ((double?)known.BoundMs, known.Lease.TotalMilliseconds / 4) : (null, HumpGapOfPeersMs);
        Row(setting, @case, Count(runs), name, Number(sample.Min), Number(sample.Median), Number(sample.P95), Number(sample.Max),
            bound is { } limit ? Number(limit) : "-", bound is { } ? Percent(sample.ShareUpTo(bound.Value)) : "-", bound is { } ? Percent(sample.ShareUpTo(bound.Value + 100)) : "-",
            Of(runs, "overlap") is { } overlap ? Number(overlap.Max) : "-", HumpsOf(sample, gap));
    }

    private void WriteThaw(IReadOnlyList<Group> groups)
    {
        Line();
        Line("P3: after the thaw the old app goes on until its killer runs again. Every such act carries the old token, so a resource that checks it refuses it.");
        Line();
        Table("setting", "case", "runs with late acts", "late acts, max", "last late act after the thaw: median", "max");
        foreach (var (setting, @case, runs) in groups)
        {
            if (Of(runs, "late acts") is not { } acts || Of(runs, "last late act") is not { } last) continue;
            Row(setting, @case, $"{acts.Sorted.Count(count => count > 0)} of {acts.Count}", Number(acts.Max), Number(last.Median), Number(last.Max));
        }
    }

    private const double HumpGapOfPeersMs = 250;

    private void WritePeers()
    {
        var names = _runs.Where(run => Fault.All.Any(fault => fault.Name == run.Measurement) && Setting.All.All(setting => setting.Name != run.Subject)).Select(run => run.Subject).Distinct().ToList();
        if (names.Count == 0) return;
        Heading("Peers under the same faults");
        Line("On the same namespaces, with the same app and observer. keepalived starts and stops the app by its notify script. The client of etcd is ours (`benchmarks/Probe/EtcdHolder.cs`): it acts while it holds a key under a");
        Line("lease, and stops when its last answered keepalive, counted from when it was sent, is older than the TTL: as careful as a client can be. Clients that wait for their library's word instead overlap. An overlap that");
        Line("goes on when the run ends, a second after the takeover, is shown as it was by then.");
        Line();
        Table("peer", "fault", "case", "runs", "min", "median", "p95", "max", "overlap", "runs with overlap", "humps");
        foreach (var fault in Fault.All)
        {
            foreach (var (peer, @case, runs) in Groups(fault.Name, names))
            {
                if (Of(runs, "app") is not { } sample || Of(runs, "overlap") is not { } overlap) continue;
                Row(peer, fault.Name, @case, Count(runs), Number(sample.Min), Number(sample.Median), Number(sample.P95), Number(sample.Max), Number(overlap.Max),
                    $"{overlap.Sorted.Count(each => each > 0)} of {overlap.Count}", HumpsOf(sample, HumpGapOfPeersMs));
            }
        }

        Line();
        foreach (var fault in Fault.All) Failures(Groups(fault.Name, names));
    }

    private void WriteMoves()
    {
        var groups = Groups(Moves.Name, Setting.All.Select(setting => setting.Name));
        if (groups.Count == 0) return;
        Heading("move: a planned switchover");
        Line("*Gap* is from when the old machine's last driver acknowledges its stop to when the new one's first driver is told to start; both are the probe. *App gap* is from the old app's last act to the new one's first: it adds");
        Line("the stop of the app with the guard's proof that nothing is left, and the start through guard and shell.");
        Line();
        Table("setting", "case", "runs", "gap: median", "p95", "max", "app gap: median", "p95", "max", "overlap", "request to app stopped: median");
        foreach (var (setting, @case, runs) in groups)
        {
            if (Of(runs, "gap") is not { } gap || Of(runs, "app gap") is not { } app) continue;
            Row(setting, @case, Count(runs), Number(gap.Median), Number(gap.P95), Number(gap.Max), Number(app.Median), Number(app.P95), Number(app.Max), Number(Of(runs, "overlap")!.Max),
                Number(Of(runs, "request to app stopped")!.Median));
        }

        Line();
        Line("Where the gap goes, medians: the acknowledgement reaches the leader, which commits the release; commits the grant; the grant reaches the new machine and its driver. *Released* and *assigned* are what the leader's events say.");
        Line();
        string[] parts = ["app stopped to stop acknowledged", "acknowledged to released", "released to assigned", "assigned to trigger", "trigger to app"];
        Table(["setting", "case", .. parts]);
        foreach (var (setting, @case, runs) in groups) Row([setting, @case, .. parts.Select(part => Of(runs, part) is { } sample ? Number(sample.Median) : "-")]);
        Line();
        foreach (var setting in Setting.All)
        {
            if (Of([.. groups.Where(group => group.Subject == setting.Name).SelectMany(group => group.Runs)], "gap") is { } all) Picture($"gap, {setting.Name}, all cases", all, 0.5);
        }

        Failures(groups);
    }

    private void WriteColdStarts()
    {
        var groups = Groups(ColdStarts.Name, Setting.All.Select(setting => setting.Name));
        if (groups.Count == 0) return;
        Heading("cold-start: the first master of a new cluster");
        Line("Empty stores; two daemons wait for the third. From just before the third's process is made (so `ip netns exec` and a shell are in it, some ms) to the first `trigger(true)` and the first act of an app anywhere.");
        Line();
        Table("setting", "runs", "until", "min", "median", "p95", "max", "below 500 ms");
        foreach (var (setting, _, runs) in groups)
        {
            foreach (var (value, name) in new[] { ("trigger", "trigger(true)"), ("app", "app acts") })
            {
                if (Of(runs, value) is { } sample)
                    Row(setting, Count(runs), name, Number(sample.Min), Number(sample.Median), Number(sample.P95), Number(sample.Max), Percent(sample.ShareUpTo(500)));
            }
        }

        Line();
        Failures(groups);
    }

    private void WriteIdle()
    {
        var groups = Groups(IdleCost.Name, Setting.All.Select(setting => setting.Name));
        if (groups.Count == 0) return;
        Heading("idle: what a machine costs while nothing happens");
        Line("Daemon, driver process and (on the master) guard together, without the app; over 60 s. Memory at the end, MB: RSS counts pages that processes share in each of them, PSS once. Processor: share of one core.");
        Line();
        Table("setting", "machine", "RSS", "PSS", "processor", "daemon: RSS / PSS / processor", "drivers", "guard");
        foreach (var (setting, @case, runs) in groups)
        {
            string Of(string role) => Value(runs, $"{role} RSS") is null ? "-" : $"{Text(runs, $"{role} RSS")} / {Text(runs, $"{role} PSS")} / {Text(runs, $"{role} processor", "0.00")} %";
            if (Value(runs, "RSS") is not null) Row(setting, @case, Text(runs, "RSS"), Text(runs, "PSS"), $"{Text(runs, "processor", "0.00")} %", Of("daemon"), Of("drivers"), Of("guard"));
        }

        Line();
        Failures(groups);
    }

    private void WriteServices()
    {
        var groups = Groups(ManyServices.Name, [Setting.Default.Name]);
        if (groups.Count == 0) return;
        Heading("services: a machine with 1,000 services is lost");
        Line($"All processes of the machine are killed; from then to `trigger(true)` of the first, the middle and the last of 1,000 services elsewhere, followed by one driver process per machine. The aim is the bound + 2 s: {Number(Setting.Default.BoundMs + 2000)} ms.");
        Line();
        Table("setting", "runs", "first start: median", "median start: median", "last start: median", "last start: max", "all running by status: max");
        foreach (var (setting, _, runs) in groups)
        {
            if (Of(runs, "last start") is not { } last) continue;
            Row(setting, Count(runs), Number(Of(runs, "first start")!.Median), Number(Of(runs, "median start")!.Median), Number(last.Median), Number(last.Max), Number(Of(runs, "all running by status, at most")!.Max));
        }

        Line();
        Failures(groups);
    }

    private void Failures(IReadOnlyList<Group> groups)
    {
        foreach (var (subject, @case, runs) in groups)
        {
            foreach (var run in runs.Where(run => run.Failure is not null)) Line($"- Run {run.Number} of {subject}, {@case}, failed: {run.Failure!.ReplaceLineEndings(" ")}");
            if (Of(runs, "further failovers") is { Max: > 0 } further) Line($"- {subject}, {@case}: in {further.Sorted.Count(each => each > 0)} runs another failover followed within a second.");
        }
    }

    private void Picture(string title, Sample sample, double binAtLeast = 5)
    {
        Line($"{title}:");
        Line();
        Line("```");
        _text.Append(Histogram.Text(sample, binAtLeast));
        Line("```");
        Line();
    }

    private IReadOnlyList<Group> Groups(string measurement, IEnumerable<string> subjects) =>
    [
        .. subjects.SelectMany(subject => _runs.Where(run => run.Measurement == measurement && run.Subject == subject).GroupBy(run => run.Case).Select(runs => new Group(subject, runs.Key, [.. runs]))),
    ];

    private static Sample? Of(IReadOnlyList<Run> runs, string value) =>
        runs.Where(run => run.Values.ContainsKey(value)).Select(run => run.Values[value]).ToList() is { Count: > 0 } values ? new Sample(values) : null;

    private static double? Value(IReadOnlyList<Run> runs, string value) => Of(runs, value)?.Median;

    private static string Text(IReadOnlyList<Run> runs, string value, string format = "0.0") => Value(runs, value)?.ToString(format, CultureInfo.InvariantCulture) ?? "-";

    private static string Count(IReadOnlyList<Run> runs) => runs.Count(run => run.Failure is not null) is > 0 and var failed ? $"{runs.Count - failed} ({failed} failed)" : $"{runs.Count}";

    private static string HumpsOf(Sample sample, double gapMs)
    {
        var humps = Humps.Of(sample, gapMs);
        var where = humps.All.Length > 1 ? ": " + string.Join(", ", humps.All.Select(hump => $"{Number(hump.From)} to {Number(hump.To)} ({hump.Count})")) : "";
        return $"{humps.All.Length}{where}{(humps.Outliers > 0 ? $", outliers {humps.Outliers}" : "")}";
    }

    // Three digits say all that there is to be said of a figure like these.
    private static string Number(double value) => value.ToString(Math.Abs(value) >= 100 ? "0" : Math.Abs(value) >= 10 ? "0.0" : "0.00", CultureInfo.InvariantCulture);

    private static string Percent(double share) => (100 * share).ToString("0", CultureInfo.InvariantCulture) + " %";

    private static string Lower(string sentence) => char.ToLowerInvariant(sentence[0]) + sentence[1..].TrimEnd('.');

    private void Heading(string text)
    {
        Line();
        Line($"## {text}");
        Line();
    }

    private void Table(params string[] columns)
    {
        Row(columns);
        Row([.. columns.Select(_ => "---")]);
    }

    private void Row(params string[] cells) => Line($"| {string.Join(" | ", cells)} |");

    private void Line(string line = "") => _text.Append(line).Append('\n');

    private sealed record Group(string Subject, string Case, IReadOnlyList<Run> Runs);
}
