using System.Net;
using System.Net.Sockets;
using System.Net.WebSockets;
using System.Text.Json.Serialization.Metadata;
using Clustd.Client.Protocol;

namespace Clustd.Client.Connection;

/// <summary>
/// One authenticated connection to the daemon. Two threads serve it: the caller of <see cref="Read"/> and the writer; neither needs the
/// thread pool. Sending never blocks the caller: a daemon that does not read must not keep the lease thread from seeing the lease end.
/// </summary>
internal sealed class DaemonLink : IDisposable
{
    // Beyond the first, no request is taken before the daemon has read some answers. Answers to what was taken already may still come, one per service and
    // a thousand services: more in the queue than the second means that the daemon does not read.
    private const int OutgoingBeforeWait = 128;
    private const int OutgoingMax = 4096;
    private static readonly TimeSpan OpenLimit = TimeSpan.FromSeconds(5); // TCP, HTTP, proofs and register together.

    private readonly Socket socket;
    private readonly object gate = new();
    private readonly Queue<RpcMessage> outgoing = new();
    private readonly Dictionary<long, Action<RpcMessage?>> unanswered = [];
    private readonly Timer openTimer;
    private readonly DaemonAddress address;
    private RpcSocket? rpc;
    private long lastId;
    private bool closing; // The writer sends what is queued, says goodbye and ends.
    private bool closed;
    private string? abortReason;

    private DaemonLink(DaemonAddress address, Socket socket)
    {
        this.address = address;
        this.socket = socket;
        // Belt and braces with the socket's own timeouts below: these bound each read, this one the whole, against a peer that drips.
        openTimer = new Timer(_ => Abort($"it took longer than {OpenLimit.TotalSeconds:0} s to connect"), null, OpenLimit, Timeout.InfiniteTimeSpan);
    }

    /// <summary>What the daemon said of itself.</summary>
    public HelloResult Daemon { get; private set; } = null!; // Set by Open before anyone else sees the object.

    /// <summary>Connects and has both sides prove the secret. Throws <see cref="DriverRefusedException"/> or <see cref="IOException"/>, with three-part messages.</summary>
    public static DaemonLink Open(DaemonAddress address, string secret, string name)
    {
        DaemonLink? link = null;
        try
        {
            link = new DaemonLink(address, Connect(address));
            link.rpc = new RpcSocket(WebSocketUpgrade.Request(new BlockingStream(link.socket), address));
            link.Daemon = link.Authenticate(secret, name);
            return link;
        }
        catch (Exception e) when (IsConnectionFault(e))
        {
            link?.Dispose();
            throw new IOException($"Cannot connect to the daemon at {address}: {link?.abortReason ?? Reason(e)}. Start clustd there or correct the address.", e);
        }
        catch
        {
            link?.Dispose();
            throw;
        }
    }

    /// <summary>A request whose answer is awaited at once. Only before <see cref="StartWriting"/>.</summary>
    public RpcMessage Call<T>(string method, T parameters, JsonTypeInfo<T> type)
    {
        var id = ++lastId;
        Wait(rpc!.SendAsync(RpcMessage.Request(id, method, parameters, type), CancellationToken.None));
        while (true)
        {
            var message = Wait(rpc.ReceiveAsync(CancellationToken.None)) ?? throw new IOException("the daemon closed the connection");
            if (message.IsResponse && message.NumericId() == id)
                return message;
            if (message.IsRequest)
                Wait(rpc.SendAsync(RpcMessage.Failure(message, DriverErrorCodes.MethodNotFound, $"'{message.Method}' came before the driver was registered."), CancellationToken.None));
        }
    }

    /// <summary>From now on <see cref="Send"/> and <see cref="Request"/> are used.</summary>
    public void StartWriting()
    {
        openTimer.Dispose();
        try
        {
            socket.ReceiveTimeout = 0;
            socket.SendTimeout = 0; // The lease thread aborts the link when renewals are not answered.
        }
        catch (Exception e) when (IsConnectionFault(e))
        {
            // The timer was faster: a daemon that answered in the last moment must not end the driver's process.
            throw new IOException($"Lost the connection to the daemon at {address}: {abortReason ?? Reason(e)}. It is tried again.", e);
        }
        new Thread(Write) { IsBackground = true, Name = "clustd writer", Priority = ThreadPriority.AboveNormal }.Start();
    }

