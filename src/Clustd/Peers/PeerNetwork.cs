using System.Net;
using Microsoft.AspNetCore.Connections.Features;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Server.Kestrel.Core.Features;
using Microsoft.Extensions.Logging;

namespace Clustd.Peers;

/// <summary>
/// Carries opaque messages between the machines of a cluster: one authenticated connection per pair, kept up by dialling from
/// both sides. Knows nothing of what the messages mean.
/// </summary>
/// <remarks>
/// Events come from I/O threads, one at a time, in order. The sink must not block and must not call back: it posts to the
/// daemon's loop. Map <see cref="HandleAsync"/> at <see cref="Path"/>, after <c>UseWebSockets()</c>. Dispose before the host stops:
/// a host waits for open WebSockets, 30 seconds if nobody closes them.
/// </remarks>
public sealed partial class PeerNetwork : IAsyncDisposable
{
    /// <summary>Where the other machines find <see cref="HandleAsync"/>.</summary>
    public const string Path = PeerSocket.Path;

    private readonly PeerNetworkOptions _options;
    private readonly ILogger _logger;
    private readonly TimeProvider _time;
    private readonly PeerTable _table;
    private readonly PeerGreeting _greeting;
    private readonly CancellationTokenSource _stopping = new();
    private readonly Lock _gate = new();
    private readonly List<PeerDialer> _dialers = []; // in the order of the configuration
    private bool _started;
    private long _beatAt;

    /// <param name="received">
    /// Called after the messages that came together, on the thread that received them: act on them now. Unlike the sink it may send and close connections.
    /// </param>
    /// <exception cref="FormatException">One of the addresses is none; three parts.</exception>
    public PeerNetwork(PeerNetworkOptions options, Action<PeerEvent> sink, Action received, ILogger logger, TimeProvider time)
    {
        _options = options with { SelfAddress = PeerAddress.Parse(options.SelfAddress).ToString() };
        _logger = logger;
        _time = time;
        _table = new PeerTable(_options, sink, received, logger, time);
        _greeting = new PeerGreeting(_options, _table, time);
        _beatAt = time.GetTimestamp();
        SetAddresses(options.Addresses);
    }

    /// <summary>Number of this process; see <see cref="PeerNetworkOptions.Incarnation"/>.</summary>
    public ulong Incarnation => _options.Incarnation;

    /// <summary>Every configured address, then machines that came from elsewhere. A snapshot.</summary>
    public IReadOnlyList<PeerView> Peers
    {
        get
        {
            var links = _table.Links;
            List<PeerView> views;
            lock (_gate)
            {
                views = [.. _dialers.Select(dialer => dialer.View(links))];
            }

            var shown = views.Select(view => view.MachineId).ToHashSet();
            views.AddRange(links
                .Where(link => !shown.Contains(link.MachineId))
                .Select(link => new PeerView(link.Address, link.MachineId, PeerState.Connected, link.Since, null)));
            return views;
        }
    }

    /// <summary>Begins to dial. Connections that come in are taken from the construction on.</summary>
    public void Start()
    {
        lock (_gate)
        {
            _started = true;
            _dialers.ForEach(dialer => dialer.Start());
        }
    }

    /// <summary>Replaces the list of where to look for others (a machine was added or removed). Connections that exist stay.</summary>
    public void SetAddresses(IReadOnlyList<string> addresses)
    {
        var wanted = addresses.Select(PeerAddress.Parse).Where(address => address.ToString() != _options.SelfAddress).Distinct().ToArray();
        lock (_gate)
        {
            foreach (var gone in _dialers.Where(dialer => !wanted.Contains(dialer.Address)).ToArray())
            {
                gone.Stop();
                _dialers.Remove(gone);
            }

            foreach (var address in wanted.Where(address => _dialers.All(dialer => dialer.Address != address)))
            {
                var dialer = new PeerDialer(address, _options, _table, _greeting, _time);
                _dialers.Add(dialer);
                if (_started)
                {
                    dialer.Start();
                }
            }
        }
    }

    /// <summary>
    /// Sends a message, whole and in order within its class; copies it. Never blocks. Without a connection it is dropped, like
    /// one that was under way when a connection was lost. A peer that does not keep up loses its connection.
    /// </summary>
    /// <param name="urgent">Overtakes ordinary messages: heartbeats behind a snapshot.</param>
    /// <exception cref="ArgumentException">The message is larger than <see cref="PeerNetworkOptions.MessageBytesMax"/>.</exception>
    public void Send(string machineId, ReadOnlyMemory<byte> message, bool urgent = false)
    {
        if (message.Length > _options.MessageBytesMax)
        {
            throw new ArgumentException($"Cannot send {message.Length} bytes to '{machineId}': a message holds {_options.MessageBytesMax}. Send it in chunks.", nameof(message));
        }

        _table.Find(machineId)?.Send(message.Span, urgent);
    }

