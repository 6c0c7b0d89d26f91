using System.Collections.Concurrent;
using System.Net.WebSockets;
using Clustd.Client.Protocol;
using Clustd.Core;
using Clustd.Http;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;

namespace Clustd.Hub;

/// <summary>
/// The daemon's side of the driver protocol: what drivers say becomes inputs of the decision loop, what the loop decides becomes calls of the
/// drivers. It translates and decides nothing.
/// </summary>
/// <remarks>The namespace is Hub, not DriverHub: a type must not be hidden by a namespace of its own name.</remarks>
public sealed partial class DriverHub : IAsyncDisposable
{
    private static readonly TimeSpan GoodbyeLimit = TimeSpan.FromMilliseconds(250);
    private static readonly TimeSpan WrongSecretPause = TimeSpan.FromMinutes(1);

    private readonly DriverHubOptions _options;
    private readonly Action<Input> _post;
    private readonly Action<Output.Noted> _note;
    private readonly ILogger _log;
    private readonly ConcurrentDictionary<DriverConnection, Served> _served = new();
    private readonly Lock _gate = new();
    private readonly List<Served> _visitors = []; // In the order in which they came; whoever registers leaves it.
    private int _drivers;
    private long _lastConnection;
    private long _wrongSecretLoggedAt;
    private long _wrongSecretsSince;
    private bool _isOver;

    /// <param name="post">Hands an input to the decision loop. Called from many threads; the inputs of one connection in order.</param>
    /// <param name="note">Told what drivers report for people: <c>event</c> lines and changes of <c>health</c>, bounded. For the local event history.</param>
    public DriverHub(DriverHubOptions options, Action<Input> post, Action<Output.Noted> note, ILogger<DriverHub> log)
    {
        _options = options;
        _post = post;
        _note = note;
        _log = log;
        Key = Handshake.KeyOf(options.Secret);
        OldKey = options.OldSecret is { } old ? Handshake.KeyOf(old) : null;
        _wrongSecretLoggedAt = options.Time.GetTimestamp() - (long)(WrongSecretPause.TotalSeconds * options.Time.TimestampFrequency);
    }

    /// <summary>Connections being served, registered or not.</summary>
    public int ConnectionCount => _served.Count;

    internal byte[] Key { get; }

    internal byte[]? OldKey { get; }

    /// <summary>
    /// Serves one driver until its connection is over. For <c>/v1/driver</c>, and for WebSocket requests to <c>/</c>; needs
    /// <c>app.UseWebSockets()</c> before it.
    /// </summary>
    public async Task HandleAsync(HttpContext context)
    {
        if (WhyNot(context) is { } refusal)
        {
            await refusal.WriteAsync(context);
            return;
        }

        if (!HasRoomForVisitor())
        {
            await ApiAnswer.Problem(503, "Too many connections.", $"{_options.VisitorsMax} connections that have not registered are open.", "Try again in a few seconds.").WriteAsync(context);
            return;
        }

        if (IsLegacy(context))
        {
            await HandleLegacyAsync(context);
            return;
        }

        using var socket = await context.WebSockets.AcceptWebSocketAsync(new WebSocketAcceptContext
        {
            SubProtocol = context.WebSockets.WebSocketRequestedProtocols.Count == 0 ? null : DriverProtocol.SubProtocol,
            // A driver on another machine that is gone without a word; on this machine the kernel tells at once.
            KeepAliveInterval = TimeSpan.FromSeconds(15),
            KeepAliveTimeout = TimeSpan.FromSeconds(30),
        });
        var connection = NewConnection();
        using var link = new DriverLink<RpcMessage>(socket, new JsonRpcDriverSocket(socket), _options, context.RequestAborted);
        var dialogue = new DriverDialogue(connection, link, this, _options, _log);
        await ServeAsync(connection, link, dialogue, () =>
        {
            link.Limit(_options.HandshakeLimit, "the secret was not proven in time; send hello and authenticate at once");
            return link.RunAsync(dialogue.Take, dialogue.Awaits, dialogue.Gone);
        });
    }

    /// <summary>Performs an output that is for a driver, and ignores any other. Never blocks: called by the decision loop.</summary>
    public void Perform(Output output)
    {
        DriverConnection? connection = output switch
        {
            Output.DriverAccepted accepted => accepted.Connection,
            Output.DriverRefused refused => refused.Connection,
            Output.Trigger trigger => trigger.Connection,
            Output.CancelTrigger cancel => cancel.Connection,
            Output.DriverLease lease => lease.Connection,
            _ => null,
        };
        if (connection is { } known && _served.TryGetValue(known, out var served))
        {
            served.Dialogue.Perform(output);
        }
    }

    /// <summary>Closes all connections at once and takes no more: an open WebSocket would hold up the daemon's exit.</summary>
    public async ValueTask DisposeAsync()
    {
        Served[] all;
        lock (_gate)
        {
            _isOver = true;
            all = [.. _served.Values];
        }

        foreach (var served in all)
        {
            served.Dialogue.End(WebSocketCloseStatus.EndpointUnavailable, "the daemon is stopping; connect again when it is back", within: GoodbyeLimit);
        }

        // Ends by itself within the limit; the rest is the scheduler's.
        await Task.WhenAll(all.Select(served => served.Ended.Task)).WaitAsync(GoodbyeLimit * 4).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
    }

