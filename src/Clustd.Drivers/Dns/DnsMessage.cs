namespace Clustd.Drivers.Dns;

internal enum DnsType : ushort
{
    A = 1,
    Cname = 5,
    Soa = 6,
    Txt = 16,
    Aaaa = 28,
    Tsig = 250,
    Any = 255,
}

internal enum DnsClass : ushort
{
    In = 1,

    /// <summary>In an update: does not exist, or delete this one (RFC 2136).</summary>
    None = 254,

    /// <summary>In an update: exists, or delete them all.</summary>
    Any = 255,
}

internal enum DnsOpcode
{
    Query = 0,
    Update = 5,
}

/// <summary>How a server answers. The last ones stand in the signature only (RFC 8945).</summary>
internal enum DnsCode
{
    NoError = 0,
    FormErr = 1,
    ServFail = 2,
    NxDomain = 3,
    NotImp = 4,
    Refused = 5,
    YxDomain = 6,
    YxRrset = 7,
    NxRrset = 8,
    NotAuth = 9,
    NotZone = 10,
    BadSig = 16,
    BadKey = 17,
    BadTime = 18,
    BadTrunc = 22,
}

internal sealed record DnsQuestion(DnsName Name, DnsType Type, DnsClass Class = DnsClass.In);

/// <param name="Data">Of a CNAME, its target without compression and in lower case; of all others as it came.</param>
internal sealed record DnsRecord(DnsName Name, DnsType Type, DnsClass Class, uint Ttl, byte[] Data)
{
    public bool Equals(DnsRecord? other) =>
        other is not null && Name.Equals(other.Name) && Type == other.Type && Class == other.Class && Ttl == other.Ttl && Data.AsSpan().SequenceEqual(other.Data);

    public override int GetHashCode() => HashCode.Combine(Name, Type, Class, Ttl, Data.Length);
}

/// <summary>A DNS message. An update (RFC 2136) has the same four parts under other names: zone, prerequisites, updates, additional.</summary>
internal sealed record DnsMessage
{
    private const int OpcodeShift = 11, OpcodeMask = 0xF, CodeMask = 0xF;
    private const ushort AnswerFlag = 0x8000, AuthoritativeFlag = 0x0400, TruncatedFlag = 0x0200;

    public ushort Id { get; init; }

    /// <summary>The second word of the header.</summary>
    public ushort Flags { get; init; }

    public IReadOnlyList<DnsQuestion> Questions { get; init; } = [];
    public IReadOnlyList<DnsRecord> Answers { get; init; } = [];
    public IReadOnlyList<DnsRecord> Authority { get; init; } = [];
    public IReadOnlyList<DnsRecord> Additional { get; init; } = [];

    /// <summary>Where the last record begins in the bytes that this was read from: a signature is cut off there. 0: it has no record.</summary>
    public int LastRecordAt { get; init; }

    public bool IsAnswer => (Flags & AnswerFlag) != 0;

    /// <summary>Whether the server says that it is one of the zone's own, and not a cache.</summary>
    public bool IsAuthoritative => (Flags & AuthoritativeFlag) != 0;

    public bool IsTruncated => (Flags & TruncatedFlag) != 0;

    public DnsOpcode Opcode => (DnsOpcode)((Flags >> OpcodeShift) & OpcodeMask);

    public DnsCode Code => (DnsCode)(Flags & CodeMask);

    /// <summary>Asks the server itself: recursion is not desired, what a cache knows is of no use here.</summary>
    public static DnsMessage Query(ushort id, DnsName name, DnsType type) => new() { Id = id, Questions = [new DnsQuestion(name, type)] };

    public static DnsMessage Update(ushort id, DnsName zone, IReadOnlyList<DnsRecord> prerequisites, IReadOnlyList<DnsRecord> updates) => new()
    {
        Id = id, Flags = (ushort)DnsOpcode.Update << OpcodeShift, Questions = [new DnsQuestion(zone, DnsType.Soa)], Answers = prerequisites, Authority = updates,
    };
}
