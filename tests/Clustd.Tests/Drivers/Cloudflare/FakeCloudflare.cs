using System.Collections.Concurrent;
using System.Net;
using System.Text.Json.Nodes;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;

namespace Clustd.Tests.Drivers.Cloudflare;

/// <summary>
/// Cloudflare's API v4 as far as the driver uses it, on loopback. It refuses what the real one refuses, with the same codes and texts: wrong or malformed tokens and keys, unknown zones, content and TTLs that cannot be, records that are there already.
/// </summary>
internal sealed class FakeCloudflare : IAsyncDisposable
{
    public const string Token = "good-token-0123456789", ReadOnlyToken = "read-only-token-0123456789", Email = "me@example.com", ApiKey = "0123456789abcdef0123456789abcdef01234", ZoneId = "023e105f4ecef8ad9ca31a8372d0c353", Zone = "example.com";

    private readonly WebApplication _app;
    private readonly Lock _gate = new();
    private readonly List<JsonObject> _records = [];
    private int _lastId;

    private FakeCloudflare(WebApplication app) => _app = app;

    public string Url => $"{_app.Urls.Single()}/client/v4";

    /// <summary>"PATCH /zones/..." in order.</summary>
    public ConcurrentQueue<string> Requests { get; } = new();

    /// <summary>Answers instead, once each: status, body, and how many seconds to wait.</summary>
    public ConcurrentQueue<(int Status, string Body, int? RetryAfter)> Instead { get; } = new();

    /// <summary>Called before a change is made: somebody else's chance.</summary>
    public Func<Task> BeforeChange { get; set; } = () => Task.CompletedTask;

    public bool IsSilent { get; set; }

