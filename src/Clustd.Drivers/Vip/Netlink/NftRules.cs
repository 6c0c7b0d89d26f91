namespace Clustd.Drivers.Vip.Netlink;

/// <summary>The little of nftables' netlink language (linux/netfilter/nf_tables.h) that the gate speaks: tables, one set, chains, rules of a few expressions. All of a batch happens at one instant, or nothing of it.</summary>
internal static class NftRules
{
    public const byte Ip = 2, Arp = 3, NetDev = 5, Ip6 = 10;
    public const uint PreRouting = 0, LocalOut = 3, ArpOut = 1, NetDevEgress = 1;
    public const uint RawPriority = unchecked((uint)-300);

    private const ushort Subsystem = 10 << 8, BatchBegin = 0x10, BatchEnd = 0x11;
    private const ushort NewTable = 0, DeleteTable = 2, NewChain = 3, NewRule = 6, NewSet = 9, NewElement = 12, DeleteElement = 14;
    private const uint SetHasTimeouts = 0x10, Drop = 0, Register = 1;
    private const string Set = "open";

    public static NetlinkWriter Begin() => new NetlinkWriter().Message(BatchBegin, NetlinkWriter.Request, Header(0, Subsystem >> 8));

    /// <summary>Without it the kernel looks whether all of the batch could be done, and does nothing.</summary>
    public static NetlinkWriter End(this NetlinkWriter batch) => batch.Message(BatchEnd, NetlinkWriter.Request, Header(0, Subsystem >> 8));

    /// <summary>Also when it is there.</summary>
    public static NetlinkWriter Table(this NetlinkWriter batch, byte family, string table) =>
        batch.Message(Subsystem | NewTable, NetlinkWriter.Request | NetlinkWriter.Create, Header(family), body => body.Text(1, table));

    public static NetlinkWriter NoTable(this NetlinkWriter batch, byte family, string table, bool acknowledge = false) =>
        batch.Message(Subsystem | DeleteTable, Flags(0, acknowledge), Header(family), body => body.Text(1, table));

    /// <summary>A set whose elements leave it by themselves, at the millisecond, because every look at one compares its end with the clock.</summary>
    public static NetlinkWriter TimedSet(this NetlinkWriter batch, byte family, string table, int keyLength) =>
        batch.Message(Subsystem | NewSet, NetlinkWriter.Request | NetlinkWriter.Create, Header(family), body => body
            .Text(1, table).Text(2, Set).Net32(3, SetHasTimeouts).Net32(4, keyLength == 4 ? 7u : 8u /* how `nft` shows it: ipv4_addr, ipv6_addr */).Net32(5, (uint)keyLength).Net32(10, family /* id within the batch */));

    public static NetlinkWriter Chain(this NetlinkWriter batch, byte family, string table, string chain, uint hook, string? device = null) =>
        batch.Message(Subsystem | NewChain, NetlinkWriter.Request | NetlinkWriter.Create, Header(family), body => body
            .Text(1, table).Text(3, chain).Nest(4, at =>
            {
                at.Net32(1, hook).Net32(2, device is null ? RawPriority : 0);
                if (device is not null) at.Text(3, device);
            }).Net32(5, 1 /* accept */).Text(7, "filter"));

    /// <summary>Drops what has <paramref name="address"/> at this offset of the network header, unless it is in the set.</summary>
    /// <param name="etherType">Null: whatever comes by.</param>
    public static NetlinkWriter DropUnlessOpen(this NetlinkWriter batch, byte family, string table, string chain, uint offset, byte[] address, ushort? etherType = null, bool acknowledge = false) =>
        batch.Message(Subsystem | NewRule, Flags(NetlinkWriter.Create | NetlinkWriter.Append, acknowledge), Header(family), body => body.Text(1, table).Text(2, chain).Nest(4, all =>
        {
            if (etherType is { } type)
            {
                all.Expression("meta", e => e.Net32(1, Register).Net32(2, 1 /* protocol */));
                all.Expression("cmp", e => e.Net32(1, Register).Net32(2, 0 /* equal */).Nest(3, v => v.Bytes(1, [(byte)(type >> 8), (byte)type])));
            }
            all.Expression("payload", e => e.Net32(1, Register).Net32(2, 1 /* network header */).Net32(3, offset).Net32(4, (uint)address.Length));
            all.Expression("cmp", e => e.Net32(1, Register).Net32(2, 0).Nest(3, v => v.Bytes(1, address)));
            all.Expression("lookup", e => e.Text(1, Set).Net32(2, Register).Net32(4, family).Net32(5, 1 /* not in it */));
            all.Expression("immediate", e => e.Net32(1, 0).Nest(2, v => v.Nest(2, verdict => verdict.Net32(1, Drop))));
        }));

    public static NetlinkWriter Empty(this NetlinkWriter batch, byte family, string table, bool acknowledge = false) =>
        batch.Message(Subsystem | DeleteElement, Flags(0, acknowledge), Header(family), body => body.Text(1, table).Text(2, Set));

    public static NetlinkWriter Element(this NetlinkWriter batch, byte family, string table, byte[] address, long milliseconds, bool acknowledge = false) =>
        batch.Message(Subsystem | NewElement, Flags(NetlinkWriter.Create, acknowledge), Header(family), body => body
            .Text(1, table).Text(2, Set).Nest(3, all => all.Nest(1, one => one.Nest(1, key => key.Bytes(1, address)).Net64(4, (ulong)milliseconds))));

    private static void Expression(this NetlinkWriter all, string name, Action<NetlinkWriter> data) => all.Nest(1, one => one.Text(1, name).Nest(2, data));

    private static ushort Flags(ushort flags, bool acknowledge) => (ushort)(NetlinkWriter.Request | flags | (acknowledge ? NetlinkWriter.Ack : 0));

    private static byte[] Header(byte family, int resource = 0) => [family, 0, (byte)(resource >> 8), (byte)resource];
}
