using System.Collections.Immutable;

namespace Clustd.Simulation;

/// <summary>A time of faults; what follows until the next one is quiet. True time, µs.</summary>
/// <param name="FaultInterval">Mean time between the beginnings of faults.</param>
/// <param name="Patterns">Names of the fault patterns that strike.</param>
/// <param name="RestartPatterns">Names of the patterns of restarts on purpose.</param>
internal sealed record Phase(long Begins, long Ends, long FaultInterval, ImmutableArray<string> Patterns, ImmutableArray<string> RestartPatterns)
{
    public override string ToString() =>
        FormattableString.Invariant($"{Begins / 1e6:0} to {Ends / 1e6:0} s: every {FaultInterval / 1_000} ms {string.Join(", ", [.. Patterns, .. RestartPatterns])}");
}
