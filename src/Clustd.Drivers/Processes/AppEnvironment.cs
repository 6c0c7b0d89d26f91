using Clustd.Client;

namespace Clustd.Drivers.Processes;

/// <summary>What an app or script finds in its environment: the driver's own, without what is none of its business, plus CLUSTD_*, plus what the file says.</summary>
internal static class AppEnvironment
{
    // Of the driver process: secrets and settings of clustd, and systemd's channel to it. An app that inherits NOTIFY_SOCKET
    // may tell systemd that WE are ready.
    private static readonly string[] SystemdsOwn =
        ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "CREDENTIALS_DIRECTORY", "STATE_DIRECTORY", "MAINPID"];

    public static bool IsOurs(string key) => key.StartsWith("CLUSTD_", StringComparison.Ordinal) || SystemdsOwn.Contains(key);

    public static IReadOnlyList<string> For(Trigger trigger, string? machine, IReadOnlyDictionary<string, string> fromFile)
    {
        var environment = new SortedDictionary<string, string>(StringComparer.Ordinal);
        foreach (string line in ChildStart.InheritedEnvironment(IsOurs))
        {
            int equals = line.IndexOf('=');
            environment[line[..equals]] = line[(equals + 1)..];
        }
        foreach (var (key, value) in fromFile) environment[key] = value;
        environment["CLUSTD_SERVICE"] = trigger.Service;
        environment["CLUSTD_MASTER"] = trigger.IsMaster ? "1" : "0";
        environment["CLUSTD_TOKEN"] = trigger.Token.ToString(System.Globalization.CultureInfo.InvariantCulture);
        environment["CLUSTD_REASON"] = trigger.Reason.ReplaceLineEndings(" ");
        environment["CLUSTD_MACHINE"] = machine ?? "";
        return [.. environment.Select(pair => $"{pair.Key}={pair.Value}")];
    }
}
