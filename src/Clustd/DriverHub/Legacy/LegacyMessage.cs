using System.Text.Json;
using System.Text.Json.Serialization;

namespace Clustd.Hub.Legacy;

/// <summary>All that is said in the protocol of 2018, either way; what a message is follows from which fields it has.</summary>
internal sealed record LegacyMessage
{
    private static readonly JsonElement Master = JsonDocument.Parse("""{"isMaster":true}""").RootElement;
    private static readonly JsonElement Standby = JsonDocument.Parse("""{"isMaster":false}""").RootElement;

    /// <summary>Of the header: <c>driver</c>, or <c>cluster</c> for a machine.</summary>
    public string? Type { get; init; }

    /// <summary>The ticket, in the first message of either side.</summary>
    public uint? HelloWorld { get; init; }

    public string? Id { get; init; }

    /// <summary>Where the driver is to connect from now on: it forgets the address of its own file.</summary>
    public string? RemoteAddress { get; init; }

    public long? ReqId { get; init; }

    public string? Method { get; init; }

    public JsonElement? Params { get; init; }

    public long? ResId { get; init; }

    public JsonElement? Data { get; init; }

    public string? Error { get; init; }

    public static LegacyMessage Trigger(long id, bool isMaster) => new() { ReqId = id, Method = "trigger", Params = isMaster ? Master : Standby };

    /// <summary>The message in these bytes, or null if they are none.</summary>
    public static LegacyMessage? Read(ReadOnlySpan<byte> utf8)
    {
        try
        {
            return JsonSerializer.Deserialize(utf8, LegacyJson.Default.LegacyMessage);
        }
        catch (JsonException)
        {
            return null;
        }
    }
}

/// <summary>JSON of 2018: what is not there is left out.</summary>
[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull, MaxDepth = 16)]
[JsonSerializable(typeof(LegacyMessage))]
internal sealed partial class LegacyJson : JsonSerializerContext;
