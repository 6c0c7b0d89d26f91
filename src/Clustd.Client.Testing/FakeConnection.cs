using System.Collections.Concurrent;
using System.Net.Sockets;
using System.Net.WebSockets;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json.Serialization.Metadata;
using Clustd.Client.Protocol;

namespace Clustd.Client.Testing;

/// <summary>The daemon's side of one connection of a driver: for tests that need more than the verbs of <see cref="FakeDaemon"/>.</summary>
public sealed class FakeConnection
{
    private const int HeaderBytesMax = 8 * 1024;

    private readonly FakeDaemon daemon;
    private readonly TcpClient client;
    private readonly ConcurrentDictionary<long, TaskCompletionSource<RpcMessage>> calls = new();
    private readonly TaskCompletionSource<(WebSocketCloseStatus?, string?)> closed = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private RpcSocket rpc = null!; // Set by the upgrade, before anybody else sees this object.
    private WebSocket socket = null!;
    private long lastId;
    private long lastSequence;

    internal FakeConnection(FakeDaemon daemon, TcpClient client)
    {
        this.daemon = daemon;
        this.client = client;
    }

    /// <summary>What the driver said of itself.</summary>
    public RegisterParams Registration { get; private set; } = null!; // Set before the connection is handed out.

    /// <summary>Completes when the connection has ended, with the close status and reason that the driver sent; nulls if it just ended.</summary>
    public Task<(WebSocketCloseStatus? Status, string? Reason)> Closed => closed.Task;

    /// <summary>Whether the connection still lasts.</summary>
    public bool IsOpen => !closed.Task.IsCompleted;

    /// <summary>Sequence number of the last trigger.</summary>
    public long LastSequence => Interlocked.Read(ref lastSequence);

    /// <summary>Sends a trigger and returns the driver's answer to it, whatever that is.</summary>
    /// <param name="isMaster">Start or stop.</param>
    /// <param name="token">Fencing token.</param>
    /// <param name="service">The service.</param>
    /// <param name="kill">The lease is over: stop at once.</param>
    /// <param name="limitUs">How long the driver is told that the daemon waits, microseconds.</param>
    /// <param name="takesOverFrom">Machines that may still run it, for drivers that fence; null: none.</param>
    /// <exception cref="IOException">The connection ended before the answer came.</exception>
    /// <exception cref="TimeoutException">The driver did not answer.</exception>
    public Task<RpcMessage> TriggerAsync(bool isMaster, long token, string service = "default", bool kill = false, long limitUs = 5_000_000, IReadOnlyList<string>? takesOverFrom = null) =>
        CallAsync(DriverMethods.Trigger, new TriggerParams
        {
            Service = service, IsMaster = isMaster, Token = token, Reason = "the test says so", Sequence = Interlocked.Increment(ref lastSequence), LimitUs = limitUs, Kill = kill, TakesOverFrom = takesOverFrom,
        }, ProtocolJson.Default.TriggerParams);

    /// <summary>Tells the driver to give up the start that has this sequence number.</summary>
    public async Task CancelAsync(long sequence, string service = "default") =>
        await rpc.SendAsync(RpcMessage.Notification(DriverMethods.Cancel, new CancelParams { Service = service, Sequence = sequence }, ProtocolJson.Default.CancelParams), default);

    /// <summary>Sends any request and returns the answer.</summary>
    /// <exception cref="IOException">The connection ended before the answer came.</exception>
    /// <exception cref="TimeoutException">The driver did not answer.</exception>
    public async Task<RpcMessage> CallAsync<T>(string method, T parameters, JsonTypeInfo<T> type)
    {
        var id = Interlocked.Increment(ref lastId);
        var answer = calls[id] = new TaskCompletionSource<RpcMessage>(TaskCreationOptions.RunContinuationsAsynchronously);
        if (!IsOpen)
            throw new IOException("the connection has ended");
        try
        {
            await rpc.SendAsync(RpcMessage.Request(id, method, parameters, type), default);
        }
        catch (Exception e) when (IsEnd(e))
        {
            throw new IOException("the connection has ended", e);
        }
        return await answer.Task.WaitAsync(daemon.Options.Patience);
    }

    /// <summary>Sends bytes as they are: for tests of what a driver does with nonsense.</summary>
    public async Task SendRawAsync(byte[] bytes, WebSocketMessageType type = WebSocketMessageType.Text) => await socket.SendAsync(bytes, type, true, default);

    /// <summary>Ends the connection as a dying daemon does, without a word.</summary>
    public void Cut() => client.Dispose();

