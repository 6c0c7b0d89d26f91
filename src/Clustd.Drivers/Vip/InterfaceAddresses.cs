using System.Buffers.Binary;
using System.Net;
using Clustd.Drivers.Processes;
using Clustd.Drivers.Vip.Netlink;

namespace Clustd.Drivers.Vip;

/// <summary>An interface, as the kernel has it.</summary>
internal sealed record KernelLink(int Index, string Name, uint Flags, ushort Type, byte[] Mac)
{
    private const uint FlagUp = 0x1, FlagLoopback = 0x8, FlagNoArp = 0x80, FlagLowerUp = 0x10000;
    private const ushort Ethernet = 1; // ARPHRD_ETHER; also WLAN, bridges, bonds, VLANs, veth

    public bool IsUp => (Flags & FlagUp) != 0;

    public bool HasCarrier => (Flags & FlagLowerUp) != 0;

    /// <summary>Whether it has neighbours that ask for addresses and can be told where they are.</summary>
    public bool HasNeighbours => Type == Ethernet && Mac.Length == 6 && (Flags & (FlagLoopback | FlagNoArp)) == 0;

    public string MacText => MacTextOf(Mac);

    public static string MacTextOf(ReadOnlySpan<byte> mac) => string.Join(':', mac.ToArray().Select(b => b.ToString("x2")));
}

/// <summary>An address on an interface of this machine, as the kernel has it.</summary>
internal sealed record KernelAddress(int Link, VipAddress Address, uint Flags, uint Metric)
{
    private const uint Tentative = 0x40, DuplicateFound = 0x08;

    /// <summary>We have put it there, in this life or a former one.</summary>
    public bool IsOurs => Metric == InterfaceAddresses.OurMetric;

    public bool IsTentative => (Flags & Tentative) != 0;

    public bool IsDuplicate => (Flags & DuplicateFound) != 0;
}

/// <summary>Addresses and interfaces of this network namespace, by rtnetlink.</summary>
internal sealed class InterfaceAddresses : IDisposable
{
    /// <summary>
    /// The mark that tells ours from those that somebody has configured: the metric of the address (IFA_RT_PRIORITY, kernel 4.18), which every kernel that .NET runs on gives back. It is also that of the network's route, if the address
    /// brings one: high, so that routes of others come first. `ip address` shows it.
    /// </summary>
    public const uint OurMetric = 20181127;

    /// <summary>IFA_PROTO (kernel 5.18), for people: `ip address` shows "proto 0xc5".</summary>
    public const byte OurProtocol = 0xc5;

    private const ushort NewLink = 16, GetLink = 18, NewAddress = 20, DeleteAddress = 21, GetAddress = 22;
    private const ushort LinkMac = 1, LinkName = 3;
    private const ushort IfaAddress = 1, IfaLocal = 2, IfaBroadcast = 4, IfaCacheInfo = 6, IfaFlags = 8, IfaRoutePriority = 9, IfaProtocol = 11;
    private const uint NoDuplicateDetection = 0x2;
    private readonly NetlinkSocket _socket = NetlinkSocket.Open(NetlinkSocket.Route);

    /// <summary>Null when there is no interface of that name.</summary>
    public KernelLink? FindLink(string name)
    {
        // By name and not from a list: it may be called otherwise next time.
        var answers = _socket.Get(() => new NetlinkWriter().Message(GetLink, NetlinkWriter.Request, new byte[16], body => body.Text(LinkName, name)), out int error, single: true);
        if (error is NetworkCalls.ENODEV or NetworkCalls.EINVAL) return null;
        if (error != 0) throw new DriverFailedException($"Cannot look up the interface {name}: {NetworkCalls.Text(error)}. Run `clustd drivers` in the machine's own network namespace.");
        return answers.Where(answer => answer.Type == NewLink).Select(Link).FirstOrDefault();
    }

    /// <summary>For messages; its number if it has gone meanwhile.</summary>
    public string NameOf(int link)
    {
        var request = new byte[16];
        BinaryPrimitives.WriteInt32LittleEndian(request.AsSpan(4), link);
        var answers = _socket.Get(() => new NetlinkWriter().Message(GetLink, NetlinkWriter.Request, request), out _, single: true);
        return answers.Where(answer => answer.Type == NewLink).Select(answer => Link(answer).Name).FirstOrDefault() ?? $"interface {link}";
    }

    /// <summary>Every address on every interface.</summary>
    public IReadOnlyList<KernelAddress> All()
    {
        var answers = _socket.Get(() => new NetlinkWriter().Message(GetAddress, NetlinkWriter.Request | NetlinkWriter.Dump, new byte[8]), out int error);
        if (error != 0) throw new DriverFailedException($"Cannot list this machine's addresses: {NetworkCalls.Text(error)}. `ip address` should say the same; see what keeps it from them.");
        return [.. answers.Where(answer => answer.Type == NewAddress).Select(Address).OfType<KernelAddress>()];
    }

    /// <summary>Those of <paramref name="wanted"/> that are on this machine, whoever has put them there, with whatever prefix length.</summary>
    public IReadOnlyList<KernelAddress> Find(IEnumerable<VipAddress> wanted)
    {
        var addresses = wanted.Select(each => each.Address).ToHashSet();
        return [.. All().Where(each => addresses.Contains(each.Address.Address))];
    }