    public static async Task<FakeCloudflare> StartAsync()
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.ConfigureKestrel(kestrel => kestrel.Listen(IPAddress.Loopback, 0));
        var fake = new FakeCloudflare(builder.Build());
        fake._app.Run(fake.AnswerAsync);
        await fake._app.StartAsync();
        return fake;
    }

    public JsonObject Add(string type, string content, string name = "www.example.com", int ttl = 60, bool proxied = false, string? comment = null)
    {
        lock (_gate)
        {
            var record = new JsonObject { ["id"] = $"record{++_lastId}", ["type"] = type, ["name"] = name, ["content"] = content, ["ttl"] = proxied ? 1 : ttl, ["proxied"] = proxied, ["comment"] = comment };
            _records.Add(record);
            return record;
        }
    }

    /// <summary>As somebody does it in the dashboard.</summary>
    public void Set(string id, string key, JsonNode value)
    {
        lock (_gate) _records.Single(record => record["id"]!.ToString() == id)[key] = value;
    }

    /// <summary>"A 203.0.113.7 60 false clustd: ..." of each record of the name.</summary>
    public IReadOnlyList<string> Shown(string name = "www.example.com")
    {
        lock (_gate) return [.. _records.Where(record => record["name"]!.ToString() == name).Select(record => $"{record["type"]} {record["content"]} {record["ttl"]} {record["proxied"]} {record["comment"]}".Trim())];
    }

    public ValueTask DisposeAsync() => _app.DisposeAsync();

    private async Task AnswerAsync(HttpContext context)
    {
        string path = context.Request.Path.Value!["/client/v4".Length..];
        Requests.Enqueue($"{context.Request.Method} {path}{context.Request.QueryString}");
        if (IsSilent) await Task.Delay(Timeout.InfiniteTimeSpan, context.RequestAborted);
        if (Instead.TryDequeue(out var instead))
        {
            if (instead.RetryAfter is { } seconds) context.Response.Headers.RetryAfter = seconds.ToString(System.Globalization.CultureInfo.InvariantCulture);
            context.Response.StatusCode = instead.Status;
            await context.Response.WriteAsync(instead.Body);
            return;
        }
        var body = context.Request.ContentLength is > 0 ? (await JsonNode.ParseAsync(context.Request.Body))!.AsObject() : [];
        if (context.Request.Method != "GET") await BeforeChange();
        try
        {
            JsonNode? result;
            lock (_gate) result = Do(context, path, body);
            await WriteAsync(context, 200, new JsonObject { ["success"] = true, ["errors"] = new JsonArray(), ["messages"] = new JsonArray(), ["result"] = result?.DeepClone() });
        }
        catch (Refusal e)
        {
            var error = new JsonObject { ["code"] = e.Code, ["message"] = e.Message };
            if (e.Chain is { } chain) error["error_chain"] = new JsonArray(new JsonObject { ["code"] = chain.Code, ["message"] = chain.Message });
            await WriteAsync(context, e.Status, new JsonObject { ["success"] = false, ["errors"] = new JsonArray(error), ["messages"] = new JsonArray(), ["result"] = null });
        }
    }

    private JsonNode? Do(HttpContext context, string path, JsonObject body)
    {
        bool mayWrite = Authenticate(context.Request);
        string[] parts = path.Split('/', StringSplitOptions.RemoveEmptyEntries);
        string method = context.Request.Method;
        if (parts is ["zones"] && method == "GET")
            return context.Request.Query["name"] == Zone ? new JsonArray(new JsonObject { ["id"] = ZoneId, ["name"] = Zone, ["status"] = "active" }) : new JsonArray();
        if (parts is not ["zones", ZoneId, "dns_records", ..])
            throw new Refusal(404, 7003, $"Could not route to /client/v4{path}, perhaps your object identifier is invalid?");
        if (method == "GET")
            return new JsonArray([.. _records.Where(record => record["name"]!.ToString() == context.Request.Query["name"]).Select(record => record.DeepClone())]);
        if (!mayWrite) throw new Refusal(403, 10000, "Authentication error");
        if (parts is [_, _, _, "batch"] && method == "POST") return Batch(body);
        if (parts is [_, _, _, var id] && method == "PATCH") return Patch(id, body);
        if (parts is [_, _, _] && method == "POST") return Post(body);
        throw new Refusal(405, 10405, "Method not allowed for this authentication scheme");
    }

    private static bool Authenticate(HttpRequest request)
    {
        string authorization = request.Headers.Authorization.ToString();
        if (authorization.Length == 0)
        {
            if (request.Headers["X-Auth-Email"] == Email && request.Headers["X-Auth-Key"] == ApiKey) return true;
            throw request.Headers["X-Auth-Key"].Count == 0 ? new Refusal(400, 9106, "Missing X-Auth-Key, X-Auth-Email or Authorization headers") : new Refusal(403, 9103, "Unknown X-Auth-Key or X-Auth-Email");
        }
        if (!authorization.StartsWith("Bearer ", StringComparison.Ordinal) || authorization.Length < 20)
            throw new Refusal(400, 6003, "Invalid request headers") { Chain = (6111, "Invalid format for Authorization header") };
        return authorization["Bearer ".Length..] switch
        {
            Token => true,
            ReadOnlyToken => false,
            _ => throw new Refusal(403, 9109, "Invalid access token"),
        };
    }

    // All or none, in Cloudflare's order.
    private JsonNode? Batch(JsonObject body)
    {
        var before = _records.Select(record => (JsonObject)record.DeepClone()).ToList();
        try
        {
            foreach (var each in Items("deletes")) _records.Remove(Find(each["id"]!.ToString()));
            foreach (var each in Items("patches")) Patch(each["id"]!.ToString(), each);
            foreach (var each in Items("posts")) Post(each);
            return new JsonObject();
        }
        catch (Refusal)
        {
            _records.Clear();
            _records.AddRange(before);
            throw;
        }

        IEnumerable<JsonObject> Items(string key) => (body[key]?.AsArray() ?? []).Select(each => each!.AsObject());
    }

    private JsonObject Patch(string id, JsonObject body)
    {
        var record = Find(id);
        var @new = (JsonObject)record.DeepClone();
        foreach (var (key, value) in body) @new[key] = value?.DeepClone();
        @new["id"] = id;
        Check(@new, record);
        _records[_records.IndexOf(record)] = @new;
        return @new;
    }

    private JsonObject Post(JsonObject body)
    {
        var record = (JsonObject)body.DeepClone();
        record["id"] = $"record{++_lastId}";
        Check(record, null);
        _records.Add(record);
        return record;
    }

    private JsonObject Find(string id) => _records.Find(record => record["id"]!.ToString() == id) ?? throw new Refusal(404, 81044, "Record does not exist.");

    private void Check(JsonObject record, JsonObject? old)
    {
        string type = record["type"]!.ToString(), content = record["content"]!.ToString(), name = record["name"]!.ToString();
        int ttl = record["ttl"]?.GetValue<int>() ?? 1;
        if (type == "A" && !(IPAddress.TryParse(content, out var a) && a.GetAddressBytes().Length == 4)) throw new Refusal(400, 9005, "Content for A record must be a valid IPv4 address.");
        if (type == "AAAA" && !(IPAddress.TryParse(content, out var b) && b.GetAddressBytes().Length == 16)) throw new Refusal(400, 9005, "Content for AAAA record must be a valid IPv6 address.");
        if (ttl != 1 && ttl is < 60 or > 86400) throw new Refusal(400, 9021, "Invalid TTL. Must be between 60 and 86400 seconds, or 1 for Automatic.");
        if (record["proxied"]?.GetValue<bool>() == true) record["ttl"] = 1;
        if ((record["comment"]?.ToString().Length ?? 0) > 100) throw new Refusal(400, 9300, "DNS record comment exceeds the maximum length of 100 characters.");
        var others = _records.Where(each => each != old && each["name"]!.ToString() == name && each["type"]!.ToString() is "A" or "AAAA" or "CNAME").Where(each => each["name"]!.ToString() == name && each != old).ToList();
        if (others.Any(each => each["type"]!.ToString() == type && each["content"]!.ToString() == content)) throw new Refusal(400, 81058, "An identical record already exists.");
        if (others.Any(each => (each["type"]!.ToString() == "CNAME") != (type == "CNAME"))) throw new Refusal(400, 81053, "An A, AAAA, or CNAME record with that host already exists.");
        if (type == "CNAME" && others.Count > 0) throw new Refusal(400, 81057, "Record already exists.");
    }

    private static Task WriteAsync(HttpContext context, int status, JsonObject body)
    {
        context.Response.StatusCode = status;
        context.Response.ContentType = "application/json";
        return context.Response.WriteAsync(body.ToJsonString());
    }

    private sealed class Refusal(int status, int code, string message) : Exception(message)
    {
        public int Status => status;

        public int Code => code;

        public (int Code, string Message)? Chain { get; init; }
    }
}
