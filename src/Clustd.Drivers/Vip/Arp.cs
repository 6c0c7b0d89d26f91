using System.Buffers.Binary;
using System.Net;

namespace Clustd.Drivers.Vip;

/// <summary>
/// ARP for IPv4 over Ethernet, 28 bytes without the Ethernet header. Announcements and probes are those of RFC 5227.
/// </summary>
internal readonly record struct Arp(ushort Operation, byte[] SenderMac, IPAddress SenderAddress, byte[] TargetMac, IPAddress TargetAddress)
{
    public const int Length = 28;
    public const ushort Request = 1, Reply = 2;

    private static readonly byte[] NoMac = new byte[6];

    /// <summary>"Who has it?", asked by nobody: whoever hears it must not note the sender, because the address is not ours yet.</summary>
    public static Arp Probe(byte[] mac, IPAddress address) => new(Request, mac, IPAddress.Any, NoMac, address);

    /// <summary>"It is mine", as a request and as a reply: some listen only to the one, some only to the other.</summary>
    public static Arp Announcement(byte[] mac, IPAddress address, ushort operation) => new(operation, mac, address, operation == Reply ? mac : NoMac, address);

    public byte[] ToBytes()
    {
        var bytes = new byte[Length];
        BinaryPrimitives.WriteUInt16BigEndian(bytes, 1);                     // Ethernet
        BinaryPrimitives.WriteUInt16BigEndian(bytes.AsSpan(2), 0x0800);      // IPv4
        (bytes[4], bytes[5]) = (6, 4);
        BinaryPrimitives.WriteUInt16BigEndian(bytes.AsSpan(6), Operation);
        SenderMac.CopyTo(bytes, 8);
        SenderAddress.TryWriteBytes(bytes.AsSpan(14), out _);
        TargetMac.CopyTo(bytes, 18);
        TargetAddress.TryWriteBytes(bytes.AsSpan(24), out _);
        return bytes;
    }

    /// <summary>Null for what is no ARP for IPv4 over Ethernet. Longer is fine: Ethernet pads short frames.</summary>
    public static Arp? Parse(ReadOnlySpan<byte> bytes)
    {
        if (bytes.Length < Length || BinaryPrimitives.ReadUInt64BigEndian(bytes) >> 16 != 0x0001_0800_0604) return null;
        return new Arp(BinaryPrimitives.ReadUInt16BigEndian(bytes[6..]), bytes[8..14].ToArray(), new IPAddress(bytes[14..18]), bytes[18..24].ToArray(), new IPAddress(bytes[24..28]));
    }

    /// <summary>Somebody else uses <paramref name="address"/>, or is about to: it is the sender's, or the sender probes for it, too.</summary>
    public bool IsClaimOf(IPAddress address, ReadOnlySpan<byte> ourMac) =>
        !ourMac.SequenceEqual(SenderMac) && (SenderAddress.Equals(address) || (Operation == Request && SenderAddress.Equals(IPAddress.Any) && TargetAddress.Equals(address)));
}
