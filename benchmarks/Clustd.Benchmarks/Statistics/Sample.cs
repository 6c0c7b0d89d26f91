using System.Collections.Immutable;

namespace Clustd.Benchmarks.Statistics;

/// <summary>Values of one kind, sorted; at least one.</summary>
public sealed class Sample
{
    private readonly ImmutableArray<double> _sorted;

    public Sample(IEnumerable<double> values)
    {
        _sorted = [.. values.Order()];
        if (_sorted.IsEmpty) throw new ArgumentException("A sample has at least one value.", nameof(values));
    }

    public IReadOnlyList<double> Sorted => _sorted;

    public int Count => _sorted.Length;

    public double Min => _sorted[0];

    public double Max => _sorted[^1];

    /// <summary>The middle value, or the mean of the two in the middle.</summary>
    public double Median => (_sorted[(Count - 1) / 2] + _sorted[Count / 2]) / 2;

    /// <summary>By nearest rank, hence a value that was measured: the smallest that 95 % of all values do not exceed. Of 20 values it is the 19th.</summary>
    public double P95 => Percentile(95);

    /// <summary>By nearest rank.</summary>
    /// <param name="percent">Above 0, at most 100.</param>
    public double Percentile(int percent) => _sorted[Math.Max(0, ((Count * percent) + 99) / 100 - 1)];

    /// <summary>Share of the values that do not exceed this one, 0 to 1.</summary>
    public double ShareUpTo(double limit) => (double)_sorted.Count(value => value <= limit) / Count;
}
