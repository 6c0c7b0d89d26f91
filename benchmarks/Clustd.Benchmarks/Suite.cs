using Clustd.Benchmarks.Measurements;
using Clustd.Benchmarks.Subjects;

namespace Clustd.Benchmarks;

/// <summary>Which measurements there are, in the order in which they run.</summary>
internal static class Suite
{
    public const string Keepalived = "keepalived", Etcd = "etcd";

    /// <summary>All that <c>--only</c> takes.</summary>
    public static IReadOnlyList<string> Names { get; } = [.. Fault.All.Select(fault => fault.Name), Moves.Name, ColdStarts.Name, IdleCost.Name, ManyServices.Name, Keepalived, Etcd];

    public static IEnumerable<Func<CancellationToken, Task>> Of(Bench bench, Arguments arguments, Action<string> say)
    {
        // The quick and quiet ones first.
        foreach (var setting in Setting.All.Where(_ => arguments.Wants(IdleCost.Name))) yield return stop => IdleCost.RunAsync(bench, setting, stop);
        foreach (var setting in Setting.All.Where(_ => arguments.Wants(Moves.Name))) yield return stop => Moves.RunAsync(bench, setting, stop);
        foreach (var setting in Setting.All.Where(_ => arguments.Wants(ColdStarts.Name))) yield return stop => ColdStarts.RunAsync(bench, setting, stop);
        foreach (var setting in Setting.All)
        {
            foreach (var fault in Fault.All.Where(fault => arguments.Wants(fault.Name)))
                yield return stop => Takeovers.RunAsync(bench, fault, () => new ClustdCluster(setting, bench.Tools), stop);
        }

        if (arguments.Wants(ManyServices.Name)) yield return stop => ManyServices.RunAsync(bench, stop);

        // A frozen peer is another question: none of them says anything about it.
        foreach (var (name, whyNot, make) in Peers(bench.Tools).Where(peer => arguments.WantsPeer(peer.Name)))
        {
            if (whyNot is not null)
            {
                say($"{name} is skipped: {whyNot}.");
                continue;
            }

            foreach (var fault in (Fault[])[Fault.Crash, Fault.Cut, Fault.Silent]) yield return stop => Takeovers.RunAsync(bench, fault, make, stop);
        }
    }

    private static IReadOnlyList<(string Name, string? WhyNot, Func<Subject> Make)> Peers(Tools tools) =>
    [
        (Keepalived, KeepalivedCluster.WhyNot(), () => new KeepalivedCluster(tools)),
        (Etcd, EtcdCluster.WhyNot(), () => new EtcdCluster(ttlSeconds: 2, tools)),
        (Etcd, EtcdCluster.WhyNot(), () => new EtcdCluster(ttlSeconds: 1, tools)),
    ];
}
