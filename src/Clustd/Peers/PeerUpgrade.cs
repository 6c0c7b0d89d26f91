using System.Diagnostics;
using System.Net.WebSockets;
using System.Security.Cryptography;
using System.Text;
using Clustd.Http;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;

namespace Clustd.Peers;

/// <summary>
/// Makes a WebSocket of a connection between two machines, on either side (RFC 6455, 4), directly on its TLS stream. The ready-made ways leave the streams, pipes and
/// buffers of an HTTP client or server in between, through which every heartbeat would pass: ten layers, each with a task of its own.
/// </summary>
internal static class PeerUpgrade
{
    private const string KeyGuid = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"; // RFC 6455, 1.3
    private const int HeaderBytesMax = 8 * 1024;

    /// <summary>The dialling side's.</summary>
    /// <exception cref="PeerUnreachableException">What listens there is no machine of a cluster.</exception>
    public static async Task<WebSocket> RequestAsync(Stream tls, PeerAddress address, CancellationToken cancellationToken)
    {
        var key = Convert.ToBase64String(RandomNumberGenerator.GetBytes(16));
        await tls.WriteAsync(
            Encoding.ASCII.GetBytes(
                $"GET {PeerSocket.Path} HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: {key}\r\n" +
                $"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: {PeerSocket.SubProtocol}\r\n\r\n"),
            cancellationToken);
        var lines = (await ReadHeaderAsync(tls, cancellationToken)).Split("\r\n");
        var status = lines[0].Split(' ', 3);
        if (status.Length < 2 || !status[0].StartsWith("HTTP/1.", StringComparison.Ordinal) || !int.TryParse(status[1], out var code))
        {
            throw NoMachine("did not answer in HTTP");
        }

        if (code != StatusCodes.Status101SwitchingProtocols)
        {
            throw NoMachine($"answered HTTP {code} instead of opening a peer connection");
        }

        return Value(lines, "Sec-WebSocket-Accept") == AcceptOf(key) && Value(lines, "Sec-WebSocket-Protocol") == PeerSocket.SubProtocol
            ? WebSocket.CreateFromStream(tls, Options(isServer: false))
            : throw NoMachine("opened another WebSocket than one between machines");
    }

    /// <summary>The accepting side's, for a request that was found to be a WebSocket's. The stream is not the WebSocket's to close.</summary>
    public static async Task<WebSocket> AcceptAsync(HttpContext context)
    {
        if (context.Features.Get<SecuredStream>() is not { } secured || context.Features.Get<IHttpUpgradeFeature>() is not { IsUpgradableRequest: true } upgrade)
        {
            throw new UnreachableException("Whoever has proven to be a machine has done so by a certificate, and so on a TLS stream.");
        }

        var headers = context.Response.Headers;
        headers.Connection = "Upgrade";
        headers.Upgrade = "websocket";
        headers.SecWebSocketAccept = AcceptOf(context.Request.Headers.SecWebSocketKey.ToString());
        headers.SecWebSocketProtocol = PeerSocket.SubProtocol;
        await upgrade.UpgradeAsync(); // The answer is sent, and the server reads no more: the other side has said nothing yet, so it holds nothing back.
        return WebSocket.CreateFromStream(secured, Options(isServer: true));
    }

    private static WebSocketCreationOptions Options(bool isServer) =>
        new() { IsServer = isServer, SubProtocol = PeerSocket.SubProtocol, KeepAliveInterval = TimeSpan.Zero }; // links have a beat of their own

    private static string AcceptOf(string key)
    {
#pragma warning disable CA5350 // SHA-1 is what RFC 6455 asks for; nothing here rests on it.
        return Convert.ToBase64String(SHA1.HashData(Encoding.ASCII.GetBytes(key + KeyGuid)));
#pragma warning restore CA5350
    }

    // Byte by byte, out of what TLS has decrypted already: whatever follows the header belongs to the WebSocket.
    private static async Task<string> ReadHeaderAsync(Stream stream, CancellationToken cancellationToken)
    {
        var header = new byte[HeaderBytesMax];
        for (var length = 0; length < header.Length;)
        {
            if (await stream.ReadAsync(header.AsMemory(length, 1), cancellationToken) == 0)
            {
                throw new IOException("It closed the connection instead of opening a peer connection.");
            }

            length++;
            if (header.AsSpan(0, length).EndsWith("\r\n\r\n"u8))
            {
                return Encoding.ASCII.GetString(header, 0, length);
            }
        }

        throw NoMachine($"sent more than {HeaderBytesMax} bytes of HTTP header");
    }

    private static string? Value(string[] lines, string name)
    {
        foreach (var line in lines.Skip(1))
        {
            var colon = line.IndexOf(':', StringComparison.Ordinal);
            if (colon > 0 && line.AsSpan(0, colon).Equals(name, StringComparison.OrdinalIgnoreCase))
            {
                return line[(colon + 1)..].Trim();
            }
        }

        return null;
    }

    private static PeerUnreachableException NoMachine(string reason) => new(reason, "check that the address belongs to a clustd machine, of a version that fits");
}
