using Clustd.Chaos.Faults;
using Clustd.Chaos.History;
using Clustd.Chaos.Plan;
using Clustd.EndToEnd.Harness;

namespace Clustd.Chaos.Run;

/// <summary>One round's machines, running, watched and kept.</summary>
internal sealed class Cluster : IAsyncDisposable
{
    public static readonly IReadOnlyList<string> Services = ["default", "jobs"];
    private readonly CancellationTokenSource _over = new();
    private Task _keeping = Task.CompletedTask;

    private Cluster(RoundPlan plan, HistoryFile history, TimeSpan lease)
    {
        History = history;
        Machines = Machines.Prepare(new ClusterPlan
        {
            Count = plan.Machines,
            InNamespaces = true,
            ClusterLines = $"  lease: {lease.TotalMilliseconds:0}ms",
            Rest = $"""
                services:
                {string.Join('\n', Services.Select(service => $"  {service}: {{ kill_timeout: {KillTimeoutMs}ms }}"))}
                drivers:
                {string.Join('\n', Services.Select(service => $"  - shell: {{ service: {service}, run: 'exec bash {ClusterPlan.ActsScript}' }}"))}
                """,
        });
        Recorder = new ActRecorder(history);
        Firewall = new Firewall(Machines.Network);
        // Every second machine's data lies on a disk that can be filled, the others' on whatever /tmp is: that one syncs for real.
        Keepers = [.. Machines.All.Select((machine, index) => new Keeper(machine, history,
            hasOwnWallClock: index == 0 && plan.HasOwnWallClock && WallClock.WhyNot is null, hasSmallDisk: index % 2 == 1 && SmallDisk.WhyNot is null))];
        Watcher = new Watcher(Machines.All, Services.Count, history);
    }

    public const long KillTimeoutMs = 500;

    public HistoryFile History { get; }

    public Machines Machines { get; }

    public IReadOnlyList<Keeper> Keepers { get; }

    public ActRecorder Recorder { get; }

    public Firewall Firewall { get; }

    public Watcher Watcher { get; }

    /// <summary>Makes directories and wires, and starts nothing.</summary>
    public static Cluster Prepare(RoundPlan plan, HistoryFile history, TimeSpan lease) => new(plan, history, lease);

    /// <summary>Starts all daemons and waits until all is well; else what is not.</summary>
    public async Task<string?> StartAsync()
    {
        foreach (var keeper in Keepers) keeper.Start();
        try
        {
            await Eventually.IsTrue(async () => await Health.MissingAsync(this) is null, "the new cluster is healthy");
            return null;
        }
        catch (TimeoutException)
        {
            return await Health.MissingAsync(this);
        }
    }

    /// <summary>From here on everything is written down, and belongs to this round.</summary>
    public void Begin(RoundStarted round)
    {
        History.Add(round);
        Machines.Acts.Seen += Recorder.Add;
        Watcher.Start();
        _keeping = Task.Run(KeepAsync);
    }

    /// <summary>The last things of the round.</summary>
    public void End()
    {
        Machines.Acts.Seen -= Recorder.Add;
        Recorder.Flush();
        History.Add(new RoundEnded(ActObserver.Now));
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var keeper in Keepers) keeper.Down();
        await _over.CancelAsync();
        await _keeping;
        await Watcher.DisposeAsync();
        Leftovers.Kill(Machines.Home);
        foreach (var keeper in Keepers) keeper.Dispose();
        await Machines.DisposeAsync();
        _over.Dispose();
    }

    private async Task KeepAsync()
    {
        while (!_over.IsCancellationRequested)
        {
            foreach (var keeper in Keepers) keeper.Look();
            await Task.Delay(30);
        }
    }
}
