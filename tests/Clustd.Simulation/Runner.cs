using System.Collections.Immutable;
using System.Globalization;
using Clustd.Core;

namespace Clustd.Simulation;

/// <summary>What became of one seed. Violation null: it is clean.</summary>
internal sealed record SeedResult(ulong Seed, Scenario Scenario, ViolationException? Violation, string Digest, double WorstShareOfBound, long SimulatedMicroseconds, IReadOnlyList<string> Tail)
{
    /// <summary>What was injected, by the name of the pattern.</summary>
    public required IReadOnlyDictionary<string, int> Injected { get; init; }

    /// <summary>The strikes that did something, by number, in order.</summary>
    public required ImmutableArray<string> Strikes { get; init; }

    public required RunCounts Counts { get; init; }

    /// <summary>The command that tells the story again.</summary>
    public string Replay => ReplayOf(Scenario);

    public static string ReplayOf(Scenario scenario) => string.Create(CultureInfo.InvariantCulture, $"./test sim --seed {scenario.Seed}")
        + (scenario.IsCampaign ? string.Create(CultureInfo.InvariantCulture, $" --simulated-minutes {scenario.Length / 6e7}") : "")
        + (scenario.ForcedMachines is { } machines ? string.Create(CultureInfo.InvariantCulture, $" --machines {machines}") : "")
        + (scenario.Bug == PlantedBug.None ? "" : $" --bug {scenario.Bug}")
        + (scenario.JudgesLiveness ? "" : " --only-safety")
        + (scenario.OnlyStrikes is { } only ? $" --only {string.Join(',', only)}" : "");

    /// <summary>All that somebody needs who is to find out why.</summary>
    public string Report() =>
        $"""
        {string.Join('\n', Tail)}

        FAILED at commit {LongRun.Commit}: {Scenario}
        {Violation!.Message}
        Replay: {Replay}
        """;
}

/// <summary>What happened in a run, in numbers.</summary>
/// <param name="Failovers">Services that lost their master without anybody asking for it.</param>
/// <param name="Starts">Drivers that began to act.</param>
/// <param name="Acts">What was done to the outside resource, and how much of it was refused for its token.</param>
internal sealed record RunCounts(long Failovers, long Starts, long Elections, long Commits, long Acts, long ActsRefused);

/// <summary>Runs seeds, one world per thread.</summary>
internal static class Runner
{
    public static SeedResult Run(ulong seed, int? machines = null, PlantedBug bug = PlantedBug.None, TextWriter? live = null, bool judgesLiveness = true) =>
        Run(Scenario.FromSeed(seed, machines, bug) with { JudgesLiveness = judgesLiveness }, new Transcript(live));

    public static SeedResult Run(Scenario scenario, Transcript transcript)
    {
        var world = new World(scenario, transcript);
        ViolationException? violation = null;
        try
        {
            world.Run();
        }
        catch (ViolationException found)
        {
            violation = found;
        }
        catch (Exception broken)
        {
            violation = new ViolationException(Invariant.NoCrash, broken.ToString());
        }

        return new SeedResult(scenario.Seed, scenario, violation, world.Digest, world.WorstShareOfBound, world.Events.Now, violation is null ? [] : [.. transcript.Tail()])
        {
            Injected = world.Injections.Counts,
            Strikes = [.. world.Injections.Made.Select(made => made.Number)],
            Counts = new RunCounts(world.Checks.Failovers, world.Acting.Begun, world.Checks.Elections, world.Checks.Committed, world.Acting.Tried, world.Acting.Refused),
        };
    }

    /// <summary>Runs seeds from `from` on until `until` says stop; results come in no particular order, one at a time.</summary>
    public static void RunMany(ulong from, Func<ulong, bool> until, int threads, int? machines, PlantedBug bug, Action<SeedResult> done, bool judgesLiveness = true) =>
        RunMany(from, until, threads, seed => Scenario.FromSeed(seed, machines, bug) with { JudgesLiveness = judgesLiveness }, done);

    public static void RunMany(ulong from, Func<ulong, bool> until, int threads, Func<ulong, Scenario> scenarioOf, Action<SeedResult> done)
    {
        var next = from;
        var gate = new Lock();
        var workers = new Thread[threads];
        for (var i = 0; i < threads; i++)
        {
            workers[i] = new Thread(() =>
            {
                while (true)
                {
                    ulong seed;
                    lock (gate)
                    {
                        if (until(next))
                        {
                            return;
                        }

                        seed = next++;
                    }

                    var result = Run(scenarioOf(seed), new Transcript(null));
                    lock (gate)
                    {
                        done(result);
                    }
                }
            });
            workers[i].Start();
        }

        foreach (var worker in workers)
        {
            worker.Join();
        }
    }
}
