using System.Collections.Concurrent;
using System.Net;
using System.Net.Sockets;
using System.Net.WebSockets;
using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using Clustd.Client.Connection;
using Clustd.Client.Protocol;

namespace Clustd.Tests.Client;

/// <summary>A daemon for drivers on loopback, whose every answer a test can script. Real sockets, real WebSocket, no ASP.NET.</summary>
internal sealed class ScriptedDaemon : IAsyncDisposable
{
    public const string Secret = "a secret of the tests, long enough";
    public static readonly TimeSpan Patience = TimeSpan.FromSeconds(20); // Only reached when a test fails.

    private readonly TcpListener listener;
    private readonly CancellationTokenSource ended = new();
    private readonly BlockingCollection<DaemonSide> registered = [];
    private readonly ConcurrentBag<DaemonSide> sides = [];

    public ScriptedDaemon(int port = 0)
    {
        listener = new TcpListener(IPAddress.Loopback, port);
        listener.Start();
        _ = AcceptAsync();
    }

    public int Port => ((IPEndPoint)listener.LocalEndpoint).Port;

    public string Url => $"ws://127.0.0.1:{Port}";

    public string OwnSecret { get; init; } = Secret;

    public RegisterResult Terms { get; set; } = new() { Machine = "cm-1", LeaseUs = 1_000_000, RenewEveryUs = 20_000, KillTimeoutUs = 500_000, Services = ["default"] };

    /// <summary>What a renewal is answered; null: not at all.</summary>
    public Func<RenewParams, RenewResult?> Renew { get; set; } = renew => new RenewResult { Stamp = renew.Stamp, LeftUs = 900_000 };

    public Func<RegisterParams, RpcError?> Refuse { get; set; } = _ => null;

    public ConcurrentQueue<string> Methods { get; } = new();

    public ConcurrentQueue<StoppedParams> Stopped { get; } = new();

    public ConcurrentQueue<FailedParams> Failed { get; } = new();

    /// <summary>The next driver that registers.</summary>
    public async Task<DaemonSide> NextDriverAsync() =>
        await Task.Run(() => registered.TryTake(out var side, Patience) ? side : throw new TimeoutException("no driver registered; seen: " + string.Join(", ", Methods)));

    public async ValueTask DisposeAsync()
    {
        await ended.CancelAsync();
        listener.Stop();
        foreach (var side in sides)
            side.Cut();
    }

    internal void Registered(DaemonSide side) => registered.Add(side);

    private async Task AcceptAsync()
    {
        try
        {
            while (true)
            {
                var client = await listener.AcceptTcpClientAsync(ended.Token);
                client.NoDelay = true;
                var side = new DaemonSide(this, client);
                sides.Add(side);
                _ = side.ServeAsync();
            }
        }
        catch (Exception e) when (e is OperationCanceledException or SocketException or ObjectDisposedException)
        {
            // The test is over.
        }
    }
}

/// <summary>The daemon's side of one connection.</summary>
internal sealed class DaemonSide(ScriptedDaemon daemon, TcpClient client)
{
    private readonly ConcurrentDictionary<long, TaskCompletionSource<RpcMessage>> calls = new();
    private readonly TaskCompletionSource<(WebSocketCloseStatus?, string?)> closed = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private RpcSocket rpc = null!;
    private WebSocket socket = null!;
    private long lastSequence;

    public RegisterParams Register { get; private set; } = null!;

    /// <summary>How the driver closed the connection; nulls if it just ended.</summary>
    public Task<(WebSocketCloseStatus? Status, string? Reason)> Closed => closed.Task;

    public long LastSequence => lastSequence;

    public Task<RpcMessage> TriggerAsync(bool isMaster, long token, string service = "default", bool kill = false, long limitUs = 5_000_000) =>
        CallAsync(DriverMethods.Trigger, new TriggerParams
        {
            Service = service, IsMaster = isMaster, Token = token, Reason = "the test says so", Sequence = Interlocked.Increment(ref lastSequence), LimitUs = limitUs, Kill = kill,
        }, ProtocolJson.Default.TriggerParams);

    public async Task CancelAsync(long sequence, string service = "default") =>
        await rpc.SendAsync(RpcMessage.Notification(DriverMethods.Cancel, new CancelParams { Service = service, Sequence = sequence }, ProtocolJson.Default.CancelParams), default);

    public async Task<RpcMessage> CallAsync<T>(string method, T parameters, JsonTypeInfo<T> type)
    {
        var id = Random.Shared.NextInt64(1, 1L << 50);
        var answer = calls[id] = new TaskCompletionSource<RpcMessage>(TaskCreationOptions.RunContinuationsAsynchronously);
        await rpc.SendAsync(RpcMessage.Request(id, method, parameters, type), default);
        return await answer.Task.WaitAsync(ScriptedDaemon.Patience);
    }