    /// <summary>
    /// Keeps idle connections alive and notices dead ones. To be called again and again, ten times within <see cref="PeerNetworkOptions.SilenceMax"/> at least; more often costs
    /// next to nothing. One caller at a time: the daemon's loop, which wakes anyway, where a timer for each connection woke two or three threads more.
    /// </summary>
    public void Beat()
    {
        if (_time.GetElapsedTime(_beatAt) < _options.SilenceMax / PeerLink.BeatsPerSilence)
        {
            return;
        }

        _beatAt = _time.GetTimestamp();
        foreach (var link in _table.Links)
        {
            link.Beat();
        }
    }

    /// <summary>Closes the connection and tells the other side why; raises <see cref="PeerEvent.PeerLost"/> on both. Neither dials for a second.</summary>
    public void Close(string machineId, string reason) => _table.Close(machineId, reason);

    /// <summary>Somebody with another cluster secret came in; the port tells us, because the handshake ends there.</summary>
    public void ReportWrongSecret(IPAddress remote, string theirs) =>
        _table.Refused(remote.ToString(), $"Refused a machine at {remote}: {_options.Identity.DescribeStranger(theirs)}.");

    /// <summary>Serves a machine that dialled us; completes when its connection has ended.</summary>
    public async Task HandleAsync(HttpContext context)
    {
        if (!context.WebSockets.IsWebSocketRequest || !context.WebSockets.WebSocketRequestedProtocols.Contains(PeerSocket.SubProtocol))
        {
            await RespondAsync(context, StatusCodes.Status400BadRequest, $"Only WebSockets with the subprotocol {PeerSocket.SubProtocol} are served here: this is where the machines of a cluster meet.");
            return;
        }

        var remote = context.Connection.RemoteIpAddress is { } ip ? Readable(ip).ToString() : "an unknown address";
        if (!_options.Identity.Authenticate(context.Connection.ClientCertificate, out var machineId, out var problem))
        {
            var reason = $"Refused a machine at {remote}: {problem}.";
            _table.Refused(remote, reason);
            await RespondAsync(context, StatusCodes.Status403Forbidden, reason);
            return;
        }

        Prepare(context);
        using var webSocket = await PeerUpgrade.AcceptAsync(context);
        using var socket = new PeerSocket(webSocket, _options.MessageBytesMax, abort: context.Abort);
        try
        {
            if (await _greeting.GreetAsync(socket, machineId, remote, _stopping.Token) is PeerMeeting.Linked linked)
            {
                await linked.Link.RunAsync();
            }
        }
        catch (Exception exception)
        {
            // It went away, or spoke nonsense, before there was a connection to lose. The side that dialled reports its failure;
            // here nothing has happened yet.
            LogGreetingFailed(_logger, machineId, remote, PeerFault.WhyLost(exception));
        }
    }

    /// <summary>Says goodbye and closes every connection, within <see cref="PeerNetworkOptions.GoodbyeTimeout"/>.</summary>
    public async ValueTask DisposeAsync()
    {
        PeerDialer[] dialers;
        lock (_gate)
        {
            dialers = [.. _dialers];
            _started = false;
        }

        foreach (var dialer in dialers)
        {
            dialer.Stop();
        }

        await _table.CloseAllAsync("it is shutting down");
        await _stopping.CancelAsync();
        await Task.WhenAll(dialers.Select(dialer => dialer.Finished));
    }

    private void Prepare(HttpContext context)
    {
        if (context.Features.Get<IConnectionSocketFeature>()?.Socket is { } socket)
        {
            PeerSocket.Tune(socket, _options.TcpUserTimeout);
            InlineCompletions.Prefer(socket);
        }

        // A peer that reads slowly is our queue's business, not that of a limit made against slow browsers.
        if (context.Features.Get<IHttpMinResponseDataRateFeature>() is { } rate)
        {
            rate.MinDataRate = null;
        }
    }

    private static IPAddress Readable(IPAddress ip) => ip.IsIPv4MappedToIPv6 ? ip.MapToIPv4() : ip;

    private static Task RespondAsync(HttpContext context, int status, string text)
    {
        context.Response.StatusCode = status;
        context.Response.ContentType = "text/plain; charset=utf-8";
        return context.Response.WriteAsync(text + "\n");
    }

    [LoggerMessage(LogLevel.Debug, "{Machine} dialled from {Remote}, but the greeting failed: {Reason}.")]
    private static partial void LogGreetingFailed(ILogger logger, string machine, string remote, string reason);
}
