using Clustd.Core;

namespace Clustd.Simulation;

/// <summary>What became of one seed. Violation null: it is clean.</summary>
internal sealed record SeedResult(ulong Seed, Scenario Scenario, ViolationException? Violation, string Digest, double WorstShareOfBound, long SimulatedMicroseconds, IReadOnlyList<string> Tail)
{
    /// <summary>All that somebody needs who is to find out why.</summary>
    public string Report(int? machines) =>
        $"""
        {string.Join('\n', Tail)}

        FAILED {Scenario}
        {Violation!.Message}
        Replay: dotnet run -c Release --project tests/Clustd.Simulation -- --seed {Seed}{(machines is { } count ? $" --machines {count}" : "")}{(Scenario.Bug == PlantedBug.None ? "" : $" --bug {Scenario.Bug}")}
        """;
}

/// <summary>Runs seeds, one world per thread.</summary>
internal static class Runner
{
    public static SeedResult Run(ulong seed, int? machines = null, PlantedBug bug = PlantedBug.None, TextWriter? live = null, bool judgesLiveness = true) =>
        Run(Scenario.FromSeed(seed, machines, bug) with { JudgesLiveness = judgesLiveness }, live);

    public static SeedResult Run(Scenario scenario, TextWriter? live = null)
    {
        var transcript = new Transcript(live);
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

        return new SeedResult(scenario.Seed, scenario, violation, world.Digest, world.WorstShareOfBound, world.Events.Now, violation is null ? [] : [.. transcript.Tail()]);
    }

    /// <summary>Runs seeds from `from` on until `until` says stop; results come in no particular order, one at a time.</summary>
    public static void RunMany(ulong from, Func<ulong, bool> until, int threads, int? machines, PlantedBug bug, Action<SeedResult> done, bool judgesLiveness = true)
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

                    var result = Run(seed, machines, bug, judgesLiveness: judgesLiveness);
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
