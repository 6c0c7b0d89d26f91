using System.Buffers.Binary;
using System.Net;
using System.Text;
using Clustd.Drivers.Processes;
using Clustd.Drivers.Vip.Netlink;

namespace Clustd.Drivers.Vip;

/// <summary>Frames of one interface and one kind, past the kernel's own ARP and IPv6. Needs CAP_NET_RAW.</summary>
internal sealed class FrameSocket : IDisposable
{
    public const int ArpFrames = 0x0806, IPv6Frames = 0x86dd;
    private const int AddressLength = 20;
    private readonly int _link;
    private readonly int _kind;

    /// <param name="hears">False: only sends.</param>
    /// <exception cref="DriverFailedException">It is not allowed.</exception>
    public FrameSocket(KernelLink link, int kind, bool hears)
    {
        (_link, _kind) = (link.Index, kind);
        string what = kind == ArpFrames ? "ARP" : "IPv6";
        // Bound in the second step: a socket that is made with a protocol hears all interfaces at once.
        int descriptor = NetworkCalls.socket(NetworkCalls.AF_PACKET, NetworkCalls.SOCK_DGRAM | NetworkCalls.SOCK_CLOEXEC | NetworkCalls.SOCK_NONBLOCK, 0);
        if (descriptor < 0) throw new DriverFailedException($"Cannot speak {what} on {link.Name}: {LinuxCalls.ErrnoText}. It takes CAP_NET_RAW: run `clustd drivers` as root, or add it to AmbientCapabilities of its unit.");
        Descriptor = LinuxCalls.MoveUp(descriptor);
        if (NetworkCalls.Bind(Descriptor, SocketAddress(hears ? kind : 0, []))) return;
        string why = LinuxCalls.ErrnoText;
        Dispose();
        throw new DriverFailedException($"Cannot speak {what} on {link.Name}: {why}. See `ip link show {link.Name}`.");
    }

    public int Descriptor { get; private set; }

    public bool Send(ReadOnlySpan<byte> bytes, ReadOnlySpan<byte> mac) => NetworkCalls.SendTo(Descriptor, bytes, SocketAddress(_kind, mac));

    /// <summary>Bytes of the next frame, without its Ethernet header; -1: none is waiting.</summary>
    public int Receive(Span<byte> into) => NetworkCalls.ReceiveNow(Descriptor, into, []);

    public void Dispose()
    {
        if (Descriptor >= 0) LinuxCalls.close(Descriptor);
        Descriptor = -1;
    }

    private byte[] SocketAddress(int kind, ReadOnlySpan<byte> mac)
    {
        var address = new byte[AddressLength];
        BinaryPrimitives.WriteUInt16LittleEndian(address, NetworkCalls.AF_PACKET);
        BinaryPrimitives.WriteUInt16BigEndian(address.AsSpan(2), (ushort)kind);
        BinaryPrimitives.WriteInt32LittleEndian(address.AsSpan(4), _link);
        address[11] = (byte)mac.Length;
        mac.CopyTo(address.AsSpan(12));
        return address;
    }
}

/// <summary>ARP of one interface, in and out. Needs CAP_NET_RAW.</summary>
/// <exception cref="DriverFailedException">It is not allowed.</exception>
internal sealed class ArpSocket(KernelLink link) : IDisposable
{
    private static readonly byte[] Everybody = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
    private readonly FrameSocket _frames = new(link, FrameSocket.ArpFrames, hears: true);

    public int Descriptor => _frames.Descriptor;

    public bool Send(Arp arp) => _frames.Send(arp.ToBytes(), Everybody);

    /// <summary>The next one that has come, or null: none is waiting. What is no ARP is passed over.</summary>
    public Arp? Receive()
    {
        Span<byte> buffer = stackalloc byte[128];
        int count;
        while ((count = _frames.Receive(buffer)) >= 0)
            if (Arp.Parse(buffer[..count]) is { } arp) return arp;
        return null;
    }

    public void Dispose() => _frames.Dispose();
}

/// <summary>ICMPv6 of one interface. It goes the way of all IPv6 through the kernel, so the gate holds it up as well. Needs CAP_NET_RAW.</summary>
internal sealed class NeighbourSocket : IDisposable
{
    private readonly int _link;

    /// <param name="source">The address to speak as; null: it only hears.</param>
    /// <exception cref="DriverFailedException">It is not allowed, or the address is not there.</exception>
    public NeighbourSocket(KernelLink link, IPAddress? source)
    {
        _link = link.Index;
        int descriptor = NetworkCalls.socket(NetworkCalls.AF_INET6, NetworkCalls.SOCK_RAW | NetworkCalls.SOCK_CLOEXEC | NetworkCalls.SOCK_NONBLOCK, NetworkCalls.IPPROTO_ICMPV6);
        if (descriptor < 0)
            throw new DriverFailedException($"Cannot speak neighbour discovery on {link.Name}: {LinuxCalls.ErrnoText}. It takes CAP_NET_RAW and IPv6: run `clustd drivers` as root, or add it to AmbientCapabilities of its unit.");
        Descriptor = LinuxCalls.MoveUp(descriptor);
        // 255 hops: whoever hears it knows that no router has passed it on.
        bool isSet = NetworkCalls.BindToDevice(Descriptor, Encoding.UTF8.GetBytes(link.Name))
            && NetworkCalls.SetOption(Descriptor, NetworkCalls.IPPROTO_IPV6, NetworkCalls.IPV6_MULTICAST_HOPS, 255)
            && NetworkCalls.SetOption(Descriptor, NetworkCalls.IPPROTO_IPV6, NetworkCalls.IPV6_MULTICAST_IF, link.Index)
            && (source is null || NetworkCalls.Bind(Descriptor, SocketAddress(source)));
        if (isSet) return;
        string why = LinuxCalls.ErrnoText;
        Dispose();
        throw new DriverFailedException($"Cannot speak neighbour discovery on {link.Name}{(source is null ? "" : $" as {source}")}: {why}. See `ip address show {link.Name}`.");
    }

    public int Descriptor { get; private set; }

    public bool Send(byte[] message, IPAddress to) => NetworkCalls.SendTo(Descriptor, message, SocketAddress(to));

    /// <summary>The next advertisement that has come, or null: none is waiting.</summary>
    public (IPAddress Address, byte[]? Mac)? Receive()
    {
        Span<byte> buffer = stackalloc byte[2048];
        int count;
        while ((count = NetworkCalls.ReceiveNow(Descriptor, buffer, [])) >= 0)
            if (Neighbour.ParseAdvertisement(buffer[..count]) is { } advertisement) return advertisement;
        return null;
    }

    public void Dispose()
    {
        if (Descriptor >= 0) LinuxCalls.close(Descriptor);
        Descriptor = -1;
    }

    private byte[] SocketAddress(IPAddress address)
    {
        var bytes = new byte[28];
        BinaryPrimitives.WriteUInt16LittleEndian(bytes, NetworkCalls.AF_INET6);
        address.TryWriteBytes(bytes.AsSpan(8), out _);
        // Multicast means nothing without its link.
        if (address.IsIPv6Multicast || address.IsIPv6LinkLocal) BinaryPrimitives.WriteInt32LittleEndian(bytes.AsSpan(24), _link);
        return bytes;
    }
}
