using System.Buffers.Binary;
using System.Text;

namespace Clustd.Drivers.Vip.Netlink;

/// <summary>
/// Writes netlink messages as the kernel wants them: a header, a fixed struct, attributes in attributes, all padded to four bytes. Numbers are in the machine's order in rtnetlink and in network order in
/// nftables: the caller says which.
/// </summary>
internal sealed class NetlinkWriter
{
    public const ushort Request = 0x1, Ack = 0x4, Dump = 0x300, Replace = 0x100, Exclusive = 0x200, Create = 0x400, Append = 0x800;

    private const ushort Nested = 0x8000;
    private readonly List<byte> _bytes = [];
    private uint _sequence;

    /// <summary>Number of the last message that asks for an acknowledgement; the first message is 1.</summary>
    public uint Acknowledged { get; private set; }

    public byte[] ToArray() => [.. _bytes];

    public NetlinkWriter Message(ushort type, ushort flags, ReadOnlySpan<byte> fixedPart, Action<NetlinkWriter>? attributes = null)
    {
        int start = _bytes.Count;
        Span<byte> header = stackalloc byte[16];
        BinaryPrimitives.WriteUInt16LittleEndian(header[4..], type);
        BinaryPrimitives.WriteUInt16LittleEndian(header[6..], flags);
        BinaryPrimitives.WriteUInt32LittleEndian(header[8..], ++_sequence);
        if ((flags & Ack) != 0) Acknowledged = _sequence;
        _bytes.AddRange(header);
        _bytes.AddRange(fixedPart);
        Pad();
        attributes?.Invoke(this);
        Span<byte> length = stackalloc byte[4];
        BinaryPrimitives.WriteInt32LittleEndian(length, _bytes.Count - start);
        for (int i = 0; i < 4; i++) _bytes[start + i] = length[i];
        return this;
    }

    public NetlinkWriter Bytes(ushort type, ReadOnlySpan<byte> value)
    {
        AttributeHeader(type, value.Length);
        _bytes.AddRange(value);
        Pad();
        return this;
    }

    /// <summary>With the NUL behind it.</summary>
    public NetlinkWriter Text(ushort type, string value) => Bytes(type, [.. Encoding.UTF8.GetBytes(value), 0]);

    public NetlinkWriter Host32(ushort type, uint value)
    {
        Span<byte> bytes = stackalloc byte[4];
        BinaryPrimitives.WriteUInt32LittleEndian(bytes, value);
        return Bytes(type, bytes);
    }

    public NetlinkWriter Net32(ushort type, uint value)
    {
        Span<byte> bytes = stackalloc byte[4];
        BinaryPrimitives.WriteUInt32BigEndian(bytes, value);
        return Bytes(type, bytes);
    }

    public NetlinkWriter Net64(ushort type, ulong value)
    {
        Span<byte> bytes = stackalloc byte[8];
        BinaryPrimitives.WriteUInt64BigEndian(bytes, value);
        return Bytes(type, bytes);
    }

    public NetlinkWriter Nest(ushort type, Action<NetlinkWriter> inner)
    {
        int start = _bytes.Count;
        AttributeHeader((ushort)(type | Nested), 0);
        inner(this);
        ushort length = checked((ushort)(_bytes.Count - start));
        (_bytes[start], _bytes[start + 1]) = ((byte)length, (byte)(length >> 8));
        return this;
    }

    private void AttributeHeader(ushort type, int valueLength)
    {
        ushort length = checked((ushort)(valueLength + 4));
        _bytes.AddRange([(byte)length, (byte)(length >> 8), (byte)type, (byte)(type >> 8)]);
    }

    private void Pad()
    {
        while (_bytes.Count % 4 != 0) _bytes.Add(0);
    }
}
