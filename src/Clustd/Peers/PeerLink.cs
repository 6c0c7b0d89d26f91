using System.Buffers.Binary;
using System.Net.WebSockets;

namespace Clustd.Peers;

/// <summary>
/// The one connection with another machine, from the greeting to its end: a loop that sends, one that receives, a <see cref="Beat"/> that
/// speaks into silence and notices it. It ends once, with one reason; the first to notice says so.
/// </summary>
internal sealed class PeerLink
{
    /// <summary>So often somebody calls <see cref="Beat"/> within the longest silence.</summary>
    public const int BeatsPerSilence = 10;

    // More than this (a piece of a snapshot) is encrypted and read by the thread pool, not on the threads that heartbeats pass: the loop's, which sends, and the
    // sockets', which receives.
    private const int YieldBytes = 32 * 1024;

    private readonly PeerSocket _socket;
    private readonly PeerNetworkOptions _options;
    private readonly TimeProvider _time;
    private readonly PeerTable _table;
    private readonly SendQueue _queue;
    private readonly CancellationTokenSource _over = new();
    private readonly TaskCompletionSource _lost = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TaskCompletionSource _finished = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly Lock _gate = new();
    private TaskCompletionSource<bool>? _probe;
    private bool _ended;
    private bool _closing;
    private string? _closeReason;
    private long _sent;

    // What the last beat saw, and how many beats ago something was heard and said.
    private (long Receipts, long Sent) _counts;
    private int _quietBeats;
    private int _idleBeats;

    public PeerLink(PeerSocket socket, string machineId, ulong incarnation, string address, PeerNetworkOptions options, TimeProvider time, PeerTable table)
    {
        _socket = socket;
        _options = options;
        _time = time;
        _table = table;
        _queue = new SendQueue(options.QueueBytesMax);
        MachineId = machineId;
        Incarnation = incarnation;
        Address = address;
        Since = time.GetUtcNow();
    }

    public string MachineId { get; }

    public ulong Incarnation { get; }

    /// <summary>Where the other side says that it listens: a claim, for people. Dialling never relies on it.</summary>
    public string Address { get; }

    public DateTimeOffset Since { get; }

    /// <summary>Done when the connection has ended; its loops may still be on their way out.</summary>
    public Task Lost => _lost.Task;

    /// <summary>Done when all loops have stopped and the socket is closed.</summary>
    public Task Finished => _finished.Task;

    /// <summary>
    /// Never blocks. When the other side does not keep up, the connection ends. On an idle connection the message is encrypted and handed to the kernel
    /// in this call, without a change of threads.
    /// </summary>
    public void Send(ReadOnlySpan<byte> message, bool urgent)
    {
        if (_queue.TryAdd(message, urgent))
        {
            _queue.Flush();
        }
        else
        {
            End($"it reads too slowly: more than {_options.QueueBytesMax / (1024 * 1024)} MB were waiting for it");
        }
    }

    /// <summary>Queued before anything else can be: the first thing that the other side reads after the greeting.</summary>
    public void SendFirst(PeerControl control) => _queue.AddControl(control);

    /// <summary>Carries messages until the connection ends; completes then. Never throws.</summary>
    public async Task RunAsync()
    {
        try
        {
            // After Close this is its limit: it makes sure that the loops see it too.
            using var limit = _over.Token.UnsafeRegister(static link => ((PeerLink)link!).End(((PeerLink)link)._closeReason ?? "closed"), this);
            // What comes after must not run on the thread that ended the last of them: that may be the daemon's loop.
            await Task.WhenAll(ReceiveLoopAsync(), SendLoopAsync()).ConfigureAwait(ConfigureAwaitOptions.ForceYielding);
        }
        finally
        {
            _queue.Complete(drain: false);
            _socket.Dispose();
            _finished.TrySetResult();
        }
    }

    /// <summary>
    /// Says something if nothing else is said, and ends the connection if nothing is heard. Silence is counted in beats, not read off a clock: a process that
    /// was frozen must not take its own pause for the others' silence. One caller at a time; never blocks.
    /// </summary>
    public void Beat()
    {
        var counts = (Receipts: _socket.Receipts, Sent: Interlocked.Read(ref _sent));
        _quietBeats = counts.Receipts == _counts.Receipts ? _quietBeats + 1 : 0;
        _idleBeats = counts.Sent == _counts.Sent ? _idleBeats + 1 : 0;
        _counts = counts;
        if (_quietBeats >= BeatsPerSilence)
        {
            End($"nothing was heard from it for {_options.SilenceMax.TotalSeconds:0.#} s");
        }
        else if (_idleBeats == 2)
        {
            _idleBeats = 0;
            _queue.AddControl(new PeerControl(PeerControl.Ping));
        }
    }

