using System.Globalization;
using Clustd.Core;
using Clustd.Core.Raft;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.Logging;

namespace Clustd.Http;

/// <summary>The HTTP API for people, programs and load balancers. Reads snapshots, posts inputs, decides nothing.</summary>
/// <remarks>Routes are plain request delegates: nothing is bound by reflection, so it works under NativeAOT.</remarks>
public sealed partial class Api
{
    private const int NameCharsMax = 128;

    private static readonly string[] Read = ["GET", "HEAD"];
    private static readonly string[] Operate = ["POST"];
    private static readonly TimeSpan SnapshotLimit = TimeSpan.FromSeconds(2); // As Health.LoopLatenessMax: then the loop stands still.

    private readonly ApiServices _services;
    private readonly ApiRequests _requests;
    private readonly ApiBarriers _barriers;
    private readonly IReadOnlyList<string> _tokens;
    private readonly ILogger _log;

    public Api(ApiServices services, ILogger<Api> log)
    {
        _services = services;
        _requests = new ApiRequests(services.Post, services.Time);
        _barriers = new ApiBarriers(services.Post, services.Time);
        _tokens = services.OldSecret is { } old ? [ApiToken.Derive(services.Secret), ApiToken.Derive(old)] : [ApiToken.Derive(services.Secret)];
        _log = log;
    }

    /// <summary>Adds the routes, and a JSON answer for every path that has none.</summary>
    public void Map(IEndpointRouteBuilder routes)
    {
        Add(routes, "/livez", Read, isOpen: true, LiveAsync);
        Add(routes, "/readyz", Read, isOpen: true, ReadyAsync);
        Add(routes, "/master/{service}", Read, isOpen: true, MasterAsync);
        Add(routes, "/v1/status", Read, isOpen: false, StatusAsync);
        Add(routes, "/v1/events", Read, isOpen: false, EventsAsync);
        Add(routes, "/v1/requests/move", Operate, isOpen: false, MoveAsync);
        Add(routes, "/v1/requests/drain", Operate, isOpen: false, DrainAsync);
        Add(routes, "/v1/requests/pause", Operate, isOpen: false, PauseAsync);
        Add(routes, "/v1/requests/transfer-leadership", Operate, isOpen: false, TransferLeadershipAsync);
        Add(routes, "/v1/requests/add-machine", Operate, isOpen: false, AddMachineAsync);
        Add(routes, "/v1/requests/remove-machine", Operate, isOpen: false, RemoveMachineAsync);
        Add(routes, "/v1/requests/confirm-off", Operate, isOpen: false, ConfirmOffAsync);
        Add(routes, "/v1/goodbye", Operate, isOpen: false, GoodbyeAsync);
        Add(routes, "/v1/restart", Operate, isOpen: false, RestartAsync);
        routes.MapFallback("{*path}", (RequestDelegate)(context => ApiAnswer.Problem(
            404, $"There is nothing at {Shown(context.Request.Path)}.", "No route has that path.", "See docs/api.md, or `clustd status` for people.").WriteAsync(context)));
    }

    /// <summary>Performs an output that is for the API, and ignores any other. Never blocks: called by the decision loop.</summary>
    public void Perform(Output output)
    {
        switch (output)
        {
            case Output.RequestAnswered answered:
                _requests.Answered(answered);
                break;
            case Output.BarrierAnswered answered:
                _barriers.Answered(answered);
                break;
        }
    }

    private void Add(IEndpointRouteBuilder routes, string path, string[] methods, bool isOpen, Func<HttpContext, Task<ApiAnswer>> serve) =>
        // For all methods: routing's own 405 has no body to say why.
        routes.Map(path, (RequestDelegate)(context => ServeAsync(context, methods, isOpen, serve)));

