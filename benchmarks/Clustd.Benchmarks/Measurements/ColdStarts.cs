using Clustd.Benchmarks.Subjects;
using Clustd.EndToEnd.Harness;

namespace Clustd.Benchmarks.Measurements;

/// <summary>Three machines that have never met. Two are up and wait for the third: from its exec to the first master.</summary>
internal static class ColdStarts
{
    public const string Name = "cold-start";

    public static async Task RunAsync(Bench bench, Setting setting, CancellationToken cancellationToken)
    {
        for (var number = 1; number <= bench.Runs; number++)
        {
            cancellationToken.ThrowIfCancellationRequested();
            var cluster = new ClustdCluster(setting, bench.Tools);
            try
            {
                await bench.MeasureAsync(Name, setting.Name, "empty stores", number, bench.Runs, values => OnceAsync(cluster, values), cluster.Logs, cancellationToken);
            }
            finally
            {
                await cluster.DisposeAsync();
            }
        }
    }

    private static async Task OnceAsync(ClustdCluster cluster, SortedDictionary<string, double> values)
    {
        var (first, third) = (cluster.Machines.All.SkipLast(1).ToList(), cluster.Machines.All[^1]);
        foreach (var machine in first) machine.Start();
        foreach (var machine in cluster.Machines.All) cluster.StartProbe(machine); // the third's waits for its daemon
        foreach (var machine in first)
        {
            await Eventually.IsTrue(
                async () => await machine.StatusAsync() is { } status && status.HasDriver("probe") && status.HasDriver("default-shell"), $"{machine.Id} is up with its drivers");
        }

        await Task.Delay(500 + Random.Shared.Next(200));
        if (cluster.Acts.Newest() is not null) throw new InvalidOperationException("a master before all machines have met");
        var at = ActObserver.Now;
        third.Start();
        var app = await Eventually.Gives(() => cluster.Acts.Newest(), "the first app acts");
        // The two pipes are read by two threads.
        var told = await Eventually.Gives(() => cluster.StartOf(app.Token), "the probe is told to start");
        values["trigger"] = (told.At - at) / 1e3;
        values["app"] = (app.FirstAt - at) / 1e3;
    }
}
