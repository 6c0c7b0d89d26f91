using System.Collections.Immutable;

namespace Clustd.Benchmarks.Statistics;

/// <summary>Values next to each other.</summary>
public readonly record struct Hump(double From, double To, int Count);

/// <summary>
/// Whether a sample has one centre or several. Values belong together while no gap between neighbours exceeds a given width; a group of several
/// is a hump, a value on its own an outlier: one late run on a busy machine is no second way for a failover to go.
/// </summary>
public sealed record Humps(ImmutableArray<Hump> All, int Outliers)
{
    public static Humps Of(Sample sample, double gap)
    {
        var groups = new List<Hump>();
        foreach (var value in sample.Sorted)
        {
            if (groups is [.., var last] && value - last.To <= gap) groups[^1] = last with { To = value, Count = last.Count + 1 };
            else groups.Add(new Hump(value, value, 1));
        }

        // Of a single value one cannot say that it is no hump: there is nothing else.
        return groups.Count == 1 ? new Humps([.. groups], 0) : new Humps([.. groups.Where(group => group.Count > 1)], groups.Count(group => group.Count == 1));
    }
}
