using System.Net.WebSockets;
using System.Text.Json;

namespace Clustd.Client.Protocol;

/// <summary>
/// JSON-RPC messages over one WebSocket, for either side of the driver protocol. One caller may receive at a time; any number may send.
/// A peer that breaks the framing is told why in the close frame, and the receiver gets an <see cref="InvalidDataException"/>.
/// </summary>
public sealed class RpcSocket(WebSocket socket) : IDisposable
{
    private const int BufferBytesFirst = 4 * 1024;
    private const int CloseReasonBytesMax = 123; // RFC 6455: a close frame carries 125 bytes, two of them the code.

    private const int DrainBytesMax = 4 * 1024 * 1024;
    private static readonly TimeSpan DrainLimit = TimeSpan.FromSeconds(1);

    private readonly SemaphoreSlim sending = new(1, 1); // A WebSocket allows one send at a time.
    private byte[] buffer = new byte[BufferBytesFirst];

    /// <summary>The next message, or null when the peer closed the connection. Throws <see cref="WebSocketException"/> or <see cref="IOException"/> when it broke.</summary>
    public async ValueTask<RpcMessage?> ReceiveAsync(CancellationToken cancellationToken)
    {
        var length = 0;
        while (true)
        {
            if (length == buffer.Length)
                Array.Resize(ref buffer, Math.Min(buffer.Length * 2, DriverProtocol.MessageBytesMax + 1));
            var received = await socket.ReceiveAsync(buffer.AsMemory(length), cancellationToken);
            if (received.MessageType == WebSocketMessageType.Close)
                return null;
            if (received.MessageType == WebSocketMessageType.Binary)
                throw await RefuseAsync(WebSocketCloseStatus.InvalidMessageType, "binary message; send JSON-RPC 2.0 as text", cancellationToken);
            length += received.Count;
            if (length > DriverProtocol.MessageBytesMax)
                throw await RefuseAsync(WebSocketCloseStatus.MessageTooBig, $"message over {DriverProtocol.MessageBytesMax} bytes; send less at once", cancellationToken);
            if (received.EndOfMessage)
                break;
        }
        if (Parse(buffer.AsSpan(0, length)) is { } message)
            return message;
        throw await RefuseAsync(WebSocketCloseStatus.InvalidPayloadData, "not a JSON-RPC 2.0 message (batches are not taken); send one object per message", cancellationToken);
    }

    /// <summary>Sends one message. Throws <see cref="InvalidDataException"/>, and sends nothing, if it is too large for the receiver.</summary>
    public async ValueTask SendAsync(RpcMessage message, CancellationToken cancellationToken)
    {
        var bytes = JsonSerializer.SerializeToUtf8Bytes(message, ProtocolJson.Default.RpcMessage);
        if (bytes.Length > DriverProtocol.MessageBytesMax)
            throw new InvalidDataException($"Cannot send a message of {bytes.Length} bytes: {DriverProtocol.MessageBytesMax} is the limit. Send less at once.");
        await sending.WaitAsync(cancellationToken);
        try
        {
            await socket.SendAsync(bytes.AsMemory(), WebSocketMessageType.Text, endOfMessage: true, cancellationToken);
        }
        finally
        {
            sending.Release();
        }
    }

    /// <summary>Tells the peer that nothing more will come, and why. Does nothing if that cannot be said any more.</summary>
    public async ValueTask CloseOutputAsync(WebSocketCloseStatus status, string reason, CancellationToken cancellationToken)
    {
        await sending.WaitAsync(cancellationToken);
        try
        {
            if (socket.State is WebSocketState.Open or WebSocketState.CloseReceived)
                await socket.CloseOutputAsync(status, Cut(reason), cancellationToken);
        }
        catch (Exception e) when (e is WebSocketException or IOException or ObjectDisposedException)
        {
            // The connection is gone: the peer will find out without our words.
        }
        finally
        {
            sending.Release();
        }
    }

    /// <inheritdoc/>
    public void Dispose() => socket.Dispose();

    /// <summary>The message in these bytes, or null if they are not one.</summary>
    public static RpcMessage? Parse(ReadOnlySpan<byte> utf8)
    {
        try
        {
            return JsonSerializer.Deserialize(utf8, ProtocolJson.Default.RpcMessage) is { Version: "2.0" } message && (message.Method ?? (object?)message.Id) is not null && CanBeEchoed(message.Id)
                ? message
                : null;
        }
        catch (JsonException)
        {
            return null;
        }
    }

    // An id goes back as it came. JSON can say what no text can (half of a surrogate pair), and an answer with that in it could not be written.
    private static bool CanBeEchoed(JsonElement? id)
    {
        if (id is not { ValueKind: not JsonValueKind.Number } other)
            return true;
        try
        {
            return other.ValueKind == JsonValueKind.String && other.GetString() is not null;
        }
        catch (InvalidOperationException)
        {
            return false;
        }
    }

    private async ValueTask<InvalidDataException> RefuseAsync(WebSocketCloseStatus status, string why, CancellationToken cancellationToken)
    {
        await CloseOutputAsync(status, why, cancellationToken);
        await DrainAsync(cancellationToken);
        return new InvalidDataException($"The connection was closed ({(int)status}): the other side sent a {why}. Check that both sides speak {DriverProtocol.SubProtocol}.");
    }

    // Ending a connection with bytes unread makes the kernel reset it, and a reset overtakes the close frame: the peer would never learn why. So read
    // on, within limits, until it closes as well.
    private async ValueTask DrainAsync(CancellationToken cancellationToken)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        limit.CancelAfter(DrainLimit);
        try
        {
            for (var drained = 0; drained < DrainBytesMax && socket.State == WebSocketState.CloseSent;)
                drained += Math.Max(1, (await socket.ReceiveAsync(buffer.AsMemory(), limit.Token)).Count);
        }
        catch (Exception e) when (e is WebSocketException or IOException or OperationCanceledException or ObjectDisposedException)
        {
            // It closed the hard way, or took too long: it has had its chance to read the reason.
        }
    }

    // Reasons are ASCII, so a character is a byte.
    private static string Cut(string reason) => reason.Length <= CloseReasonBytesMax ? reason : reason[..CloseReasonBytesMax];
}
