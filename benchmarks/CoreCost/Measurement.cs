using Clustd.Core;
using Clustd.Core.Raft;

namespace Clustd.CoreCost;

/// <summary>The two figures that matter: what a heartbeat costs while nothing happens, and what a takeover costs when everything happens at once.</summary>
internal static class Measurement
{
    public static string Idle(int services, bool driver)
    {
        var cluster = Ready(services, driver);
        cluster.RunFor(TimeSpan.FromSeconds(2));
        foreach (var machine in cluster.Machines)
        {
            machine.Forget();
        }

        const int seconds = 10;
        cluster.RunFor(TimeSpan.FromSeconds(seconds));
        var leader = cluster.Leader!;
        var master = cluster.Machines.First(machine => machine != leader && machine.Id == cluster.Machines[0].Id);
        var standby = cluster.Machines.First(machine => machine != leader && machine != master);
        return $"| {services} service{(services == 1 ? "" : "s")}, {(driver ? "a driver" : "no driver")} | {Of(leader)} | {Of(master)} | {Of(standby)} |";

        static string Of(BenchMachine machine) =>
            $"{machine.Cpu.TotalMicroseconds / (seconds * 20):0.0}, {machine.Bytes / (seconds * 20)}";
    }

    public static string Takeover(int services)
    {
        var cluster = Ready(services, driver: true);
        cluster.RunFor(TimeSpan.FromSeconds(2));
        foreach (var machine in cluster.Machines)
        {
            machine.Forget();
        }

        var lost = cluster.Machines[0];
        var killed = cluster.Now;
        cluster.Kill(lost);
        cluster.RunUntil(() => cluster.AllRunOn(machine => machine != lost.Id), TimeSpan.FromMinutes(1));
        var leader = cluster.Leader!;
        return $"| {services} | {(cluster.Now - killed).TotalMilliseconds:0} ms | {Of(leader)} | {string.Join("; ", cluster.Alive.Where(machine => machine != leader).Select(Of))} |";

        static string Of(BenchMachine machine) => $"{machine.Cpu.TotalMilliseconds:0.0}, {machine.Steps}, {machine.Bytes / 1e6:0.0}";
    }

    // Everything runs on cm-1, and another machine leads: leader, master and standby are three.
    private static BenchCluster Ready(int services, bool driver)
    {
        var cluster = new BenchCluster(services, driver);
        var first = cluster.Machines[0];
        cluster.RunUntil(() => cluster.AllRunOn(machine => machine == first.Id), TimeSpan.FromMinutes(1));
        if (cluster.Leader == first)
        {
            cluster.Post(first, new Input.RequestMade("transfer", new Request.TransferLeadership(null)), TimeSpan.Zero);
            cluster.RunUntil(() => cluster.Leader is { } leader && leader != first, TimeSpan.FromSeconds(10));
        }

        cluster.RunUntil(() => cluster.AllRunOn(machine => machine == first.Id), TimeSpan.FromMinutes(1));
        return cluster;
    }
}