    public async Task SendRawAsync(byte[] bytes, WebSocketMessageType type = WebSocketMessageType.Text) => await socket.SendAsync(bytes, type, true, default);

    /// <summary>Ends the connection as a dying process does.</summary>
    public void Cut() => client.Dispose();

    public async Task ServeAsync()
    {
        try
        {
            await UpgradeAsync();
            await ReadAsync();
        }
        catch (Exception e) when (e is IOException or WebSocketException or SocketException or ObjectDisposedException or InvalidOperationException)
        {
            // The driver is gone, or the test has cut it off.
        }
        client.Dispose();
        closed.TrySetResult((socket?.CloseStatus, socket?.CloseStatusDescription));
        foreach (var call in calls.Values)
            call.TrySetException(new IOException("the connection ended"));
    }

    private async Task UpgradeAsync()
    {
        var stream = client.GetStream();
        var header = new StringBuilder();
        var one = new byte[1];
        while (!header.ToString().EndsWith("\r\n\r\n", StringComparison.Ordinal))
        {
            if (await stream.ReadAsync(one) == 0)
                throw new IOException("closed during the upgrade");
            header.Append((char)one[0]);
        }
        var key = header.ToString().Split("\r\n").Single(line => line.StartsWith("Sec-WebSocket-Key: ", StringComparison.Ordinal))[19..];
        await stream.WriteAsync(Encoding.ASCII.GetBytes(
            $"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {WebSocketUpgrade.AcceptOf(key)}\r\nSec-WebSocket-Protocol: clustd.v1\r\n\r\n"));
        socket = WebSocket.CreateFromStream(stream, isServer: true, "clustd.v1", Timeout.InfiniteTimeSpan);
        rpc = new RpcSocket(socket);
    }

    private async Task ReadAsync()
    {
        var key = Handshake.KeyOf(daemon.OwnSecret);
        HelloParams? hello = null;
        var nonce = Handshake.NewNonce();
        while (await rpc.ReceiveAsync(default) is { } message)
        {
            if (message.IsResponse)
            {
                if (calls.TryRemove(message.NumericId() ?? 0, out var call))
                    call.SetResult(message);
                continue;
            }
            daemon.Methods.Enqueue(message.Method!);
            switch (message.Method)
            {
                case DriverMethods.Hello:
                    hello = message.ReadParams(ProtocolJson.Default.HelloParams)!;
                    await AnswerAsync(message, new HelloResult { Machine = "cm-1", Version = "test", Nonce = nonce, Proof = Handshake.DaemonProof(key, hello.Nonce, nonce) }, ProtocolJson.Default.HelloResult);
                    break;
                case DriverMethods.Authenticate:
                    var proof = message.ReadParams(ProtocolJson.Default.AuthenticateParams)!.Proof;
                    if (Handshake.Matches(proof, Handshake.DriverProof(key, hello!.Nonce, nonce)))
                        await AnswerAsync(message, EmptyResult.Instance, ProtocolJson.Default.EmptyResult);
                    else
                        await rpc.SendAsync(RpcMessage.Failure(message, DriverErrorCodes.AuthenticationFailed, "Wrong proof."), default);
                    break;
                case DriverMethods.Register:
                    Register = message.ReadParams(ProtocolJson.Default.RegisterParams)!;
                    if (daemon.Refuse(Register) is { } refusal)
                    {
                        await rpc.SendAsync(RpcMessage.Failure(message, refusal.Code, refusal.Message), default);
                        break;
                    }
                    await AnswerAsync(message, daemon.Terms, ProtocolJson.Default.RegisterResult);
                    daemon.Registered(this);
                    break;
                case DriverMethods.Renew:
                    if (daemon.Renew(message.ReadParams(ProtocolJson.Default.RenewParams)!) is { } renewed)
                        await AnswerAsync(message, renewed, ProtocolJson.Default.RenewResult);
                    break;
                case DriverMethods.Stopped:
                    daemon.Stopped.Enqueue(message.ReadParams(ProtocolJson.Default.StoppedParams)!);
                    await AnswerAsync(message, EmptyResult.Instance, ProtocolJson.Default.EmptyResult);
                    break;
                case DriverMethods.Failed:
                    daemon.Failed.Enqueue(message.ReadParams(ProtocolJson.Default.FailedParams)!);
                    await AnswerAsync(message, EmptyResult.Instance, ProtocolJson.Default.EmptyResult);
                    break;
                default:
                    await AnswerAsync(message, EmptyResult.Instance, ProtocolJson.Default.EmptyResult);
                    break;
            }
        }
    }

    private ValueTask AnswerAsync<T>(RpcMessage request, T result, JsonTypeInfo<T> type) => rpc.SendAsync(RpcMessage.Success(request, result, type), default);
}
