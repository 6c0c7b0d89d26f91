using System.Text.Json;
using System.Text.Json.Serialization.Metadata;

namespace Clustd.Drivers.Cloudflare;

/// <summary>The few calls of Cloudflare's API v4 that the driver needs. Never follows a redirect, and never puts a token or key into what it says.</summary>
internal sealed class CloudflareApi(CloudflareDriverOptions options) : IDisposable
{
    private const int AnswerBytesMax = 1_000_000, PageMax = 100;

    private static readonly TimeSpan CallLimit = TimeSpan.FromSeconds(10);

    private readonly HttpClient _http = new(new SocketsHttpHandler { AllowAutoRedirect = false, ConnectTimeout = TimeSpan.FromSeconds(3), PooledConnectionIdleTimeout = TimeSpan.FromSeconds(10) })
    {
        Timeout = Timeout.InfiniteTimeSpan, // each call has its own
        MaxResponseContentBufferSize = AnswerBytesMax,
    };

    private string? _zoneId = options.ZoneId;

    public void Dispose() => _http.Dispose();

    /// <summary>Id of the zone that the record is in.</summary>
    /// <exception cref="CloudflareException">There is none that this token may see.</exception>
    public async Task<string> ZoneIdAsync(CancellationToken cancellationToken)
    {
        if (_zoneId is not null) return _zoneId;
        foreach (string name in options.Zone is { } given ? [given.TrimEnd('.')] : Parents(options.Record))
        {
            var zones = await CallAsync(HttpMethod.Get, $"zones?name={Uri.EscapeDataString(name)}", $"find the zone {name}", null, CloudflareJson.Default.Zones, cancellationToken).ConfigureAwait(false);
            if (zones?.FirstOrDefault(zone => zone?.Id is not null && string.Equals(zone.Name, name, StringComparison.OrdinalIgnoreCase)) is { } found) return _zoneId = found.Id!;
        }
        throw new CloudflareException($"Cannot find the zone of {options.Record}: Cloudflare has none that this token may see. Correct `record` or `zone`, give the token Zone / Zone / Read for it, or write `zone_id`.");
    }

    /// <summary>The A, AAAA and CNAME records of the name.</summary>
    public async Task<IReadOnlyList<CloudflareRecord>> ReadAsync(CancellationToken cancellationToken)
    {
        string zone = await ZoneIdAsync(cancellationToken).ConfigureAwait(false), name = options.Record.TrimEnd('.');
        var all = await CallAsync(HttpMethod.Get, $"zones/{Uri.EscapeDataString(zone)}/dns_records?name={Uri.EscapeDataString(name)}&per_page={PageMax}", $"read {name}", null, CloudflareJson.Default.Records, cancellationToken).ConfigureAwait(false);
        return [.. (all ?? []).OfType<CloudflareRecord>().Where(record => record is { Id: not null, Type: "A" or "AAAA" or "CNAME" } && string.Equals(record.Name, name, StringComparison.OrdinalIgnoreCase))];
    }

    /// <summary>Makes all changes, or none.</summary>
    public async Task ChangeAsync(CloudflareBatch changes, CancellationToken cancellationToken)
    {
        string records = $"zones/{Uri.EscapeDataString(await ZoneIdAsync(cancellationToken).ConfigureAwait(false))}/dns_records", what = $"change {options.Record}";
        var (method, path, body) = changes switch
        {
            { Deletes: [], Patches: [var patch], Posts: [] } => (HttpMethod.Patch, $"{records}/{Uri.EscapeDataString(patch.Id!)}", Content(patch with { Id = null }, CloudflareJson.Default.CloudflareRecord)),
            { Deletes: [], Patches: [], Posts: [var post] } => (HttpMethod.Post, records, Content(post, CloudflareJson.Default.CloudflareRecord)),
            _ => (HttpMethod.Post, $"{records}/batch", Content(changes, CloudflareJson.Default.CloudflareBatch)),
        };
        await CallAsync(method, path, what, body, CloudflareJson.Default.Nothing, cancellationToken).ConfigureAwait(false);
    }

    private async Task<T?> CallAsync<T>(HttpMethod method, string path, string what, HttpContent? body, JsonTypeInfo<CloudflareAnswer<T>> type, CancellationToken cancellationToken)
    {
        using var request = new HttpRequestMessage(method, $"{options.Api.TrimEnd('/')}/{path}") { Content = body };
        request.Headers.TryAddWithoutValidation("User-Agent", "clustd");
        if (options.Token is { } token)
        {
            request.Headers.TryAddWithoutValidation("Authorization", $"Bearer {token}");
        }
        else
        {
            request.Headers.TryAddWithoutValidation("X-Auth-Email", options.Email);
            request.Headers.TryAddWithoutValidation("X-Auth-Key", options.ApiKey);
        }

        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        limit.CancelAfter(CallLimit);
        try
        {
            using var answer = await _http.SendAsync(request, limit.Token).ConfigureAwait(false);
            var read = Parse(await answer.Content.ReadAsByteArrayAsync(limit.Token).ConfigureAwait(false), type);
            if (answer.IsSuccessStatusCode && read is { Success: true }) return read.Result;
            if (answer.IsSuccessStatusCode && read is null) throw new CloudflareException($"Cannot {what}: {Host} answers, but not as Cloudflare's API does. See what stands between, and `api`.", mayPass: true);
            throw CloudflareRefusals.Of(what, answer.StatusCode, [.. CloudflareRefusals.Flat(read?.Errors)], answer.Headers.RetryAfter?.Delta);
        }
        catch (HttpRequestException e)
        {
            throw new CloudflareException($"Cannot {what}: {Host} cannot be reached: {e.Message.TrimEnd('.')}. See whether this machine reaches the internet, and name servers and clock are right.", mayPass: true, inner: e);
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            throw new CloudflareException($"Cannot {what}: {Host} was silent for {CallLimit.TotalSeconds:0} s. See whether this machine reaches it.", mayPass: true);
        }
    }

    private string Host => new Uri(options.Api).Host;

    private static ByteArrayContent Content<T>(T value, JsonTypeInfo<T> type)
    {
        var content = new ByteArrayContent(JsonSerializer.SerializeToUtf8Bytes(value, type));
        content.Headers.TryAddWithoutValidation("Content-Type", "application/json");
        return content;
    }

    /// <summary>Null: it is no answer of the API.</summary>
    public static CloudflareAnswer<T>? Parse<T>(byte[] bytes, JsonTypeInfo<CloudflareAnswer<T>> type)
    {
        try
        {
            return JsonSerializer.Deserialize(bytes, type);
        }
        catch (Exception e) when (e is JsonException or NotSupportedException)
        {
            return null;
        }
    }

    // www.example.co.uk: example.co.uk, then co.uk. The name itself may be a zone's own.
    private static IEnumerable<string> Parents(string name)
    {
        string[] labels = name.TrimEnd('.').Split('.');
        for (int first = 0; first < labels.Length - 1; first++) yield return string.Join('.', labels[first..]);
    }
}
