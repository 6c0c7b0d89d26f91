using System.Net;
using System.Net.Sockets;
using System.Text.Json;

namespace Clustd.Drivers.Docker;

/// <summary>
/// The part of the API of Docker (and of Podman, which speaks it as well) that starts, stops and watches a container, over the engine's socket. Questions have a limit of their own; what may take long ends with the caller's patience.
/// </summary>
internal sealed class Engine : IDisposable
{
    private const int AnswerBytesMax = 4 * 1024 * 1024;
    private const int LineCharsMax = 1024 * 1024;

    private static readonly Version Oldest = new(1, 24);
    private static readonly TimeSpan QuestionLimit = TimeSpan.FromSeconds(4);
    private static readonly TimeSpan SilenceMax = TimeSpan.FromMinutes(10);

    private readonly HttpClient _http;
    private readonly string _socket;
    private string? _version; // asked for once: an engine of another version is another process, and its socket another connection

    public Engine(string socket)
    {
        _socket = socket;
        var handler = new SocketsHttpHandler
        {
            UseProxy = false, AllowAutoRedirect = false, UseCookies = false, PooledConnectionIdleTimeout = TimeSpan.FromSeconds(30),
            ConnectCallback = async (_, cancellationToken) =>
            {
                var connection = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
                try
                {
                    await connection.ConnectAsync(new UnixDomainSocketEndPoint(socket), cancellationToken).ConfigureAwait(false);
                    return new NetworkStream(connection, ownsSocket: true);
                }
                catch
                {
                    connection.Dispose();
                    throw;
                }
            },
        };
        _http = new HttpClient(handler) { BaseAddress = new Uri("http://engine"), Timeout = Timeout.InfiniteTimeSpan, MaxResponseContentBufferSize = AnswerBytesMax };
    }

    /// <summary>The version of its API, "1.41".</summary>
    /// <exception cref="DriverFailedException">There is no engine, or one that is too old.</exception>
    public async Task<string> VersionAsync(CancellationToken cancellationToken)
    {
        if (_version is not null) return _version;
        using var answer = await AskAsync(HttpMethod.Get, "/_ping", cancellationToken).ConfigureAwait(false);
        string? said = answer.Headers.TryGetValues("Api-Version", out var values) ? values.FirstOrDefault() : null;
        if (!answer.IsSuccessStatusCode || !Version.TryParse(said, out var version))
            throw EngineErrors.NoEngine(_socket, $"it answers {(int)answer.StatusCode} without a version of the API");
        if (version.Major != Oldest.Major || version < Oldest)
            throw new DriverFailedException($"The engine at {_socket} speaks version {version} of the API, which clustd does not: it knows {Oldest} and later ones of {Oldest.Major}. Update the engine, or clustd.");
        return _version = version.ToString(2);
    }

    /// <summary>Null: there is no such container.</summary>
    public async Task<ContainerState?> InspectAsync(string container, CancellationToken cancellationToken)
    {
        string path = await PathAsync(container, "/json", cancellationToken).ConfigureAwait(false);
        using var answer = await AskAsync(HttpMethod.Get, path, cancellationToken).ConfigureAwait(false);
        if (answer.StatusCode == HttpStatusCode.NotFound) return null;
        string text = await TextAsync(answer, cancellationToken).ConfigureAwait(false);
        if (!answer.IsSuccessStatusCode) throw EngineErrors.Refused("look at", container, answer.StatusCode, text);
        try
        {
            return JsonSerializer.Deserialize(text, EngineJson.Default.ContainerState) is { Id.Length: > 0 } state ? state : throw EngineErrors.NoEngine(_socket, "it speaks of a container without an id");
        }
        catch (JsonException e)
        {
            throw EngineErrors.NoEngine(_socket, $"its answer cannot be read ({e.Message})");
        }
    }

    /// <summary>One that runs already is fine.</summary>
    public Task StartAsync(string container, CancellationToken cancellationToken) => OrderAsync("start", container, "/start", [HttpStatusCode.NotModified], cancellationToken);

    /// <summary>The container's own signal, and after <paramref name="courtesy"/>, in whole seconds, SIGKILL. Returns when it has stopped. One that does not run or is not there is fine.</summary>
    public Task StopAsync(string container, TimeSpan courtesy, CancellationToken cancellationToken) =>
        OrderAsync("stop", container, $"/stop?t={(long)courtesy.TotalSeconds}", [HttpStatusCode.NotModified, HttpStatusCode.NotFound], cancellationToken);

