using System.Net.Sockets;
using System.Net.WebSockets;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Clustd.Conformance.Stage;

namespace Clustd.Conformance.Wrong;

/// <summary>
/// A driver of one service, straight from docs/protocol.md, in this process, that makes one mistake on purpose. Not an SDK: it is only as good as the rules that
/// are tried on it need. That it obeys them without a mistake shows that the mistake is what is noticed.
/// </summary>
internal sealed partial class WrongDriver(string mistake) : Subject
{
    public const string Prefix = "wrong:";
    private const int MessageBytesMax = 262_144;

    private readonly Mistake mistake = Enum.Parse<Mistake>(mistake);
    private readonly object gate = new();
    private readonly CancellationTokenSource over = new();
    private readonly TaskCompletionSource<int> ended = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly string instance = Guid.NewGuid().ToString("N");
    private readonly string oneNonce = Proofs.NewNonce();
    private readonly SemaphoreSlim sending = new(1, 1);
    private ScriptedDaemon daemon = null!; // Set by Start, with which all begins.
    private string secret = "";
    private bool certain = true;
    private WebSocket? socket;
    private Message? answer; // To the request in flight before registration.
    private TaskCompletionSource? answered;
    private long lastId;

    public override Task<int> Ended => ended.Task;

    private static long Now => Message.NowUs;

    public override void Start(ScriptedDaemon daemon, IReadOnlyDictionary<string, string> settings)
    {
        (this.daemon, secret, certain) = (daemon, daemon.Secret, settings.GetValueOrDefault("CLUSTD_STOP") != "best-effort");
        _ = ConnectAsync();
        _ = KeepAsync();
        _ = WorkAsync();
    }

    public override ValueTask DisposeAsync()
    {
        over.Cancel();
        lock (gate)
            socket?.Abort();
        return ValueTask.CompletedTask;
    }

    private bool Does(Mistake which) => mistake == which;

    private void Say(string what, JsonObject with)
    {
        with["event"] = what;
        Said.Add(new Message(with));
    }

    private async Task ConnectAsync()
    {
        var backoff = 50.0;
        while (!over.IsCancellationRequested)
        {
            using var client = new TcpClient { NoDelay = true };
            try
            {
                var open = await UpgradeAsync(client);
                lock (gate)
                    socket = open;
                var reading = ReadAsync(open);
                await Task.WhenAny(RegisterAsync(open), reading);
                await reading;
            }
            catch (Exception e) when (IsEnd(e))
            {
                // The next one will do.
            }
            lock (gate)
            {
                socket = null;
                answered?.TrySetResult();
                Lost();
            }
            var most = HoldsLease(Now) && running is not null ? Math.Min(backoff, 100) : backoff;
            if (!Does(Mistake.HammersTheDaemon))
                await Task.Delay(TimeSpan.FromMilliseconds(most * (0.5 + Random.Shared.NextDouble() / 2)));
            backoff = Math.Min(backoff * 2, 2000);
        }
    }

    // By hand: ClientWebSocket tries again by itself when a server hangs up, and how often to try is what is asked.
    private async Task<WebSocket> UpgradeAsync(TcpClient client)
    {
        await client.ConnectAsync("127.0.0.1", new Uri(daemon.Url).Port, over.Token);
        var stream = client.GetStream();
        await stream.WriteAsync("GET /v1/driver HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"u8.ToArray());
        var last = 0;
        var one = new byte[1];
        while (last != 0x0D0A0D0A)
        {
            if (await stream.ReadAsync(one, over.Token) == 0)
                throw new IOException("turned away");
            last = (last << 8) | one[0];
        }
        return WebSocket.CreateFromStream(stream, isServer: false, null, Timeout.InfiniteTimeSpan);
    }

    private static bool IsEnd(Exception e) => e is WebSocketException or SocketException or IOException or OperationCanceledException or ObjectDisposedException or InvalidOperationException;

    private async Task RegisterAsync(WebSocket open)
    {
        var nonce = Does(Mistake.KeepsItsNonce) ? oneNonce : Proofs.NewNonce();
        var hello = await CallAsync(open, "hello", new JsonObject { ["nonce"] = nonce, ["name"] = "subject" });
        var result = hello.Json["result"]!.AsObject();
        var daemonNonce = result["nonce"]!.GetValue<string>();
        var expected = Proofs.Daemon(secret, nonce, daemonNonce);
        if (result["proof"]?.GetValue<string>() != expected && result["oldProof"]?.GetValue<string>() != expected && !Does(Mistake.TrustsAnyone))
        {
            open.Abort();
            return;
        }
        await CallAsync(open, "authenticate", new JsonObject { ["proof"] = Proofs.Driver(secret, nonce, daemonNonce) });
        var states = new JsonArray();
        lock (gate)
        {
            if (running is { } token && !Does(Mistake.ForgetsWhatRuns))
            {
                var settled = acknowledged == (true, token) && !pending.Exists(call => !call.IsMaster);
                states.Add(new JsonObject { ["service"] = "default", ["isMaster"] = true, ["token"] = token, ["unsettled"] = !settled && !Does(Mistake.ClaimsToBeSettled) });
            }
        }
        var terms = await CallAsync(open, "register", new JsonObject
        {
            ["name"] = "subject", ["instance"] = instance, ["id"] = "subject-wrong", ["services"] = new JsonArray(), ["stop"] = certain ? "certain" : "best-effort", ["states"] = states,
        });
        if (terms.Json["result"] is JsonObject registered)
        {
            Registered(registered);
            Say("connected", []);
        }
        else
        {
            open.Abort();
        }
    }

