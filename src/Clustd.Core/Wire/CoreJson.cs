using System.Text.Json;
using System.Text.Json.Serialization;
using Clustd.Core.Cluster;
using Clustd.Core.Raft;

namespace Clustd.Core.Wire;

/// <summary>
/// One format for peer messages, log entries and the API: JSON, readable with sqlite3 and a browser. Durations are whole µs.
/// Null and default values are left out of nothing: a reader of another version must not have to guess, and what is missing is an error
/// here, not an exception later in the core. A field added later needs a default value in its constructor.
/// </summary>
[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase,
    UseStringEnumConverter = true,
    RespectNullableAnnotations = true,
    RespectRequiredConstructorParameters = true,
    Converters = [typeof(MicrosecondsJson), typeof(InstantJson)])]
[JsonSerializable(typeof(PeerMessage))]
[JsonSerializable(typeof(LogEntry))]
[JsonSerializable(typeof(Command))]
[JsonSerializable(typeof(HardState))]
[JsonSerializable(typeof(ClusterState))]
[JsonSerializable(typeof(Request))]
[JsonSerializable(typeof(RequestOutcome))]
public sealed partial class CoreJson : JsonSerializerContext;
