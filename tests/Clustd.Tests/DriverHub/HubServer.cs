using System.Collections.Concurrent;
using System.Net;
using System.Net.WebSockets;
using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using Clustd.Client;
using Clustd.Client.Protocol;
using Clustd.Core;
using Clustd.Hub;
using Clustd.Tests.Client;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Shouldly;

namespace Clustd.Tests.Hub;

/// <summary>A real hub behind a real Kestrel on loopback, and a decision loop that answers by script.</summary>
internal sealed class HubServer : IAsyncDisposable
{
    public const string Secret = "a secret of the tests, long enough";

    private readonly BlockingCollection<Input> _inbox = [];
    private readonly ConcurrentQueue<Input> _inputs = new();
    private WebApplication _app = null!;
    private Thread _loop = null!;
    private int _posted;
    private volatile int _performed;

    public Clustd.Hub.DriverHub Hub { get; private set; } = null!;

    public string Url { get; private set; } = "";

    public RecordedLog Log { get; } = new();

    /// <summary>All inputs that were posted so far, in order, performed by the loop.</summary>
    public IReadOnlyCollection<Input> Inputs
    {
        get
        {
            SpinWait.SpinUntil(() => _performed == Volatile.Read(ref _posted), ScriptedDaemon.Patience).ShouldBeTrue();
            return _inputs;
        }
    }

    public ConcurrentQueue<Output.Noted> Notes { get; } = new();

    /// <summary>What the loop answers to an input; by default it accepts every driver for 'web' and grants 900 ms.</summary>
    public Func<Input, IEnumerable<Output>> Core { get; set; } = Accept;

    public static async Task<HubServer> StartAsync(Func<DriverHubOptions, DriverHubOptions>? with = null)
    {
        var server = new HubServer();
        var options = new DriverHubOptions { Self = new MachineId("cm-1"), Version = "0.1.0", Secret = Secret };
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.Logging.SetMinimumLevel(LogLevel.Trace);
        builder.Logging.AddProvider(server.Log);
        builder.WebHost.ConfigureKestrel(kestrel => kestrel.Listen(IPAddress.Loopback, 0));
        server._app = builder.Build();
        server.Hub = new Clustd.Hub.DriverHub(
            with?.Invoke(options) ?? options,
            server.Post,
            server.Notes.Enqueue,
            new Logger<Clustd.Hub.DriverHub>(server._app.Services.GetRequiredService<ILoggerFactory>()));
        server._app.UseWebSockets();
        server._app.Map("/v1/driver", (RequestDelegate)server.Hub.HandleAsync);
        server._app.Map("/", (RequestDelegate)server.Hub.HandleAsync);
        await server._app.StartAsync();
        server.Url = server._app.Urls.Single().Replace("http://", "ws://", StringComparison.Ordinal);
        server._loop = new Thread(server.Loop) { IsBackground = true };
        server._loop.Start();
        return server;
    }

    public static IEnumerable<Output> Accept(Input input) => input switch
    {
        Input.DriverRegistered registered => [new Output.DriverAccepted(registered.Connection, [new ServiceName("web")], TimeSpan.FromSeconds(1), TimeSpan.FromMilliseconds(500))],
        Input.DriverRenewed renewed => [new Output.DriverLease(renewed.Connection, renewed.Stamp, TimeSpan.FromMilliseconds(900))],
        _ => [],
    };

    public static Output Tell(DriverConnection connection, bool isMaster, long token, long sequence, string reason = "the test says so") =>
        new Output.Trigger(connection, new TriggerCall(new ServiceName("web"), isMaster, new Token(token), reason, sequence, TimeSpan.FromSeconds(5), false));

    public RecordingDriver Driver(string id = "recorder", string secret = Secret) => new(new DriverClient { Secret = secret, Id = id, Services = ["web"] }, Url);

    public T[] All<T>()
        where T : Input => [.. Inputs.OfType<T>()];

    /// <summary>The first input of a kind, once it has come.</summary>
    public async Task<T> OneAsync<T>()
        where T : Input
    {
        await Eventually.HoldsAsync(() => Inputs.OfType<T>().Any(), () => $"no {typeof(T).Name}; the loop saw: {string.Join(", ", Inputs)}\n{Log.Text}");
        return Inputs.OfType<T>().First();
    }

    /// <summary>All connections are over.</summary>
    public Task EmptyAsync() => Eventually.HoldsAsync(() => Hub.ConnectionCount == 0, () => $"{Hub.ConnectionCount} connections are still served");

    public async ValueTask DisposeAsync()
    {
        await Hub.DisposeAsync();
        await _app.DisposeAsync();
        _inbox.CompleteAdding();
        _loop.Join();
    }

    private void Post(Input input)
    {
        Interlocked.Increment(ref _posted);
        _inbox.Add(input);
    }

    private void Loop()
    {
        foreach (var input in _inbox.GetConsumingEnumerable())
        {
            _inputs.Enqueue(input);
            foreach (var output in Core(input))
            {
                Hub.Perform(output);
            }

            _performed++;
        }
    }
}

/// <summary>A driver without manners: sends what a test wants.</summary>
internal sealed class RawDriver : IAsyncDisposable
{
    private readonly ClientWebSocket _socket = new();
    private RpcSocket _rpc = null!;
    private long _lastId;

