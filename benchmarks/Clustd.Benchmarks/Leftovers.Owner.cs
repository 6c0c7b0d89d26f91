namespace Clustd.EndToEnd.Harness;

/// <summary>Tests and benchmarks may run at the same time: each removes only what it made itself.</summary>
internal static partial class Leftovers
{
    /// <summary>Of directories and namespaces; the pid of the benchmark's process follows.</summary>
    public const string Prefix = "clustd-bench-";

    private const string Program = "Clustd.Benchmarks";
}