    /// <summary>Queues a message; drops it if the connection is gone.</summary>
    public void Send(RpcMessage message)
    {
        lock (gate)
        {
            if (closed || closing)
                return;
            if (outgoing.Count < OutgoingMax)
            {
                outgoing.Enqueue(message);
                Monitor.PulseAll(gate);
                return;
            }
        }
        Abort("the daemon does not read what is sent to it");
    }

    /// <summary>Queues a request; <paramref name="answered"/> is called once, with null if the connection was lost first. It must not block.</summary>
    public void Request<T>(string method, T parameters, JsonTypeInfo<T> type, Action<RpcMessage?> answered)
    {
        long id;
        lock (gate)
        {
            id = ++lastId;
            if (!closed && !closing)
                unanswered[id] = answered;
            else
                id = -1;
        }
        if (id < 0)
            answered(null);
        else
            Send(RpcMessage.Request(id, method, parameters, type));
    }

    /// <summary>Reads until the connection ends, which it always reports by an exception with the reason. Answers go to their requests, the rest to <paramref name="receive"/>.</summary>
    public void Read(Action<RpcMessage> receive)
    {
        try
        {
            while (Wait(rpc!.ReceiveAsync(CancellationToken.None)) is { } message)
            {
                if (message.IsRequest)
                    AwaitRoom();
                if (!message.IsResponse)
                    receive(message);
                else if (Take(message.NumericId()) is { } answered)
                    answered(message);
            }
            throw new IOException("the daemon closed it");
        }
        catch (Exception e) when (IsConnectionFault(e))
        {
            throw new IOException($"Lost the connection to the daemon at {address}: {abortReason ?? Reason(e)}. The driver keeps running while its lease lasts, and reconnects.", e);
        }
        finally
        {
            Dispose();
        }
    }

    /// <summary>A request whose answer is awaited; null if the connection was lost first.</summary>
    public Task<RpcMessage?> RequestAsync<T>(string method, T parameters, JsonTypeInfo<T> type)
    {
        var answer = new TaskCompletionSource<RpcMessage?>(TaskCreationOptions.RunContinuationsAsynchronously);
        Request(method, parameters, type, message => answer.SetResult(message));
        return answer.Task;
    }

    /// <summary>Ends the connection now, from any thread, without blocking.</summary>
    public void Abort(string reason)
    {
        lock (gate)
            abortReason ??= reason;
        Dispose();
    }

