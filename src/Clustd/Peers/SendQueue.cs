using System.Buffers;
using System.Buffers.Binary;
using System.Threading.Tasks.Sources;

namespace Clustd.Peers;

/// <summary>
/// What waits to be sent on one connection: urgent before ordinary, first in first out within each, bounded by bytes.
/// Adding never blocks. One reader, which goes on inside <see cref="Flush"/>, on the thread of whoever has added something: a message then leaves
/// without a change of threads.
/// </summary>
internal sealed class SendQueue(int capacityBytes) : IValueTaskSource
{
    /// <summary>Bytes before each message: its length, little-endian. One WebSocket message carries several of ours.</summary>
    public const int PrefixBytes = 4;

    // Small messages share a WebSocket message (and so a TLS record and a system call) up to this size. Above, an urgent
    // message that has just come in would wait too long: 64 kB are 5 ms at 100 Mbit/s.
    private const int BatchBytesMax = 64 * 1024;

    private readonly Lock _gate = new();
    private readonly Queue<SendItem> _urgent = new();
    private readonly Queue<SendItem> _ordinary = new();
    private ManualResetValueTaskSourceCore<bool> _arrival; // completed outside of the gate, by whoever set _isReaderWaiting to false
    private bool _isReaderWaiting;
    private bool _completed;
    private long _waitingBytes;

    /// <summary>Copies a message in; <see cref="Flush"/> lets it go. False if there is no room: the connection is then too slow to keep.</summary>
    public bool TryAdd(ReadOnlySpan<byte> message, bool urgent)
    {
        var length = PrefixBytes + message.Length;
        lock (_gate)
        {
            if (_completed)
            {
                return true; // on its way out: like anything sent just before a loss
            }

            if (_waitingBytes + length > capacityBytes)
            {
                return false;
            }

            var buffer = ArrayPool<byte>.Shared.Rent(length);
            BinaryPrimitives.WriteInt32LittleEndian(buffer, message.Length);
            message.CopyTo(buffer.AsSpan(PrefixBytes));
            Add(new SendItem(buffer, length, IsControl: false), urgent);
            return true;
        }
    }

    /// <summary>Control messages are few and small: they are urgent, always have room, and leave at once.</summary>
    public void AddControl(PeerControl control)
    {
        var encoded = control.Encode();
        lock (_gate)
        {
            if (!_completed)
            {
                Add(new SendItem(encoded, encoded.Length, IsControl: true), urgent: true);
            }
        }

        Flush();
    }

    /// <summary>Wakes the reader if it waits and there is something for it. It runs inside this call as far as it gets without waiting for the network.</summary>
    public void Flush()
    {
        lock (_gate)
        {
            if (!_isReaderWaiting || (_urgent.Count + _ordinary.Count == 0 && !_completed))
            {
                return;
            }

            _isReaderWaiting = false;
        }

        _arrival.SetResult(true);
    }

    /// <summary>Nothing more comes in. What waits is dropped unless <paramref name="drain"/>.</summary>
    public void Complete(bool drain)
    {
        lock (_gate)
        {
            _completed = true;
            if (!drain)
            {
                Drop();
            }
        }

        Flush();
    }

    /// <summary>
    /// Waits for work. Null after <see cref="Complete"/>, when all is taken. Otherwise the item to send next: several
    /// messages in one buffer if they are small. The caller gives it back with <see cref="Return"/>.
    /// </summary>
    public async ValueTask<SendItem?> TakeAsync()
    {
        while (true)
        {
            lock (_gate)
            {
                if (_urgent.Count + _ordinary.Count > 0)
                {
                    return TakeBatch();
                }

                if (_completed)
                {
                    return null;
                }

                _arrival.Reset();
                _isReaderWaiting = true;
            }

            await new ValueTask(this, _arrival.Version);
        }
    }

    public static void Return(SendItem item)
    {
        if (!item.IsControl)
        {
            ArrayPool<byte>.Shared.Return(item.Buffer);
        }
    }

    private void Add(SendItem item, bool urgent)
    {
        (urgent ? _urgent : _ordinary).Enqueue(item);
        _waitingBytes += item.Length;
    }

    void IValueTaskSource.GetResult(short token) => _arrival.GetResult(token);

    ValueTaskSourceStatus IValueTaskSource.GetStatus(short token) => _arrival.GetStatus(token);

    void IValueTaskSource.OnCompleted(Action<object?> continuation, object? state, short token, ValueTaskSourceOnCompletedFlags flags) =>
        _arrival.OnCompleted(continuation, state, token, flags);

    private SendItem TakeBatch()
    {
        var source = _urgent.Count > 0 ? _urgent : _ordinary;
        var first = Take(source);
        if (first.IsControl || !Fits(source, first.Length))
        {
            return first;
        }

        var batch = ArrayPool<byte>.Shared.Rent(BatchBytesMax);
        first.Span.CopyTo(batch);
        var length = first.Length;
        Return(first);
        while (Fits(source, length))
        {
            var next = Take(source);
            next.Span.CopyTo(batch.AsSpan(length));
            length += next.Length;
            Return(next);
        }

        return new SendItem(batch, length, IsControl: false);
    }

    private SendItem Take(Queue<SendItem> source)
    {
        var item = source.Dequeue();
        _waitingBytes -= item.Length;
        return item;
    }

    private static bool Fits(Queue<SendItem> source, int length) =>
        source.TryPeek(out var next) && !next.IsControl && length + next.Length <= BatchBytesMax;

    private void Drop()
    {
        while (_urgent.TryDequeue(out var item) || _ordinary.TryDequeue(out item))
        {
            Return(item);
        }

        _waitingBytes = 0;
    }
}

/// <summary>One WebSocket message to send: control text, or length-prefixed messages of the daemon.</summary>
internal readonly record struct SendItem(byte[] Buffer, int Length, bool IsControl)
{
    public ReadOnlySpan<byte> Span => Buffer.AsSpan(0, Length);

    public ReadOnlyMemory<byte> Memory => Buffer.AsMemory(0, Length);
}
