using System.Collections.Concurrent;
using System.Net.Sockets;
using System.Net.WebSockets;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Shouldly;

namespace Clustd.Conformance.Stage;

/// <summary>One connection of a driver, as the daemon sees it.</summary>
internal sealed class DriverSide(ScriptedDaemon daemon, TcpClient client)
{
    private const int HeaderBytesMax = 8 * 1024;
    private static readonly string[] ReportMethods = ["stopped", "failed", "health", "event"];

    private readonly SemaphoreSlim sending = new(1, 1);
    private readonly ConcurrentDictionary<long, TaskCompletionSource<Message>> asked = new();
    private readonly TaskCompletionSource<int?> closed = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private WebSocket? socket;
    private Stream? stream;
    private string clientNonce = "";
    private string daemonNonce = "";
    private long lastId;
    private long lastSequence;

    public long AtUs { get; } = Message.NowUs;

    /// <summary>Everything that the driver sent, answers included.</summary>
    public Journal<Message> Heard { get; } = new("Heard");

    /// <summary>The HTTP request, lines.</summary>
    public string[] Upgrade { get; private set; } = [];

    /// <summary>Params of `register`.</summary>
    public JsonObject Registration { get; private set; } = [];

    /// <summary>Completes when the connection has ended: the close status that the driver sent, or null.</summary>
    public Task<int?> Closed => closed.Task;

    public long LastSequence => Interlocked.Read(ref lastSequence);

    public IEnumerable<string> Methods => Heard.All.Select(message => message.Method).OfType<string>();

    public IEnumerable<Message> Calls(string method) => Heard.All.Where(message => message.Method == method);

    /// <summary>What the driver told of a service when it registered.</summary>
    public JsonObject? StateOf(string service = "default") =>
        (Registration["states"] as JsonArray)?.OfType<JsonObject>().SingleOrDefault(state => state["service"]?.GetValue<string>() == service);

    /// <summary>As <see cref="StateOf"/>, where there must be something.</summary>
    public JsonObject Tells() => StateOf().ShouldNotBeNull("nothing is told of what runs");

    /// <summary>Sends a trigger; the task is the driver's answer to it.</summary>
    public Task<Message> TriggerAsync(bool isMaster, long token, bool kill = false, long limitUs = 30 * ScriptedDaemon.Second, string service = "default", string[]? takesOverFrom = null)
    {
        var parameters = new JsonObject
        {
            ["service"] = service, ["isMaster"] = isMaster, ["token"] = token, ["reason"] = "the suite says so", ["sequence"] = Interlocked.Increment(ref lastSequence), ["limitUs"] = limitUs, ["kill"] = kill,
        };
        if (takesOverFrom is not null)
            parameters["takesOverFrom"] = new JsonArray([.. takesOverFrom.Select(machine => (JsonNode)machine)]);
        return RequestAsync("trigger", parameters);
    }

    public Task CancelAsync(long sequence, string service = "default") => SendAsync(new JsonObject { ["jsonrpc"] = "2.0", ["method"] = "cancel", ["params"] = new JsonObject { ["service"] = service, ["sequence"] = sequence } });

    /// <summary>Sends a request; the task is the driver's answer, complete as soon as that was heard. Fails with an IOException if the connection ends before.</summary>
    public Task<Message> RequestAsync(string method, JsonObject parameters)
    {
        var id = Interlocked.Increment(ref lastId);
        var answer = asked[id] = new TaskCompletionSource<Message>(TaskCreationOptions.RunContinuationsAsynchronously);
        _ = SendOrFailAsync(new JsonObject { ["jsonrpc"] = "2.0", ["id"] = id, ["method"] = method, ["params"] = parameters }, answer);
        return answer.Task;
    }

    public Task AnswerAsync(Message request, JsonObject result) => SendAsync(new JsonObject { ["jsonrpc"] = "2.0", ["id"] = request.Json["id"]?.DeepClone(), ["result"] = result });

    public Task RefuseAsync(Message request, int code, string text) =>
        SendAsync(new JsonObject { ["jsonrpc"] = "2.0", ["id"] = request.Json["id"]?.DeepClone(), ["error"] = new JsonObject { ["code"] = code, ["message"] = text } });

