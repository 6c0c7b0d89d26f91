using System.Text.Json;
using System.Text.Json.Serialization;

namespace Clustd.Peers;

/// <summary>
/// What two machines say to each other about their connection: WebSocket text messages in JSON. Binary messages are the
/// daemon's and mean nothing here. Unknown properties are ignored, so that a newer machine may say more.
/// </summary>
internal sealed record PeerControl(string Type)
{
    public const string Hello = "hello";
    public const string Ready = "ready";
    public const string Accept = "accept";
    public const string Refuse = "refuse";
    public const string Ping = "ping";
    public const string Pong = "pong";
    public const string Closing = "closing";

    /// <summary><see cref="Code"/> of a refusal that is no error: the pair has its connection already.</summary>
    public const string Duplicate = "duplicate";

    /// <summary><see cref="Code"/> of a refusal that needs a person.</summary>
    public const string Conflict = "conflict";

    public string? Machine { get; init; }

    /// <summary>Sixteen hex digits: JSON numbers are not good for 64 bits everywhere.</summary>
    public string? Incarnation { get; init; }

    public string? Address { get; init; }

    public string? Code { get; init; }

    public string? Reason { get; init; }

    public byte[] Encode() => JsonSerializer.SerializeToUtf8Bytes(this, PeerControlJson.Default.PeerControl);

    /// <exception cref="PeerProtocolException">The text is not such a message.</exception>
    public static PeerControl Decode(ReadOnlySpan<byte> text)
    {
        try
        {
            return JsonSerializer.Deserialize(text, PeerControlJson.Default.PeerControl) is { Type: not null } control
                ? control
                : throw new PeerProtocolException("it sent a control message without a type");
        }
        catch (JsonException)
        {
            throw new PeerProtocolException("it sent a control message that is not JSON");
        }
    }
}

/// <summary>The other side does not follow the protocol; the message continues "lost the connection: ".</summary>
internal sealed class PeerProtocolException(string message) : Exception(message);

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(PeerControl))]
internal sealed partial class PeerControlJson : JsonSerializerContext;