    /// <summary>A signal; returns when it has been sent. One that does not run or is not there is fine.</summary>
    public async Task KillAsync(string container, string signal, CancellationToken cancellationToken)
    {
        try
        {
            await OrderAsync("kill", container, $"/kill?signal={signal}", [HttpStatusCode.NotFound, HttpStatusCode.Conflict], cancellationToken).ConfigureAwait(false);
        }
        catch (DriverFailedException)
        {
            // Podman has 500 for what does not run.
            if (await InspectAsync(container, cancellationToken).ConfigureAwait(false) is { IsStopped: false }) throw;
        }
    }

    public Task UnpauseAsync(string container, CancellationToken cancellationToken) =>
        OrderAsync("unpause", container, "/unpause", [HttpStatusCode.NotFound, HttpStatusCode.Conflict, HttpStatusCode.InternalServerError], cancellationToken);

    /// <summary>Calls <paramref name="changed"/> for each thing that happens to the container; returns when the engine ends the stream, or says nothing for minutes.</summary>
    public async Task WatchAsync(string container, Action changed, CancellationToken cancellationToken)
    {
        string filters = Uri.EscapeDataString($$"""{"type":["container"],"container":["{{container}}"]}""");
        string version = await VersionAsync(cancellationToken).ConfigureAwait(false);
        using var silence = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        silence.CancelAfter(SilenceMax);
        using var request = new HttpRequestMessage(HttpMethod.Get, $"/v{version}/events?filters={filters}");
        using var answer = await SendAsync(request, HttpCompletionOption.ResponseHeadersRead, silence.Token).ConfigureAwait(false);
        if (!answer.IsSuccessStatusCode) throw EngineErrors.Refused("watch", container, answer.StatusCode, "");
        // What happened before we listened, nobody will tell.
        changed();
        await using var stream = await answer.Content.ReadAsStreamAsync(silence.Token).ConfigureAwait(false);
        var buffer = new byte[8192];
        // What it says is not needed: an event is an occasion to look.
        while (await stream.ReadAsync(buffer, silence.Token).ConfigureAwait(false) > 0)
        {
            silence.CancelAfter(SilenceMax);
            changed();
        }
    }

    public void Dispose() => _http.Dispose();

    private async Task OrderAsync(string verb, string container, string what, HttpStatusCode[] fine, CancellationToken cancellationToken)
    {
        string path = await PathAsync(container, what, cancellationToken).ConfigureAwait(false);
        using var request = new HttpRequestMessage(HttpMethod.Post, path);
        using var answer = await SendAsync(request, HttpCompletionOption.ResponseContentRead, cancellationToken).ConfigureAwait(false);
        if (!answer.IsSuccessStatusCode && !fine.Contains(answer.StatusCode))
            throw EngineErrors.Refused(verb, container, answer.StatusCode, await TextAsync(answer, cancellationToken).ConfigureAwait(false));
    }

    private async Task<string> PathAsync(string container, string what, CancellationToken cancellationToken) =>
        $"/v{await VersionAsync(cancellationToken).ConfigureAwait(false)}/containers/{Uri.EscapeDataString(container)}{what}";

    private async Task<HttpResponseMessage> AskAsync(HttpMethod method, string path, CancellationToken cancellationToken)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        limit.CancelAfter(QuestionLimit);
        using var request = new HttpRequestMessage(method, path);
        try
        {
            return await SendAsync(request, HttpCompletionOption.ResponseContentRead, limit.Token).ConfigureAwait(false);
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            throw EngineErrors.NoEngine(_socket, $"nothing came within {QuestionLimit.TotalSeconds:0.###} s");
        }
    }

    private async Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, HttpCompletionOption completion, CancellationToken cancellationToken)
    {
        try
        {
            return await _http.SendAsync(request, completion, cancellationToken).ConfigureAwait(false);
        }
        catch (Exception e) when (e is HttpRequestException or IOException)
        {
            throw EngineErrors.NotReached(_socket, e);
        }
    }

    private async Task<string> TextAsync(HttpResponseMessage answer, CancellationToken cancellationToken)
    {
        try
        {
            string text = await answer.Content.ReadAsStringAsync(cancellationToken).ConfigureAwait(false);
            return text.Length <= LineCharsMax ? text : text[..LineCharsMax];
        }
        catch (Exception e) when (e is HttpRequestException or IOException or InvalidOperationException)
        {
            throw EngineErrors.NotReached(_socket, e);
        }
    }
}
