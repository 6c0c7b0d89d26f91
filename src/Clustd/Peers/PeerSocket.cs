using System.Buffers;
using System.Net.Sockets;
using System.Net.WebSockets;
using System.Text;

namespace Clustd.Peers;

/// <summary>A WebSocket between two machines, whichever side dialled: whole messages in, whole messages out, and a hard stop.</summary>
internal sealed class PeerSocket(WebSocket socket, int messageBytesMax, Action abort) : IDisposable
{
    public const string Path = "/v1/peer";
    public const string SubProtocol = "clustd.peer.v1";

    private const int ReceiveBytesUsual = 16 * 1024;
    private const int UnsentBytesMax = 128 * 1024; // two batches: enough to keep the line busy
    private const int CloseReasonBytesMax = 123; // RFC 6455, 5.5.1: 125 bytes, two of them the code

    private byte[] _buffer = ArrayPool<byte>.Shared.Rent(ReceiveBytesUsual);
    private long _receipts;
    private bool _disposed;

    /// <summary>Grows with every piece that arrives, so that a long message counts as a sign of life before it is whole.</summary>
    public long Receipts => Volatile.Read(ref _receipts);

    /// <summary>The next message; its memory is valid until the next call. One caller at a time.</summary>
    /// <exception cref="PeerProtocolException">The message is too large.</exception>
    public async ValueTask<PeerFrame> ReceiveAsync(CancellationToken cancellationToken)
    {
        ShrinkBuffer();
        var length = 0;
        while (true)
        {
            var piece = await socket.ReceiveAsync(_buffer.AsMemory(length), cancellationToken);
            Interlocked.Increment(ref _receipts);
            if (piece.MessageType == WebSocketMessageType.Close)
            {
                return new PeerFrame(piece.MessageType, Encoding.UTF8.GetBytes(socket.CloseStatusDescription ?? ""));
            }

            length += piece.Count;
            if (piece.EndOfMessage)
            {
                return new PeerFrame(piece.MessageType, _buffer.AsMemory(0, length));
            }

            if (length == _buffer.Length)
            {
                GrowBuffer();
            }
        }
    }

    public ValueTask SendAsync(SendItem item, CancellationToken cancellationToken) =>
        socket.SendAsync(item.Memory, item.IsControl ? WebSocketMessageType.Text : WebSocketMessageType.Binary, endOfMessage: true, cancellationToken);

    public ValueTask SendAsync(PeerControl control, CancellationToken cancellationToken) =>
        socket.SendAsync(control.Encode().AsMemory(), WebSocketMessageType.Text, endOfMessage: true, cancellationToken);

    /// <summary>Says that we send no more, with as much of the reason as a close frame holds.</summary>
    public Task CloseOutputAsync(string reason, CancellationToken cancellationToken)
    {
        var bytes = Encoding.UTF8.GetBytes(reason);
        // Cut between characters: a continuation byte (10xxxxxx) at the cut belongs to the one before.
        var end = Math.Min(bytes.Length, CloseReasonBytesMax);
        while (end > 0 && end < bytes.Length && (bytes[end] & 0xC0) == 0x80)
        {
            end--;
        }

        return socket.CloseOutputAsync(WebSocketCloseStatus.NormalClosure, Encoding.UTF8.GetString(bytes, 0, end), cancellationToken);
    }

    /// <summary>Closes the TCP connection at once; pending calls fail. May be called from any thread, any number of times.</summary>
    public void Abort() => abort();

    /// <summary>Only when no call is pending: the receive buffer goes back to the pool.</summary>
    public void Dispose()
    {
        if (_disposed)
        {
            return;
        }

        _disposed = true;
        abort();
        socket.Dispose();
        ArrayPool<byte>.Shared.Return(_buffer);
        _buffer = [];
    }

    /// <summary>
    /// Options of both ends' sockets: no waiting for more to send, and an end to waiting for acknowledgements.
    /// Thin streams retransmit at a steady pace (Linux, Documentation/networking/tcp-thin.rst): after a cut of a few seconds
    /// the connection is back with the network, not after the doubled and redoubled timeout. And little may wait unsent in the kernel,
    /// which knows no urgency: it would take megabytes, seconds on a slow line, that a heartbeat cannot overtake.
    /// </summary>
    public static void Tune(Socket socket, TimeSpan userTimeout)
    {
        const int tcp = 6, tcpThinLinearTimeouts = 16, tcpUserTimeout = 18, tcpUnsentLowWater = 25; // linux/in.h, linux/tcp.h
        socket.NoDelay = true;
        if (OperatingSystem.IsLinux())
        {
            socket.SetRawSocketOption(tcp, tcpUserTimeout, BitConverter.GetBytes((int)userTimeout.TotalMilliseconds));
            socket.SetRawSocketOption(tcp, tcpThinLinearTimeouts, BitConverter.GetBytes(1));
            socket.SetRawSocketOption(tcp, tcpUnsentLowWater, BitConverter.GetBytes(UnsentBytesMax));
        }
    }

    private void GrowBuffer()
    {
        // The prefix of a single largest message comes on top.
        if (_buffer.Length >= messageBytesMax + SendQueue.PrefixBytes + 1)
        {
            throw new PeerProtocolException($"it sent a message of more than {messageBytesMax} bytes");
        }

        var larger = ArrayPool<byte>.Shared.Rent(Math.Min(_buffer.Length * 2, messageBytesMax + SendQueue.PrefixBytes + 1));
        _buffer.CopyTo(larger, 0);
        ArrayPool<byte>.Shared.Return(_buffer);
        _buffer = larger;
    }

    private void ShrinkBuffer()
    {
        if (_buffer.Length > 16 * ReceiveBytesUsual)
        {
            ArrayPool<byte>.Shared.Return(_buffer);
            _buffer = ArrayPool<byte>.Shared.Rent(ReceiveBytesUsual);
        }
    }
}

/// <summary>One message: text is control, binary is the daemon's, close carries the reason.</summary>
internal readonly record struct PeerFrame(WebSocketMessageType Type, ReadOnlyMemory<byte> Payload)
{
    public string Text => Encoding.UTF8.GetString(Payload.Span);
}
