using System.Diagnostics;
using System.Globalization;
using Clustd.Core;

namespace Clustd.Simulation;

/// <summary>`--soak`: simulated days as independent half-days, one seed each, so that threads can share them. Says how it goes, day by day.</summary>
internal static class SoakRunner
{
    public static int Run(SoakPlan plan)
    {
        Console.WriteLine(plan);
        var clock = Stopwatch.StartNew();
        var halves = (int)Math.Ceiling(plan.Days * 2);
        var length = (long)(plan.Days * 2 * SoakPlan.HalfDay / halves);
        var gate = new Lock();
        var results = new List<SoakResult>();
        var next = 0;
        var broken = false;
        var workers = new Thread[plan.Threads];
        for (var i = 0; i < workers.Length; i++)
        {
            workers[i] = new Thread(() =>
            {
                while (true)
                {
                    ulong seed;
                    lock (gate)
                    {
                        if (next == halves || broken)
                        {
                            return;
                        }

                        seed = plan.From + (ulong)next++;
                    }

                    var (result, stories, violation) = RunOne(plan, seed, length);
                    lock (gate)
                    {
                        foreach (var story in stories)
                        {
                            Console.WriteLine($"--\n{story}");
                        }

                        broken |= violation is not null;
                        results.Add(result);
                        Console.WriteLine(violation is null ? Line($"half-day {seed}", [result]) : $"half-day {seed}: {violation.Message}");
                        if (results.Count % 2 == 0)
                        {
                            Console.WriteLine(Line($"after {results.Sum(one => one.Length) / (2.0 * SoakPlan.HalfDay):0.##} days in {clock.Elapsed.TotalMinutes:0.0} min", results));
                        }
                    }
                }
            });
            workers[i].Start();
        }

        foreach (var worker in workers)
        {
            worker.Join();
        }

        Console.WriteLine(Line($"{plan}: all", results));
        return broken || results.Exists(result => result.IsFailover) ? 1 : 0;
    }

    private static (SoakResult Result, List<string> Stories, ViolationException? Violation) RunOne(SoakPlan plan, ulong seed, long length)
    {
        var world = new World(plan.ScenarioOf(seed, length), new Transcript(null));
        ViolationException? violation = null;
        try
        {
            world.Run();
        }
        catch (ViolationException found)
        {
            violation = found;
        }

        return (world.Soak!.Result(), world.Soak.Stories, violation);
    }

    private static string Line(string what, List<SoakResult> results) => string.Create(
        CultureInfo.InvariantCulture,
        $"{what}: {results.Sum(one => one.SessionsEnded)} sessions ended, {results.Sum(one => one.Moves)} moves, {results.Sum(one => one.Restarts)} restarts, {results.Sum(one => one.HoldsLapsed)} holds lapsed, "
        + $"{results.Sum(one => one.Elections)} elections, {results.Sum(one => one.Stalls)} stalls, worst hold left {results.Min(one => one.HoldLeft) / 1e3:0.0} ms");
}
