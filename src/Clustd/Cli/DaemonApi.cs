using System.Net;
using System.Net.Http.Headers;
using System.Net.Sockets;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using Clustd.Config;
using Clustd.Core.Raft;
using Clustd.Http;

namespace Clustd.Cli;

/// <summary>The local daemon's HTTP API, as the commands use it.</summary>
internal sealed class DaemonApi : IDisposable
{
    // Longer than the daemon's own limit for a decision, so that its sentence arrives and not our impatience.
    private static readonly TimeSpan AnswerLimit = TimeSpan.FromSeconds(15);
    private static readonly TimeSpan ConnectLimit = TimeSpan.FromSeconds(3);

    private readonly HttpClient _client;
    private readonly string _address;
    private readonly string _hint;

    public DaemonApi(string host, int port, string secret, string? configPath = null)
    {
        _address = new MachineAddress(host, port).ToString();
        _hint = configPath is null ? "`clustd run`" : $"`clustd run --config {configPath}`";
        _client = new HttpClient(new SocketsHttpHandler { UseProxy = false, ConnectTimeout = ConnectLimit, AllowAutoRedirect = false })
        {
            BaseAddress = new Uri($"http://{_address}"),
            Timeout = AnswerLimit,
        };
        _client.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", ApiToken.Derive(secret));
    }

    /// <summary>The daemon that this configuration is of.</summary>
    public static DaemonApi Of(ClustdConfig config)
    {
        // Whoever listens everywhere listens on loopback as well.
        var host = OwnAddress.IsEveryInterface(config.Server.BindAddress) ? "127.0.0.1" : config.Server.BindAddress;
        return new DaemonApi(host, config.Server.BindPort, config.Cluster.Secret, config.Path);
    }

    /// <summary>The daemon that a driver file leads to. Its secret opens the API if it is the cluster's own.</summary>
    public static DaemonApi Of(DriverFileConfig file) => new(file.Host.Host.Trim('[', ']'), file.Host.Port, file.Secret, file.Path);

    public void Dispose() => _client.Dispose();

    /// <summary>The status, also as the daemon wrote it: confirmed by a majority if one can be asked.</summary>
    public Task<(StatusView View, string Json)> StatusAsync(CancellationToken cancellationToken) => StatusAsync("/v1/status", cancellationToken);

    /// <summary>What this machine knows, without asking anybody: for those who look many times a second.</summary>
    public Task<(StatusView View, string Json)> LocalStatusAsync(CancellationToken cancellationToken) => StatusAsync("/v1/status?consistency=local", cancellationToken);

    /// <summary>Events with an index above the one given.</summary>
    public async Task<(EventsView View, string Json)> EventsAsync(long since, CancellationToken cancellationToken)
    {
        var json = await GetAsync($"/v1/events?since={since}", cancellationToken);
        return (Read(json, ApiJson.Default.EventsView), json);
    }

    /// <summary>Asks for a move; the outcome is the cluster's decision, also when it is a refusal.</summary>
    public Task<RequestOutcome> MoveAsync(string service, string? target, CancellationToken cancellationToken) =>
        AskAsync("move", new MoveBody { Service = service, Target = target }, ApiJson.Default.MoveBody, cancellationToken);

    /// <summary>Asks the cluster for a decision; the outcome is that decision, also when it is a refusal.</summary>
    /// <param name="request">The last part of the route, "drain".</param>
    public async Task<RequestOutcome> AskAsync<T>(string request, T body, JsonTypeInfo<T> type, CancellationToken cancellationToken)
    {
        var content = new ByteArrayContent(JsonSerializer.SerializeToUtf8Bytes(body, type));
        content.Headers.ContentType = new MediaTypeHeaderValue("application/json");
        using var message = new HttpRequestMessage(HttpMethod.Post, $"/v1/requests/{request}") { Content = content };
        var (status, text) = await SendAsync(message, cancellationToken);
        return status is HttpStatusCode.OK or HttpStatusCode.Conflict ? Read(text, ApiJson.Default.RequestOutcome) : throw Refused(status, text);
    }

