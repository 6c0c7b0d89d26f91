using System.Buffers;
using System.Buffers.Binary;

namespace Clustd.Drivers.Dns;

/// <summary>Writes messages, without compression: ours are small.</summary>
internal static class DnsWriter
{
    public static byte[] Write(DnsMessage message)
    {
        var bytes = new ArrayBufferWriter<byte>(512);
        U16(bytes, message.Id);
        U16(bytes, message.Flags);
        U16(bytes, checked((ushort)message.Questions.Count));
        U16(bytes, checked((ushort)message.Answers.Count));
        U16(bytes, checked((ushort)message.Authority.Count));
        U16(bytes, checked((ushort)message.Additional.Count));
        foreach (DnsQuestion question in message.Questions)
        {
            bytes.Write(question.Name.Wire);
            U16(bytes, (ushort)question.Type);
            U16(bytes, (ushort)question.Class);
        }
        foreach (DnsRecord record in message.Answers.Concat(message.Authority).Concat(message.Additional)) Record(bytes, record);
        return bytes.WrittenSpan.ToArray();
    }

    public static void Record(IBufferWriter<byte> bytes, DnsRecord record)
    {
        bytes.Write(record.Name.Wire);
        U16(bytes, (ushort)record.Type);
        U16(bytes, (ushort)record.Class);
        U32(bytes, record.Ttl);
        U16(bytes, checked((ushort)record.Data.Length));
        bytes.Write(record.Data);
    }

    public static void U16(IBufferWriter<byte> bytes, ushort value)
    {
        BinaryPrimitives.WriteUInt16BigEndian(bytes.GetSpan(2), value);
        bytes.Advance(2);
    }

    public static void U32(IBufferWriter<byte> bytes, uint value)
    {
        BinaryPrimitives.WriteUInt32BigEndian(bytes.GetSpan(4), value);
        bytes.Advance(4);
    }

    /// <summary>A time of 48 bits.</summary>
    public static void U48(IBufferWriter<byte> bytes, long value)
    {
        U16(bytes, (ushort)(value >> 32));
        U32(bytes, (uint)value);
    }
}
