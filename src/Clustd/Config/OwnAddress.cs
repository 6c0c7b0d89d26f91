using System.Net;

namespace Clustd.Config;

/// <summary>Which of the listed machines is this one.</summary>
internal static class OwnAddress
{
    /// <summary>All entries that seem to be this machine. One is an answer, none or several are a question for the user.</summary>
    public static IReadOnlyList<MachineAddress> Candidates(IEnumerable<MachineAddress> machines, string bindAddress, int bindPort, ConfigSurroundings surroundings)
    {
        var ours = machines.Where(m => m.Port == bindPort).ToList();
        // Whoever listens on one interface is known by that address: this tells daemons on one host apart.
        var bound = ours.Where(m => m.Host == bindAddress).ToList();
        return bound.Count > 0 ? bound : [.. ours.Where(m => IsLocal(m.Host, surroundings))];
    }

    public static bool IsEveryInterface(string host) => IPAddress.TryParse(host, out var ip) && (ip.Equals(IPAddress.Any) || ip.Equals(IPAddress.IPv6Any));

    public static bool IsLoopback(string host) => new MachineAddress(host, 0).IsLoopback;

    private static bool IsLocal(string host, ConfigSurroundings surroundings)
    {
        if (IPAddress.TryParse(host, out var ip)) return IPAddress.IsLoopback(ip) || surroundings.LocalAddresses.Any(a => Plain(a).Equals(ip));
        // Names are compared, not resolved: a DNS outage must not keep a daemon from starting.
        var name = surroundings.HostName.ToLowerInvariant();
        return name.Length > 0 && (host == name || host.Split('.')[0] == name || host == name.Split('.')[0] || host == "localhost");
    }

    // An interface's IPv6 address may carry its scope ("fe80::1%3"), an address in a file does not.
    private static IPAddress Plain(IPAddress address) => address.IsIPv4MappedToIPv6 ? address.MapToIPv4() : new IPAddress(address.GetAddressBytes());
}
