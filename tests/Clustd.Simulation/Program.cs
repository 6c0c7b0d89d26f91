using System.Diagnostics;
using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using Clustd.Core;

namespace Clustd.Simulation;

/// <summary>
/// With --seed, --seeds, --minutes or --soak: the simulator. With anything else: the test runner, as in every other test project.
/// </summary>
internal static class Program
{
    public static int Main(string[] args)
    {
        if (args.Contains("--zoo"))
        {
            return ZooProgram.Run(args);
        }

        if (Array.IndexOf(args, "--rewrite-scenarios") is var rewrite and >= 0)
        {
            return Scripts.ScriptFiles.Rewrite(rewrite + 1 < args.Length ? args[rewrite + 1] : "");
        }

        if (Array.IndexOf(args, "--scenario") is var scenario and >= 0 && scenario + 1 < args.Length)
        {
            return Scripts.ScriptFiles.Tell(args[scenario + 1]);
        }

        if (args.Any(arg => arg is "--seed" or "--seeds" or "--minutes" or "--soak" or "--long-run" or "--table" or "--fault-table"))
        {
            return Simulate(args);
        }

        if (args.Any(arg => arg is "-automated" or "@@"))
        {
            return Xunit.Runner.InProc.SystemConsole.ConsoleRunner.Run(args).GetAwaiter().GetResult();
        }

        return Xunit.MicrosoftTestingPlatform.TestPlatformTestFramework.RunAsync(args, SelfRegisteredExtensions.AddSelfRegisteredExtensions).GetAwaiter().GetResult();
    }

    private static int Simulate(string[] args)
    {
        string? Value(string name) => Array.IndexOf(args, name) is var at and >= 0 && at + 1 < args.Length ? args[at + 1] : null;
        ulong Number(string name, ulong otherwise) => Value(name) is { } text ? ulong.Parse(text, CultureInfo.InvariantCulture) : otherwise;
        int? machines = Value("--machines") is { } count and not "mix" ? int.Parse(count, CultureInfo.InvariantCulture) : null;
        var bug = Value("--bug") is { } name ? Enum.Parse<PlantedBug>(name, ignoreCase: true) : PlantedBug.None;
        if (args.Contains("--soak"))
        {
            return SoakRunner.Run(SoakPlanOf(args));
        }

        TimeSpan? length = Value("--simulated-minutes") is { } simulated ? TimeSpan.FromMinutes(double.Parse(simulated, CultureInfo.InvariantCulture)) : null;
        Scenario ScenarioOf(ulong seed) =>
            WithFencing(length is { } one ? Campaign.FromSeed(seed, one, machines, bug) : Scenario.FromSeed(seed, machines, bug)) with { JudgesLiveness = !args.Contains("--only-safety") };
        Scenario WithFencing(Scenario scenario) => args.Contains("--fencing") ? scenario.WithFencing(failShare: 0.05) : scenario;
        if (Value("--seed") is not null)
        {
            var scenario = ScenarioOf(Number("--seed", 1)) with { OnlyStrikes = Value("--only")?.Split(',').ToHashSet() };
            return args.Contains("--minimize") ? Minimize(scenario) : Replay(scenario);
        }

        if (args.Contains("--fault-table"))
        {
            Console.Write(FaultPatterns.Table);
            return 0;
        }

        if (Array.IndexOf(args, "--table") is var table and >= 0)
        {
            Console.WriteLine(LongRunTable.Of(LongRunTable.Read(args.Skip(table + 1))));
            return 0;
        }

        var from = Number("--from", 1);
        if (Value("--long-run") is { } file)
        {
            length ??= TimeSpan.FromMinutes(10);
            return new LongRun(file, from, Number("--seeds", 100_000), (int)Number("--threads", 2), length.Value.TotalMinutes, ScenarioOf).Run();
        }

        if (args.Contains("--digests"))
        {
            return Digests(from, Number("--seeds", 100), (int)Number("--threads", 2), ScenarioOf);
        }

        var seeds = Number("--seeds", ulong.MaxValue / 2);
        var minutes = Number("--minutes", 0);
        return Search(from, seeds, minutes, (int)Number("--threads", 2), ScenarioOf, args.Contains("--keep-going"));
    }