    internal void Post(Input input) => _post(input);

    internal void Note(Output.Noted noted) => _note(noted);

    /// <summary>A place among the registered drivers; false when there is none.</summary>
    internal bool TakePlace(IDriverDialogue dialogue)
    {
        lock (_gate)
        {
            if (_drivers >= _options.DriversMax)
            {
                return false;
            }

            _drivers++;
            _visitors.RemoveAll(served => served.Dialogue == dialogue);
            return true;
        }
    }

    internal void LeavePlace()
    {
        lock (_gate)
        {
            _drivers--;
        }
    }

    /// <summary>One line a minute, however often it is tried.</summary>
    internal void WrongSecret(string name)
    {
        long times;
        lock (_gate)
        {
            _wrongSecretsSince++;
            if (_options.Time.GetElapsedTime(_wrongSecretLoggedAt) < WrongSecretPause)
            {
                return;
            }

            times = _wrongSecretsSince;
            _wrongSecretsSince = 0;
            _wrongSecretLoggedAt = _options.Time.GetTimestamp();
        }

        LogWrongSecret(_log, name, times);
    }

    private DriverConnection NewConnection() => new(Interlocked.Increment(ref _lastConnection));

    private async Task ServeAsync<TMessage>(DriverConnection connection, DriverLink<TMessage> link, IDriverDialogue dialogue, Func<Task<string?>> run)
        where TMessage : class
    {
        var served = new Served(dialogue);
        if (!Enter(connection, served))
        {
            return;
        }

        try
        {
            var fault = await run();
            LogOver(_log, dialogue.Name, fault ?? link.EndReason ?? "the connection was lost");
        }
        catch (Exception e)
        {
            // A driver's message must not do more than end its own connection, whatever we did wrong with it.
            LogFailed(_log, e, dialogue.Name);
        }
        finally
        {
            lock (_gate)
            {
                _served.TryRemove(connection, out _);
                _visitors.Remove(served);
            }

            served.Ended.SetResult();
        }
    }

    private bool Enter(DriverConnection connection, Served served)
    {
        lock (_gate)
        {
            if (_isOver)
            {
                return false;
            }

            _served[connection] = served;
            _visitors.Add(served);
            return true;
        }
    }

    private ApiAnswer? WhyNot(HttpContext context)
    {
        if (_isOver)
        {
            return ApiAnswer.Problem(503, "The daemon is stopping.", "It has been told to.", "Connect again when it is back.");
        }

        if (ApiGate.WhyNotTransport(context) is { } transport)
        {
            return transport;
        }

        if (!context.WebSockets.IsWebSocketRequest)
        {
            context.Response.Headers.Upgrade = "websocket";
            return ApiAnswer.Problem(426, "This address is for drivers.", $"They speak WebSocket, subprotocol {DriverProtocol.SubProtocol}.", "Connect with a driver; for people there is `clustd status`.");
        }

        if (ApiGate.WhyNotOrigin(context) is { } origin)
        {
            return origin;
        }

        var offered = context.WebSockets.WebSocketRequestedProtocols;
        return offered.Count == 0 || offered.Contains(DriverProtocol.SubProtocol)
            ? null
            : ApiAnswer.Problem(400, "Cannot speak with this driver.", $"It offers {BoundedText.OneLine(string.Join(", ", offered), "nothing", 200)}; this daemon speaks {DriverProtocol.SubProtocol}.", "Update the driver or clustd.");
    }

    // The oldest stranger makes room: a proof takes milliseconds, so whoever still owes it is not in earnest.
    private bool HasRoomForVisitor()
    {
        lock (_gate)
        {
            if (_visitors.Count < _options.VisitorsMax)
            {
                return true;
            }

            var oldest = _visitors.Find(served => !served.Dialogue.IsAuthenticated);
            if (oldest is not null)
            {
                _visitors.Remove(oldest);
                oldest.Dialogue.End(WebSocketCloseStatus.PolicyViolation, "too many connections at once; try again", dropsQueue: true);
            }

            return oldest is not null;
        }
    }

    private sealed record Served(IDriverDialogue Dialogue)
    {
        public TaskCompletionSource Ended { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);
    }

    [LoggerMessage(LogLevel.Warning, "Refused driver '{Name}': it does not know the cluster's secret ({Times} such attempts since the last line). Give the driver the value of cluster.secret of this machine. Further ones are not logged for a minute.")]
    private static partial void LogWrongSecret(ILogger logger, string name, long times);

    [LoggerMessage(LogLevel.Debug, "The connection of driver '{Name}' is over: {Reason}")]
    private static partial void LogOver(ILogger logger, string name, string reason);

    [LoggerMessage(LogLevel.Error, "The connection of driver '{Name}' failed in the daemon. The driver connects again; please report this.")]
    private static partial void LogFailed(ILogger logger, Exception exception, string name);
}
