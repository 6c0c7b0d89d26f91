using System.Globalization;
using Clustd.Benchmarks.Subjects;
using Clustd.EndToEnd.Harness;

namespace Clustd.Benchmarks.Measurements;

/// <summary>What a machine's processes cost while nothing happens: daemon, drivers and guard, without the app and without the probe.</summary>
internal static class IdleCost
{
    public const string Name = "idle";

    private static readonly TimeSpan Window = TimeSpan.FromSeconds(60);
    private const double TicksPerSecond = 100; // USER_HZ, the same on all Linux; the kernel scales these times to what it measured in ns

    public static async Task RunAsync(Bench bench, Setting setting, CancellationToken cancellationToken)
    {
        var cluster = new ClustdCluster(setting, bench.Tools, withProbes: false);
        try
        {
            await cluster.MakeHealthyAsync();
            await cluster.LeadAsync(cluster.Machines.Master);
            await Task.Delay(TimeSpan.FromSeconds(5), cancellationToken);
            var before = Look(cluster);
            await Task.Delay(Window, cancellationToken);
            var after = Look(cluster);
            foreach (var machine in cluster.Machines.All)
            {
                var @case = machine == cluster.Machines.Master ? "leader and master" : $"standby {machine.Id}";
                await bench.MeasureAsync(Name, setting.Name, @case, 1, 1, values => Task.Run(() => Compare(before[machine], after[machine], values), cancellationToken), cluster.Logs, cancellationToken);
            }
        }
        finally
        {
            await cluster.DisposeAsync();
        }
    }

    private static Dictionary<Machine, Dictionary<RunningProcess, Cost>> Look(ClustdCluster cluster) =>
        cluster.Machines.All.ToDictionary(machine => machine, machine => machine.Processes().Where(process => process.Role != Role.App).ToDictionary(process => process, CostOf));

    private static void Compare(Dictionary<RunningProcess, Cost> before, Dictionary<RunningProcess, Cost> after, SortedDictionary<string, double> values)
    {
        if (!after.Keys.ToHashSet().SetEquals(before.Keys)) throw new InvalidOperationException("a process was started or ended meanwhile: that was no idling");
        foreach (var (process, cost) in after)
        {
            var role = process.Role.ToString().ToLowerInvariant();
            values[$"{role} RSS"] = cost.RssMb;
            values[$"{role} PSS"] = cost.PssMb;
            values[$"{role} processor"] = 100 * (cost.ProcessorSeconds - before[process].ProcessorSeconds) / Window.TotalSeconds;
        }

        foreach (var what in (string[])["RSS", "PSS", "processor"]) values[what] = values.Where(value => value.Key.EndsWith(" " + what, StringComparison.Ordinal)).Sum(value => value.Value);
    }

    private static Cost CostOf(RunningProcess process)
    {
        double Megabytes(string name) =>
            double.Parse(File.ReadLines($"/proc/{process.Pid}/smaps_rollup").First(line => line.StartsWith(name, StringComparison.Ordinal)).Split(' ', StringSplitOptions.RemoveEmptyEntries)[1], CultureInfo.InvariantCulture) / 1024;
        // Behind the name, which may hold anything: state is field 3, utime and stime are 14 and 15.
        var fields = File.ReadAllText($"/proc/{process.Pid}/stat").Split(") ")[^1].Split(' ');
        return new Cost(Megabytes("Rss:"), Megabytes("Pss:"), (double.Parse(fields[11], CultureInfo.InvariantCulture) + double.Parse(fields[12], CultureInfo.InvariantCulture)) / TicksPerSecond);
    }

    private sealed record Cost(double RssMb, double PssMb, double ProcessorSeconds);
}
