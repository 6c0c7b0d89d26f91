using System.Text.Json;
using System.Text.Json.Serialization;
using System.Text.Json.Serialization.Metadata;

namespace Clustd.Client.Protocol;

/// <summary>One JSON-RPC 2.0 message: a request (method and id), a notification (method only) or a response (id, and result or error).</summary>
public sealed record RpcMessage
{
    /// <summary>Always "2.0".</summary>
    [JsonPropertyName("jsonrpc")]
    public string? Version { get; init; } = "2.0";

    /// <summary>A number or a string of the requester's choice, echoed in the response; null for notifications.</summary>
    public JsonElement? Id { get; init; }

    /// <summary>See <see cref="DriverMethods"/>; null in responses.</summary>
    public string? Method { get; init; }

    /// <summary>An object.</summary>
    public JsonElement? Params { get; init; }

    /// <summary>An object, in a response that succeeded.</summary>
    public JsonElement? Result { get; init; }

    /// <summary>In a response that failed.</summary>
    public RpcError? Error { get; init; }

    /// <summary>Whether an answer is expected.</summary>
    [JsonIgnore]
    public bool IsRequest => Method is not null && Id is not null;

    /// <summary>Whether this is an answer.</summary>
    [JsonIgnore]
    public bool IsResponse => Method is null && Id is not null;

    /// <summary>A request with a number as id.</summary>
    public static RpcMessage Request<T>(long id, string method, T parameters, JsonTypeInfo<T> type) =>
        new() { Id = IdOf(id), Method = method, Params = JsonSerializer.SerializeToElement(parameters, type) };

    /// <summary>A notification: nobody answers.</summary>
    public static RpcMessage Notification<T>(string method, T parameters, JsonTypeInfo<T> type) =>
        new() { Method = method, Params = JsonSerializer.SerializeToElement(parameters, type) };

    /// <summary>The answer to <paramref name="request"/> when it succeeded.</summary>
    public static RpcMessage Success<T>(RpcMessage request, T result, JsonTypeInfo<T> type) =>
        new() { Id = request.Id, Result = JsonSerializer.SerializeToElement(result, type) };

    /// <summary>The answer to <paramref name="request"/> when it failed.</summary>
    public static RpcMessage Failure(RpcMessage request, int code, string message) =>
        new() { Id = request.Id, Error = RpcError.Of(code, message) };

    /// <summary>The id as a number, or null if it is not one.</summary>
    public long? NumericId() => Id is { ValueKind: JsonValueKind.Number } id && id.TryGetInt64(out var number) ? number : null;

    /// <summary>The parameters as <typeparamref name="T"/>, or null if they are missing or malformed: answer <see cref="DriverErrorCodes.InvalidParams"/>.</summary>
    public T? ReadParams<T>(JsonTypeInfo<T> type) where T : class => Read(Params, type);

    /// <summary>The result as <typeparamref name="T"/>, or null if it is missing or malformed.</summary>
    public T? ReadResult<T>(JsonTypeInfo<T> type) where T : class => Read(Result, type);

    private static T? Read<T>(JsonElement? element, JsonTypeInfo<T> type) where T : class
    {
        if (element is not { ValueKind: JsonValueKind.Object } value)
            return null;
        try
        {
            return value.Deserialize(type);
        }
        catch (JsonException)
        {
            return null;
        }
    }

    private static JsonElement IdOf(long id) => JsonSerializer.SerializeToElement(id, ProtocolJson.Default.Int64);
}

/// <summary>Why a request failed.</summary>
public sealed record RpcError
{
    /// <summary>See <see cref="DriverErrorCodes"/>.</summary>
    public int Code { get; init; }

    /// <summary>For people: what happened; why; what to do.</summary>
    public string Message { get; init; } = "";

    /// <summary>An error whose text is cut to <see cref="DriverProtocol.TextCharsMax"/>.</summary>
    public static RpcError Of(int code, string message) =>
        new() { Code = code, Message = message.Length > DriverProtocol.TextCharsMax ? message[..DriverProtocol.TextCharsMax] : message };
}
