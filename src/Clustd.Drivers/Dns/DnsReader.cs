using System.Buffers.Binary;

namespace Clustd.Drivers.Dns;

/// <summary>Bytes that are no DNS message. The message says why.</summary>
internal sealed class DnsFormatException(string message) : Exception(message);

/// <summary>
/// Reads a message whose bytes anybody may have sent. Every length is checked against what is there, and a compressed name only ever points further back, so that reading ends.
/// </summary>
internal ref struct DnsReader
{
    public const int HeaderBytes = 12;

    private const byte PointerBits = 0xC0;

    private readonly ReadOnlySpan<byte> _bytes;
    private int _at;

    private DnsReader(ReadOnlySpan<byte> bytes) => _bytes = bytes;

    /// <exception cref="DnsFormatException">It is none.</exception>
    public static DnsMessage Read(ReadOnlySpan<byte> bytes)
    {
        var reader = new DnsReader(bytes);
        ushort id = reader.U16(), flags = reader.U16();
        ushort questions = reader.U16(), answers = reader.U16(), authority = reader.U16(), additional = reader.U16();
        int lastAt = 0;
        var message = new DnsMessage
        {
            Id = id, Flags = flags,
            Questions = reader.Questions(questions),
            Answers = reader.Records(answers, ref lastAt),
            Authority = reader.Records(authority, ref lastAt),
            Additional = reader.Records(additional, ref lastAt),
        };
        return reader._at == bytes.Length ? message with { LastRecordAt = lastAt } : throw new DnsFormatException($"{bytes.Length - reader._at} bytes follow its end");
    }

    // The counts are the sender's word: nothing is set aside for them.
    private List<DnsQuestion> Questions(int count)
    {
        var list = new List<DnsQuestion>();
        while (count-- > 0) list.Add(new DnsQuestion(Name(), (DnsType)U16(), (DnsClass)U16()));
        return list;
    }

    private List<DnsRecord> Records(int count, ref int lastAt)
    {
        var list = new List<DnsRecord>();
        while (count-- > 0)
        {
            lastAt = _at;
            list.Add(Record());
        }
        return list;
    }

    private DnsRecord Record()
    {
        DnsName name = Name();
        var type = (DnsType)U16();
        var @class = (DnsClass)U16();
        uint ttl = U32();
        int length = U16(), end = _at + length;
        if (end > _bytes.Length) throw Short();
        // A deletion in an update has no data.
        if (type != DnsType.Cname || length == 0) return new DnsRecord(name, type, @class, ttl, Take(length).ToArray());
        byte[] target = Name().Lower.ToArray(); // where it is compressed, the case is that of the question
        return _at == end ? new DnsRecord(name, type, @class, ttl, target) : throw new DnsFormatException("a CNAME is not as long as it says");
    }

    private DnsName Name()
    {
        var wire = new List<byte>();
        int at = _at, end = -1, limit = _at; // a pointer must lead before where this part of the name began
        while (true)
        {
            if (at >= _bytes.Length) throw Short();
            byte length = _bytes[at];
            if ((length & PointerBits) == PointerBits)
            {
                if (at + 1 >= _bytes.Length) throw Short();
                int target = BinaryPrimitives.ReadUInt16BigEndian(_bytes[at..]) & ~(PointerBits << 8);
                if (end < 0) end = at + 2;
                if (target >= limit) throw new DnsFormatException("a compressed name does not point back");
                at = limit = target;
                continue;
            }
            if ((length & PointerBits) != 0) throw new DnsFormatException("a label is of an unknown kind");
            if (at + 1 + length > _bytes.Length) throw Short();
            wire.AddRange(_bytes.Slice(at, length + 1));
            if (wire.Count > DnsName.WireBytesMax) throw new DnsFormatException("a name is too long");
            at += length + 1;
            if (length > 0) continue;
            _at = end < 0 ? at : end;
            return new DnsName([.. wire]);
        }
    }

    /// <summary>An uncompressed name at the beginning of <paramref name="bytes"/>; <paramref name="length"/>: what it takes.</summary>
    /// <exception cref="DnsFormatException">There is none.</exception>
    public static DnsName ReadName(ReadOnlySpan<byte> bytes, out int length)
    {
        var reader = new DnsReader(bytes);
        DnsName name = reader.Name();
        length = reader._at;
        return name;
    }

    private ReadOnlySpan<byte> Take(int count)
    {
        if (count > _bytes.Length - _at) throw Short();
        _at += count;
        return _bytes.Slice(_at - count, count);
    }

    private ushort U16() => BinaryPrimitives.ReadUInt16BigEndian(Take(2));

    private uint U32() => BinaryPrimitives.ReadUInt32BigEndian(Take(4));

    private static DnsFormatException Short() => new("it ends too early");
}
