using System.Collections.Concurrent;
using System.Net;
using System.Net.WebSockets;
using System.Text;
using Clustd.Tests.Client;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;

namespace Clustd.Tests.Docs.AsyncApi;

/// <summary>One message on its way. `Connection` counts the driver's connections.</summary>
internal sealed record Recorded(int Connection, bool FromDriver, string Text);

/// <summary>Stands between drivers and a daemon, passes every message on as it is, and writes it down before.</summary>
internal sealed class RecordingProxy : IAsyncDisposable
{
    private readonly string _daemon;
    private readonly WebApplication _app;
    private readonly CancellationTokenSource _over = new();
    private readonly ConcurrentBag<WebSocket> _open = [];
    private int _connections;

    private RecordingProxy(string daemon)
    {
        _daemon = daemon;
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.ConfigureKestrel(kestrel => kestrel.Listen(IPAddress.Loopback, 0));
        _app = builder.Build();
        _app.UseWebSockets();
        _app.Run(ServeAsync);
    }

    public ConcurrentQueue<Recorded> Messages { get; } = new();

    public string Url => _app.Urls.Single().Replace("http://", "ws://", StringComparison.Ordinal);

    public static async Task<RecordingProxy> StartAsync(string daemon)
    {
        var proxy = new RecordingProxy(daemon);
        await proxy._app.StartAsync();
        return proxy;
    }

    /// <summary>Ends all connections, as a network does.</summary>
    public void Cut()
    {
        while (_open.TryTake(out var socket))
            socket.Abort();
    }

    public async ValueTask DisposeAsync()
    {
        await _over.CancelAsync();
        Cut();
        await _app.DisposeAsync();
        _over.Dispose();
    }

    private async Task ServeAsync(HttpContext context)
    {
        using var daemon = new ClientWebSocket();
        foreach (var protocol in context.WebSockets.WebSocketRequestedProtocols)
            daemon.Options.AddSubProtocol(protocol);
        await daemon.ConnectAsync(new Uri(_daemon + context.Request.Path), _over.Token).WaitAsync(ScriptedDaemon.Patience);
        using var driver = await context.WebSockets.AcceptWebSocketAsync(daemon.SubProtocol);
        _open.Add(daemon);
        _open.Add(driver);
        var connection = Interlocked.Increment(ref _connections);
        await Task.WhenAll(PassAsync(driver, daemon, text => Messages.Enqueue(new Recorded(connection, true, text))), PassAsync(daemon, driver, text => Messages.Enqueue(new Recorded(connection, false, text))));
    }

    private async Task PassAsync(WebSocket from, WebSocket to, Action<string> record)
    {
        var buffer = new byte[300_000];
        try
        {
            while (true)
            {
                var length = 0;
                ValueWebSocketReceiveResult part;
                do
                {
                    part = await from.ReceiveAsync(buffer.AsMemory(length), _over.Token);
                    length += part.Count;
                }
                while (!part.EndOfMessage);
                if (part.MessageType == WebSocketMessageType.Close)
                {
                    await to.CloseOutputAsync(from.CloseStatus ?? WebSocketCloseStatus.NormalClosure, from.CloseStatusDescription, _over.Token);
                    return;
                }

                record(Encoding.UTF8.GetString(buffer, 0, length));
                await to.SendAsync(buffer.AsMemory(0, length), part.MessageType, true, _over.Token);
            }
        }
        catch (Exception e) when (e is WebSocketException or OperationCanceledException or ObjectDisposedException or InvalidOperationException)
        {
            // One end is gone: so is the other.
            from.Abort();
            to.Abort();
        }
    }
}
