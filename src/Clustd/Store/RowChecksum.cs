using System.Buffers.Binary;
using System.Numerics;
using System.Text;

namespace Clustd.Store;

/// <summary>
/// CRC-32C of a row's identity and content together: it finds a flipped bit, and also a sound row in the wrong place.
/// SQLite checks its WAL but not the pages of the database file itself.
/// </summary>
internal static class RowChecksum
{
    public static long OfMeta(string key, string value) => Finish(Add(Add(Add(uint.MaxValue, key), 0L), value));

    public static long OfEntry(long index, long term, string command) => Finish(Add(Add(Add(uint.MaxValue, index), term), command));

    private static uint Add(uint crc, long number) => BitOperations.Crc32C(crc, unchecked((ulong)number));

    private static uint Add(uint crc, string text)
    {
        ReadOnlySpan<byte> bytes = Encoding.UTF8.GetBytes(text);
        for (; bytes.Length >= sizeof(ulong); bytes = bytes[sizeof(ulong)..])
        {
            crc = BitOperations.Crc32C(crc, BinaryPrimitives.ReadUInt64LittleEndian(bytes));
        }

        foreach (var single in bytes)
        {
            crc = BitOperations.Crc32C(crc, single);
        }

        return crc;
    }

    private static long Finish(uint crc) => ~crc;
}
