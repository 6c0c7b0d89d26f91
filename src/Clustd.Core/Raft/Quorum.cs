namespace Clustd.Core.Raft;

/// <summary>Majorities of a set of voters.</summary>
public static class Quorum
{
    /// <summary>How many of `voters` are a majority.</summary>
    public static int Of(int voters) => (voters / 2) + 1;

    /// <summary>The highest value that a majority has reached, given each voter's value.</summary>
    public static long Reached(List<long> values)
    {
        values.Sort();
        return values[values.Count - Of(values.Count)];
    }
}
