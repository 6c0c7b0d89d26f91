using System.Globalization;
using System.Net;
using System.Net.Sockets;

namespace Clustd.Config;

/// <summary>
/// Where a machine is reached: a normalised host (lower-case name, or IP address in its shortest form, IPv6 without brackets) and a port.
/// Equal exactly if the texts are equal; no name is ever resolved here.
/// </summary>
public sealed record MachineAddress(string Host, int Port) : IComparable<MachineAddress>
{
    /// <summary>"10.0.0.1:3001", "[fd00::1]:3001".</summary>
    public override string ToString() => $"{BracketedHost}:{Port.ToString(CultureInfo.InvariantCulture)}";

    /// <summary>"ws://10.0.0.1:3001": how it stands in a file.</summary>
    public string ToUrl() => $"ws://{this}";

    public bool IsLoopback => Host == "localhost" || (IPAddress.TryParse(Host, out var ip) && IPAddress.IsLoopback(ip));

    public int CompareTo(MachineAddress? other) => string.CompareOrdinal(ToString(), other?.ToString());

    /// <summary>
    /// Reads "ws://host:port", "wss://host:port" or "host:port". <paramref name="why"/> says what is wrong with it. <paramref name="defaultPort"/> is for a
    /// command line; in a file the port must be there, because the 2018 clustd took 80 for a missing one and a guess would connect elsewhere.
    /// </summary>
    public static MachineAddress? Parse(string text, out string why, int? defaultPort = null)
    {
        var rest = text.Trim();
        var scheme = rest.IndexOf("://", StringComparison.Ordinal);
        if (scheme >= 0)
        {
            var name = rest[..scheme].ToLowerInvariant();
            if (name is not ("ws" or "wss"))
            {
                why = $"its scheme is '{name}', machines talk over ws";
                return null;
            }
            rest = rest[(scheme + 3)..].TrimEnd('/');
        }
        if (rest.IndexOfAny(['/', '?', '#']) >= 0) { why = "it has a path, an address is only host and port"; return null; }
        if (rest.Contains('@')) { why = "it has a user name, an address is only host and port"; return null; }

        var (hostText, portText) = Split(rest);
        var port = defaultPort ?? 0;
        if (portText is null && defaultPort is null) { why = "it has no port"; return null; }
        if (portText is not null && (!int.TryParse(portText, NumberStyles.None, CultureInfo.InvariantCulture, out port) || port is < 1 or > 65535))
        {
            why = $"its port is '{portText}', a port is a number from 1 to 65535";
            return null;
        }
        if (NormaliseHost(hostText) is not { } host)
        {
            why = hostText.Length == 0 ? "it has no host" : $"'{hostText}' is neither an IP address nor a host name";
            return null;
        }
        if (IPAddress.TryParse(host, out var ip) && (ip.Equals(IPAddress.Any) || ip.Equals(IPAddress.IPv6Any)))
        {
            why = $"{host} means every interface, nobody can connect to it";
            return null;
        }
        why = "";
        return new MachineAddress(host, port);
    }

    /// <summary>Null if it is neither an IP address nor a host name (RFC 1123, underscores allowed because people have them).</summary>
    public static string? NormaliseHost(string text)
    {
        var host = text.Trim().TrimStart('[').TrimEnd(']').ToLowerInvariant();
        if (host.Contains(':'))
        {
            if (!IPAddress.TryParse(host, out var six) || six.AddressFamily != AddressFamily.InterNetworkV6) return null;
            return six.IsIPv4MappedToIPv6 ? six.MapToIPv4().ToString() : six.ToString();
        }
        host = host.EndsWith('.') ? host[..^1] : host;
        if (host.Length is 0 or > 253) return null;
        // "10.1" and "0x0a.1" are IP addresses to the C library but typing errors to everybody else.
        if (host.All(c => char.IsAsciiDigit(c) || c == '.')) return IPAddress.TryParse(host, out var four) && four.ToString() == host ? host : null;
        var labelsFine = host.Split('.').All(label => label.Length is > 0 and <= 63 && label[0] != '-' && label[^1] != '-'
            && label.All(c => char.IsAsciiLetterOrDigit(c) || c is '-' or '_'));
        return labelsFine ? host : null;
    }

    private string BracketedHost => Host.Contains(':') ? $"[{Host}]" : Host;

    private static (string Host, string? Port) Split(string text)
    {
        if (text.StartsWith('['))
        {
            var close = text.IndexOf(']');
            if (close < 0) return (text, null);
            var after = text[(close + 1)..];
            return (text[..(close + 1)], after.StartsWith(':') ? after[1..] : after.Length == 0 ? null : after);
        }
        var colon = text.LastIndexOf(':');
        if (colon < 0) return (text, null);
        // A bare IPv6 address has more than one colon and no port that could be told from its last group.
        return text.IndexOf(':') != colon ? (text, null) : (text[..colon], text[(colon + 1)..]);
    }
}