    /// <summary>Sends what is queued, then a close frame, then ends the connection.</summary>
    public void Close()
    {
        lock (gate)
        {
            abortReason ??= "the driver is shutting down";
            closing = true;
            Monitor.PulseAll(gate);
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        List<Action<RpcMessage?>> orphans;
        lock (gate)
        {
            if (closed)
                return;
            closed = true;
            orphans = [.. unanswered.Values];
            unanswered.Clear();
            Monitor.PulseAll(gate);
        }
        openTimer.Dispose();
        try
        {
            // Wakes a thread that is blocked in Receive or Send.
            socket.Shutdown(SocketShutdown.Both);
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            // Already gone, which is what was wanted.
        }
        socket.Dispose();
        foreach (var answered in orphans)
            answered(null);
    }

    private HelloResult Authenticate(string secret, string name)
    {
        var key = Handshake.KeyOf(secret);
        var nonce = Handshake.NewNonce();
        var hello = Call(DriverMethods.Hello, new HelloParams { Nonce = nonce, Name = name }, ProtocolJson.Default.HelloParams);
        if (hello.ReadResult(ProtocolJson.Default.HelloResult) is not { } daemon || !Handshake.IsNonce(daemon.Nonce))
            throw new InvalidDataException($"what listens there did not answer the greeting as clustd does ({hello.Error?.Message ?? "no proof"})");

        // Only now, and only to one who knows the secret, do we show that we know it.
        var expected = Handshake.DaemonProof(key, nonce, daemon.Nonce);
        if (!Handshake.Matches(daemon.Proof, expected) && !Handshake.Matches(daemon.OldProof, expected))
        {
            throw new DriverRefusedException(
                $"Cannot trust the daemon at {address}: it could not prove that it knows this driver's secret. " +
                "Use the same secret here as in cluster.secret there (and check that it is clustd that listens on that port).");
        }
        var proof = new AuthenticateParams { Proof = Handshake.DriverProof(key, nonce, daemon.Nonce) };
        var answer = Call(DriverMethods.Authenticate, proof, ProtocolJson.Default.AuthenticateParams);
        if (answer.Error is { } error)
            throw new DriverRefusedException($"The daemon at {address} does not accept this driver's secret: {error.Message} Use the same secret here as in cluster.secret there.");
        return daemon;
    }

    private void Write()
    {
        try
        {
            while (Next() is { } message)
                Wait(rpc!.SendAsync(message, CancellationToken.None));
            if (!closed)
                Wait(rpc!.CloseOutputAsync(WebSocketCloseStatus.NormalClosure, "the driver is shutting down", CancellationToken.None));
        }
        catch (Exception e) when (IsConnectionFault(e))
        {
            Abort(Reason(e));
        }
        Dispose();
    }

    // Before a request is taken: a flood of them then slows down to the pace at which the daemon reads the answers.
    private void AwaitRoom()
    {
        lock (gate)
        {
            while (outgoing.Count >= OutgoingBeforeWait && !closed && !closing)
                Monitor.Wait(gate);
        }
    }

    private RpcMessage? Next()
    {
        lock (gate)
        {
            while (outgoing.Count == 0 && !closing && !closed)
                Monitor.Wait(gate);
            if (closed || outgoing.Count == 0)
                return null;
            if (outgoing.Count == OutgoingBeforeWait)
                Monitor.PulseAll(gate); // Room again, see AwaitRoom.
            return outgoing.Dequeue();
        }
    }

    private Action<RpcMessage?>? Take(long? id)
    {
        lock (gate)
            return id is { } known && unanswered.Remove(known, out var answered) ? answered : null;
    }

    private static Socket Connect(DaemonAddress address)
    {
        Exception? last = null;
        var targets = IPAddress.TryParse(address.Host, out var literal) ? [literal] : Dns.GetHostAddresses(address.Host);
        foreach (var target in targets)
        {
            var socket = new Socket(target.AddressFamily, SocketType.Stream, ProtocolType.Tcp)
            {
                NoDelay = true,
                ReceiveTimeout = (int)OpenLimit.TotalMilliseconds,
                SendTimeout = (int)OpenLimit.TotalMilliseconds,
            };
            try
            {
                socket.Connect(new IPEndPoint(target, address.Port));
                return socket;
            }
            catch (SocketException e)
            {
                socket.Dispose();
                last = e;
            }
        }
        throw last ?? new IOException($"the name {address.Host} has no address");
    }

    // Complete when they return, thanks to BlockingStream; if ever one is not, waiting is still right on a thread of our own.
    private static void Wait(ValueTask task) => task.AsTask().GetAwaiter().GetResult();

    private static T Wait<T>(ValueTask<T> task) => task.AsTask().GetAwaiter().GetResult();

    internal static bool IsConnectionFault(Exception e) =>
        e is IOException or SocketException or WebSocketException or InvalidDataException or ObjectDisposedException or OperationCanceledException;

    internal static string Reason(Exception e)
    {
        while (e is WebSocketException or IOException && e.InnerException is { } inner)
            e = inner;
        return e is SocketException socket ? socket.SocketErrorCode switch
        {
            SocketError.ConnectionRefused => "connection refused",
            SocketError.ConnectionReset => "connection reset",
            SocketError.TimedOut or SocketError.WouldBlock => "no answer",
            _ => socket.Message,
        } : e.Message.TrimEnd('.');
    }
}
