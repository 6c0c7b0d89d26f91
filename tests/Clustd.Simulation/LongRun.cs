using System.Diagnostics;
using System.Globalization;
using System.Reflection;
using System.Text.Json;

namespace Clustd.Simulation;

/// <summary>What a number of seeds in a row came to: one line of a long run's file.</summary>
/// <param name="Commit">What was run, as the build knows it.</param>
/// <param name="WorstShareOfBound">The longest that a healthy majority went without a master, as a share of the bound.</param>
internal sealed record LongRunPart(
    string Commit,
    double SimulatedMinutes,
    ulong From,
    ulong Seeds,
    double SimulatedSeconds,
    SortedDictionary<string, long> Faults,
    long Failovers,
    long Starts,
    long Elections,
    long Commits,
    long Acts,
    long ActsRefused,
    double WorstShareOfBound,
    List<LongRunViolation> Violations);

internal sealed record LongRunViolation(ulong Seed, string Invariant, string Replay);

/// <summary>
/// `--long-run FILE --simulated-minutes M --from N --seeds N`: days of campaigns, to be stopped and taken up again at any time. What is done is in the file, part
/// by part; whoever starts it again with the same file goes on with the parts that are missing. Violations are told and do not end it.
/// </summary>
internal sealed class LongRun(string file, ulong from, ulong seeds, int threads, double simulatedMinutes, Func<ulong, Scenario> scenarioOf)
{
    /// <summary>Seeds per line. What is under way when it is stopped is lost: this many per thread at most, and some.</summary>
    private const ulong PartSize = 50;

    private readonly Stopwatch _clock = Stopwatch.StartNew();
    private readonly SortedDictionary<ulong, (ulong Done, LongRunPart Part)> _underWay = [];
    private ulong _done;
    private ulong _todo;
    private double _simulated;
    private int _violations;
    private long _reportedAt;

    public static string Commit { get; } =
        typeof(LongRun).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion is { } version && version.Split('+') is [_, var commit] ? commit[..Math.Min(10, commit.Length)] : "unknown";

    public int Run()
    {
        var known = File.Exists(file) ? LongRunTable.Read([file]) : [];
        var parts = new List<ulong>();
        for (var first = from; first < from + seeds; first += PartSize)
        {
            if (!known.Exists(part => part.From == first && part.SimulatedMinutes == simulatedMinutes && part.Seeds >= Math.Min(PartSize, from + seeds - first)))
            {
                parts.Add(first);
            }
        }

        var missing = parts.SelectMany(first => Enumerable.Range(0, (int)Math.Min(PartSize, from + seeds - first)).Select(i => first + (ulong)i)).ToList();
        _todo = (ulong)missing.Count;
        Console.WriteLine($"{seeds} seeds from {from} of {simulatedMinutes} simulated minutes at commit {Commit}: {missing.Count} to do, {seeds - _todo} are in {file} already.");
        using (var output = new StreamWriter(file, append: true))
        {
            Runner.RunMany(0, next => next >= _todo, threads, next => scenarioOf(missing[(int)next]), result => Take(result, output));
        }

        Console.WriteLine(Progress());
        Console.WriteLine(LongRunTable.Of(LongRunTable.Read([file])));
        return _violations == 0 ? 0 : 1;
    }

    private void Take(SeedResult result, StreamWriter output)
    {
        var first = from + ((result.Seed - from) / PartSize * PartSize);
        var size = Math.Min(PartSize, from + seeds - first);
        var (done, part) = _underWay.TryGetValue(first, out var known)
            ? known
            : (0UL, new LongRunPart(Commit, simulatedMinutes, first, size, 0, new SortedDictionary<string, long>(StringComparer.Ordinal), 0, 0, 0, 0, 0, 0, 0, []));
        var counts = result.Counts;
        part = part with
        {
            SimulatedSeconds = part.SimulatedSeconds + (result.SimulatedMicroseconds / 1e6),
            Failovers = part.Failovers + counts.Failovers,
            Starts = part.Starts + counts.Starts,
            Elections = part.Elections + counts.Elections,
            Commits = part.Commits + counts.Commits,
            Acts = part.Acts + counts.Acts,
            ActsRefused = part.ActsRefused + counts.ActsRefused,
            WorstShareOfBound = Math.Max(part.WorstShareOfBound, result.WorstShareOfBound),
        };
        foreach (var (name, times) in result.Injected)
        {
            part.Faults[name] = part.Faults.GetValueOrDefault(name) + times;
        }

        if (result.Violation is { } violation)
        {
            _violations++;
            part.Violations.Add(new LongRunViolation(result.Seed, violation.Invariant, result.Replay));
            Console.WriteLine($"seed {result.Seed} at commit {Commit}: {(violation.Message.Length > 400 ? violation.Message[..400] + "..." : violation.Message)}\n  {result.Replay}");
        }

        _done++;
        _simulated += result.SimulatedMicroseconds / 1e6;
        if (done + 1 == size)
        {
            _underWay.Remove(first);
            output.WriteLine(JsonSerializer.Serialize(part));
            output.Flush();
        }
        else
        {
            _underWay[first] = (done + 1, part);
        }

        if (_clock.ElapsedMilliseconds - _reportedAt > 10_000)
        {
            _reportedAt = _clock.ElapsedMilliseconds;
            Console.WriteLine(Progress());
        }
    }

    private string Progress()
    {
        var elapsed = _clock.Elapsed;
        var left = _done == 0 ? TimeSpan.Zero : elapsed * ((_todo - _done) / (double)_done);
        return string.Create(
            CultureInfo.InvariantCulture,
            $"{_done} of {_todo} seeds, {_violations} violations, {_simulated / 3.6e3:0.0} simulated hours in {elapsed.TotalMinutes:0.0} min ({_simulated / elapsed.TotalSeconds / threads:0} x real time per thread, {_simulated / Environment.CpuUsage.TotalTime.TotalSeconds:0} x per second of CPU), {left.TotalMinutes:0} min left");
    }
}
