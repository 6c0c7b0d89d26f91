using System.Text.Json;
using Clustd.Core.Raft;
using Clustd.Core.Wire;

namespace Clustd.Peers;

/// <summary>Messages of the core as bytes: UTF-8 JSON, one message each.</summary>
public static class PeerMail
{
    // A heartbeat between nine machines has some 600 bytes.
    private const int HeartbeatBytesMax = 2 * 1024;

    [ThreadStatic]
    private static byte[]? heartbeat;

    public static byte[] Write(PeerMessage message) => JsonSerializer.SerializeToUtf8Bytes(message, CoreJson.Default.PeerMessage);

    /// <summary>The same bytes, for who copies them at once: this thread's next call writes over them.</summary>
    public static ReadOnlyMemory<byte> WriteInPassing(PeerMessage message)
    {
        var buffer = heartbeat ??= new byte[HeartbeatBytesMax];
        return HeartbeatWriter.TryWrite(message, buffer, out var length) ? buffer.AsMemory(0, length) : Write(message);
    }

    /// <summary>False for what is no message: a peer of another version, or one that lost its mind. Nothing of it reaches the core.</summary>
    public static bool TryRead(ReadOnlySpan<byte> bytes, out PeerMessage message, out string problem)
    {
        try
        {
            if ((HeartbeatMail.TryRead(bytes) ?? JsonSerializer.Deserialize(bytes, CoreJson.Default.PeerMessage)) is { Body: not null } read)
            {
                message = read;
                problem = "";
                return true;
            }

            problem = "it is empty";
        }
        catch (Exception exception) when (exception is JsonException or NotSupportedException or InvalidOperationException or FormatException or OverflowException)
        {
            problem = exception.Message;
        }

        message = null!;
        return false;
    }
}
