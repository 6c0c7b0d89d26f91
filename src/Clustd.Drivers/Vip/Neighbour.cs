using System.Buffers.Binary;
using System.Net;

namespace Clustd.Drivers.Vip;

/// <summary>Neighbour solicitations and advertisements of IPv6 (RFC 4861), as ICMPv6 messages. The checksum is left to the kernel, which always writes it on raw ICMPv6 sockets.</summary>
internal static class Neighbour
{
    public const byte Solicitation = 135, Advertisement = 136;
    public const int Length = 32;

    public static readonly IPAddress AllNodes = IPAddress.Parse("ff02::1");

    private const byte SourceMac = 1, TargetMac = 2;
    private const uint FromRouter = 0x8000_0000, Override = 0x2000_0000;

    /// <summary>"It is mine", asked by nobody: whoever has another MAC noted is to overwrite it.</summary>
    /// <param name="isRouter">This machine forwards IPv6: one that says no would be dropped from its hosts' lists of routers.</param>
    public static byte[] Announcement(byte[] mac, IPAddress address, bool isRouter) => Message(Advertisement, Override | (isRouter ? FromRouter : 0), address, TargetMac, mac);

    /// <summary>"Who has it?"</summary>
    public static byte[] Question(byte[] mac, IPAddress address) => Message(Solicitation, 0, address, SourceMac, mac);

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

    private static byte[] Message(byte type, uint flags, IPAddress address, byte option, byte[] mac)
    {
        var bytes = new byte[Length];
        bytes[0] = type;
        BinaryPrimitives.WriteUInt32BigEndian(bytes.AsSpan(4), flags);
        address.TryWriteBytes(bytes.AsSpan(8), out _);
        (bytes[24], bytes[25]) = (option, 1);
        mac.CopyTo(bytes, 26);
        return bytes;
    }
}
