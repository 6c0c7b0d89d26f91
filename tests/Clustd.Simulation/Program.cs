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

        if (args.Any(arg => arg is "--seed" or "--seeds" or "--minutes" or "--soak"))
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

        if (Value("--seed") is not null)
        {
            return Replay(Number("--seed", 1), machines, bug, !args.Contains("--only-safety"));
        }

        var from = Number("--from", 1);
        if (args.Contains("--digests"))
        {
            return Digests(from, Number("--seeds", 100), (int)Number("--threads", 2), machines, bug);
        }

        var seeds = Number("--seeds", ulong.MaxValue / 2);
        var minutes = Number("--minutes", 0);
        return Search(from, seeds, minutes, (int)Number("--threads", 2), machines, bug, args.Contains("--keep-going"), !args.Contains("--only-safety"));
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

    private static int Replay(ulong seed, int? machines, PlantedBug bug, bool judgesLiveness)
    {
        using var output = new StreamWriter(Console.OpenStandardOutput());
        var result = Runner.Run(seed, machines, bug, output, judgesLiveness);
        output.WriteLine(result.Violation is null ? $"clean: {result.Scenario}" : $"FAILED {result.Scenario}\n{result.Violation.Message}");
        output.WriteLine(result.Digest);
        return result.Violation is null ? 0 : 1;
    }

    /// <summary>One line per seed, with a hash of its whole story: two versions that decide the same print the same.</summary>
    private static int Digests(ulong from, ulong seeds, int threads, int? machines, PlantedBug bug)
    {
        var lines = new string[seeds];
        Parallel.For(0, (int)seeds, new ParallelOptions { MaxDegreeOfParallelism = threads }, i =>
        {
            using var story = new StringWriter();
            var result = Runner.Run(from + (ulong)i, machines, bug, story);
            var hash = Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(story.ToString())).AsSpan(0, 8));
            lines[i] = $"{from + (ulong)i} {hash} {result.Digest}{(result.Violation is null ? "" : " FAILED")}";
        });
        foreach (var line in lines)
        {
            Console.WriteLine(line);
        }

        return 0;
    }

    private static int Search(ulong from, ulong seeds, ulong minutes, int threads, int? machines, PlantedBug bug, bool keepGoing, bool judgesLiveness)
    {
        var clock = Stopwatch.StartNew();
        var (count, failed, simulated, worst, reported) = (0UL, 0, 0L, 0.0, 0L);
        bool IsOver(ulong next) => next - from >= seeds || (minutes > 0 && clock.Elapsed.TotalMinutes >= minutes) || (failed > 0 && !keepGoing);
        Runner.RunMany(from, IsOver, threads, machines, bug, result =>
        {
            count++;
            simulated += result.SimulatedMicroseconds;
            worst = Math.Max(worst, result.WorstShareOfBound);
            if (result.Violation is not null && failed++ >= 0)
            {
                Console.WriteLine(keepGoing ? $"seed {result.Seed} ({result.Scenario.Machines} machines): {Short(result.Violation.Message)}" : result.Report(machines));
            }

            if (clock.ElapsedMilliseconds - reported > 5_000)
            {
                reported = clock.ElapsedMilliseconds;
                Console.WriteLine(Progress());
            }
        }, judgesLiveness);
        Console.WriteLine(Progress());
        return failed == 0 ? 0 : 1;

        string Progress() => string.Create(
            CultureInfo.InvariantCulture,
            $"{count} seeds, {failed} failed, {simulated / 3.6e9:0.0} simulated hours in {clock.Elapsed.TotalMinutes:0.0} min ({simulated / 1e6 / clock.Elapsed.TotalSeconds / threads:0} x real time per thread), longest without a master {worst:P0} of the bound");
    }

    private static string Short(string message) => message.Length > 400 ? message[..400] + "..." : message;
}
