using System.Text.Json.Serialization;

namespace Clustd.Benchmarks.Record;

/// <summary>One run of one measurement: a line of JSON.</summary>
/// <param name="Measurement">Its name, as <c>--only</c> takes it.</param>
/// <param name="Subject">What was measured: a setting of clustd, or a peer.</param>
/// <param name="Case">In which situation, for example who led.</param>
/// <param name="Number">From 1.</param>
/// <param name="Values">By name; times in ms, sizes in MB, shares in %.</param>
/// <param name="Failure">Why there are no values; null: there are.</param>
/// <param name="Load">Load average of the last minute when the run ended; our own part is in it.</param>
public sealed record Run(string Measurement, string Subject, string Case, int Number, SortedDictionary<string, double> Values, string? Failure, DateTimeOffset At, double Load)
{
    /// <summary>Which call of the program made it.</summary>
    public required Session Session { get; init; }
}

/// <summary>One call of the benchmarks.</summary>
/// <param name="Started">When; it names the session.</param>
/// <param name="Commit">Of clustd's sources.</param>
/// <param name="Command">As it was typed.</param>
/// <param name="App">What acts.</param>
/// <param name="BusyBefore">How busy the processors were before anything of ours ran, %: the work of others.</param>
public sealed record Session(DateTimeOffset Started, string Commit, string Command, string App, double BusyBefore);

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase)]
[JsonSerializable(typeof(Run))]
internal sealed partial class RunJson : JsonSerializerContext;
