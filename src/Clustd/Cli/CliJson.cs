using System.Text.Json;
using System.Text.Json.Serialization;

namespace Clustd.Cli;

/// <summary>JSON that the commands print themselves; what a daemon says is passed on as it came.</summary>
[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase)]
[JsonSerializable(typeof(VersionView))]
[JsonSerializable(typeof(MoveView))]
[JsonSerializable(typeof(MachineListView))]
[JsonSerializable(typeof(LeaderView))]
[JsonSerializable(typeof(List<WhyView>))]
[JsonSerializable(typeof(List<DriverTestView>))]
[JsonSerializable(typeof(Demo.DemoReport))]
internal sealed partial class CliJson : JsonSerializerContext;
