using System.Globalization;
using System.Text;
using Clustd.Benchmarks.Subjects;
using Clustd.EndToEnd.Harness;

namespace Clustd.Benchmarks.Measurements;

/// <summary>A machine with 1,000 services is lost: how long until the last of them is running elsewhere?</summary>
internal static class ManyServices
{
    public const string Name = "services";

    private const int Services = 1_000;
    private const int PerConnection = 1_000; // as the probe groups them
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(120);

    public static async Task RunAsync(Bench bench, CancellationToken cancellationToken)
    {
        // Each run forms a cluster anew, which takes a while, and measures a thousand starts.
        var runs = Math.Clamp(bench.Runs / 4, 1, 5);
        for (var number = 1; number <= runs; number++)
        {
            cancellationToken.ThrowIfCancellationRequested();
            var machines = Machines.Prepare(new ClusterPlan { InNamespaces = true, ClusterLines = Setting.Default.ClusterLines, Rest = ServicesInYaml() });
            using var triggers = new TriggerLog(machines.Home);
            try
            {
                await bench.MeasureAsync(Name, Setting.Default.Name, "1,000 services on the machine that is lost", number, runs, values => OnceAsync(bench, machines, triggers, values), () => machines.Logs(15), cancellationToken);
            }
            finally
            {
                await machines.DisposeAsync();
            }
        }
    }

    private static async Task OnceAsync(Bench bench, Machines machines, TriggerLog triggers, SortedDictionary<string, double> values)
    {
        var full = machines.All[0];
        foreach (var machine in machines.All) machine.Start();
        // Only where its driver is connected can a service run: first of all on the one that will be lost, and there they stay.
        Subject.StartOn(full, "probe.log", Probe(bench, full, triggers));
        await Eventually.IsTrue(() => Running(triggers, since: 0) == Services, "all services run on one machine", Patience);
        foreach (var machine in machines.All.Skip(1)) Subject.StartOn(machine, "probe.log", Probe(bench, machine, triggers));
        await Eventually.IsTrue(() => StandbysAsync(machines), "all drivers are connected, all services are running", Patience);
        await Task.Delay(1_000);

        triggers.Forget();
        var at = full.KillEverything();
        await Eventually.IsTrue(() => Running(triggers, at) == Services, "all services run elsewhere", Patience);
        var starts = triggers.All.Where(told => told.IsMaster && told.At > at).GroupBy(told => told.Service).Select(each => (each.Min(told => told.At) - at) / 1e3).Order().ToList();
        values["first start"] = starts[0];
        values["median start"] = starts[starts.Count / 2];
        values["last start"] = starts[^1];
        await Eventually.IsTrue(async () => await machines.All[1].StatusAsync() is { } status && status.CountOf("running") == Services, "status says that all are running", Patience);
        values["all running by status, at most"] = (ActObserver.Now - at) / 1e3;
    }

    private static int Running(TriggerLog triggers, long since) => triggers.All.Where(told => told.IsMaster && told.At > since).Select(told => told.Service).Distinct().Count();

    private static async Task<bool> StandbysAsync(Machines machines)
    {
        foreach (var machine in machines.All)
        {
            if (await machine.StatusAsync() is not { } status || status.CountOf("running") != Services || status.Drivers.Count != (Services + PerConnection - 1) / PerConnection) return false;
        }

        return true;
    }

    private static string[] Probe(Bench bench, Machine machine, TriggerLog triggers) =>
        [bench.Tools.Probe, "driver", $"ws://127.0.0.1:{machine.Port}", ClusterPlan.GoodSecret, machine.Id, triggers.Pipe, Services.ToString(CultureInfo.InvariantCulture)];

    private static string ServicesInYaml()
    {
        var yaml = new StringBuilder("services:\n");
        for (var number = 1; number <= Services; number++)
            yaml.Append(CultureInfo.InvariantCulture, $"  s{number:0000}: {{ drivers: [probe-{((number - 1) / PerConnection) + 1}] }}\n");
        return yaml.ToString();
    }
}