    private async Task ServeAsync(HttpContext context, string[] methods, bool isOpen, Func<HttpContext, Task<ApiAnswer>> serve)
    {
        try
        {
            var answer = WhyNot(context, methods, isOpen) ?? await serve(context);
            await answer.WriteAsync(context);
        }
        catch (Exception e) when (context.RequestAborted.IsCancellationRequested && e is OperationCanceledException or IOException)
        {
            // Whoever asked is gone.
        }
        catch (BadHttpRequestException e)
        {
            await ApiAnswer.Problem(e.StatusCode, "Cannot read the request.", e.Message, "Correct the request.").WriteAsync(context);
        }
        catch (Exception e) when (!context.Response.HasStarted)
        {
            LogFailed(_log, e, context.Request.Method, Shown(context.Request.Path));
            await ApiAnswer.Problem(500, "The daemon failed to answer.", "A fault of its own; its log has the details.", "Please report it.").WriteAsync(context);
        }
    }

    private ApiAnswer? WhyNot(HttpContext context, string[] methods, bool isOpen)
    {
        if (ApiGate.WhyNotTransport(context) is { } transport)
        {
            return transport;
        }

        if (!methods.Contains(context.Request.Method))
        {
            context.Response.Headers.Allow = string.Join(", ", methods);
            return ApiAnswer.Problem(405, $"Cannot {Shown(context.Request.Method)} {Shown(context.Request.Path)}.", $"It takes {string.Join(" and ", methods)}.", "Use that.");
        }

        return isOpen ? null : ApiGate.WhyNotHost(context, _services.HostNames) ?? ApiGate.WhyNotOrigin(context) ?? WhyNotToken(context);
    }

    private ApiAnswer? WhyNotToken(HttpContext context)
    {
        if (ApiToken.IsGiven(context.Request.Headers.Authorization, _tokens))
        {
            return null;
        }

        context.Response.Headers.WWWAuthenticate = "Bearer";
        return ApiAnswer.Problem(401, "Refused: this needs authority.", "No token was sent, or not that of this cluster.", "Send `Authorization: Bearer TOKEN`; docs/api.md says how it follows from the secret.");
    }

    private async Task<ApiAnswer> LiveAsync(HttpContext context)
    {
        var (isAlive, sentence) = await SnapshotAsync() is { } snapshot ? Health.Live(snapshot.Age) : Health.Live(SnapshotLimit + TimeSpan.FromTicks(1));
        return ApiAnswer.Text(isAlive ? 200 : 503, sentence);
    }

    private async Task<ApiAnswer> ReadyAsync(HttpContext context)
    {
        if (await SnapshotAsync() is not { } snapshot)
        {
            return ApiAnswer.Text(503, "The decision loop does not answer.");
        }

        var (isReady, sentence) = Health.Ready(snapshot.View, snapshot.Age);
        return ApiAnswer.Text(isReady ? 200 : 503, sentence);
    }

    private async Task<ApiAnswer> MasterAsync(HttpContext context)
    {
        if (await SnapshotAsync() is not { } snapshot)
        {
            return ApiAnswer.Text(503, "The decision loop does not answer, so nothing counts as running here.");
        }

        var service = new ServiceName(context.Request.RouteValues["service"] as string ?? "");
        var (isMaster, sentence) = Health.Master(snapshot.View, snapshot.Age, service);
        return isMaster is { } known
            ? ApiAnswer.Text(known ? 200 : 503, sentence)
            : ApiAnswer.Problem(404, $"There is no service '{Shown(service.Value)}'.", $"The services are: {string.Join(", ", snapshot.View.State.Services.Keys)}.", "Correct the path.");
    }

    private async Task<ApiAnswer> StatusAsync(HttpContext context)
    {
        var (isConfirmed, whyNot, refusal) = await ConfirmAsync(context);
        if (refusal is not null)
        {
            return refusal;
        }

        if (await SnapshotAsync() is not { } snapshot)
        {
            return NoSnapshot();
        }

        var status = StatusView.From(snapshot.View, new StatusContext
        {
            ViewAge = snapshot.Age,
            Version = _services.Version,
            Process = _services.Process(),
            Watchdogs = _services.Watchdogs(),
            WallClockOf = _services.WallClockOf,
            IsConfirmed = isConfirmed,
            Warnings = whyNot is null ? _services.Warnings() : [new StatusWarning("not-confirmed", whyNot), .. _services.Warnings()],
        });
        return ApiAnswer.Json(200, status, ApiJson.Default.StatusView);
    }

