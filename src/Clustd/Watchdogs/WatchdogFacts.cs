using System.Globalization;

namespace Clustd.Watchdogs;

/// <summary>What Linux tells of a watchdog without opening it, which would arm it: the files of /sys/class/watchdog. Null: it does not tell.</summary>
internal sealed class WatchdogFacts(string classFolder = "/sys/class/watchdog", string processFolder = "/proc")
{
    private const int FileCharsMax = 256;

    /// <summary>Once armed it cannot be stopped any more.</summary>
    public bool? HasNoWayOut(string device) => Of(device, "nowayout") is { } text ? text == "1" : null;

    /// <summary>It counts: somebody has it, or had it and left it armed.</summary>
    public bool? IsArmed(string device) => Of(device, "state") is { } text ? text == "active" : null;

    public string? Identity(string device) => Of(device, "identity");

    /// <summary>Seconds.</summary>
    public int? Timeout(string device) => Number(device, "timeout");

    /// <summary>Seconds; null also where any will do.</summary>
    public int? TimeoutMin(string device) => Number(device, "min_timeout") is > 0 and var seconds ? seconds : null;

    /// <summary>Seconds; null also where any will do.</summary>
    public int? TimeoutMax(string device) => Number(device, "max_timeout") is > 0 and var seconds ? seconds : null;

    /// <summary>Names of all that there are: "watchdog0".</summary>
    public IReadOnlyList<string> All =>
        Directory.Exists(classFolder) ? [.. Directory.EnumerateFileSystemEntries(classFolder).Select(path => Path.GetFileName(path)!).Order(StringComparer.Ordinal)] : [];

    /// <summary>Processes that have it open, as far as this user may see: "systemd (1)".</summary>
    public IReadOnlyList<string> Holders(string device)
    {
        if (NameOf(device) is not { } name) return []; // Half of a machine has /dev/null open.
        // /dev/watchdog and /dev/watchdog0 are two files of one device.
        string[] names = [device, $"/dev/{name}", .. name == "watchdog0" ? ["/dev/watchdog"] : (string[])[]];
        var holders = new List<string>();
        foreach (var process in Directory.EnumerateDirectories(processFolder).Where(path => Path.GetFileName(path).All(char.IsAsciiDigit)))
        {
            try
            {
                if (Directory.EnumerateFiles($"{process}/fd").Any(file => File.ResolveLinkTarget(file, returnFinalTarget: false)?.FullName is { } target && names.Contains(target)))
                {
                    holders.Add($"{File.ReadAllText($"{process}/comm").Trim()} ({Path.GetFileName(process)})");
                }
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                // It has ended, or is somebody else's.
            }
        }

        return holders;
    }

    /// <summary>"watchdog0" of /dev/watchdog0, of the /dev/watchdog that is the same, and of links to either; null: no name of a watchdog.</summary>
    private static string? NameOf(string device)
    {
        string name;
        try
        {
            name = Path.GetFileName(File.ResolveLinkTarget(device, returnFinalTarget: true)?.FullName ?? device);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            name = Path.GetFileName(device);
        }

        if (name == "watchdog") return "watchdog0";
        return name.StartsWith("watchdog", StringComparison.Ordinal) && name["watchdog".Length..].All(char.IsAsciiDigit) ? name : null;
    }

    private int? Number(string device, string file) => int.TryParse(Of(device, file), NumberStyles.None, CultureInfo.InvariantCulture, out var number) ? number : null;

    private string? Of(string device, string file)
    {
        if (NameOf(device) is not { } name) return null;
        try
        {
            var text = File.ReadAllText(Path.Combine(classFolder, name, file)).Trim();
            return text.Length > FileCharsMax ? text[..FileCharsMax] : text;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null; // An older kernel, or one without CONFIG_WATCHDOG_SYSFS.
        }
    }
}
