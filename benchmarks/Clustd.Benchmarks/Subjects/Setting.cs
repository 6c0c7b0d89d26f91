namespace Clustd.Benchmarks.Subjects;

/// <summary>A setting of clustd that is measured.</summary>
/// <param name="Name">For tables.</param>
/// <param name="ClusterLines">Under <c>cluster:</c>, indented; nothing where the default is meant.</param>
/// <param name="ServiceKeys">Of the service, each with a comma behind it.</param>
internal sealed record Setting(string Name, TimeSpan Lease, TimeSpan KillTimeout, string ClusterLines, string ServiceKeys)
{
    // (1 + 0.01) / (1 - 0.01), rounded up: what two clocks, each wrong by 1 %, can differ by.
    private const double K = 1.0203;

    // Written into no file; a run fails if the program has other defaults by now.
    public static readonly Setting Default = new("default (lease 2s, kill_timeout 500ms)", TimeSpan.FromSeconds(2), TimeSpan.FromMilliseconds(500), "", "");

    public static readonly Setting Short =
        new("lease 200ms, kill_timeout 100ms", TimeSpan.FromMilliseconds(200), TimeSpan.FromMilliseconds(100), "  lease: 200ms", "kill_timeout: 100ms,");

    public static IReadOnlyList<Setting> All { get; } = [Default, Short];

    /// <summary>P4: k·(lease + kill_timeout), ms.</summary>
    public double BoundMs => K * (Lease + KillTimeout).TotalMilliseconds;
}
