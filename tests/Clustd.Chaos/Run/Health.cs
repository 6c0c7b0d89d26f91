using Clustd.Chaos.History;
using Clustd.EndToEnd.Harness;

namespace Clustd.Chaos.Run;

/// <summary>Whether all is well: every machine takes part and votes, every service runs and acts.</summary>
internal static class Health
{
    // Peers find each other again, a wiped machine is a voter again, a process that failed once is forgiven (10 s): all is well long before.
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);
    private static readonly TimeSpan LookEvery = TimeSpan.FromMilliseconds(100);

    // A service that failed on every machine waits for minutes, as it should: a new cluster is more to the point.
    private static readonly TimeSpan CoolingPatience = TimeSpan.FromSeconds(15);

    /// <summary>Waits, and writes down what came of it. False: go on with a new cluster.</summary>
    public static async Task<bool> WaitAsync(Cluster cluster, CancellationToken cancellationToken)
    {
        var since = ActObserver.Now;
        while (true)
        {
            var missing = await MissingAsync(cluster);
            var waited = TimeSpan.FromMicroseconds(ActObserver.Now - since);
            var isCooling = missing is not null && waited > CoolingPatience && missing.Contains("cools down", StringComparison.Ordinal);
            if (missing is null || isCooling || waited > Patience || cancellationToken.IsCancellationRequested)
            {
                var isViolation = missing is not null && !isCooling && !cancellationToken.IsCancellationRequested;
                cluster.History.Add(new HealthWaited(since, ActObserver.Now, isViolation ? missing : null));
                return missing is null;
            }

            await Task.Delay(LookEvery, CancellationToken.None);
        }
    }

    /// <summary>What is not well, or null.</summary>
    public static async Task<string?> MissingAsync(Cluster cluster)
    {
        var (machines, count) = (cluster.Machines.All, cluster.Machines.All.Count);
        foreach (var machine in machines)
        {
            if (!machine.IsDaemonRunning) return $"the daemon of {machine.Id} does not run";
            if (await machine.GetAsync("/v1/status?consistency=local") is not { } json) return $"{machine.Id} does not answer";
            var status = new Status(json);
            if (!status.IsKnown) return $"{machine.Id} does not know what is";
            if (status.Alive.Count != count) return $"{machine.Id} says that only {string.Join(", ", status.Alive)} are alive";
            if (status.Voters != count) return $"{machine.Id} counts {status.Voters} voters of {count}";
            if (status.Drivers.Count < Cluster.Services.Count) return $"{machine.Id} has only the drivers {string.Join(", ", status.Drivers)}";
            if (status.Warnings.Contains("restarting")) return $"a restart is open on {machine.Id}";
            foreach (var service in Cluster.Services.Where(service => status.Service(service).State != "running"))
                return $"{machine.Id} says that '{service}' is {status.Service(service).State}; {await PlacementAsync(cluster, service)}";
        }

        var now = ActObserver.Now;
        return Cluster.Services.FirstOrDefault(service => cluster.Machines.Acts.Newest(service) is not { } newest || now - newest.LastAt > 500_000) is { } idle ? $"no app of '{idle}' acts" : null;
    }

    // Only the leader says why it places a service nowhere.
    private static async Task<string> PlacementAsync(Cluster cluster, string service)
    {
        foreach (var machine in cluster.Machines.All.Where(machine => machine.IsDaemonRunning))
        {
            if (await machine.GetAsync("/v1/status?consistency=local") is not { } status) continue;
            foreach (var each in status.GetProperty("services").EnumerateArray().Where(each => each.GetProperty("name").GetString() == service))
            {
                if (each.GetProperty("placement").GetString() is { } placement) return placement;
            }
        }

        return "no leader says why";
    }
}