    /// <summary>Sends a message, in as many frames as wanted.</summary>
    public async Task SendAsync(JsonObject message, int frames = 1)
    {
        if (daemon.SaysMore)
        {
            message["later"] = new JsonObject { ["nobody"] = "knows" };
            foreach (var part in new[] { message["result"], message["params"] }.OfType<JsonObject>())
                part["future"] = new JsonArray(1, "two", null);
        }
        var bytes = Encoding.UTF8.GetBytes(message.ToJsonString());
        await sending.WaitAsync();
        try
        {
            var size = (bytes.Length + frames - 1) / frames;
            for (var at = 0; at < bytes.Length; at += size)
                await socket!.SendAsync(bytes.AsMemory(at, Math.Min(size, bytes.Length - at)), WebSocketMessageType.Text, at + size >= bytes.Length, default);
        }
        catch (Exception e) when (IsEnd(e))
        {
            throw new IOException("the connection has ended", e);
        }
        finally
        {
            sending.Release();
        }
    }

    /// <summary>Sends one message that is anything.</summary>
    public async Task SendRawAsync(byte[] bytes, WebSocketMessageType type = WebSocketMessageType.Text)
    {
        await sending.WaitAsync();
        try
        {
            await socket!.SendAsync(bytes, type, true, default);
        }
        catch (Exception e) when (IsEnd(e))
        {
            // It may hang up before it has read all of it; how it hangs up is what is asked.
        }
        finally
        {
            sending.Release();
        }
    }

    /// <summary>Sends bytes past the WebSocket: a frame that it would not make, such as a ping.</summary>
    public async Task SendFrameAsync(byte[] frame)
    {
        await sending.WaitAsync();
        try
        {
            await stream!.WriteAsync(frame);
        }
        finally
        {
            sending.Release();
        }
    }

    /// <summary>Closes the connection as a daemon does that says why.</summary>
    public async Task CloseAsync(int status, string reason)
    {
        await sending.WaitAsync();
        try
        {
            await socket!.CloseOutputAsync((WebSocketCloseStatus)status, reason, default);
        }
        finally
        {
            sending.Release();
        }
    }

    /// <summary>Ends the connection as a dying daemon does, without a word.</summary>
    public void Cut() => client.Dispose();

    public override string ToString() => $"connection at {AtUs / 1000} ms: {string.Join(", ", Methods)}";

    public async Task ServeAsync()
    {
        try
        {
            await UpgradeAsync();
            while (await ReceiveAsync() is { } message)
            {
                Heard.Add(message);
                if (message.Method is { } method)
                    await ObeyAsync(method, message);
                else if (message.Number("id") is { } id && asked.TryRemove(id, out var answer))
                    answer.TrySetResult(message);
            }
            await CloseAsync(1000, "");
        }
        catch (Exception e) when (IsEnd(e))
        {
            // The driver is gone, or the test has cut it off.
        }
        client.Dispose();
        closed.TrySetResult((int?)socket?.CloseStatus);
        foreach (var answer in asked.Values)
            answer.TrySetException(new IOException("the connection ended before the driver answered"));
    }

    private static bool IsEnd(Exception e) => e is IOException or WebSocketException or SocketException or ObjectDisposedException or InvalidOperationException or JsonException;

    private async Task SendOrFailAsync(JsonObject request, TaskCompletionSource<Message> answer)
    {
        try
        {
            if (closed.Task.IsCompleted)
                throw new IOException("the connection has ended");
            await SendAsync(request);
        }
        catch (IOException e)
        {
            answer.TrySetException(e);
        }
    }

