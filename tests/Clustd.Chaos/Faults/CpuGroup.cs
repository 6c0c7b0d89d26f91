using System.Globalization;
using Clustd.EndToEnd.Harness;

namespace Clustd.Chaos.Faults;

/// <summary>Starves a machine's processes: a cgroup of their own that gets a small share of one processor. cgroup v1 or v2, whatever can be written here.</summary>
internal sealed class CpuGroup : IDisposable
{
    private const int PeriodUs = 100_000;
    private const int RealTimePeriodUs = 1_000_000; // The kernel's own.
    private static readonly string[] RootsV1 = ["/sys/fs/cgroup/cpu", "/sys/fs/cgroup/cpu,cpuacct"];
    private const string RootV2 = "/sys/fs/cgroup";
    private readonly string _directory;
    private bool _isGone;

    private CpuGroup(string directory) => _directory = directory;

    /// <summary>Why this cannot be had here; null: it can.</summary>
    public static string? WhyNot { get; } = Tool.WhyNot("needs a cgroup with the cpu controller that can be written", () =>
    {
        using var group = Make("probe", 0.5);
    });

    /// <param name="share">Of one processor.</param>
    public static CpuGroup Make(string name, double share)
    {
        var root = Root();
        var directory = Path.Combine(root, $"{Leftovers.Prefix}{System.Environment.ProcessId}-{name}");
        Directory.CreateDirectory(directory);
        var group = new CpuGroup(directory);
        try
        {
            var quota = ((int)(PeriodUs * share)).ToString(CultureInfo.InvariantCulture);
            if (root == RootV2)
            {
                File.WriteAllText(Path.Combine(directory, "cpu.max"), $"{quota} {PeriodUs}");
            }
            else
            {
                File.WriteAllText(Path.Combine(directory, "cpu.cfs_period_us"), $"{PeriodUs}");
                File.WriteAllText(Path.Combine(directory, "cpu.cfs_quota_us"), quota);
                // Where real-time threads need a budget of their own, they get the same share; without one they could not be taken in.
                var budget = Path.Combine(directory, "cpu.rt_runtime_us");
                if (File.Exists(budget)) File.WriteAllText(budget, $"{(int)(RealTimePeriodUs * share)}");
            }

            return group;
        }
        catch
        {
            group.Dispose();
            throw;
        }
    }

    /// <summary>Groups that a run has made, and may have left behind.</summary>
    public static IEnumerable<string> Groups(string prefix) =>
        RootsV1.Append(RootV2).Where(Directory.Exists).SelectMany(root => Directory.EnumerateDirectories(root, prefix + "*"));

    /// <summary>Takes these processes in, and what they start. Returns how many could be.</summary>
    public int Add(IEnumerable<RunningProcess> processes)
    {
        var added = 0;
        foreach (var process in processes)
        {
            if (Move(process.Pid, _directory)) added++;
        }

        return added;
    }

    public void Dispose()
    {
        if (!_isGone) Remove(_directory);
        _isGone = true;
    }

    public static void Remove(string directory)
    {
        var patience = 200;
        while (true)
        {
            foreach (var pid in File.ReadLines(Path.Combine(directory, "cgroup.procs")).ToList()) Move(int.Parse(pid, CultureInfo.InvariantCulture), Path.GetDirectoryName(directory)!);
            try
            {
                Directory.Delete(directory);
                return;
            }
            catch (IOException) when (patience-- > 0)
            {
                Thread.Sleep(5); // A process was just being born, or is not quite gone.
            }
        }
    }

    private static bool Move(int pid, string directory)
    {
        try
        {
            File.WriteAllText(Path.Combine(directory, "cgroup.procs"), $"{pid}");
            return true;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return false; // It ended, or may not be moved: how many were is written down.
        }
    }

    private static string Root()
    {
        if (RootsV1.FirstOrDefault(root => File.Exists(Path.Combine(root, "cpu.cfs_quota_us")) || File.Exists(Path.Combine(root, "cgroup.procs"))) is { } v1) return v1;
        var controllers = Path.Combine(RootV2, "cgroup.controllers");
        if (!File.Exists(controllers) || !File.ReadAllText(controllers).Split(' ', '\n').Contains("cpu")) throw new IOException("there is no cpu controller.");
        File.WriteAllText(Path.Combine(RootV2, "cgroup.subtree_control"), "+cpu");
        return RootV2;
    }
}
