using System.Globalization;
using Clustd.EndToEnd.Harness;

namespace Clustd.Chaos.Faults;

/// <summary>
/// Drops in a machine's own network namespace, by nftables, on what arrives: as a wire would, without a word to the sender. Each fault is a table of its own, so faults
/// can overlap and end in any order.
/// </summary>
internal sealed class Firewall(NamespacedNetwork network)
{
    /// <summary>Why this cannot be had here; null: it can.</summary>
    public static string? WhyNot { get; } = Tool.WhyNot("needs `nft` (Debian's nftables) and the right to use it", () =>
    {
        var name = $"{Leftovers.Prefix}{System.Environment.ProcessId}-nft";
        NamespacedNetwork.Ip("netns", "add", name);
        try
        {
            Nft(name, Table("probe", "ip saddr 10.99.0.1 meta random < 5 drop".Replace("meta random", "numgen random mod 1000", StringComparison.Ordinal)));
        }
        finally
        {
            NamespacedNetwork.Ip("netns", "del", name);
        }
    });

    /// <summary>Drops what arrives at this machine.</summary>
    /// <param name="from">From these machines only; none: from all.</param>
    /// <param name="share">Of the packets.</param>
    public void Drop(int fault, int at, IEnumerable<int> from, double share = 1)
    {
        var chance = share >= 1 ? "" : string.Create(CultureInfo.InvariantCulture, $" numgen random mod 1000 < {share * 1000:0}");
        var sources = from.Select(network.AddressOf).ToList();
        var source = sources.Count == 0 ? "" : $" ip saddr {{ {string.Join(", ", sources)} }}";
        Nft(network.NameOf(at), Table($"fault{fault}", $"iifname \"eth0\"{source}{chance} drop"));
    }

    public void Allow(int fault, int at) => Nft(network.NameOf(at), $"delete table inet fault{fault}\n");

    private static string Table(string name, string rule) =>
        $"table inet {name} {{\n chain arriving {{\n  type filter hook input priority 0;\n  {rule}\n }}\n}}\n";

    private static void Nft(string networkNamespace, string script) => Tool.Run("ip", script, ["netns", "exec", networkNamespace, "nft", "-f", "-"]);
}
