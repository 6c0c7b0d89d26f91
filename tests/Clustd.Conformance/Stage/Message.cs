using System.Diagnostics;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace Clustd.Conformance.Stage;

/// <summary>One message of a driver, or one line of a subject, as it came, and when (the suite's clock, microseconds).</summary>
internal sealed class Message(JsonObject json)
{
    public JsonObject Json => json;

    public long AtUs { get; } = NowUs;

    public static long NowUs => Stopwatch.GetElapsedTime(0).Ticks / TimeSpan.TicksPerMicrosecond;

    public string? Method => json["method"]?.GetValue<string>();

    public JsonObject Params => json["params"] as JsonObject ?? [];

    public int? ErrorCode => (json["error"] as JsonObject)?["code"]?.GetValue<int>();

    public string? ErrorText => (json["error"] as JsonObject)?["message"]?.GetValue<string>();

    public string? Event => Text("event");

    public string? Text(string field) => json[field] is JsonValue value && value.GetValueKind() == JsonValueKind.String ? value.GetValue<string>() : null;

    public IReadOnlyList<string> Texts(string field) => [.. (json[field] as JsonArray ?? []).Select(item => item!.GetValue<string>())];

    public bool Is(string field) => json[field] is JsonValue value && value.GetValueKind() == JsonValueKind.True;

    public long? Number(string field) => NumberOf(json[field]);

    public static long? NumberOf(JsonNode? node) => node is JsonValue value && value.GetValueKind() == JsonValueKind.Number ? value.GetValue<long>() : null;

    public override string ToString() => json.ToJsonString();
}