    private async Task<ApiAnswer> EventsAsync(HttpContext context)
    {
        var asked = context.Request.Query["since"];
        var since = 0L;
        if (asked.Count > 1 || (asked.Count == 1 && !long.TryParse(asked[0], NumberStyles.None, CultureInfo.InvariantCulture, out since)))
        {
            return ApiAnswer.Problem(400, "Cannot read `since`.", "It is no whole number of 0 or more.", "Give the lastIndex of the answer before, or leave it out.");
        }

        var (isConfirmed, _, refusal) = await ConfirmAsync(context);
        if (refusal is not null)
        {
            return refusal;
        }

        if (await SnapshotAsync() is not { } snapshot)
        {
            return NoSnapshot();
        }

        var kept = snapshot.View.State.Events;
        var events = kept.Where(happened => happened.Index > since).Select(happened => new EventView(
            happened.Index, happened.Term.Value, _services.WallClockOf(happened.Index), happened.Kind,
            happened.Service?.Value, happened.Machine?.Value, happened.Token?.Value, happened.Sentence)).ToList();
        var knownAgo = snapshot.View.KnownFor is { } known ? (long?)(known + snapshot.Age).TotalMilliseconds : null;
        return ApiAnswer.Json(200, new EventsView(StatusView.ConsistencyOf(isConfirmed), knownAgo, kept.IsEmpty ? null : kept[0].Index, events.Count > 0 ? events[^1].Index : since, events), ApiJson.Default.EventsView);
    }

    /// <summary>Waits for a majority's word as far as the reader wants it, before the view is taken. WhyNot: the reader gets what is known here, and is told.</summary>
    private async Task<(bool IsConfirmed, string? WhyNot, ApiAnswer? Refusal)> ConfirmAsync(HttpContext context)
    {
        if (ApiBarriers.Of(context.Request.Query["consistency"]) is not { } consistency)
        {
            return (false, null, ApiAnswer.Problem(400, "Cannot read `consistency`.", "It is neither `local` nor `linearizable`.", "Give one of the two, or leave it out."));
        }

        if (consistency == Consistency.Local)
        {
            return (false, null, null);
        }

        var whyNot = await _barriers.WhyNotConfirmedAsync(context.RequestAborted);
        return whyNot is null ? (true, null, null)
            : consistency == Consistency.Preferred ? (false, whyNot, null)
            : (false, null, ApiAnswer.Problem(503, "Nothing is certain just now.", whyNot, "Ask again, or ask for what this machine knows: `consistency=local`."));
    }

    private Task<ApiAnswer> MoveAsync(HttpContext context) =>
        AskAsync(context, ApiJson.Default.MoveBody, body => new Request.Move(new ServiceName(Named("service", body.Service)), MachineOrNone(body.Target)));

    private Task<ApiAnswer> DrainAsync(HttpContext context) =>
        AskAsync(context, ApiJson.Default.DrainBody, body => new Request.Drain(new MachineId(Named("machine", body.Machine)), body.Drained));

    private Task<ApiAnswer> PauseAsync(HttpContext context) =>
        AskAsync(context, ApiJson.Default.PauseBody, body => new Request.Pause(body.Paused));

    private Task<ApiAnswer> TransferLeadershipAsync(HttpContext context) =>
        AskAsync(context, ApiJson.Default.TransferLeadershipBody, body => new Request.TransferLeadership(MachineOrNone(body.Target)));

    private Task<ApiAnswer> AddMachineAsync(HttpContext context) =>
        AskAsync(context, ApiJson.Default.MachineBody, body => new Request.AddMachine(new MachineId(Named("machine", body.Machine))));

    private Task<ApiAnswer> ConfirmOffAsync(HttpContext context) =>
        AskAsync(context, ApiJson.Default.MachineBody, body => new Request.ConfirmOff(new MachineId(Named("machine", body.Machine))));

    private Task<ApiAnswer> RemoveMachineAsync(HttpContext context) =>
        AskAsync(context, ApiJson.Default.MachineBody, body => new Request.RemoveMachine(new MachineId(Named("machine", body.Machine))));