    public static async Task<RawDriver> ConnectAsync(HubServer server, string path = "/v1/driver")
    {
        var driver = new RawDriver();
        driver._socket.Options.AddSubProtocol(DriverProtocol.SubProtocol);
        await driver._socket.ConnectAsync(new Uri(server.Url + path), default).WaitAsync(ScriptedDaemon.Patience);
        driver._rpc = new RpcSocket(driver._socket);
        return driver;
    }

    /// <summary>Connected, and the secret proven.</summary>
    public static async Task<RawDriver> AuthenticatedAsync(HubServer server, string secret = HubServer.Secret)
    {
        var driver = await ConnectAsync(server);
        (await driver.ProveAsync(secret)).Error.ShouldBeNull();
        return driver;
    }

    /// <summary>Connected, proven and registered.</summary>
    public static async Task<RawDriver> RegisteredAsync(HubServer server, string name = "raw")
    {
        var driver = await AuthenticatedAsync(server);
        (await driver.RegisterAsync(name)).Error.ShouldBeNull();
        return driver;
    }

    public async Task<RpcMessage> ProveAsync(string secret)
    {
        var key = Handshake.KeyOf(secret);
        var nonce = Handshake.NewNonce();
        var hello = (await CallAsync(DriverMethods.Hello, new HelloParams { Nonce = nonce, Name = "raw" }, ProtocolJson.Default.HelloParams)).ReadResult(ProtocolJson.Default.HelloResult)!;
        return await CallAsync(DriverMethods.Authenticate, new AuthenticateParams { Proof = Handshake.DriverProof(key, nonce, hello.Nonce) }, ProtocolJson.Default.AuthenticateParams);
    }

    public Task<RpcMessage> RegisterAsync(string name = "raw", Func<RegisterParams, RegisterParams>? with = null)
    {
        var parameters = new RegisterParams { Name = name, Instance = "i-" + name, Id = name };
        return CallAsync(DriverMethods.Register, with?.Invoke(parameters) ?? parameters, ProtocolJson.Default.RegisterParams);
    }

    public async Task<RpcMessage> CallAsync<T>(string method, T parameters, JsonTypeInfo<T> type)
    {
        var id = ++_lastId;
        await _rpc.SendAsync(RpcMessage.Request(id, method, parameters, type), default);
        return await AnswerAsync(id);
    }

    /// <summary>A request whose parameters are this JSON.</summary>
    public async Task<RpcMessage> CallAsync(string method, string parameters)
    {
        var id = ++_lastId;
        await SendAsync($$"""{"jsonrpc":"2.0","id":{{id}},"method":"{{JsonEncodedText.Encode(method)}}","params":{{parameters}}}""");
        return await AnswerAsync(id);
    }

    public Task SendAsync(string text) => SendAsync(Encoding.UTF8.GetBytes(text), WebSocketMessageType.Text);

    public async Task SendAsync(byte[] bytes, WebSocketMessageType type) => await _socket.SendAsync(bytes, type, true, default).WaitAsync(ScriptedDaemon.Patience);

    public async Task<RpcMessage> NextAsync() => (await _rpc.ReceiveAsync(default).AsTask().WaitAsync(ScriptedDaemon.Patience)) ?? throw new IOException("closed: " + _socket.CloseStatusDescription);

    public async Task AnswerAsync(RpcMessage request) => await _rpc.SendAsync(RpcMessage.Success(request, EmptyResult.Instance, ProtocolJson.Default.EmptyResult), default);

    public async Task AnswerAsync(RpcMessage request, string error) => await _rpc.SendAsync(new RpcMessage { Id = request.Id, Error = new RpcError { Code = DriverErrorCodes.TriggerFailed, Message = error } }, default);

    /// <summary>Reads until the daemon closes; says how.</summary>
    public async Task<(WebSocketCloseStatus? Status, string Reason)> ClosedAsync()
    {
        var buffer = new byte[64 * 1024];
        while (_socket.State == WebSocketState.Open)
        {
            await _socket.ReceiveAsync(buffer.AsMemory(), default).AsTask().WaitAsync(ScriptedDaemon.Patience);
        }

        if (_socket.State == WebSocketState.CloseReceived)
        {
            await _socket.CloseOutputAsync(WebSocketCloseStatus.NormalClosure, null, default);
        }

        return (_socket.CloseStatus, _socket.CloseStatusDescription ?? "");
    }

    /// <summary>Ends the connection as a dying process does.</summary>
    public void Cut() => _socket.Abort();

    public ValueTask DisposeAsync()
    {
        _socket.Dispose();
        return ValueTask.CompletedTask;
    }

    private async Task<RpcMessage> AnswerAsync(long id)
    {
        while (true)
        {
            var message = await NextAsync();
            if (message.IsResponse && message.NumericId() == id)
            {
                return message;
            }
        }
    }
}

/// <summary>Log lines, kept.</summary>
internal sealed class RecordedLog : ILoggerProvider, ILogger
{
    public ConcurrentQueue<(LogLevel Level, string Line)> Lines { get; } = new();

    public string Text => string.Join('\n', Lines.Select(line => $"{line.Level}: {line.Line}"));

    public ILogger CreateLogger(string categoryName) => categoryName.StartsWith("Clustd", StringComparison.Ordinal) ? this : Microsoft.Extensions.Logging.Abstractions.NullLogger.Instance;

    public IDisposable? BeginScope<TState>(TState state)
        where TState : notnull => null;

    public bool IsEnabled(LogLevel logLevel) => true;

    public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter) =>
        Lines.Enqueue((logLevel, formatter(state, exception) + (exception is null ? "" : " " + exception)));

    public void Dispose()
    {
    }
}
