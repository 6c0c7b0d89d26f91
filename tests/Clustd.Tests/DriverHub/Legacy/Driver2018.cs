using System.Net.WebSockets;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Clustd.Tests.Client;
using Shouldly;

namespace Clustd.Tests.Hub.Legacy;

/// <summary>The arithmetic of 2018 once more, written from the description and sharing nothing with the daemon's.</summary>
internal static class Crypto2018
{
    public static byte[] Key(string secret, uint counter, uint? ticket)
    {
        var text = new List<byte>(Encoding.UTF8.GetBytes(secret));
        text.AddRange([(byte)(counter >> 24), (byte)(counter >> 16), (byte)(counter >> 8), (byte)counter]);
        if (ticket is { } t)
            text.AddRange([(byte)(t >> 24), (byte)(t >> 16), (byte)(t >> 8), (byte)t]);
        return SHA256.HashData(text.ToArray())[..16];
    }

    public static byte[] Seal(byte[] key, byte[] plain, byte[]? iv = null)
    {
        iv ??= RandomNumberGenerator.GetBytes(12);
        var (tag, cipher) = (new byte[16], new byte[plain.Length]);
        using var aes = new AesGcm(key, 16);
        aes.Encrypt(iv, plain, cipher, tag);
        return [.. iv, .. tag, .. cipher];
    }

    public static byte[] Open(byte[] key, byte[] frame)
    {
        var plain = new byte[frame.Length - 28];
        using var aes = new AesGcm(key, 16);
        aes.Decrypt(frame.AsSpan(0, 12), frame.AsSpan(28), frame.AsSpan(12, 16), plain);
        return plain;
    }
}

/// <summary>A driver of 2018, byte by byte; the test says what it sends.</summary>
internal sealed class Driver2018 : IAsyncDisposable
{
    private readonly ClientWebSocket _socket = new();
    private readonly string _secret;
    private uint _sent;
    private uint _received;
    private uint? _ticket;

    private Driver2018(string secret) => _secret = secret;

    public byte[] Header { get; private set; } = [];

    public uint Ticket { get; private set; }

    public JsonElement Hello { get; private set; }

    /// <summary>Every frame that was sent, as somebody on the way would have recorded it.</summary>
    public List<byte[]> SentFrames { get; } = [];

    public List<byte[]> ReceivedFrames { get; } = [];

    /// <summary>Connected, and nothing said yet.</summary>
    public static async Task<Driver2018> ConnectAsync(HubServer server, string secret = HubServer.Secret, string header = """{"type":"driver"}""", byte[]? rawHeader = null, string path = "/")
    {
        var driver = new Driver2018(secret);
        driver.Header = rawHeader ?? driver.Seal(Encoding.UTF8.GetBytes(header));
        driver._sent = 1;
        driver._socket.Options.SetRequestHeader("metadata", Convert.ToBase64String(driver.Header));
        driver._socket.Options.CollectHttpResponseDetails = true;
        driver._socket.Options.KeepAliveInterval = TimeSpan.Zero;
        await driver._socket.ConnectAsync(new Uri(server.Url + path), default).WaitAsync(ScriptedDaemon.Patience);
        return driver;
    }

    /// <summary>Connected, and both have greeted.</summary>
    public static async Task<Driver2018> GreetedAsync(HubServer server, string id = "driver-test-7", string secret = HubServer.Secret, string path = "/")
    {
        var driver = await ConnectAsync(server, secret, path: path);
        await driver.TakeHelloAsync();
        await driver.SendAsync($$"""{"hello_world":{{driver.Ticket}},"id":"{{id}}"}""");
        driver._ticket = driver.Ticket;
        return driver;
    }

    public async Task TakeHelloAsync()
    {
        Hello = await NextAsync();
        Ticket = Hello.GetProperty("hello_world").GetUInt32();
    }

    /// <summary>From here on keys contain the ticket.</summary>
    public void UseTicket() => _ticket = Ticket;

    public Task SendAsync(string json) => SendFrameAsync(Seal(Encoding.UTF8.GetBytes(json)));

    public byte[] Seal(byte[] plain) => Crypto2018.Seal(Crypto2018.Key(_secret, ++_sent, _ticket), plain);

    public async Task SendFrameAsync(byte[] frame, WebSocketMessageType type = WebSocketMessageType.Binary)
    {
        SentFrames.Add(frame);
        await _socket.SendAsync(frame, type, true, default).WaitAsync(ScriptedDaemon.Patience);
    }

    public async Task<JsonElement> NextAsync()
    {
        var buffer = new byte[64 * 1024];
        var received = await _socket.ReceiveAsync(buffer.AsMemory(), default).AsTask().WaitAsync(ScriptedDaemon.Patience);
        received.MessageType.ShouldBe(WebSocketMessageType.Binary, _socket.CloseStatusDescription);
        received.EndOfMessage.ShouldBeTrue();
        ReceivedFrames.Add(buffer[..received.Count]);
        return JsonDocument.Parse(Crypto2018.Open(Crypto2018.Key(_secret, ++_received, _ticket), buffer[..received.Count])).RootElement;
    }

    /// <summary>The next message, which is a trigger.</summary>
    public async Task<(long Id, bool IsMaster)> TriggerAsync()
    {
        var message = await NextAsync();
        message.GetProperty("method").GetString().ShouldBe("trigger");
        return (message.GetProperty("req_id").GetInt64(), message.GetProperty("params").GetProperty("isMaster").GetBoolean());
    }

    /// <summary>The next trigger, answered at once, as the library of 2018 does.</summary>
    public async Task<bool> ObeyAsync()
    {
        var (id, isMaster) = await TriggerAsync();
        await SendAsync($$"""{"res_id":{{id}},"data":{} }""");
        return isMaster;
    }

    /// <summary>Reads until the daemon closes; says how.</summary>
    public async Task<(WebSocketCloseStatus? Status, string Reason)> ClosedAsync()
    {
        var buffer = new byte[64 * 1024];
        while (_socket.State == WebSocketState.Open)
            await _socket.ReceiveAsync(buffer.AsMemory(), default).AsTask().WaitAsync(ScriptedDaemon.Patience);
        if (_socket.State == WebSocketState.CloseReceived)
            await _socket.CloseOutputAsync(WebSocketCloseStatus.NormalClosure, null, default);
        return (_socket.CloseStatus, _socket.CloseStatusDescription ?? "");
    }

    /// <summary>Ends the connection as a dying process does.</summary>
    public void Cut() => _socket.Abort();

    public ValueTask DisposeAsync()
    {
        _socket.Dispose();
        return ValueTask.CompletedTask;
    }
}
