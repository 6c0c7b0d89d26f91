using System.Globalization;
using System.Security.Cryptography;
using System.Text;

namespace Clustd.Config;

/// <summary>
/// What machines compare before they form a cluster. The text that is hashed is part of the protocol between versions: a key that is added later
/// appears in it only where it differs from its default, so that an old and a new daemon with the same file agree.
/// </summary>
public static class ConfigHash
{
    public static IReadOnlyList<MachineAddress> Members(ClustdConfig config) =>
        [.. config.Cluster.Machines.Append(config.Server.RemoteAddress).Distinct().Order()];

    public static string OfCluster(ClustdConfig config) => Hex(ClusterText(config));

    public static string OfServices(IEnumerable<ServiceConfig> services) => Hex(ServicesText(services));

    /// <summary>The text behind <see cref="OfCluster"/>: shown when two machines differ, so that they can say in what.</summary>
    public static string ClusterText(ClustdConfig config)
    {
        var text = new StringBuilder($"lease {Us(config.Cluster.Lease)}\n");
        foreach (var member in Members(config)) text.Append(CultureInfo.InvariantCulture, $"member {member}\n");
        return text.ToString();
    }

    /// <summary>The text behind <see cref="OfServices"/>. Order counts in `prefer` only.</summary>
    public static string ServicesText(IEnumerable<ServiceConfig> services)
    {
        var text = new StringBuilder();
        foreach (var service in services.OrderBy(s => s.Name, StringComparer.Ordinal))
        {
            text.Append(CultureInfo.InvariantCulture, $"service {service.Name}\n");
            text.Append(CultureInfo.InvariantCulture, $" start_timeout {Us(service.StartTimeout)}\n stop_timeout {Us(service.StopTimeout)}\n");
            text.Append(CultureInfo.InvariantCulture, $" kill_timeout {Us(service.KillTimeout)}\n");
            text.Append($" prefer {string.Join(' ', service.Prefer)}\n failback {(service.Failback ? "true" : "false")}\n");
            text.Append($" apart_from {Sorted(service.ApartFrom)}\n drivers {Sorted(service.Drivers)}\n machines {Sorted(service.Machines)}\n");
            text.Append($" on_stop_failure {service.OnStopFailure.ToString().ToLowerInvariant()}\n");
            if (service.RequiresFencing) text.Append(" fencing required\n"); // Else as the first versions have it, so that hashes agree.
        }
        return text.ToString();
    }

    private static string Sorted(IEnumerable<string> names) => string.Join(' ', names.Order(StringComparer.Ordinal));
    private static long Us(TimeSpan duration) => duration.Ticks / TimeSpan.TicksPerMicrosecond;
    private static string Hex(string text) => Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(text)));
}
