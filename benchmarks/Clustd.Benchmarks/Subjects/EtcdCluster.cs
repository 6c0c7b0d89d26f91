using System.Diagnostics;
using System.Globalization;
using System.Net.Http.Headers;
using System.Text.Json;
using Clustd.EndToEnd.Harness;

namespace Clustd.Benchmarks.Subjects;

/// <summary>etcd of Debian on each machine, and beside it a session-aware client of ours that acts while it holds the lock.</summary>
internal sealed class EtcdCluster : Subject
{
    private const string LeaderElsewhere = "leader survives", LeaderToo = "leader lost too";

    private readonly int _ttlSeconds;
    private readonly Dictionary<Machine, Process> _servers = [];
    private readonly Dictionary<Machine, Process> _holders = [];
    private readonly Dictionary<Machine, HttpClient> _clients = [];

    public EtcdCluster(int ttlSeconds, Tools tools)
        : base(new ClusterPlan(), tools)
    {
        _ttlSeconds = ttlSeconds;
        foreach (var machine in Machines.All)
        {
            var handler = new SocketsHttpHandler
            {
                UseProxy = false,
                ConnectCallback = async (context, cancellationToken) => await NamespaceSocket.ConnectAsync(machine.Namespace!, context.DnsEndPoint, cancellationToken),
            };
            _clients[machine] = new HttpClient(handler) { BaseAddress = new Uri(Endpoint), Timeout = TimeSpan.FromSeconds(3) };
        }
    }

    private const string Endpoint = "http://127.0.0.1:2379";

    public override string Name => string.Create(CultureInfo.InvariantCulture, $"etcd, session-aware client, TTL {_ttlSeconds} s");

    public override IReadOnlyList<string> Cases { get; } = [LeaderElsewhere, LeaderToo];

    /// <summary>Why it cannot be measured here; null: it can.</summary>
    public static string? WhyNot() => File.Exists("/usr/bin/etcd") ? null : "there is no /usr/bin/etcd; install Debian's etcd-server, or run this as root, which does so";

    public override async Task MakeHealthyAsync()
    {
        foreach (var machine in Machines.All)
        {
            if (!IsUp(_servers, machine)) _servers[machine] = StartOn(machine, "etcd.log", ServerCommand(machine));
            if (!IsUp(_holders, machine))
                _holders[machine] = StartOn(machine, "holder.log", Tools.Probe, "etcd", Endpoint, _ttlSeconds.ToString(CultureInfo.InvariantCulture), machine.Id, Acts.Pipe);
        }

        foreach (var machine in Machines.All) await Eventually.IsTrue(async () => await LeaderIdAsync(machine) is not null, $"etcd on {machine.Id} knows a leader");
        await OneActsAsync();
        await Task.Delay(1_000 + (500 * _ttlSeconds)); // The standbys have their leases and watches again.
        await OneActsAsync();
    }

    public override async Task<bool> ArrangeAsync(string @case)
    {
        var wanted = @case == LeaderToo ? Machines.Master : Machines.Standbys[0];
        var ids = new Dictionary<Machine, string>();
        foreach (var machine in Machines.All)
        {
            if (await AskAsync(machine, "/v3/maintenance/status", "{}") is not { } status) return false;
            ids[machine] = status.GetProperty("header").GetProperty("member_id").GetString()!;
        }

        if (await LeaderIdAsync(wanted) is not { } leader) return false;
        if (leader == ids[wanted]) return true;
        if (@case == LeaderElsewhere && leader != ids[Machines.Master]) return true;
        // The gateway has no route for this.
        var holder = ids.First(id => id.Value == leader).Key;
        var hex = ulong.Parse(ids[wanted], CultureInfo.InvariantCulture).ToString("x", CultureInfo.InvariantCulture);
        await ClustdProgram.RunAsync(["ip", "netns", "exec", holder.Namespace!, "etcdctl", "--endpoints=127.0.0.1:2379", "move-leader", hex], new Dictionary<string, string> { ["ETCDCTL_API"] = "3" });
        await Task.Delay(1_000);
        return await LeaderIdAsync(wanted) == ids[wanted];
    }

    public override string Logs() =>
        string.Join('\n', Machines.All.SelectMany(machine => new[] { "etcd.log", "holder.log" }.Select(log => Path.Combine(machine.Home, log)).Where(File.Exists)
            .Select(log => $"--- {log}\n{string.Join('\n', File.ReadLines(log).TakeLast(8))}")));

    public override async ValueTask DisposeAsync()
    {
        await base.DisposeAsync();
        foreach (var process in _servers.Values.Concat(_holders.Values)) process.Dispose();
        foreach (var client in _clients.Values) client.Dispose();
    }

    // A TTL is at least 1.5 election timeouts, rounded up to a second; the default of 1 s makes the smallest one 2 s.
    private string[] ServerCommand(Machine machine)
    {
        string[] timing = _ttlSeconds >= 2 ? [] : ["--heartbeat-interval=50", "--election-timeout=500"];
        var members = string.Join(',', Machines.All.Select(each => $"{each.Id}=http://{each.Address}:2380"));
        return
        [
            "/usr/bin/etcd", "--name", machine.Id, "--data-dir", Path.Combine(machine.Home, "etcd"), "--listen-client-urls", Endpoint, "--advertise-client-urls", Endpoint,
            "--listen-peer-urls", $"http://{machine.Address}:2380", "--initial-advertise-peer-urls", $"http://{machine.Address}:2380",
            "--initial-cluster", members, "--initial-cluster-token", "benchmark", "--initial-cluster-state", "new", .. timing,
        ];
    }

    private async Task<string?> LeaderIdAsync(Machine machine) =>
        await AskAsync(machine, "/v3/maintenance/status", "{}") is { } status && status.TryGetProperty("leader", out var leader) && leader.GetString() is { } id && id != "0" ? id : null;

    private async Task<JsonElement?> AskAsync(Machine machine, string path, string json)
    {
        try
        {
            using var answer = await _clients[machine].PostAsync(path, new StringContent(json, new MediaTypeHeaderValue("application/json")));
            return answer.IsSuccessStatusCode ? JsonDocument.Parse(await answer.Content.ReadAsStringAsync()).RootElement : null;
        }
        catch (Exception e) when (e is HttpRequestException or TaskCanceledException or JsonException)
        {
            return null;
        }
    }

    private static bool IsUp(Dictionary<Machine, Process> processes, Machine machine)
    {
        if (processes.TryGetValue(machine, out var process) && !process.HasExited) return true;
        if (processes.Remove(machine, out var old)) old.Dispose();
        return false;
    }
}