    private async Task ObeyAsync(string method, Message message)
    {
        switch (method)
        {
            case "hello":
                (clientNonce, daemonNonce) = (message.Params["nonce"]!.GetValue<string>(), Proofs.NewNonce());
                var result = new JsonObject { ["machine"] = "cm-1", ["version"] = "0.1.0", ["nonce"] = daemonNonce, ["proof"] = Proofs.Daemon(daemon.OwnSecret ?? daemon.Secret, clientNonce, daemonNonce) };
                if (daemon.ProvesOldSecret)
                    result["oldProof"] = Proofs.Daemon(daemon.Secret, clientNonce, daemonNonce);
                await AnswerAsync(message, result);
                break;
            case "authenticate" when message.Params["proof"]?.GetValue<string>() != Proofs.Driver(daemon.Secret, clientNonce, daemonNonce):
                await RefuseAsync(message, -32012, "Wrong proof.");
                break;
            case "authenticate":
                if (daemon.OnAuthenticate(message) is { } welcome)
                    await AnswerAsync(message, welcome);
                break;
            case "register" when daemon.OnRegister(message) is { } refusal:
                await RefuseAsync(message, refusal.Code, refusal.Text);
                break;
            case "register":
                Registration = message.Params;
                await AnswerAsync(message, new JsonObject
                {
                    ["machine"] = "cm-1", ["leaseUs"] = daemon.LeaseUs, ["renewEveryUs"] = daemon.RenewEveryUs, ["killTimeoutUs"] = daemon.KillTimeoutUs,
                    ["services"] = new JsonArray([.. daemon.Services.Select(service => (JsonNode)service)]),
                });
                daemon.Registered.Add(this);
                break;
            case "renew":
                var answer = daemon.OnRenew is { } own ? own(message) : Granted(message, daemon.LeftUs);
                if (answer is not null)
                    await AnswerAsync(message, answer);
                break;
            default:
                if (message.Json["id"] is not null && (daemon.AnswersReports || !ReportMethods.Contains(method)))
                    await AnswerAsync(message, []);
                break;
        }
    }

    /// <summary>The answer to a renewal.</summary>
    public static JsonObject Granted(Message renewal, long? leftUs) => new() { ["stamp"] = renewal.Params["stamp"]!.DeepClone(), ["leftUs"] = leftUs };

    private async Task<Message?> ReceiveAsync()
    {
        using var whole = new MemoryStream();
        var buffer = new byte[16 * 1024];
        while (true)
        {
            var part = await socket!.ReceiveAsync(buffer.AsMemory(), default);
            if (part.MessageType == WebSocketMessageType.Close)
                return null;
            if (part.MessageType != WebSocketMessageType.Text)
                throw new IOException("the driver sent a binary message");
            whole.Write(buffer, 0, part.Count);
            if (part.EndOfMessage)
                return new Message(JsonNode.Parse(whole.ToArray()) as JsonObject ?? throw new IOException("the driver sent what is not an object"));
        }
    }

    private async Task UpgradeAsync()
    {
        stream = client.GetStream();
        var header = new StringBuilder();
        var one = new byte[1];
        while (!header.ToString().EndsWith("\r\n\r\n", StringComparison.Ordinal))
        {
            if (header.Length == HeaderBytesMax || await stream.ReadAsync(one) == 0)
                throw new IOException("no WebSocket was asked for");
            header.Append((char)one[0]);
        }
        Upgrade = header.ToString().Split("\r\n");
        var key = Field("Sec-WebSocket-Key") ?? throw new IOException("no WebSocket was asked for");
#pragma warning disable CA5350 // SHA-1 is what RFC 6455 asks for; nothing here rests on it.
        var accept = Convert.ToBase64String(SHA1.HashData(Encoding.ASCII.GetBytes(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11")));
#pragma warning restore CA5350
        var protocol = Field("Sec-WebSocket-Protocol") is { } named ? $"Sec-WebSocket-Protocol: {named.Split(',')[0].Trim()}\r\n" : "";
        await stream.WriteAsync(Encoding.ASCII.GetBytes($"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n{protocol}\r\n"));
        socket = WebSocket.CreateFromStream(stream, isServer: true, null, Timeout.InfiniteTimeSpan);
    }

    /// <summary>A header field of the HTTP request.</summary>
    public string? Field(string name) =>
        Upgrade.FirstOrDefault(line => line.StartsWith(name + ":", StringComparison.OrdinalIgnoreCase))?[(name.Length + 1)..].Trim();
}