    private async Task<ApiAnswer> AskAsync<T>(HttpContext context, System.Text.Json.Serialization.Metadata.JsonTypeInfo<T> type, Func<T, Request> requestOf)
        where T : class
    {
        try
        {
            var request = requestOf(await ApiBody.ReadAsync(context, type));
            return await _requests.AskAsync(request, context.RequestAborted) is { } outcome
                ? ApiAnswer.Json(outcome.Done ? 200 : 409, outcome, ApiJson.Default.RequestOutcome)
                : ApiAnswer.Problem(504, "It is not known whether this was done.", $"No answer came within {ApiRequests.AnswerLimit.TotalSeconds:F0} s.", "Look at `clustd status`, then ask again if need be.");
        }
        catch (ApiBodyException e)
        {
            return e.Answer;
        }
        catch (ApiBusyException)
        {
            return ApiAnswer.Problem(503, "Cannot take the request.", $"{ApiRequests.WaitingMax} requests wait for a decision already.", "Ask again in a few seconds.");
        }
    }

    private async Task<ApiAnswer> GoodbyeAsync(HttpContext context)
    {
        try
        {
            var body = await ApiBody.ReadAsync(context, ApiJson.Default.GoodbyeBody);
            _services.Post(new Input.GoodbyeRequested(Hub.BoundedText.OneLine(body.Reason, "an operator asked for it.")));
            return ApiAnswer.Json(202, new LeavingView(true, "This machine says goodbye: its services stop and move, then the daemon ends.", Environment.ProcessId), ApiJson.Default.LeavingView);
        }
        catch (ApiBodyException e)
        {
            return e.Answer;
        }
    }

    private async Task<ApiAnswer> RestartAsync(HttpContext context)
    {
        try
        {
            var body = await ApiBody.ReadAsync(context, ApiJson.Default.GoodbyeBody);
            var reason = Hub.BoundedText.OneLine(body.Reason, "an operator restarts it.");
            return await _requests.AskAsync(id => new Input.RestartRequested(reason, id), context.RequestAborted) is { } outcome
                ? ApiAnswer.Json(outcome.Done ? 202 : 409, new LeavingView(outcome.Done, outcome.Sentence, Environment.ProcessId), ApiJson.Default.LeavingView)
                : ApiAnswer.Json(202, new LeavingView(true, "This machine restarts. Whether its drivers have a grace meanwhile is not known yet.", Environment.ProcessId), ApiJson.Default.LeavingView);
        }
        catch (ApiBodyException e)
        {
            return e.Answer;
        }
        catch (ApiBusyException)
        {
            return ApiAnswer.Problem(503, "Cannot take the request.", $"{ApiRequests.WaitingMax} requests wait for a decision already.", "Ask again in a few seconds.");
        }
    }

    private static MachineId? MachineOrNone(string? id) => id is null ? null : new MachineId(Named("target", id));

    // It goes to the leader and into sentences: what cannot be a name is not sent there.
    private static string Named(string field, string name) => Hub.BoundedText.IsName(name, NameCharsMax)
        ? name
        : throw new ApiBodyException(ApiAnswer.Problem(400, $"Cannot read '{field}'.", $"It is no name of 1 to {NameCharsMax} printable characters.", "Correct the body."));

    private async Task<(MachineView View, TimeSpan Age)?> SnapshotAsync()
    {
        try
        {
            var snapshot = await _services.TakeSnapshot().WaitAsync(SnapshotLimit, _services.Time);
            return (snapshot.View, _services.Now() - snapshot.TakenAt);
        }
        catch (TimeoutException)
        {
            return null;
        }
    }

    private static ApiAnswer NoSnapshot() => ApiAnswer.Problem(
        503, "Nothing is known just now.", $"The decision loop has not answered for {SnapshotLimit.TotalSeconds:F0} s.", "Look at the daemon's log and at the load of this machine.");

    private static string Shown(string? text) => Hub.BoundedText.OneLine(text, "", 100);

    [LoggerMessage(LogLevel.Error, "{Method} {Path} failed in the daemon. Please report this.")]
    private static partial void LogFailed(ILogger logger, Exception exception, string method, string path);
}
