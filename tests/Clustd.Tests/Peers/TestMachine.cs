using System.Collections.Concurrent;
using System.Net;
using System.Net.Sockets;
using System.Text;
using Clustd.Http;
using Clustd.Peers;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using Shouldly;

namespace Clustd.Tests.Peers;

/// <summary>One machine as far as the network goes: the real Kestrel on a loopback port, and all events in order.</summary>
internal sealed class TestMachine : IAsyncDisposable
{
    public const string Secret = "correct-horse-battery-staple-0001";

    private readonly WebApplication _app;
    private readonly ClusterIdentity _identity;
    private readonly List<PeerEvent> _events = [];
    private readonly CancellationTokenSource _stopping = new();
    private readonly Task _beating;

    private TestMachine(WebApplication app, PeerNetwork network, ClusterIdentity identity, string address, RecordedLog log)
    {
        _app = app;
        _identity = identity;
        Network = network;
        Address = address;
        Log = log;
        _beating = BeatAsync(); // In the daemon this is its loop's work.
    }

    public PeerNetwork Network { get; }

    public string Address { get; }

    public RecordedLog Log { get; }

    public ClusterIdentity Identity => _identity;

    public PeerEvent[] Events
    {
        get
        {
            lock (_events)
            {
                return [.. _events];
            }
        }
    }

    public static int FreePort()
    {
        using var probe = new TcpListener(IPAddress.Loopback, 0);
        probe.Start();
        return ((IPEndPoint)probe.LocalEndpoint).Port;
    }

    public static async Task<TestMachine> StartAsync(
        string id,
        int port,
        IEnumerable<string> peers,
        string secret = Secret,
        string? oldSecret = null,
        Func<PeerNetworkOptions, PeerNetworkOptions>? with = null,
        string? advertised = null,
        Func<OnePortOptions, OnePortOptions>? withPort = null)
    {
        var identity = await ClusterIdentity.CreateAsync(id, secret, oldSecret);
        var options = new PeerNetworkOptions { Self = id, SelfAddress = advertised ?? $"127.0.0.1:{port}", Addresses = [.. peers], Identity = identity };
        var log = new RecordedLog();
        TestMachine? machine = null;
        var network = new PeerNetwork(
            (with ?? (same => same))(options),
            raised => machine!.Add(raised), // nothing happens before the start, and by then it is there
            static () => { },
            NullLogger.Instance,
            TimeProvider.System);
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders().AddProvider(log);
        var onePort = new OnePortOptions { BindAddress = "127.0.0.1", Port = port, Identity = Task.FromResult(identity), OnWrongSecret = network.ReportWrongSecret };
        onePort = (withPort ?? (same => same))(onePort);
        builder.WebHost.ConfigureKestrel(kestrel => kestrel.ListenOnOnePort(onePort));
        builder.Services.Configure<Microsoft.Extensions.Hosting.HostOptions>(host => host.ShutdownTimeout = TimeSpan.FromSeconds(2));
        var app = builder.Build();
        app.UseWebSockets();
        app.Map(PeerNetwork.Path, network.HandleAsync);
        app.Map("/hello", context => context.Response.WriteAsync($"hello over {context.Request.Scheme}"));
        machine = new TestMachine(app, network, identity, $"127.0.0.1:{port}", log);
        await app.StartOnOnePortAsync(onePort, CancellationToken.None);
        network.Start();
        return machine;
    }

    public void Send(string to, string text, bool urgent = false) => Network.Send(to, Encoding.UTF8.GetBytes(text), urgent);

    public string[] TextsFrom(string id) =>
        [.. Events.OfType<PeerEvent.PeerMessageReceived>().Where(each => each.MachineId == id).Select(each => Encoding.UTF8.GetString(each.Message.Span))];

    /// <summary>Waits until the events fulfil the condition; shows them when they do not within a generous time.</summary>
    public async Task EventuallyAsync(Func<PeerEvent[], bool> condition, string what)
    {
        var deadline = DateTime.UtcNow.AddSeconds(30);
        while (!condition(Events))
        {
            if (DateTime.UtcNow > deadline)
            {
                throw new ShouldAssertException($"{Identity.MachineId} should have seen {what}; it saw:\n{string.Join('\n', Events.TakeLast(30).Select(each => each.ToString()))}\n{string.Join('\n', Network.Peers)}");
            }

            await Task.Delay(5);
        }
    }

    public Task ConnectedAsync(string id) => EventuallyAsync(_ => IsConnected(id), $"a connection with {id}");

    public Task LostAsync(string id) => EventuallyAsync(events => events.OfType<PeerEvent.PeerLost>().Any(each => each.MachineId == id), $"the loss of {id}");

    public Task ReceivedAsync(string from, int count) => EventuallyAsync(_ => TextsFrom(from).Length >= count, $"{count} messages from {from}");

    public Task RefusedAsync(string part) =>
        EventuallyAsync(events => events.OfType<PeerEvent.PeerRefused>().Any(each => each.Reason.Contains(part, StringComparison.Ordinal)), $"a refusal with '{part}'");

    public bool IsConnected(string id) => Events.LastOrDefault(each => each is PeerEvent.PeerConnected connected && connected.MachineId == id
        || each is PeerEvent.PeerLost lost && lost.MachineId == id) is PeerEvent.PeerConnected;

    public int Count<T>() where T : PeerEvent => Events.OfType<T>().Count();

    public async ValueTask DisposeAsync()
    {
        await _stopping.CancelAsync();
        await _beating;
        await Network.DisposeAsync();
        await _app.StopAsync();
        await _app.DisposeAsync();
        _identity.Dispose();
    }

    private async Task BeatAsync()
    {
        while (!_stopping.IsCancellationRequested)
        {
            Network.Beat();
            await Task.Delay(10, _stopping.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
    }

    private void Add(PeerEvent raised)
    {
        lock (_events)
        {
            _events.Add(raised);
        }
    }
}

/// <summary>All that the host logged, level and text.</summary>
internal sealed class RecordedLog : ILoggerProvider, ILogger
{
    private readonly ConcurrentQueue<string> _lines = new();

    public string[] Lines => [.. _lines];

    public ILogger CreateLogger(string categoryName) => this;

    public IDisposable? BeginScope<TState>(TState state) where TState : notnull => null;

    public bool IsEnabled(LogLevel logLevel) => logLevel >= LogLevel.Information;

    public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter) =>
        _lines.Enqueue($"{logLevel}: {formatter(state, exception)} {exception?.GetType().Name}");

    public void Dispose()
    {
    }
}