    private async Task<(StatusView View, string Json)> StatusAsync(string path, CancellationToken cancellationToken)
    {
        var json = await GetAsync(path, cancellationToken);
        return (Read(json, ApiJson.Default.StatusView), json);
    }

    /// <summary>Has the daemon end: `/v1/goodbye` or `/v1/restart`.</summary>
    public async Task<LeavingView> LeaveAsync(string path, string reason, CancellationToken cancellationToken)
    {
        var body = new ByteArrayContent(JsonSerializer.SerializeToUtf8Bytes(new GoodbyeBody { Reason = reason }, ApiJson.Default.GoodbyeBody));
        body.Headers.ContentType = new MediaTypeHeaderValue("application/json");
        using var request = new HttpRequestMessage(HttpMethod.Post, path) { Content = body };
        var (status, text) = await SendAsync(request, cancellationToken);
        return status is HttpStatusCode.Accepted or HttpStatusCode.Conflict ? Read(text, ApiJson.Default.LeavingView) : throw Refused(status, text);
    }

    private async Task<string> GetAsync(string path, CancellationToken cancellationToken)
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, path);
        var (status, text) = await SendAsync(request, cancellationToken);
        return status == HttpStatusCode.OK ? text : throw Refused(status, text);
    }

    private async Task<(HttpStatusCode Status, string Text)> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
    {
        try
        {
            using var response = await _client.SendAsync(request, cancellationToken);
            return (response.StatusCode, await response.Content.ReadAsStringAsync(cancellationToken));
        }
        catch (HttpRequestException e)
        {
            throw NoDaemon(e.InnerException is SocketException socket ? Why(socket) : (e.InnerException ?? e).Message.TrimEnd('.'), e);
        }
        catch (OperationCanceledException e) when (!cancellationToken.IsCancellationRequested)
        {
            throw NoDaemon($"it did not answer within {AnswerLimit.TotalSeconds:0} s", e);
        }
    }

    private CommandException NoDaemon(string why, Exception inner) => new(
        ExitCodes.NoQuorum, $"No daemon answers at {_address}: {why}. Start it with {_hint}, or name its configuration with --config.", inner);

    private static string Why(SocketException e) => e.SocketErrorCode switch
    {
        SocketError.ConnectionRefused => "connection refused",
        SocketError.TimedOut => "no answer to the connection",
        _ => e.Message.TrimEnd('.'),
    };

    private CommandException Refused(HttpStatusCode status, string text)
    {
        var code = status is HttpStatusCode.ServiceUnavailable or HttpStatusCode.GatewayTimeout ? ExitCodes.NoQuorum : ExitCodes.Refused;
        if (status == HttpStatusCode.Unauthorized)
        {
            return new CommandException(code, $"The daemon at {_address} refused: it has another secret than this configuration. Use the configuration that it was started with: --config FILE.");
        }

        try
        {
            var problem = JsonSerializer.Deserialize(text, ApiJson.Default.ApiProblem);
            if (problem is { What: not null }) return new CommandException(code, $"{problem.What.TrimEnd('.')}: {LowerFirst(problem.Why.TrimEnd('.'))}. {problem.Do}");
        }
        catch (JsonException)
        {
            // Not one of ours: below.
        }

        return new CommandException(code, $"Whatever answers at {_address} is no clustd daemon of this version: it said {(int)status}. See who listens there with `ss -ltnp`.");
    }

    private T Read<T>(string json, JsonTypeInfo<T> type)
        where T : class
    {
        try
        {
            return JsonSerializer.Deserialize(json, type) ?? throw new JsonException("it is null");
        }
        catch (JsonException e)
        {
            throw new CommandException(ExitCodes.Refused, $"Cannot read what the daemon at {_address} says: {e.Message.TrimEnd('.')}. Use the clustd of the same version as the daemon.", e);
        }
    }

    private static string LowerFirst(string text) => text.Length > 1 && char.IsUpper(text[0]) && char.IsLower(text[1]) ? char.ToLowerInvariant(text[0]) + text[1..] : text;
}
