using System.Buffers.Binary;
using System.Numerics;
using System.Text.Json;
using Clustd.Core.Cluster;
using Clustd.Core.Wire;

namespace Clustd.Core.Raft;

/// <summary>A snapshot as it travels and as it is stored: the agreed state as UTF-8 JSON, with a checksum over all of it.</summary>
public static class SnapshotBytes
{
    public static byte[] Write(ClusterState state) => JsonSerializer.SerializeToUtf8Bytes(state, CoreJson.Default.ClusterState);

    /// <summary>CRC-32C (Castagnoli), as in iSCSI, RFC 3720 section 12.1.</summary>
    public static long Checksum(ReadOnlySpan<byte> bytes)
    {
        var crc = uint.MaxValue;
        for (; bytes.Length >= sizeof(ulong); bytes = bytes[sizeof(ulong)..])
        {
            crc = BitOperations.Crc32C(crc, BinaryPrimitives.ReadUInt64LittleEndian(bytes));
        }

        foreach (var single in bytes)
        {
            crc = BitOperations.Crc32C(crc, single);
        }

        return ~crc;
    }

    /// <summary>Null when the bytes are not what was sent, or are no state that ends where it should; problem then says which.</summary>
    public static ClusterState? Read(ReadOnlySpan<byte> bytes, long checksum, LogPosition position, out string problem)
    {
        if (Checksum(bytes) != checksum)
        {
            problem = "its checksum does not match";
            return null;
        }

        try
        {
            if (JsonSerializer.Deserialize(bytes, CoreJson.Default.ClusterState) is { } state && state.Position == position)
            {
                problem = "";
                return state;
            }

            problem = $"it does not end at entry {position.Index} of term {position.Term}";
        }
        catch (Exception exception) when (exception is JsonException or NotSupportedException or InvalidOperationException or FormatException or OverflowException or ArgumentException)
        {
            problem = exception.Message;
        }

        return null;
    }
}
