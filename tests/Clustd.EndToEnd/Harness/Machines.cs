using System.Net;
using System.Net.Sockets;
using System.Text;

namespace Clustd.EndToEnd.Harness;

/// <summary>What a cluster is made of. Everything not said is clustd's default.</summary>
public sealed record ClusterPlan
{
    /// <summary>Strong enough for addresses that are not loopback.</summary>
    public const string GoodSecret = "tests-Kx8vQ2mZr7LpW4tYb9Nc6Hs3";

    /// <summary>The shell driver with the app of these tests.</summary>
    public static string SupervisedApp => $"drivers:\n  - shell: {{ run: 'exec bash {ActsScript}' }}\n";

    public static string ActsScript => Path.Combine(AppContext.BaseDirectory, "acts.sh");

    public int Count { get; init; } = 3;

    public string Secret { get; init; } = GoodSecret;

    public bool InNamespaces { get; init; }

    /// <summary>Hosts on the same network, in namespaces of their own, that know nothing of clustd. Their numbers follow those of the machines.</summary>
    public int Neighbours { get; init; }

    /// <summary>Lines under <c>cluster:</c>, indented by two. Half the default lease: the scenarios' limits are counted from it, and they are long enough.</summary>
    public string ClusterLines { get; init; } = "  lease: 1s";

    /// <summary>What follows in the file; <c>{net}</c> stands for the first three bytes of the network.</summary>
    public string Rest { get; init; } = SupervisedApp;

    /// <summary>Done when the network is there, and before any daemon is.</summary>
    public Action<Machines>? Before { get; init; }
}

/// <summary>A cluster of real processes, each machine with a directory of its own, and the observer of what their apps do.</summary>
public sealed class Machines : IAsyncDisposable
{
    private static int _count;
    private readonly ClusterPlan _plan;
    private readonly NamespacedNetwork? _network;

    private Machines(ClusterPlan plan)
    {
        Leftovers.Clear();
        var number = Interlocked.Increment(ref _count);
        _plan = plan with { Rest = plan.Rest.Replace("{net}", NamespacedNetwork.NetOf(number)) };
        Home = Path.Combine(Path.GetTempPath(), $"{Leftovers.Prefix}{System.Environment.ProcessId}-{number}");
        Directory.CreateDirectory(Home);
        Acts = new ActObserver(Home);
        _network = plan.InNamespaces ? new NamespacedNetwork(number, plan.Count + plan.Neighbours) : null;
        var ports = plan.InNamespaces ? Enumerable.Repeat(3001, plan.Count).ToList() : FreePorts(plan.Count);
        All = [.. Enumerable.Range(1, plan.Count).Select(each => new Machine(
            $"cm-{each}", Path.Combine(Home, $"cm-{each}"), _network?.AddressOf(each) ?? "127.0.0.1", ports[each - 1], plan.Secret, Acts, _network?.NameOf(each)))];
        foreach (var machine in All) File.WriteAllText(machine.ConfigPath, FileOf(machine));
    }

    public string Home { get; }

    public ActObserver Acts { get; }

    public IReadOnlyList<Machine> All { get; }

    /// <summary>The wires between the machines; only with namespaces.</summary>
    public NamespacedNetwork Network => _network!;

    public Machine this[string id] => All.Single(machine => machine.Id == id);

    /// <summary>The machine whose app acts.</summary>
    public Machine Master => this[Acts.Newest()!.Machine];

    /// <summary>The others.</summary>
    public IReadOnlyList<Machine> Standbys => [.. All.Where(machine => machine != Master)];

    /// <summary>Makes the files, and starts nothing.</summary>
    public static Machines Prepare(ClusterPlan plan) => new(plan);

    /// <summary>Starts all daemons and waits until all is well.</summary>
    public static async Task<Machines> StartAsync(ClusterPlan plan)
    {
        var machines = new Machines(plan);
        try
        {
            plan.Before?.Invoke(machines);
            await machines.MakeHealthyAsync();
            return machines;
        }
        catch (Exception e)
        {
            var logs = machines.Logs();
            await machines.DisposeAsync();
            throw new InvalidOperationException($"The cluster did not become healthy: {e.Message}\n{logs}", e);
        }
    }

    /// <summary>Starts what is down, and waits until every machine has its session and its drivers, and exactly one app acts.</summary>
    public async Task MakeHealthyAsync()
    {
        foreach (var machine in All.Where(machine => !machine.IsDaemonRunning)) machine.Start();
        foreach (var machine in All)
        {
            await Eventually.IsTrue(
                async () => await machine.StatusAsync() is { } status && status.Alive.Count == All.Count && status.Drivers.Count > 0 && status.Service().State == "running",
                $"{machine.Id} knows all machines alive, its drivers, and a running service");
        }

        await ShouldGoOnActingAsync(TimeSpan.Zero);
    }

