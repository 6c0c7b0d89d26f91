using System.Buffers.Binary;
using System.Text;

namespace Clustd.Drivers.Vip.Netlink;

/// <summary>One message from the kernel.</summary>
/// <param name="Body">What follows the header: a fixed struct and attributes.</param>
internal readonly record struct NetlinkReceived(ushort Type, ushort Flags, uint Sequence, ReadOnlyMemory<byte> Body);

/// <summary>Takes netlink messages apart. What does not add up ends the reading: a length that lies must not make us read what is not there.</summary>
internal static class NetlinkReader
{
    private const int HeaderLength = 16;

    public static IEnumerable<NetlinkReceived> Messages(ReadOnlyMemory<byte> bytes)
    {
        while (bytes.Length >= HeaderLength)
        {
            int length = BinaryPrimitives.ReadInt32LittleEndian(bytes.Span);
            if (length < HeaderLength || length > bytes.Length) yield break;
            var header = bytes[..HeaderLength];
            yield return new NetlinkReceived(
                BinaryPrimitives.ReadUInt16LittleEndian(header.Span[4..]), BinaryPrimitives.ReadUInt16LittleEndian(header.Span[6..]),
                BinaryPrimitives.ReadUInt32LittleEndian(header.Span[8..]), bytes[HeaderLength..length]);
            bytes = bytes[Math.Min(bytes.Length, Padded(length))..];
        }
    }

    /// <summary>By type; of two of one type the last one counts.</summary>
    /// <param name="body">Of a message, behind whose fixed part they begin.</param>
    public static Dictionary<int, ReadOnlyMemory<byte>> Attributes(ReadOnlyMemory<byte> body, int fixedLength)
    {
        var found = new Dictionary<int, ReadOnlyMemory<byte>>();
        if (body.Length < Padded(fixedLength)) return found;
        var left = body[Padded(fixedLength)..];
        while (left.Length >= 4)
        {
            int length = BinaryPrimitives.ReadUInt16LittleEndian(left.Span);
            if (length < 4 || length > left.Length) break;
            found[BinaryPrimitives.ReadUInt16LittleEndian(left.Span[2..]) & 0x3fff] = left[4..length];
            left = left[Math.Min(left.Length, Padded(length))..];
        }
        return found;
    }

    public static uint Number(ReadOnlyMemory<byte> value) => value.Length >= 4 ? BinaryPrimitives.ReadUInt32LittleEndian(value.Span) : 0;

    public static string Text(ReadOnlyMemory<byte> value) => Encoding.UTF8.GetString(value.Span).TrimEnd('\0');

    private static int Padded(int length) => (length + 3) & ~3;
}
