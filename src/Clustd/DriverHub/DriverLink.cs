using System.Net.WebSockets;
using System.Threading.Channels;

namespace Clustd.Hub;

/// <summary>
/// One driver's WebSocket: reads, sends from a bounded queue, and ends with a reason that the driver can read. Knows nothing of what is said,
/// nor how a message becomes a frame: that is the <see cref="IDriverSocket{TMessage}"/>'s.
/// </summary>
internal sealed class DriverLink<TMessage> : IDisposable
    where TMessage : class
{
    private static readonly TimeSpan SendLimit = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan GoodbyeLimit = TimeSpan.FromSeconds(1);

    private readonly WebSocket _socket;
    private readonly IDriverSocket<TMessage> _messages;
    private readonly Channel<TMessage> _outgoing;
    private readonly TokenBucket _allowance;
    private readonly CancellationTokenSource _abort;
    private readonly ITimer _limit;
    private readonly Lock _gate = new();
    private (WebSocketCloseStatus Status, string Reason)? _goodbye;
    private bool _dropsQueue;
    private string? _limitReason;
    private int _unsent; // queued, or being sent

    public DriverLink(WebSocket socket, IDriverSocket<TMessage> messages, DriverHubOptions options, CancellationToken aborted)
    {
        _socket = socket;
        _messages = messages;
        // Continuations never run inside TryWrite: the decision loop's thread must not find itself sending what may be a thousand triggers.
        _outgoing = Channel.CreateBounded<TMessage>(new BoundedChannelOptions(options.SendQueueMax) { SingleReader = true, AllowSynchronousContinuations = false });
        _allowance = new TokenBucket(options.Time, options.MessagesPerSecond, options.MessagesPerSecond);
        _abort = CancellationTokenSource.CreateLinkedTokenSource(aborted);
        _limit = options.Time.CreateTimer(_ => LimitReached(), null, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
    }

    /// <summary>Why we ended the connection; null while we have not.</summary>
    public string? EndReason => _goodbye?.Reason;

    /// <summary>
    /// Serves the connection until it is over. <paramref name="take"/> gets the messages one at a time; <paramref name="gone"/> is called once, when
    /// no more will come, whatever happened. Returns what was wrong with what the driver sent, or null.
    /// </summary>
    /// <param name="isAwaited">Whether we have asked for this message: then it does not count against what the driver may send.</param>
    public async Task<string?> RunAsync(Action<TMessage> take, Predicate<TMessage> isAwaited, Action gone)
    {
        var writing = WriteAsync();
        string? fault = null;
        try
        {
            await ReadAsync(take, isAwaited);
            End(WebSocketCloseStatus.NormalClosure, "goodbye");
        }
        catch (InvalidDataException e)
        {
            fault = e.Message;
            End(WebSocketCloseStatus.ProtocolError, "not the driver protocol"); // The socket has said it better: then this says nothing.
        }
        catch (Exception e) when (IsConnectionFault(e))
        {
            await _abort.CancelAsync();
        }
        finally
        {
            gone();
            End(WebSocketCloseStatus.InternalServerError, "the daemon could not handle a message");
        }

        await writing;
        await ReadToCloseAsync();
        return fault;
    }

    /// <summary>Queues a message. Never blocks: a driver that does not read loses its connection instead.</summary>
    public void Send(TMessage message)
    {
        Interlocked.Increment(ref _unsent);
        if (!_outgoing.Writer.TryWrite(message))
        {
            End(WebSocketCloseStatus.PolicyViolation, "you do not read what is sent; read all the time", dropsQueue: true);
        }
    }

    /// <summary>
    /// The same for one small message, as an answer to a renewal: if nothing waits before it, it is handed to the kernel in this call, which costs less than to wake
    /// the thread that would do it. What the kernel does not take at once is waited for elsewhere.
    /// </summary>
    public void SendAtOnce(TMessage message)
    {
        if (_goodbye is not null || Interlocked.CompareExchange(ref _unsent, 1, 0) != 0)
        {
            Send(message);
            return;
        }

        _ = SendAloneAsync(message);
    }

    /// <summary>Closes the connection with a reason (ASCII, at most 123 characters), after what is queued or instead of it. Only the first call counts. Never blocks.</summary>
    public void End(WebSocketCloseStatus status, string reason, bool dropsQueue = false, TimeSpan? within = null)
    {
        lock (_gate)
        {
            if (_goodbye is not null)
            {
                return;
            }

            _goodbye = (status, reason);
            _dropsQueue = dropsQueue;
            _outgoing.Writer.TryComplete();
            _abort.CancelAfter(within ?? GoodbyeLimit);
        }
    }

    /// <summary>Ends the connection with this reason unless another limit is set within the time; null sets none.</summary>
    public void Limit(TimeSpan? time, string reason)
    {
        lock (_gate)
        {
            _limitReason = reason;
            _limit.Change(time ?? Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
        }
    }

    public void Dispose()
    {
        _limit.Dispose();
        _messages.Dispose();
        lock (_gate)
        {
            _goodbye ??= (WebSocketCloseStatus.Empty, "over"); // A late End finds nothing to do with the source.
            _abort.Dispose();
        }
    }

    private async Task ReadAsync(Action<TMessage> take, Predicate<TMessage> isAwaited)
    {
        while (_goodbye is null && await _messages.ReceiveAsync(_abort.Token) is { } message && _goodbye is null)
        {
            if (isAwaited(message) || _allowance.TryTake())
            {
                take(message);
            }
            else
            {
                End(WebSocketCloseStatus.PolicyViolation, "too many messages a second; send fewer", dropsQueue: true);
            }
        }
    }

    private async Task WriteAsync()
    {
        try
        {
            await foreach (var message in _outgoing.Reader.ReadAllAsync(_abort.Token))
            {
                if (!_dropsQueue)
                {
                    await SendWithinLimitAsync(message);
                }

                Interlocked.Decrement(ref _unsent);
            }

            if (_goodbye is { } goodbye)
            {
                await _messages.CloseOutputAsync(goodbye.Status, goodbye.Reason, _abort.Token);
            }
        }
        catch (Exception e) when (IsConnectionFault(e) || e is TimeoutException or InvalidDataException)
        {
            await GiveUpAsync();
        }
    }

    private async Task SendAloneAsync(TMessage message)
    {
        try
        {
            await SendWithinLimitAsync(message);
            Interlocked.Decrement(ref _unsent);
        }
        catch (Exception e) when (IsConnectionFault(e) || e is TimeoutException or InvalidDataException)
        {
            await GiveUpAsync();
        }
    }

    // The kernel takes nearly every message at once, and then no timer is needed.
    private ValueTask SendWithinLimitAsync(TMessage message)
    {
        var sending = _messages.SendAsync(message, _abort.Token);
        return sending.IsCompletedSuccessfully ? sending : new ValueTask(sending.AsTask().WaitAsync(SendLimit));
    }

    // It does not read, or is gone: there is nobody to say goodbye to.
    private Task GiveUpAsync()
    {
        End(WebSocketCloseStatus.PolicyViolation, "you do not read what is sent; read all the time", dropsQueue: true);
        return AbortAsync();
    }

    /// <summary>
    /// Reads on, to nowhere, until the driver has answered the close frame: closing a socket with unread bytes in it resets the connection,
    /// and the reason would be lost on the way.
    /// </summary>
    private async Task ReadToCloseAsync()
    {
        var nowhere = new byte[4 * 1024];
        try
        {
            while (_socket.State is WebSocketState.CloseSent)
            {
                await _socket.ReceiveAsync(nowhere.AsMemory(), _abort.Token);
            }
        }
        catch (Exception e) when (IsConnectionFault(e))
        {
            // It would not say goodbye.
        }
    }

    private void LimitReached()
    {
        string? reason;
        lock (_gate)
        {
            reason = _limitReason;
        }

        End(WebSocketCloseStatus.PolicyViolation, reason ?? "too slow");
    }

    private async Task AbortAsync()
    {
        try
        {
            await _abort.CancelAsync();
        }
        catch (ObjectDisposedException)
        {
            // Over already.
        }
    }

    private static bool IsConnectionFault(Exception e) =>
        e is WebSocketException or IOException or OperationCanceledException or ObjectDisposedException or InvalidOperationException;
}
