using Clustd.Benchmarks.Subjects;
using Clustd.EndToEnd.Harness;

namespace Clustd.Benchmarks.Measurements;

/// <summary>A planned move: how long is nobody the master, and where does that time go?</summary>
internal static class Moves
{
    public const string Name = "move";

    private static readonly IReadOnlyList<string> Cases = ["the old master leads", "the new master leads", "a third machine leads"];

    public static async Task RunAsync(Bench bench, Setting setting, CancellationToken cancellationToken)
    {
        var cluster = new ClustdCluster(setting, bench.Tools);
        try
        {
            await cluster.MakeHealthyAsync();
            foreach (var @case in Cases)
            {
                for (var number = 1; number <= bench.Runs; number++)
                {
                    cancellationToken.ThrowIfCancellationRequested();
                    await bench.MeasureAsync(Name, setting.Name, @case, number, bench.Runs, values => OnceAsync(cluster, @case, values), cluster.Logs, cancellationToken);
                }
            }
        }
        finally
        {
            await cluster.DisposeAsync();
        }
    }

    private static async Task OnceAsync(ClustdCluster cluster, string @case, SortedDictionary<string, double> values)
    {
        await cluster.MakeHealthyAsync();
        var (acts, machines) = (cluster.Acts, cluster.Machines);
        var (from, to, third) = (machines.Master, machines.Standbys[0], machines.Standbys[1]);
        var leader = @case == Cases[0] ? from : @case == Cases[1] ? to : third;
        await cluster.LeadAsync(leader);
        await cluster.MakeHealthyAsync();
        await Task.Delay(200 + Random.Shared.Next(100));
        acts.ForgetRefused();
        var (before, old) = (acts.Tenures().Count, acts.Newest()!);
        if (old.Machine != from.Id) throw new InvalidOperationException("the master changed while the leader was being chosen");

        var at = ActObserver.Now;
        if (!await from.AskAsync("/v1/requests/move", $$"""{"service":"default","target":"{{to.Id}}"}""")) throw new InvalidOperationException("the move was refused");
        var next = await machines.NextTenureAsync(old);
        await machines.ShouldGoOnActingAsync(TimeSpan.FromMilliseconds(100));

        if (next.Machine != to.Id) throw new InvalidOperationException($"it moved to {next.Machine} and not to {to.Id}");
        var (stopped, started) = (cluster.StopOn(from.Id)!, cluster.StartOf(next.Token)!);
        var (ended, refused) = (acts.Tenures()[before - 1], acts.Refused.ToList());
        values["request to app stopped"] = (ended.LastAt - at) / 1e3;
        values["app stopped to stop acknowledged"] = (stopped.At - ended.LastAt) / 1e3;
        values["gap"] = (started.At - stopped.At) / 1e3;
        values["trigger to app"] = (next.FirstAt - started.At) / 1e3;
        values["app gap"] = (next.FirstAt - ended.LastAt) / 1e3;
        values["overlap"] = ((refused.Count > 0 ? refused.Max(act => act.At) : ended.LastAt) - next.FirstAt) / 1e3;
        // As the leader's events say it: both entries applied by the same machine.
        if (await ClustdCluster.EventAsync(leader, "released", old.Token) is { } released && await ClustdCluster.EventAsync(leader, "assigned", next.Token) is { } assigned)
        {
            var stoppedWallClock = DateTimeOffset.Now - TimeSpan.FromMicroseconds(ActObserver.Now - stopped.At);
            values["acknowledged to released"] = (released - stoppedWallClock).TotalMilliseconds;
            values["released to assigned"] = (assigned - released).TotalMilliseconds;
            values["assigned to trigger"] = values["gap"] - values["acknowledged to released"] - values["released to assigned"];
        }
    }
}
