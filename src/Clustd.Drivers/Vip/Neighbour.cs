using System.Buffers.Binary;
using System.Net;

namespace Clustd.Drivers.Vip;

/// <summary>Neighbour solicitations and advertisements of IPv6 (RFC 4861).</summary>
internal static class Neighbour
{
    public const byte Solicitation = 135, Advertisement = 136;
    public const int Length = 32;

    public static readonly IPAddress AllNodes = IPAddress.Parse("ff02::1");

    private const byte IcmpV6 = 58, TargetMac = 2;
    private const int IPv6Header = 40;
    private const uint FromRouter = 0x8000_0000, Override = 0x2000_0000;

    /// <summary>"It is mine", asked by nobody: whoever has another MAC noted is to overwrite it.</summary>
    /// <remarks>An ICMPv6 message; the kernel writes the checksum, as always on raw ICMPv6 sockets.</remarks>
    /// <param name="isRouter">This machine forwards IPv6: one that says no would be dropped from its hosts' lists of routers.</param>
    public static byte[] Announcement(byte[] mac, IPAddress address, bool isRouter)
    {
        var bytes = new byte[Length];
        bytes[0] = Advertisement;
        BinaryPrimitives.WriteUInt32BigEndian(bytes.AsSpan(4), Override | (isRouter ? FromRouter : 0));
        address.TryWriteBytes(bytes.AsSpan(8), out _);
        (bytes[24], bytes[25]) = (TargetMac, 1);
        mac.CopyTo(bytes, 26);
        return bytes;
    }

    /// <summary>
    /// "Does anybody have it?", as a machine asks that has no address yet (RFC 4862, 5.4.2): from ::, so whoever has it answers to all nodes. A whole IPv6 packet, 64 bytes: the kernel sends none without an address, and the link's own
    /// is not there in the first seconds after boot, when a takeover is likely.
    /// </summary>
    public static byte[] Question(IPAddress address)
    {
        var packet = new byte[IPv6Header + 24];
        packet[0] = 0x60;
        BinaryPrimitives.WriteUInt16BigEndian(packet.AsSpan(4), 24);
        // 255 hops: whoever hears it knows that no router has passed it on.
        (packet[6], packet[7]) = (IcmpV6, 255);
        SolicitedNode(address).TryWriteBytes(packet.AsSpan(24), out _);
        var message = packet.AsSpan(IPv6Header);
        message[0] = Solicitation;
        address.TryWriteBytes(message[8..], out _);
        BinaryPrimitives.WriteUInt16BigEndian(message[2..], Checksum(packet.AsSpan(8), message.Length));
        return packet;
    }

    /// <summary>The MAC of all that listen to a multicast address: 33:33 and its last four bytes (RFC 2464, 7).</summary>
    public static byte[] MulticastMac(IPAddress group) => [0x33, 0x33, .. group.GetAddressBytes().AsSpan(12)];

    /// <summary>Where those listen who have <paramref name="address"/>: ff02::1:ff and its last three bytes.</summary>
    public static IPAddress SolicitedNode(IPAddress address)
    {
        byte[] bytes = [0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, 0, 0, 0];
        address.GetAddressBytes().AsSpan(13).CopyTo(bytes.AsSpan(13));
        return new IPAddress(bytes);
    }

    /// <summary>For an advertisement: whose it is, and the MAC, if it tells one. Null for everything else.</summary>
    public static (IPAddress Address, byte[]? Mac)? ParseAdvertisement(ReadOnlySpan<byte> bytes)
    {
        if (bytes.Length < 24 || bytes[0] != Advertisement || bytes[1] != 0) return null;
        var address = new IPAddress(bytes[8..24]);
        for (var options = bytes[24..]; options.Length >= 8 && options[1] > 0 && options[1] * 8 <= options.Length; options = options[(options[1] * 8)..])
            if (options[0] == TargetMac && options[1] == 1) return (address, options[2..8].ToArray());
        return (address, null);
    }

    // RFC 4443, 2.3: both addresses, which begin `bytes`, length and kind, and the message itself, which follows them.
    private static ushort Checksum(ReadOnlySpan<byte> bytes, int messageLength)
    {
        int sum = messageLength + IcmpV6;
        for (; bytes.Length > 0; bytes = bytes[2..]) sum += BinaryPrimitives.ReadUInt16BigEndian(bytes);
        while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
        return (ushort)~sum;
    }
}