    /// <summary>Ends it now. Only the first reason counts.</summary>
    public void End(string reason, bool onPurpose = false)
    {
        lock (_gate)
        {
            if (_ended)
            {
                return;
            }

            _ended = true;
            _probe?.TrySetResult(false);
        }

        _table.Ended(this, reason, onPurpose);
        _lost.TrySetResult();
        _socket.Abort();
        _queue.Complete(drain: false);
        _ = _over.CancelAsync(); // not here: the loops would run their ends on the caller's thread, which may be the daemon's loop
    }

    /// <summary>Says why, closes in order, and in any case within <paramref name="limit"/>. What waits is sent first if <paramref name="drain"/>.</summary>
    public void Close(string reason, bool drain, TimeSpan limit)
    {
        lock (_gate)
        {
            if (_ended || _closing)
            {
                return;
            }

            _closing = true;
            _closeReason = reason;
        }

        _queue.Complete(drain);
        _over.CancelAfter(limit);
    }

    /// <summary>
    /// Does the process at the other end still answer? False as soon as the connection ends, or if nothing at all came in
    /// within the limit. Any receipt counts at the end of the wait only: bytes may have been under way when the process died.
    /// </summary>
    public async Task<bool> IsAliveAsync(TimeSpan limit)
    {
        TaskCompletionSource<bool> probe;
        lock (_gate)
        {
            if (_ended || _closing)
            {
                return false;
            }

            probe = _probe ??= new TaskCompletionSource<bool>(TaskCreationOptions.RunContinuationsAsynchronously);
        }

        var receipts = _socket.Receipts;
        _queue.AddControl(new PeerControl(PeerControl.Ping));
        try
        {
            return await probe.Task.WaitAsync(limit, _time);
        }
        catch (TimeoutException)
        {
            return _socket.Receipts != receipts && !_over.IsCancellationRequested;
        }
    }

    private async Task ReceiveLoopAsync()
    {
        try
        {
            while (true)
            {
                var frame = await _socket.ReceiveAsync(_over.Token);
                if (frame.Payload.Length > YieldBytes)
                {
                    await Task.Yield(); // Off the thread that serves the other machines as well.
                }

                switch (frame.Type)
                {
                    case WebSocketMessageType.Binary:
                        try
                        {
                            ReceiveBatch(frame.Payload.Span);
                        }
                        finally
                        {
                            _table.ReceivedAll();
                        }

                        break;
                    case WebSocketMessageType.Text:
                        ReceiveControl(PeerControl.Decode(frame.Payload.Span));
                        break;
                    default:
                        End(frame.Text.Length > 0 ? $"it closed the connection: {frame.Text}" : "it closed the connection", onPurpose: true);
                        return;
                }
            }
        }
        catch (Exception exception)
        {
            // Whatever went wrong, the connection is over and the daemon is not: the reason goes into the event.
            End(_closeReason ?? PeerFault.WhyLost(exception));
        }
    }

    private void ReceiveBatch(ReadOnlySpan<byte> batch)
    {
        while (batch.Length > 0)
        {
            var length = batch.Length < SendQueue.PrefixBytes ? -1 : BinaryPrimitives.ReadInt32LittleEndian(batch);
            if (length < 0 || length > batch.Length - SendQueue.PrefixBytes)
            {
                throw new PeerProtocolException("it sent a message that is cut short");
            }

            _table.Received(this, batch.Slice(SendQueue.PrefixBytes, length).ToArray());
            batch = batch[(SendQueue.PrefixBytes + length)..];
        }
    }

    private void ReceiveControl(PeerControl control)
    {
        switch (control.Type)
        {
            case PeerControl.Ping:
                _queue.AddControl(new PeerControl(PeerControl.Pong));
                break;
            case PeerControl.Pong:
                lock (_gate)
                {
                    _probe?.TrySetResult(true);
                    _probe = null;
                }

                break;
            case PeerControl.Closing or PeerControl.Refuse:
                End($"it closed the connection: {control.Reason}", onPurpose: true);
                break;
        }
    }

    private async Task SendLoopAsync()
    {
        try
        {
            while (await _queue.TakeAsync() is { } item)
            {
                try
                {
                    if (item.Length > YieldBytes)
                    {
                        await Task.Yield();
                    }

                    await _socket.SendAsync(item, _over.Token);
                }
                finally
                {
                    SendQueue.Return(item);
                }

                Interlocked.Increment(ref _sent);
            }

            if (_closeReason is { } reason)
            {
                // The whole reason in a message of its own: a close frame holds 123 bytes. Then wait for the other side to close,
                // in the receive loop: closing now, with its messages unread, would reset the connection and lose the reason.
                await _socket.SendAsync(new PeerControl(PeerControl.Closing) { Reason = reason }, _over.Token);
                await _socket.CloseOutputAsync(reason, _over.Token);
            }
        }
        catch (Exception exception)
        {
            End(_closeReason ?? PeerFault.WhyLost(exception));
        }
    }
}