    /// <summary>Puts it there, or gives one that is there a new lifetime and our mark. Returns 0 or the error number.</summary>
    public int Set(KernelLink link, VipAddress address, uint lifetimeSeconds) => _socket.Ask(SetMessage(link.Index, address, lifetimeSeconds));

    /// <summary>Returns 0, also when it was not there, or the error number.</summary>
    public int Delete(KernelAddress address)
    {
        int error = _socket.Ask(DeleteMessage(address.Link, address.Address));
        return error == NetworkCalls.EADDRNOTAVAIL || error == NetworkCalls.ENODEV ? 0 : error;
    }

    public void Dispose() => _socket.Dispose();

    internal static NetlinkWriter SetMessage(int link, VipAddress address, uint lifetimeSeconds)
    {
        byte[] bytes = address.Address.GetAddressBytes();
        Span<byte> cacheInfo = stackalloc byte[16];
        // IPv6, preferred for no time at all: an address that may leave any moment must not be chosen for connections that this machine opens. (IPv4 chooses by another rule.)
        BinaryPrimitives.WriteUInt32LittleEndian(cacheInfo, address.IsIPv6 ? 0 : lifetimeSeconds);
        BinaryPrimitives.WriteUInt32LittleEndian(cacheInfo[4..], lifetimeSeconds);
        byte[] lifetime = cacheInfo.ToArray();
        return new NetlinkWriter().Message(NewAddress, NetlinkWriter.Request | NetlinkWriter.Ack | NetlinkWriter.Create | NetlinkWriter.Replace, Header(link, address), body =>
        {
            body.Bytes(IfaLocal, bytes).Bytes(IfaAddress, bytes);
            if (Broadcast(address, bytes) is { } broadcast) body.Bytes(IfaBroadcast, broadcast);
            // The kernel's own detection takes one to two seconds. Ours has been made by then.
            if (address.IsIPv6) body.Host32(IfaFlags, NoDuplicateDetection);
            body.Bytes(IfaCacheInfo, lifetime).Host32(IfaRoutePriority, OurMetric).Bytes(IfaProtocol, [OurProtocol]);
        });
    }

    internal static NetlinkWriter DeleteMessage(int link, VipAddress address)
    {
        byte[] bytes = address.Address.GetAddressBytes();
        return new NetlinkWriter().Message(DeleteAddress, NetlinkWriter.Request | NetlinkWriter.Ack, Header(link, address), body => body.Bytes(IfaLocal, bytes).Bytes(IfaAddress, bytes));
    }

    internal static KernelAddress? Address(NetlinkReceived message)
    {
        if (message.Body.Length < 8) return null;
        var head = message.Body.Span;
        var attributes = NetlinkReader.Attributes(message.Body, 8);
        int length = head[0] switch { NetworkCalls.AF_INET => 4, NetworkCalls.AF_INET6 => 16, _ => 0 };
        // On a link with two ends IFA_ADDRESS is the other one's: ours is IFA_LOCAL, if there is one.
        var bytes = attributes.GetValueOrDefault(IfaLocal, attributes.GetValueOrDefault(IfaAddress));
        if (length == 0 || bytes.Length != length) return null;
        uint flags = attributes.TryGetValue(IfaFlags, out var all) ? NetlinkReader.Number(all) : head[2];
        return new KernelAddress(BinaryPrimitives.ReadInt32LittleEndian(head[4..]), new VipAddress(new IPAddress(bytes.Span), head[1]), flags,
            NetlinkReader.Number(attributes.GetValueOrDefault(IfaRoutePriority)));
    }

    private static KernelLink Link(NetlinkReceived message)
    {
        var attributes = NetlinkReader.Attributes(message.Body, 16);
        var head = message.Body.Span;
        return new KernelLink(BinaryPrimitives.ReadInt32LittleEndian(head[4..]), NetlinkReader.Text(attributes.GetValueOrDefault(LinkName)),
            BinaryPrimitives.ReadUInt32LittleEndian(head[8..]), BinaryPrimitives.ReadUInt16LittleEndian(head[2..]), attributes.GetValueOrDefault(LinkMac).ToArray());
    }

    private static byte[] Header(int link, VipAddress address)
    {
        var header = new byte[8];
        header[0] = (byte)(address.IsIPv6 ? NetworkCalls.AF_INET6 : NetworkCalls.AF_INET);
        header[1] = (byte)address.PrefixLength;
        BinaryPrimitives.WriteInt32LittleEndian(header.AsSpan(4), link);
        return header;
    }

    private static byte[]? Broadcast(VipAddress address, byte[] bytes)
    {
        if (address.IsIPv6 || address.PrefixLength > 30) return null;
        uint host = uint.MaxValue >> address.PrefixLength;
        var broadcast = new byte[4];
        BinaryPrimitives.WriteUInt32BigEndian(broadcast, BinaryPrimitives.ReadUInt32BigEndian(bytes) | host);
        return broadcast;
    }
}