    internal async Task ServeAsync()
    {
        try
        {
            await UpgradeAsync();
            await ReadAsync();
        }
        catch (Exception e) when (IsEnd(e))
        {
            // The driver is gone, or the test has cut it off.
        }
        client.Dispose();
        closed.TrySetResult((socket?.CloseStatus, socket?.CloseStatusDescription));
        foreach (var call in calls.Values)
            call.TrySetException(new IOException("the connection has ended"));
        daemon.Ended(this);
    }

    private static bool IsEnd(Exception e) => e is IOException or WebSocketException or SocketException or ObjectDisposedException or InvalidOperationException or InvalidDataException;

    // RFC 6455, 4.2: by hand, so that this package needs no web server.
    private async Task UpgradeAsync()
    {
        var stream = client.GetStream();
        var header = new StringBuilder();
        var one = new byte[1];
        while (!header.ToString().EndsWith("\r\n\r\n", StringComparison.Ordinal))
        {
            if (header.Length == HeaderBytesMax || await stream.ReadAsync(one) == 0)
                throw new IOException("no WebSocket was asked for");
            header.Append((char)one[0]);
        }
        const string keyField = "Sec-WebSocket-Key: ";
        var key = header.ToString().Split("\r\n").FirstOrDefault(line => line.StartsWith(keyField, StringComparison.OrdinalIgnoreCase))?[keyField.Length..]
            ?? throw new IOException("no WebSocket was asked for");
#pragma warning disable CA5350 // SHA-1 is what RFC 6455 asks for; nothing here rests on it.
        var accept = Convert.ToBase64String(SHA1.HashData(Encoding.ASCII.GetBytes(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11")));
#pragma warning restore CA5350
        await stream.WriteAsync(Encoding.ASCII.GetBytes(
            $"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\nSec-WebSocket-Protocol: {DriverProtocol.SubProtocol}\r\n\r\n"));
        socket = WebSocket.CreateFromStream(stream, isServer: true, DriverProtocol.SubProtocol, Timeout.InfiniteTimeSpan);
        rpc = new RpcSocket(socket);
    }

    private async Task ReadAsync()
    {
        var key = Handshake.KeyOf(daemon.Options.Secret);
        var nonce = Handshake.NewNonce();
        HelloParams? hello = null;
        while (await rpc.ReceiveAsync(default) is { } message)
        {
            if (message.IsResponse)
            {
                if (calls.TryRemove(message.NumericId() ?? 0, out var call))
                    call.TrySetResult(message);
                continue;
            }
            daemon.Heard(message);
            switch (message.Method)
            {
                case DriverMethods.Hello:
                    hello = Read(message, ProtocolJson.Default.HelloParams);
                    var proof = Handshake.DaemonProof(key, hello.Nonce, nonce);
                    await AnswerAsync(message, new HelloResult { Machine = daemon.Options.Machine, Version = "fake", Nonce = nonce, Proof = proof }, ProtocolJson.Default.HelloResult);
                    break;
                case DriverMethods.Authenticate:
                    var proven = hello is not null && Handshake.Matches(Read(message, ProtocolJson.Default.AuthenticateParams).Proof, Handshake.DriverProof(key, hello.Nonce, nonce));
                    if (proven)
                        await AcknowledgeAsync(message);
                    else
                        await RefuseAsync(message, DriverErrorCodes.AuthenticationFailed, "Wrong proof.");
                    break;
                case DriverMethods.Register:
                    Registration = Read(message, ProtocolJson.Default.RegisterParams);
                    if (daemon.RefusalOf(Registration) is { } refusal)
                    {
                        await RefuseAsync(message, refusal.Code, refusal.Message);
                        break;
                    }
                    await AnswerAsync(message, daemon.TermsOf(Registration), ProtocolJson.Default.RegisterResult);
                    daemon.Registered(this);
                    break;
                case DriverMethods.Renew:
                    if (daemon.AnswerTo(Read(message, ProtocolJson.Default.RenewParams)) is { } renewed)
                        await AnswerAsync(message, renewed, ProtocolJson.Default.RenewResult);
                    break;
                default:
                    if (message.IsRequest)
                        await AcknowledgeAsync(message);
                    break;
            }
        }
    }

    private static T Read<T>(RpcMessage message, JsonTypeInfo<T> type) where T : class =>
        message.ReadParams(type) ?? throw new InvalidDataException($"'{message.Method}' came without the parameters that it needs");

    private Task AcknowledgeAsync(RpcMessage request) => AnswerAsync(request, EmptyResult.Instance, ProtocolJson.Default.EmptyResult);

    private Task RefuseAsync(RpcMessage request, int code, string why) => daemon.WhenAnswering(() => rpc.SendAsync(RpcMessage.Failure(request, code, why), default).AsTask());

    private Task AnswerAsync<T>(RpcMessage request, T result, JsonTypeInfo<T> type) =>
        daemon.WhenAnswering(() => rpc.SendAsync(RpcMessage.Success(request, result, type), default).AsTask());
}
