using System.Text.Json.Serialization;

namespace Clustd.Client.Protocol;

/// <summary>JSON of the driver protocol, generated at build time: no reflection, clean under NativeAOT.</summary>
[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase,
    DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
    MaxDepth = 16)]
[JsonSerializable(typeof(long))]
[JsonSerializable(typeof(RpcMessage))]
[JsonSerializable(typeof(HelloParams))]
[JsonSerializable(typeof(HelloResult))]
[JsonSerializable(typeof(AuthenticateParams))]
[JsonSerializable(typeof(EmptyResult))]
[JsonSerializable(typeof(RegisterParams))]
[JsonSerializable(typeof(RegisterResult))]
[JsonSerializable(typeof(TriggerParams))]
[JsonSerializable(typeof(CancelParams))]
[JsonSerializable(typeof(RenewParams))]
[JsonSerializable(typeof(RenewResult))]
[JsonSerializable(typeof(StoppedParams))]
[JsonSerializable(typeof(FailedParams))]
[JsonSerializable(typeof(HealthParams))]
[JsonSerializable(typeof(EventParams))]
public sealed partial class ProtocolJson : JsonSerializerContext;