    private async Task<Message> CallAsync(WebSocket open, string method, JsonObject parameters)
    {
        var done = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        lock (gate)
            (answer, answered) = (null, done);
        await SendAsync(open, new JsonObject { ["jsonrpc"] = "2.0", ["id"] = Interlocked.Increment(ref lastId), ["method"] = method, ["params"] = parameters });
        await done.Task;
        lock (gate)
            return answer ?? throw new IOException("the connection was lost");
    }

    private async Task SendAsync(WebSocket? open, JsonObject message)
    {
        if (open is null)
            return;
        await sending.WaitAsync();
        try
        {
            await open.SendAsync(Encoding.UTF8.GetBytes(message.ToJsonString()), WebSocketMessageType.Text, true, default);
        }
        catch (Exception e) when (IsEnd(e))
        {
            // Who reads will notice.
        }
        finally
        {
            sending.Release();
        }
    }

    private void Tell(string method, JsonObject parameters, bool asRequest = true)
    {
        var message = new JsonObject { ["jsonrpc"] = "2.0", ["method"] = method, ["params"] = parameters };
        if (asRequest)
            message["id"] = Interlocked.Increment(ref lastId);
        _ = SendAsync(socket, message);
    }

    private static JsonObject Answer(Message request, int? code, string text) => code is { } number
        ? new JsonObject { ["jsonrpc"] = "2.0", ["id"] = request.Json["id"]!.DeepClone(), ["error"] = new JsonObject { ["code"] = number, ["message"] = text } }
        : new JsonObject { ["jsonrpc"] = "2.0", ["id"] = request.Json["id"]!.DeepClone(), ["result"] = new JsonObject() };

    private async Task ReadAsync(WebSocket open)
    {
        var buffer = new byte[MessageBytesMax + 1];
        while (true)
        {
            var length = 0;
            ValueWebSocketReceiveResult part;
            do
            {
                part = await open.ReceiveAsync(buffer.AsMemory(length), over.Token);
                length += part.Count;
                if (part.MessageType == WebSocketMessageType.Close)
                    return;
            }
            while (!part.EndOfMessage && length <= MessageBytesMax);
            var wrong = part.MessageType == WebSocketMessageType.Binary ? WebSocketCloseStatus.InvalidMessageType : length > MessageBytesMax ? WebSocketCloseStatus.MessageTooBig : (WebSocketCloseStatus?)null;
            var message = wrong is null ? Parse(buffer.AsSpan(0, length)) : null;
            if (message is null)
            {
                if (Does(Mistake.SwallowsNonsense))
                    continue;
                await open.CloseOutputAsync(wrong ?? WebSocketCloseStatus.InvalidPayloadData, "not a message", over.Token);
                while (open.State == WebSocketState.CloseSent)
                    await open.ReceiveAsync(buffer.AsMemory(), over.Token);
                return;
            }
            Receive(open, message);
        }
    }

    private static Message? Parse(ReadOnlySpan<byte> utf8)
    {
        try
        {
            return JsonNode.Parse(utf8) is JsonObject json && json["jsonrpc"]?.GetValue<string>() == "2.0" ? new Message(json) : null;
        }
        catch (JsonException)
        {
            return null;
        }
    }

    private void Receive(WebSocket open, Message message)
    {
        lock (gate)
        {
            if (message.Method is null)
            {
                if (message.Json["result"] is JsonObject result && result.ContainsKey("stamp"))
                    Renewed(result);
                else if (answered is { } waiting)
                    (answer, _) = (message, waiting.TrySetResult());
            }
            else if (message.Method == "cancel")
            {
                if (current is { IsMaster: true } start && start.Sequence == Message.NumberOf(message.Params["sequence"]))
                    Cancel(start);
            }
            else if (message.Json["id"] is not null)
            {
                if (message.Method == "trigger")
                    Triggered(open, message);
                else if (!Does(Mistake.KeepsSilentAboutTheUnknown))
                    _ = SendAsync(open, Answer(message, -32601, "unknown"));
            }
        }
    }
}
