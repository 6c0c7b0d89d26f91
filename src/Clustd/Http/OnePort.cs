using System.Net;
using System.Net.Sockets;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Clustd.Http;

/// <summary>
/// One port for everything: TLS 1.3 for whoever comes from outside, plain text for loopback alone. The first byte tells
/// which: 0x16 opens a TLS handshake and no HTTP request.
/// </summary>
public static class OnePort
{
    private const byte TlsHandshake = 0x16; // RFC 8446, 5.1: ContentType handshake(22)

    /// <summary>Makes Kestrel listen on the one port.</summary>
    public static void ListenOnOnePort(this KestrelServerOptions kestrel, OnePortOptions options)
    {
        kestrel.AddServerHeader = false;
        var log = kestrel.ApplicationServices.GetRequiredService<ILoggerFactory>().CreateLogger("Clustd.Http.OnePort");
        var opening = new OnePortOpening(options, log);
        if (IPAddress.TryParse(options.BindAddress, out var ip))
        {
            kestrel.Listen(ip, options.Port, Configure);
        }
        else if (options.BindAddress == "localhost")
        {
            kestrel.ListenLocalhost(options.Port, Configure);
        }
        else
        {
            throw new PortUnavailableException(
                $"Cannot listen on {options.BindAddress}:{options.Port}: '{options.BindAddress}' is no IP address. Set server.bind_address to 0.0.0.0, :: or an address of this machine.", null);
        }

        void Configure(ListenOptions listen)
        {
            listen.Protocols = HttpProtocols.Http1; // WebSockets over HTTP/1.1 is what every client speaks
            listen.Use(next => connection => opening.OpenAsync(connection, next));
        }
    }

    /// <summary>Starts the host; when the port is to blame for a failure, says so.</summary>
    /// <exception cref="PortUnavailableException">The port is taken, forbidden, or the address is not this machine's.</exception>
    public static async Task StartOnOnePortAsync(this IHost host, OnePortOptions options, CancellationToken cancellationToken)
    {
        try
        {
            await host.StartAsync(cancellationToken);
        }
        catch (Exception exception) when (WhyUnavailable(exception) is { } why)
        {
            throw new PortUnavailableException($"Cannot listen on {options.BindAddress}:{options.Port}: {why(options)}", exception);
        }
    }

    /// <summary>
    /// Both ends of the connection are on this machine: loopback (::ffff:127.0.0.1 included), or its own address at both ends, as when
    /// bind_address is one address of a network. Nobody else can complete a TCP handshake from there.
    /// </summary>
    public static bool IsThisMachine(IPAddress? remote, IPAddress? local) =>
        remote is not null && (IPAddress.IsLoopback(remote) || (local is not null && remote.MapToIPv6().Equals(local.MapToIPv6())));

    /// <summary>What a first byte on a connection between those addresses means.</summary>
    internal static OnePortGreeting Judge(byte firstByte, IPAddress? remote, IPAddress? local) =>
        firstByte == TlsHandshake ? OnePortGreeting.Tls
        : IsThisMachine(remote, local) ? OnePortGreeting.Plain
        : OnePortGreeting.PlainFromOutside;

    private static Func<OnePortOptions, string>? WhyUnavailable(Exception exception)
    {
        for (Exception? each = exception; each is not null; each = each.InnerException)
        {
            if (each is AddressInUseException or SocketException { SocketErrorCode: SocketError.AddressAlreadyInUse })
            {
                return options => $"another program holds the port. Find it with `ss -ltnp 'sport = :{options.Port}'` and stop it, or set another server.bind_port.";
            }

            if (each is SocketException { SocketErrorCode: SocketError.AddressNotAvailable })
            {
                return options => "this machine has no such address. Set server.bind_address to 0.0.0.0, :: or an address that `ip addr` lists.";
            }

            if (each is SocketException { SocketErrorCode: SocketError.AccessDenied })
            {
                return options => "the system does not allow it. Ports below 1024 need the capability CAP_NET_BIND_SERVICE; or set another server.bind_port.";
            }
        }

        return null;
    }
}

/// <summary>How a connection opened.</summary>
internal enum OnePortGreeting
{
    Tls,
    Plain,
    PlainFromOutside,
}

/// <summary>The daemon cannot have its port. Three parts: what, why, what to do.</summary>
public sealed class PortUnavailableException(string message, Exception? inner) : Exception(message, inner);
