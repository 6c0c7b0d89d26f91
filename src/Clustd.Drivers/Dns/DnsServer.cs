using System.Globalization;
using System.Net;

namespace Clustd.Drivers.Dns;

/// <summary>Where a name server is: a host name or an address, and a port.</summary>
public sealed record DnsServer(string Host, int Port = DnsServer.PortDefault)
{
    public const int PortDefault = 53;

    /// <summary>Reads "10.0.0.53", "ns1.example.com:5353", "2001:db8::53" or "[2001:db8::53]:53". Null: it is none of these, and why.</summary>
    public static DnsServer? Parse(string text, out string whyNot)
    {
        whyNot = "";
        if (IPAddress.TryParse(text, out var plain) && !text.StartsWith('[')) return new DnsServer(plain.ToString());
        int colon = text.LastIndexOf(':');
        string host = colon < 0 || text.EndsWith(']') ? text : text[..colon];
        int port = PortDefault;
        if (host.Length < text.Length && (!int.TryParse(text[(colon + 1)..], NumberStyles.None, CultureInfo.InvariantCulture, out port) || port is < 1 or > ushort.MaxValue))
        {
            whyNot = "what follows the colon is no port";
            return null;
        }
        if (host is ['[', .., ']'] && IPAddress.TryParse(host[1..^1], out var bracketed)) return new DnsServer(bracketed.ToString(), port);
        if (IPAddress.TryParse(host, out var address)) return new DnsServer(address.ToString(), port);
        if (DnsName.Parse(host, out string why) is { } name) return new DnsServer(name.ToString(), port);
        whyNot = why;
        return null;
    }

    public override string ToString() => Host.Contains(':') ? $"[{Host}]:{Port}" : $"{Host}:{Port}";
}
