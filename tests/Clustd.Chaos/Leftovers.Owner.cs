using Clustd.Chaos.Faults;

namespace Clustd.EndToEnd.Harness;

/// <summary>Tests, benchmarks and chaos may run at the same time: each removes only what it made itself.</summary>
internal static partial class Leftovers
{
    /// <summary>Of directories and namespaces; the pid of the process follows.</summary>
    public const string Prefix = "clustd-chaos-";

    private const string Program = "Clustd.Chaos";

    /// <summary>Before <see cref="Clear"/>: a directory on which something is mounted cannot be removed, and a throttled process is slow to die.</summary>
    public static void Release()
    {
        foreach (var mount in SmallDisk.Mounts().Where(path => path.StartsWith(Path.Combine(Path.GetTempPath(), Prefix), StringComparison.Ordinal)))
        {
            var owner = Path.Combine(Path.GetTempPath(), Path.GetRelativePath(Path.GetTempPath(), mount).Split('/')[0]);
            if (!IsOrphaned(owner)) continue;
            Kill(owner);
            Try(() => SmallDisk.Unmount(mount));
        }

        foreach (var group in CpuGroup.Groups(Prefix).Where(IsOrphaned)) Try(() => CpuGroup.Remove(group));
    }
}