    /// <summary>Waits for an app with a newer token than <paramref name="old"/>; it is the only one then.</summary>
    public Task<Tenure> NextTenureAsync(Tenure old) =>
        Eventually.Gives(() => Acts.Newest(old.Service) is { } newest && newest.Token > old.Token ? newest : null, $"an app with a newer token than {old.Token}");

    /// <summary>Waits until somebody has acted later than <paramref name="time"/> from now; returns who.</summary>
    public async Task<Tenure> ShouldGoOnActingAsync(TimeSpan time)
    {
        var until = ActObserver.Now + (long)time.TotalMicroseconds;
        return await Eventually.Gives(() => Acts.Newest() is { } newest && newest.LastAt > until ? newest : null, "an app that acts", time + Eventually.Patience);
    }

    /// <summary>Moves the default service to wherever placement says; waits for machines that still cool down.</summary>
    public async Task MoveSomewhereAsync()
    {
        var old = Acts.Newest()!;
        await Eventually.IsTrue(async () => (await Master.RunAsync("move", "default")).ExitCode == 0, "the service can be moved");
        await NextTenureAsync(old);
    }

    /// <summary>Makes this machine the leader, whoever it is now.</summary>
    public async Task LeadAsync(Machine machine)
    {
        await Eventually.IsTrue(
            async () =>
            {
                if (await AllSayLeaderAsync(machine.Id)) return true;
                if (await LeaderAsync() is { } leader && leader != machine)
                    await leader.AskAsync("/v1/requests/transfer-leadership", $"{{\"target\":\"{machine.Id}\"}}");
                await Task.Delay(100);
                return false;
            },
            $"{machine.Id} leads");
    }

    /// <summary>The machine that the living agree on as their leader, or null.</summary>
    public async Task<Machine?> LeaderAsync()
    {
        string? leader = null;
        foreach (var machine in All.Where(machine => machine.IsDaemonRunning))
        {
            if (await machine.StatusAsync() is { IsKnown: true } status && status.Leader == machine.Id) leader = machine.Id;
        }

        return leader is null ? null : this[leader];
    }

    /// <summary>The last lines of every machine, and what the observer saw.</summary>
    public string Logs(int lines = 60)
    {
        var text = new StringBuilder($"--- what the apps did\n{Acts.Story()}\n");
        foreach (var machine in All) text.Append($"--- {machine.Id} ({(machine.IsDaemonRunning ? "running" : "not running")})\n{string.Join('\n', machine.Log.Split('\n').TakeLast(lines))}\n");
        return text.ToString();
    }

    public async ValueTask DisposeAsync()
    {
        // Apps block on a full pipe once nobody reads it, so they go first.
        Leftovers.Kill(Home);
        foreach (var machine in All)
        {
            if (machine.IsDaemonRunning) await machine.ExitAsync();
            machine.Dispose();
        }

        Acts.Dispose();
        _network?.Dispose();
        Directory.Delete(Home, recursive: true);
    }

    private async Task<bool> AllSayLeaderAsync(string id)
    {
        foreach (var machine in All.Where(machine => machine.IsDaemonRunning))
        {
            if (await machine.StatusAsync() is not { IsKnown: true } status || status.Leader != id) return false;
        }

        return true;
    }

    // As the files of 2018 look: everybody lists the others.
    private string FileOf(Machine machine) =>
        $"""
        server:
          bind_address: {(_plan.InNamespaces ? "0.0.0.0" : machine.Address)}
          bind_port: {machine.Port}
          remote_address: ws://{machine.Address}:{machine.Port}
        cluster:
          secret: '{_plan.Secret}'
          id: {machine.Id}
          machines: [{string.Join(", ", All.Where(other => other != machine).Select(other => $"ws://{other.Address}:{other.Port}"))}]
        {_plan.ClusterLines}
        {_plan.Rest}
        """;

    /// <summary>Below the range that the kernel takes ports for outgoing connections from, so that nobody gets one in between.</summary>
    public static List<int> FreePorts(int count)
    {
        var ports = new List<int>();
        while (ports.Count < count)
        {
            var port = Random.Shared.Next(20_000, 32_000);
            try
            {
                using var listener = new TcpListener(IPAddress.Loopback, port);
                listener.Start();
                if (!ports.Contains(port)) ports.Add(port);
            }
            catch (SocketException)
            {
                // Taken: another one.
            }
        }

        return ports;
    }
}
