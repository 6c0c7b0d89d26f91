using System.Globalization;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Serialization;
using Clustd.Client;

namespace Clustd.Drivers.Webhook;

/// <summary>One start or stop as the receiver is told it.</summary>
/// <param name="Id">Service, token and state: <c>web-42-start</c>, and the round if it is not the first: <c>web-42-start-2</c>. Whoever has seen it has seen this event.</param>
/// <param name="Body">JSON, the same at every attempt.</param>
internal sealed record WebhookEvent(string Id, byte[] Body)
{
    // It is read by people as well, and never stands in a web page: an apostrophe stays one.
    private static readonly WebhookJson Json = new(new JsonSerializerOptions
    {
        PropertyNamingPolicy = JsonNamingPolicy.CamelCase,
        DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
        Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
    });

    public static WebhookEvent Of(Trigger trigger, int round, string? machine, string? cluster, DateTimeOffset now)
    {
        var body = new WebhookBody
        {
            Type = trigger.IsMaster ? "service.start" : "service.stop",
            Timestamp = now.UtcDateTime.ToString("yyyy-MM-dd'T'HH:mm:ss.fff'Z'", CultureInfo.InvariantCulture),
            Service = trigger.Service,
            IsMaster = trigger.IsMaster,
            Token = trigger.Token,
            Round = round,
            Reason = trigger.Reason,
            Kill = trigger.Kill,
            Machine = machine,
            Cluster = cluster,
        };
        return new(IdOf(trigger, round), JsonSerializer.SerializeToUtf8Bytes(body, Json.WebhookBody));
    }

    // The standard forbids a dot in the id, which a service's name may have; a tilde it cannot have.
    public static string IdOf(Trigger trigger, int round) => string.Create(CultureInfo.InvariantCulture,
        $"{trigger.Service.Replace('.', '~')}-{trigger.Token}-{(trigger.IsMaster ? "start" : "stop")}{(round == 1 ? "" : $"-{round}")}");
}

/// <summary>Names and meanings stand in docs/drivers/webhook.md.</summary>
internal sealed record WebhookBody
{
    public required string Type { get; init; }
    public required string Timestamp { get; init; }
    public required string Service { get; init; }
    public required bool IsMaster { get; init; }
    public required long Token { get; init; }
    public required int Round { get; init; }
    public required string Reason { get; init; }
    public required bool Kill { get; init; }
    public string? Machine { get; init; }
    public string? Cluster { get; init; }
}

[JsonSerializable(typeof(WebhookBody))]
internal sealed partial class WebhookJson : JsonSerializerContext;
