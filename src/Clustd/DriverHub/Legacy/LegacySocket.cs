using System.Net.WebSockets;
using System.Text.Json;
using Clustd.Client.Protocol;

namespace Clustd.Hub.Legacy;

/// <summary>Messages of 2018 over one WebSocket: each is one encrypted binary message. What is none closes the connection, and the close reason says why.</summary>
internal sealed class LegacySocket(WebSocket socket, LegacyCipher cipher) : IDriverSocket<LegacyMessage>
{
    private const int MessageBytesMax = DriverProtocol.MessageBytesMax; // Theirs have some hundred bytes.

    private const string UsedUp = "all 4294967295 keys of this connection are used up; connect again";

    private readonly SemaphoreSlim _sending = new(1, 1); // A WebSocket allows one send at a time, and frames go out in the order of their counters.
    private byte[] _buffer = new byte[1024];

    public async ValueTask<LegacyMessage?> ReceiveAsync(CancellationToken cancellationToken)
    {
        var length = 0;
        while (true)
        {
            if (length == _buffer.Length)
            {
                Array.Resize(ref _buffer, Math.Min(_buffer.Length * 2, MessageBytesMax + 1));
            }

            var received = await socket.ReceiveAsync(_buffer.AsMemory(length), cancellationToken);
            if (received.MessageType == WebSocketMessageType.Close)
            {
                return null;
            }

            if (received.MessageType == WebSocketMessageType.Text)
            {
                throw await RefuseAsync(WebSocketCloseStatus.InvalidMessageType, "text message; drivers of 2018 send encrypted binary messages", cancellationToken);
            }

            length += received.Count;
            if (length > MessageBytesMax)
            {
                throw await RefuseAsync(WebSocketCloseStatus.MessageTooBig, $"message over {MessageBytesMax} bytes", cancellationToken);
            }

            if (received.EndOfMessage)
            {
                break;
            }
        }

        if (cipher.IsUsedUp)
        {
            await CloseOutputAsync(WebSocketCloseStatus.NormalClosure, UsedUp, cancellationToken);
            return null;
        }

        return cipher.Open(_buffer.AsSpan(0, length)) is not { } opened
            ? throw await RefuseAsync(WebSocketCloseStatus.PolicyViolation, "message that cannot be decrypted; check the secret, send each message once", cancellationToken)
            : LegacyMessage.Read(opened) ?? throw await RefuseAsync(WebSocketCloseStatus.InvalidPayloadData, "message that is no JSON of the 2018 protocol", cancellationToken);
    }

    public async ValueTask SendAsync(LegacyMessage message, CancellationToken cancellationToken)
    {
        if (cipher.IsUsedUp)
        {
            await CloseOutputAsync(WebSocketCloseStatus.NormalClosure, UsedUp, cancellationToken);
            return; // It is as if the connection had broken just before.
        }

        var json = JsonSerializer.SerializeToUtf8Bytes(message, LegacyJson.Default.LegacyMessage);
        await _sending.WaitAsync(cancellationToken);
        try
        {
            await socket.SendAsync(cipher.Seal(json).AsMemory(), WebSocketMessageType.Binary, endOfMessage: true, cancellationToken);
        }
        finally
        {
            _sending.Release();
        }
    }

    public async ValueTask CloseOutputAsync(WebSocketCloseStatus status, string reason, CancellationToken cancellationToken)
    {
        await _sending.WaitAsync(cancellationToken);
        try
        {
            if (socket.State is WebSocketState.Open or WebSocketState.CloseReceived)
            {
                await socket.CloseOutputAsync(status, reason, cancellationToken);
            }
        }
        catch (Exception e) when (e is WebSocketException or IOException or ObjectDisposedException)
        {
            // The connection is gone: the driver will find out without our words.
        }
        finally
        {
            _sending.Release();
        }
    }

    public void Dispose() => socket.Dispose();

    private async ValueTask<InvalidDataException> RefuseAsync(WebSocketCloseStatus status, string why, CancellationToken cancellationToken)
    {
        await CloseOutputAsync(status, why, cancellationToken);
        return new InvalidDataException($"The connection was closed ({(int)status}): the driver sent a {why}.");
    }
}
