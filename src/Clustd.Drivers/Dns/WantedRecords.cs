using System.Net;
using System.Net.NetworkInformation;
using System.Net.Sockets;

namespace Clustd.Drivers.Dns;

/// <summary>The records that a name is to have while this machine is the master.</summary>
internal static class WantedRecords
{
    /// <summary>The types of which a name has these records and no others.</summary>
    public static readonly IReadOnlyList<DnsType> Types = [DnsType.A, DnsType.Aaaa, DnsType.Cname];

    /// <exception cref="DriverFailedException">An interface is not there, or has no address.</exception>
    public static IReadOnlyList<DnsRecord> Of(DnsDriverOptions options, DnsName name)
    {
        uint ttl = (uint)options.Ttl.TotalSeconds;
        if (options.Cname is { } target) return [new DnsRecord(name, DnsType.Cname, DnsClass.In, ttl, DnsName.Parse(target, out _)!.Lower.ToArray())];
        return [.. Addresses(options.Addresses).Select(address => new DnsRecord(name, address.AddressFamily == AddressFamily.InterNetwork ? DnsType.A : DnsType.Aaaa, DnsClass.In, ttl, address.GetAddressBytes()))];
    }

    /// <summary>Each address once; interfaces are looked up now.</summary>
    /// <exception cref="DriverFailedException">An interface is not there, or has no address.</exception>
    public static IEnumerable<IPAddress> Addresses(IEnumerable<string> written) => written.SelectMany(Addresses).Distinct();

    /// <summary>For people: "203.0.113.7 and 2001:db8::7".</summary>
    public static string Show(IEnumerable<DnsRecord> records)
    {
        var shown = records.Select(Show).Order(StringComparer.Ordinal).ToList();
        return shown.Count == 0 ? "nothing" : string.Join(" and ", shown);
    }

    private static string Show(DnsRecord record) => (record.Type, record.Data.Length) switch
    {
        (DnsType.A, 4) or (DnsType.Aaaa, 16) => new IPAddress(record.Data).ToString(),
        (DnsType.Cname, > 0) => DnsReader.ReadName(record.Data, out _).ToString(),
        _ => "a damaged record",
    };

    private static IEnumerable<IPAddress> Addresses(string written)
    {
        if (IPAddress.TryParse(written, out var address)) return [address];
        NetworkInterface found = NetworkInterface.GetAllNetworkInterfaces().FirstOrDefault(each => each.Name == written)
            ?? throw new DriverFailedException($"There is no interface '{written}' whose address the name could point to: nothing was changed. Correct `addresses`; `ip address` shows what there is.");
        var all = found.GetIPProperties().UnicastAddresses.Select(each => each.Address).Where(each => !each.IsIPv6LinkLocal).ToList();
        // The first of each kind: further ones are those of services, put there later.
        IPAddress?[] first = [all.Find(each => each.AddressFamily == AddressFamily.InterNetwork), all.Find(each => each.AddressFamily == AddressFamily.InterNetworkV6)];
        return all.Count > 0
            ? first.OfType<IPAddress>()
            : throw new DriverFailedException($"The interface '{written}' has no address that the name could point to: nothing was changed. See `ip address show {written}`, or write the address itself into `addresses`.");
    }
}
