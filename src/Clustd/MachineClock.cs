using Clustd.Client;
using Clustd.Core;

namespace Clustd;

/// <summary>
/// The clock of all decisions on this machine (rule 1): counts sleep and is not slewed. The same one that the SDK uses, so that a
/// driver's stamps and the daemon's are of one kind.
/// </summary>
public static class MachineClock
{
    private const string BootIdFile = "/proc/sys/kernel/random/boot_id";

    private static readonly Lazy<string> LazyBootId = new(() => File.ReadAllText(BootIdFile).Trim());

    public static Instant Now => new(DriverClock.NowUs);

    /// <summary>
    /// Changes with every boot, when this clock starts anew. For status and logs; that a stamp of a former boot is never taken for a new
    /// one is the incarnation's work, which is random per daemon start (rule 3).
    /// </summary>
    public static string BootId => LazyBootId.Value;
}
