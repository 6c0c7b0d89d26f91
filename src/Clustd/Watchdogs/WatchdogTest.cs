using Clustd.Config;
using Clustd.Drivers;

namespace Clustd.Watchdogs;

/// <summary>`clustd driver test watchdog`: would the machine's watchdog do what the file asks? Looks at what Linux tells of it, and never opens it: open, it counts.</summary>
internal static class WatchdogTest
{
    public const string Name = "watchdog";

    public static IEnumerable<DriverFinding> Find(WatchdogConfig config, WatchdogFacts facts)
    {
        var device = config.Device;
        if (!File.Exists(device))
        {
            var others = facts.All.Count == 0 ? "This machine has none: load the driver of its hardware, or `modprobe softdog`." : $"There is {string.Join(", ", facts.All.Select(name => $"/dev/{name}"))}: name it in 'watchdog.device'.";
            yield return new(FindingLevel.Bad, "device", $"{device} is not there. {others}");
            yield break;
        }

        if (facts.Identity(device) is not { } identity)
        {
            yield return new(FindingLevel.Doubtful, "device", $"Linux tells nothing of {device} in /sys/class/watchdog: it may be no watchdog, or the kernel lacks CONFIG_WATCHDOG_SYSFS. The daemon asks it when it opens it, and says what it cannot do.");
        }
        else
        {
            yield return new(FindingLevel.Good, "device", $"{device} is {identity}.");
        }

        yield return InUse(device, facts);
        yield return Timeout(config, facts);
        if (facts.HasNoWayOut(device) == true)
        {
            yield return new(FindingLevel.Doubtful, "nowayout", $"Once armed it cannot be stopped: this machine is reset {ConfigDuration.Text(config.Timeout)} after its daemon has ended, also in order. Load its driver without nowayout if that is not meant.");
        }
    }

    private static DriverFinding InUse(string device, WatchdogFacts facts)
    {
        var holders = facts.Holders(device);
        if (holders.Count == 0)
        {
            return facts.IsArmed(device) == true
                ? new(FindingLevel.Doubtful, "in use", "It is armed, and nobody that this user can see has it. Ask as root; if nobody has it, whoever had it crashed, and this machine will be reset.")
                : new(FindingLevel.Good, "in use", "By nobody.");
        }

        return holders.All(holder => holder.StartsWith("clustd ", StringComparison.Ordinal))
            ? new(FindingLevel.Good, "in use", $"By {string.Join(", ", holders)}, which feeds it.")
            : new(FindingLevel.Bad, "in use", $"By {string.Join(", ", holders)}: the daemon could not open it. Stop that (systemd: remove RuntimeWatchdogSec= from system.conf), or name another device.");
    }

    private static DriverFinding Timeout(WatchdogConfig config, WatchdogFacts facts)
    {
        var (seconds, minimum, maximum) = ((int)config.Timeout.TotalSeconds, facts.TimeoutMin(config.Device), facts.TimeoutMax(config.Device));
        if (minimum > seconds) return new(FindingLevel.Bad, "timeout", $"It counts no less than {minimum} s, and is to count {seconds} s. Raise 'watchdog.timeout', and kill_timeout with it.");
        if (maximum < seconds) return new(FindingLevel.Bad, "timeout", $"It counts no more than {maximum} s, and is to count {seconds} s. Lower 'watchdog.timeout'.");
        return minimum is null && maximum is null
            ? new(FindingLevel.Doubtful, "timeout", $"Whether it can count {seconds} s is not known before it is opened; the daemon asks it back, and does not start if it cannot.")
            : new(FindingLevel.Good, "timeout", $"It can count {seconds} s.");
    }
}
