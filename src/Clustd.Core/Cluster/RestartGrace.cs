using System.Collections.Immutable;

namespace Clustd.Core.Cluster;

/// <summary>One process of a driver that goes on while its daemon restarts.</summary>
[method: System.Text.Json.Serialization.JsonConstructor] // Without it what is missing in a struct is read as nothing at all.
public readonly record struct GraceDriver(DriverName Name, string Instance) : IComparable<GraceDriver>
{
    public int CompareTo(GraceDriver other)
    {
        var byName = Name.CompareTo(other.Name);
        return byName != 0 ? byName : string.CompareOrdinal(Instance, other.Instance);
    }
}

/// <summary>
/// One long lease for a daemon that restarts on purpose: nobody ends its session before k·Duration from when he applied the entry at Index (rule 10).
/// Id tells one restart from another; Drivers are those that were given more than the ordinary lease, sorted.
/// </summary>
public sealed record RestartGrace(long Id, TimeSpan Duration, ImmutableArray<GraceDriver> Drivers, long Index);
