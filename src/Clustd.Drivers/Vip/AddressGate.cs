using Clustd.Drivers.Vip.Netlink;

namespace Clustd.Drivers.Vip;

/// <summary>
/// The kernel's own timer for addresses, the last resort when everybody who could remove them is killed or frozen at once. Rules of nftables drop all that goes to or comes from an address, ARP and neighbour
/// discovery included, unless the address is in a set; and what is put into that set leaves it by itself when its time is over, at the millisecond. So an address that is still on the interface does not answer any more.
/// </summary>
/// <param name="device">The interface: also what is written past the kernel's ARP leaves by it.</param>
internal sealed class AddressGate(IReadOnlyList<VipAddress> addresses, string device) : IDisposable
{
    private const uint ArpSender = 14, Ip4Source = 12, Ip4Destination = 16, Ip6Source = 8, Ip6Destination = 24;
    private const ushort EtherTypeArp = 0x0806;
    private readonly NetlinkSocket _socket = NetlinkSocket.Open(NetlinkSocket.Netfilter);
    private bool _egressToo = true;

    /// <summary>Whether ARP that is written by a program is held up, too (kernel 5.16). Without that, one announcement may be sent late by a process that was frozen in the middle of sending it.</summary>
    public bool HoldsAnnouncements => _egressToo;

    /// <summary>Of an address, which has one table in each family that it concerns: `nft list tables`.</summary>
    public static string TableOf(VipAddress address) => $"clustd-{(address.IsIPv6 ? Convert.ToHexStringLower(address.Address.GetAddressBytes()) : address.Address)}";

    /// <summary>Makes the gates, closed, also where there are some. Null, or why it cannot be.</summary>
    public string? Install()
    {
        int error = _socket.Ask(Installation(_egressToo));
        // Kernels before 5.16 have no hook for what leaves: without it, then.
        if (error != 0 && _egressToo && addresses.Any(each => !each.IsIPv6)) error = _socket.Ask(Installation(_egressToo = false));
        return error == 0 ? null : WhyNot(error);
    }

    /// <summary>What <see cref="Install"/> would say. Changes nothing.</summary>
    public string? WhyNotHere()
    {
        int error = _socket.Try(Batch(addresses, false));
        return error == 0 ? null : WhyNot(error);
    }

    /// <summary>Lets the addresses through for so long. A gate that somebody has removed is made again. Null, or why not.</summary>
    public string? Open(long micros)
    {
        if (micros < 1000) return Close();
        int error = _socket.Ask(Opening(micros / 1000));
        if (error != NetworkCalls.ENOENT) return error == 0 ? null : WhyNot(error);
        return Install() ?? (_socket.Ask(Opening(micros / 1000)) is not 0 and var second ? WhyNot(second) : null);
    }

    /// <summary>From now on nothing goes through. Null, or why not; that there is no gate is one.</summary>
    public string? Close()
    {
        var batch = NftRules.Begin();
        var all = Families().ToList();
        foreach (var (index, (family, address)) in all.Index()) batch.Empty(family, TableOf(address), acknowledge: index == all.Count - 1);
        int error = _socket.Ask(batch.End());
        return error == 0 ? null : WhyNot(error);
    }

    /// <summary>Takes the gates away: when the addresses are gone. Best effort, one by one; what is not there is not missed.</summary>
    public void Remove()
    {
        foreach (var (family, address) in Families(egressToo: true)) _socket.Ask(AsBatch(batch => batch.NoTable(family, TableOf(address), acknowledge: true)));
    }

    public void Dispose() => _socket.Dispose();

    private NetlinkWriter Installation(bool egressToo) => Batch(addresses, egressToo).End();

    private NetlinkWriter Batch(IReadOnlyList<VipAddress> all, bool egressToo)
    {
        var batch = NftRules.Begin();
        foreach (var (index, address) in all.Index())
        {
            bool isLast = index == all.Count - 1;
            string table = TableOf(address);
            byte[] bytes = address.Address.GetAddressBytes();
            byte family = address.IsIPv6 ? NftRules.Ip6 : NftRules.Ip;
            Fresh(batch, family, table, bytes.Length).Chain(family, table, "in", NftRules.PreRouting).Chain(family, table, "out", NftRules.LocalOut)
                .DropUnlessOpen(family, table, "in", address.IsIPv6 ? Ip6Destination : Ip4Destination, bytes)
                .DropUnlessOpen(family, table, "out", address.IsIPv6 ? Ip6Source : Ip4Source, bytes, acknowledge: isLast && address.IsIPv6);
            if (address.IsIPv6) continue; // Its neighbour discovery is IPv6 as everything else.
            if (egressToo)
                Fresh(batch, NftRules.NetDev, table, 4).Chain(NftRules.NetDev, table, "out", NftRules.NetDevEgress, device).DropUnlessOpen(NftRules.NetDev, table, "out", ArpSender, bytes, EtherTypeArp);
            Fresh(batch, NftRules.Arp, table, 4).Chain(NftRules.Arp, table, "out", NftRules.ArpOut).DropUnlessOpen(NftRules.Arp, table, "out", ArpSender, bytes, acknowledge: isLast);
        }
        return batch;
    }

    // There or not, afterwards it is new: the first of the three makes the second one succeed.
    private static NetlinkWriter Fresh(NetlinkWriter batch, byte family, string table, int keyLength) =>
        batch.Table(family, table).NoTable(family, table).Table(family, table).TimedSet(family, table, keyLength);

    private NetlinkWriter Opening(long milliseconds)
    {
        var batch = NftRules.Begin();
        var all = Families().ToList();
        foreach (var (index, (family, address)) in all.Index())
            batch.Empty(family, TableOf(address)).Element(family, TableOf(address), address.Address.GetAddressBytes(), milliseconds, acknowledge: index == all.Count - 1);
        return batch.End();
    }

    private static NetlinkWriter AsBatch(Func<NetlinkWriter, NetlinkWriter> inner) => inner(NftRules.Begin()).End();

    private IEnumerable<(byte Family, VipAddress Address)> Families() => Families(_egressToo);

    private IEnumerable<(byte Family, VipAddress Address)> Families(bool egressToo) => addresses.SelectMany(address => address.IsIPv6
        ? [(NftRules.Ip6, address)]
        : egressToo ? new[] { (NftRules.Ip, address), (NftRules.NetDev, address), (NftRules.Arp, address) } : [(NftRules.Ip, address), (NftRules.Arp, address)]);

    private static string WhyNot(int error) => error switch
    {
        NetworkCalls.EPERM => "it takes CAP_NET_ADMIN",
        NetworkCalls.EINVAL or 93 or 95 or NetworkCalls.ENOENT => $"the kernel has no nftables, or not all of it ({NetworkCalls.Text(error)})",
        _ => NetworkCalls.Text(error),
    };
}
