using System.Text.Json.Serialization;

namespace Clustd.Drivers.Cloudflare;

/// <summary>What every answer of the API is put into.</summary>
internal sealed record CloudflareAnswer<T>
{
    public bool Success { get; init; }
    public IReadOnlyList<CloudflareError?>? Errors { get; init; }
    public T? Result { get; init; }
}

internal sealed record CloudflareError
{
    public int Code { get; init; }
    public string? Message { get; init; }

    /// <summary>What is behind it, sometimes.</summary>
    [JsonPropertyName("error_chain")]
    public IReadOnlyList<CloudflareError?>? Chain { get; init; }
}

internal sealed record CloudflareZone
{
    public string? Id { get; init; }
    public string? Name { get; init; }
}

/// <summary>A DNS record as the API has it, and as it is sent: what is null is left out.</summary>
internal sealed record CloudflareRecord
{
    public string? Id { get; init; }
    public string? Type { get; init; }
    public string? Name { get; init; }
    public string? Content { get; init; }
    public int? Ttl { get; init; }
    public bool? Proxied { get; init; }
    public string? Comment { get; init; }
}

/// <summary>Several changes in one step, all or none.</summary>
internal sealed record CloudflareBatch
{
    public IReadOnlyList<CloudflareRecord>? Deletes { get; init; }
    public IReadOnlyList<CloudflareRecord>? Patches { get; init; }
    public IReadOnlyList<CloudflareRecord>? Posts { get; init; }
}

/// <summary>Where what is done is of no interest.</summary>
internal sealed record CloudflareNothing;

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(CloudflareAnswer<List<CloudflareZone?>>), TypeInfoPropertyName = "Zones")]
[JsonSerializable(typeof(CloudflareAnswer<List<CloudflareRecord?>>), TypeInfoPropertyName = "Records")]
[JsonSerializable(typeof(CloudflareAnswer<CloudflareNothing>), TypeInfoPropertyName = "Nothing")]
[JsonSerializable(typeof(CloudflareRecord))]
[JsonSerializable(typeof(CloudflareBatch))]
internal sealed partial class CloudflareJson : JsonSerializerContext;
