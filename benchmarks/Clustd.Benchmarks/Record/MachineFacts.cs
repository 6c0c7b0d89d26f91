using System.Globalization;
using System.Runtime.InteropServices;

namespace Clustd.Benchmarks.Record;

/// <summary>On what the figures were measured.</summary>
public static class MachineFacts
{
    public static string Describe()
    {
        var processor = File.ReadLines("/proc/cpuinfo").FirstOrDefault(line => line.StartsWith("model name", StringComparison.Ordinal))?.Split(':')[1].Trim() ?? RuntimeInformation.ProcessArchitecture.ToString();
        var memory = long.Parse(File.ReadLines("/proc/meminfo").First().Split(' ', StringSplitOptions.RemoveEmptyEntries)[1], CultureInfo.InvariantCulture) / 1_048_576.0;
        var kernel = File.ReadAllText("/proc/sys/kernel/osrelease").Trim();
        return string.Create(CultureInfo.InvariantCulture, $"{Environment.ProcessorCount} cores, {processor}, {memory:0} GiB, Linux {kernel}");
    }

    /// <summary>Share of all processors that was busy meanwhile, %.</summary>
    public static async Task<double> BusyAsync(TimeSpan meanwhile)
    {
        var before = Jiffies();
        await Task.Delay(meanwhile);
        var after = Jiffies();
        return 100.0 * (1 - ((double)(after.Idle - before.Idle) / Math.Max(1, after.All - before.All)));
    }

    // user nice system idle iowait irq softirq steal
    private static (long Idle, long All) Jiffies()
    {
        var fields = File.ReadLines("/proc/stat").First().Split(' ', StringSplitOptions.RemoveEmptyEntries).Skip(1).Take(8).Select(long.Parse).ToList();
        return (fields[3] + fields[4], fields.Sum());
    }
}
