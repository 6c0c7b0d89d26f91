using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Net;

namespace Clustd.Peers;

/// <summary>
/// Where a machine listens, in one spelling whatever the configuration wrote: <c>ws://Host:3001/</c>, <c>wss://host:3001</c>
/// and <c>host:3001</c> are the same address. Written as <c>host:port</c>, IPv6 in brackets.
/// </summary>
public sealed record PeerAddress(string Host, int Port)
{
    /// <summary>The port of an address that names none.</summary>
    public const int PortDefault = 3001;

    public static bool TryParse(string? text, [NotNullWhen(true)] out PeerAddress? address)
    {
        address = null;
        var rest = (text ?? "").Trim();
        var scheme = rest.IndexOf("://", StringComparison.Ordinal);
        if (scheme >= 0)
        {
            if (rest[..scheme].ToLowerInvariant() is not ("ws" or "wss" or "http" or "https"))
            {
                return false;
            }

            rest = rest[(scheme + 3)..];
        }

        rest = rest.TrimEnd('/');
        // A bare IPv6 address has colons of its own: it is all host.
        var colon = IPAddress.TryParse(rest, out _) ? -1 : rest.LastIndexOf(':');
        var port = PortDefault;
        if (colon >= 0 && colon > rest.LastIndexOf(']'))
        {
            if (!int.TryParse(rest.AsSpan(colon + 1), NumberStyles.None, CultureInfo.InvariantCulture, out port) || port is < 1 or > 65535)
            {
                return false;
            }

            rest = rest[..colon];
        }

        if (rest.StartsWith('[') && rest.EndsWith(']'))
        {
            rest = rest[1..^1];
        }

        if (IPAddress.TryParse(rest, out var ip))
        {
            address = new PeerAddress(ip.ToString(), port); // one spelling of IPv6 too: ::1, not 0:0:0:0:0:0:0:1
            return true;
        }

        if (Uri.CheckHostName(rest) != UriHostNameType.Dns)
        {
            return false;
        }

        address = new PeerAddress(rest.ToLowerInvariant(), port);
        return true;
    }

    /// <exception cref="FormatException">It is no address: three parts.</exception>
    public static PeerAddress Parse(string text) => TryParse(text, out var address)
        ? address
        : throw new FormatException($"Cannot read '{text}' as the address of a machine: it is not host:port. Write it as ws://10.0.0.2:3001.");

    public override string ToString() => Host.Contains(':') ? $"[{Host}]:{Port}" : $"{Host}:{Port}";
}
