using System.Net.WebSockets;
using System.Security.Cryptography;
using System.Text;
using Clustd.Client.Protocol;

namespace Clustd.Client.Connection;

/// <summary>The HTTP request that turns a connection into a WebSocket (RFC 6455, 4.1). By hand, because ClientWebSocket depends on the thread pool.</summary>
internal static class WebSocketUpgrade
{
    private const string KeyGuid = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"; // RFC 6455, 1.3
    private const int HeaderBytesMax = 8 * 1024;

    public static WebSocket Request(Stream stream, DaemonAddress address)
    {
        var key = Convert.ToBase64String(RandomNumberGenerator.GetBytes(16));
        stream.Write(Encoding.ASCII.GetBytes(
            $"GET {address.Path} HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
            $"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: {DriverProtocol.SubProtocol}\r\n\r\n"));

        var lines = ReadHeader(stream).Split("\r\n");
        var status = lines[0].Split(' ', 3);
        if (status.Length < 2 || !status[0].StartsWith("HTTP/1.", StringComparison.Ordinal) || status[1] != "101")
            throw new InvalidDataException($"what listens there answered '{Printable(lines[0])}' instead of becoming a WebSocket");
        if (Value(lines, "Sec-WebSocket-Accept") != AcceptOf(key))
            throw new InvalidDataException("what listens there answered another WebSocket request than ours");
        if (Value(lines, "Sec-WebSocket-Protocol") != DriverProtocol.SubProtocol)
            throw new InvalidDataException($"what listens there does not speak {DriverProtocol.SubProtocol}");

        // No keep-alive: its timer runs on the thread pool, and renewals show better whether the daemon answers.
        return WebSocket.CreateFromStream(stream, isServer: false, DriverProtocol.SubProtocol, Timeout.InfiniteTimeSpan);
    }

    /// <summary>What a server must answer to a Sec-WebSocket-Key.</summary>
    public static string AcceptOf(string key)
    {
#pragma warning disable CA5350 // SHA-1 is what RFC 6455 asks for; nothing here rests on it.
        return Convert.ToBase64String(SHA1.HashData(Encoding.ASCII.GetBytes(key + KeyGuid)));
#pragma warning restore CA5350
    }

    // Byte by byte: whatever follows the header belongs to the WebSocket.
    private static string ReadHeader(Stream stream)
    {
        var header = new List<byte>(512);
        Span<byte> next = stackalloc byte[1];
        while (header.Count < HeaderBytesMax)
        {
            if (stream.Read(next) == 0)
                throw new IOException("the connection was closed before a WebSocket was made of it");
            header.Add(next[0]);
            if (header.Count >= 4 && header[^1] == '\n' && header[^2] == '\r' && header[^3] == '\n' && header[^4] == '\r')
                return Encoding.ASCII.GetString([.. header]);
        }
        throw new InvalidDataException($"what listens there sent more than {HeaderBytesMax} bytes of HTTP header");
    }

    private static string? Value(string[] lines, string name)
    {
        foreach (var line in lines.Skip(1))
        {
            var colon = line.IndexOf(':');
            if (colon > 0 && line.AsSpan(0, colon).Equals(name, StringComparison.OrdinalIgnoreCase))
                return line[(colon + 1)..].Trim();
        }
        return null;
    }

    private static string Printable(string line) => string.Concat(line.Take(80).Select(c => c is >= ' ' and <= '~' ? c : '?'));
}
