using System.Globalization;
using System.Net.Http.Headers;
using System.Text;
using System.Text.Json;

namespace Clustd.Benchmarks.Probe;

/// <summary>
/// A session-aware client of etcd 3, through its JSON gateway, as careful as one can be without help of the server: a lease, kept alive every third of its TTL; whoever creates
/// the key under its lease is the master and acts; it stops acting when the deadline of its last answered keepalive, counted from when that was sent, has passed. The others
/// watch the key. The fencing token is the revision that created it.
/// </summary>
internal sealed class EtcdHolder(string endpoint, int ttlSeconds, LinePipe acts, string machine)
{
    private static readonly string Key = Base64("/benchmark/master");

    // The watch has no end of its own; everything else is limited by the lease that it is for.
    private readonly HttpClient client = new(new SocketsHttpHandler { UseProxy = false }) { BaseAddress = new Uri(endpoint), Timeout = Timeout.InfiniteTimeSpan };
    private readonly long ttl = ttlSeconds * 1_000_000L;
    private long deadline;
    private long token;

    public async Task RunAsync()
    {
        new Thread(Act) { IsBackground = true, Name = "acts" }.Start();
        while (true)
        {
            try
            {
                await HoldOneLeaseAsync();
            }
            catch (Exception e) when (e is HttpRequestException or IOException or OperationCanceledException or JsonException or InvalidOperationException or KeyNotFoundException)
            {
                Console.Error.WriteLine($"{machine}: the lease ended: {e.Message}");
            }

            Volatile.Write(ref token, 0);
            await Task.Delay(50); // A server that is away refuses at once: no need to ask it a thousand times a second.
        }
    }

    // Acts each millisecond, and looks at the clock before each act.
    private void Act()
    {
        while (true)
        {
            if (Volatile.Read(ref token) is > 0 and var mine && LinePipe.Now < Volatile.Read(ref deadline))
                acts.Write(string.Create(CultureInfo.InvariantCulture, $"default {machine} {mine} {Environment.ProcessId}"));
            Thread.Sleep(1);
        }
    }

    private async Task HoldOneLeaseAsync()
    {
        var sentAt = LinePipe.Now;
        var granted = await AskAsync("/v3/lease/grant", $$"""{ "TTL": "{{ttlSeconds}}" }""");
        var lease = granted.GetProperty("ID").GetString()!;
        Volatile.Write(ref deadline, sentAt + ttl);
        using var ended = new CancellationTokenSource();
        var campaign = CampaignAsync(lease, ended.Token);
        try
        {
            while (LinePipe.Now < Volatile.Read(ref deadline))
            {
                await Task.Delay(TimeSpan.FromSeconds(ttlSeconds / 3.0));
                sentAt = LinePipe.Now;
                var answer = await AskAsync("/v3/lease/keepalive", $$"""{ "ID": "{{lease}}" }""");
                if (!answer.GetProperty("result").TryGetProperty("TTL", out var left) || left.GetString() is not { } seconds || seconds == "0")
                    throw new InvalidOperationException("the server knows the lease no more");
                Volatile.Write(ref deadline, sentAt + ttl);
                if (campaign.IsFaulted) await campaign;
            }
        }
        finally
        {
            await ended.CancelAsync();
        }
    }

    // Ends when the key is ours.
    private async Task CampaignAsync(string lease, CancellationToken cancellationToken)
    {
        while (!cancellationToken.IsCancellationRequested)
        {
            var answer = await AskAsync("/v3/kv/txn", $$"""
                { "compare": [ { "target": "CREATE", "key": "{{Key}}", "result": "EQUAL", "createRevision": "0" } ],
                  "success": [ { "requestPut": { "key": "{{Key}}", "value": "{{Base64(machine)}}", "lease": "{{lease}}" } } ] }
                """);
            var revision = answer.GetProperty("header").GetProperty("revision").GetString()!;
            if (answer.TryGetProperty("succeeded", out var succeeded) && succeeded.GetBoolean())
            {
                Volatile.Write(ref token, long.Parse(revision, CultureInfo.InvariantCulture));
                return;
            }

            await WatchForDeletionAsync(long.Parse(revision, CultureInfo.InvariantCulture) + 1, cancellationToken);
        }
    }

    private async Task WatchForDeletionAsync(long revision, CancellationToken cancellationToken)
    {
        var request = Request("/v3/watch", $$"""{ "create_request": { "key": "{{Key}}", "start_revision": "{{revision}}", "filters": ["NOPUT"] } }""");
        using var answer = await client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, cancellationToken);
        using var lines = new StreamReader(await answer.EnsureSuccessStatusCode().Content.ReadAsStreamAsync(cancellationToken));
        while (await lines.ReadLineAsync(cancellationToken) is { } line)
        {
            if (line.Contains("\"events\"", StringComparison.Ordinal) || line.Contains("\"canceled\":true", StringComparison.Ordinal)) return;
        }
    }

    // No answer within the TTL is as good as none.
    private async Task<JsonElement> AskAsync(string path, string json)
    {
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(ttlSeconds));
        using var answer = await client.SendAsync(Request(path, json), limit.Token);
        var text = await answer.EnsureSuccessStatusCode().Content.ReadAsStringAsync(limit.Token);
        return JsonDocument.Parse(text).RootElement;
    }

    private static HttpRequestMessage Request(string path, string json) =>
        new(HttpMethod.Post, path) { Content = new StringContent(json, new MediaTypeHeaderValue("application/json")) };

    private static string Base64(string text) => Convert.ToBase64String(Encoding.UTF8.GetBytes(text));
}