    /// <summary>--lease 1s --days 7 --machines 3 --loss 2% --stalls 500ms --stall-every 30s --full-stalls --recovery linux|classic --delay 5ms --from N --threads N.</summary>
    private static SoakPlan SoakPlanOf(string[] args)
    {
        string Value(string name, string otherwise) => Array.IndexOf(args, name) is var at and >= 0 && at + 1 < args.Length ? args[at + 1] : otherwise;
        int Number(string name, string otherwise) => int.Parse(Value(name, otherwise), CultureInfo.InvariantCulture);
        return new SoakPlan
        {
            Lease = Duration(Value("--lease", "1s")),
            Machines = Number("--machines", "3"),
            Days = double.Parse(Value("--days", "7"), CultureInfo.InvariantCulture),
            Loss = double.Parse(Value("--loss", "2%").TrimEnd('%'), CultureInfo.InvariantCulture) / 100,
            Recovery = Enum.Parse<LossRecovery>(Value("--recovery", "linux"), ignoreCase: true),
            StallMax = (long)Duration(Value("--stalls", "500ms")).TotalMicroseconds,
            StallEvery = (long)Duration(Value("--stall-every", "30s")).TotalMicroseconds,
            StallsAreFull = args.Contains("--full-stalls"),
            DelayMax = (long)Duration(Value("--delay", "5ms")).TotalMicroseconds,
            TellsStories = args.Contains("--stories"),
            From = (ulong)Number("--from", "1"),
            Threads = Number("--threads", "1"),
        };
    }

    private static TimeSpan Duration(string text)
    {
        var (unit, seconds) = text.EndsWith("ms", StringComparison.Ordinal) ? ("ms", 0.001) : ("s", 1.0);
        return TimeSpan.FromSeconds(double.Parse(text[..^unit.Length], CultureInfo.InvariantCulture) * seconds);
    }

    private static int Replay(Scenario scenario)
    {
        using var output = new StreamWriter(Console.OpenStandardOutput());
        var result = Runner.Run(scenario, new Transcript(output));
        output.WriteLine(result.Violation is null ? $"clean: {result.Scenario}" : $"FAILED {result.Scenario}\n{result.Violation.Message}");
        output.WriteLine(result.Digest);
        return result.Violation is null ? 0 : 1;
    }

    private static int Minimize(Scenario scenario)
    {
        var result = Runner.Run(scenario, new Transcript(null));
        Console.WriteLine(result.Violation is null ? $"clean: {result.Scenario}" : Minimizer.StoryOf(result, TimeSpan.FromMinutes(5)));
        return result.Violation is null ? 0 : 1;
    }

    /// <summary>One line per seed, with a hash of its whole story: two versions that decide the same print the same.</summary>
    private static int Digests(ulong from, ulong seeds, int threads, Func<ulong, Scenario> scenarioOf)
    {
        var lines = new string[seeds];
        Parallel.For(0, (int)seeds, new ParallelOptions { MaxDegreeOfParallelism = threads }, i =>
        {
            using var story = new StringWriter();
            var result = Runner.Run(scenarioOf(from + (ulong)i), new Transcript(story));
            var hash = Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(story.ToString())).AsSpan(0, 8));
            lines[i] = $"{from + (ulong)i} {hash} {result.Digest}{(result.Violation is null ? "" : " FAILED")}";
        });
        foreach (var line in lines)
        {
            Console.WriteLine(line);
        }

        return 0;
    }

    private static int Search(ulong from, ulong seeds, ulong minutes, int threads, Func<ulong, Scenario> scenarioOf, bool keepGoing)
    {
        var clock = Stopwatch.StartNew();
        var (count, failed, simulated, worst, reported) = (0UL, 0, 0L, 0.0, 0L);
        bool IsOver(ulong next) => next - from >= seeds || (minutes > 0 && clock.Elapsed.TotalMinutes >= minutes) || (failed > 0 && !keepGoing);
        Runner.RunMany(from, IsOver, threads, scenarioOf, result =>
        {
            count++;
            simulated += result.SimulatedMicroseconds;
            worst = Math.Max(worst, result.WorstShareOfBound);
            if (result.Violation is not null && failed++ >= 0)
            {
                Console.WriteLine(keepGoing ? $"seed {result.Seed} ({result.Scenario.Machines} machines): {Short(result.Violation.Message)}\n  {result.Replay}" : Minimizer.StoryOf(result, Patience));
            }

            if (clock.ElapsedMilliseconds - reported > 5_000)
            {
                reported = clock.ElapsedMilliseconds;
                Console.WriteLine(Progress());
            }
        });
        Console.WriteLine(Progress());
        return failed == 0 ? 0 : 1;

        string Progress() => string.Create(
            CultureInfo.InvariantCulture,
            $"{count} seeds, {failed} failed, {simulated / 3.6e9:0.0} simulated hours in {clock.Elapsed.TotalMinutes:0.0} min ({simulated / 1e6 / clock.Elapsed.TotalSeconds / threads:0} x real time per thread, {simulated / 1e6 / Environment.CpuUsage.TotalTime.TotalSeconds:0} x per second of CPU), longest without a master {worst:P0} of the bound");
    }

    /// <summary>How long a failure is made smaller before it is told.</summary>
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    private static string Short(string message) => message.Length > 400 ? message[..400] + "..." : message;
}
