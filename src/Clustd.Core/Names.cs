using System.Text.Json.Serialization;

namespace Clustd.Core;

/// <summary>Name of one machine: what `cluster.id` says. Ordered ordinally wherever order can reach the log or the wire.</summary>
[JsonConverter(typeof(Wire.MachineIdJson))]
public readonly record struct MachineId(string Value) : IComparable<MachineId>
{
    public int CompareTo(MachineId other) => string.CompareOrdinal(Value, other.Value);

    public override string ToString() => Value;
}

/// <summary>Random identity of one store file. A wiped disk, a clone or a restored image is another store, so another voter.</summary>
[JsonConverter(typeof(Wire.StoreIdJson))]
public readonly record struct StoreId(string Value) : IComparable<StoreId>
{
    public static readonly StoreId None = new("");

    public int CompareTo(StoreId other) => string.CompareOrdinal(Value, other.Value);

    public override string ToString() => Value;
}

/// <summary>Identity of a formed cluster, chosen once by the coordinator that formed it. Empty before forming.</summary>
[JsonConverter(typeof(Wire.ClusterIdJson))]
public readonly record struct ClusterId(string Value) : IComparable<ClusterId>
{
    public static readonly ClusterId None = new("");

    public int CompareTo(ClusterId other) => string.CompareOrdinal(Value, other.Value);

    public override string ToString() => Value;
}

/// <summary>Name of a service: what exactly one machine is master of.</summary>
[JsonConverter(typeof(Wire.ServiceNameJson))]
public readonly record struct ServiceName(string Value) : IComparable<ServiceName>
{
    /// <summary>The one service of a cluster whose files name none: the "cluster master" of 2018.</summary>
    public static readonly ServiceName Default = new("default");

    public int CompareTo(ServiceName other) => string.CompareOrdinal(Value, other.Value);

    public override string ToString() => Value;
}

/// <summary>Name of a driver on its machine: at most one instance per (machine, driver name) is active.</summary>
[JsonConverter(typeof(Wire.DriverNameJson))]
public readonly record struct DriverName(string Value) : IComparable<DriverName>
{
    public int CompareTo(DriverName other) => string.CompareOrdinal(Value, other.Value);

    public override string ToString() => Value;
}

/// <summary>Raft's term: grows with every election, each has at most one leader (Ongaro, section 3.3).</summary>
[JsonConverter(typeof(Wire.TermJson))]
public readonly record struct Term(long Value) : IComparable<Term>
{
    public static readonly Term Zero = new(0);

    public Term Next() => new(checked(Value + 1));

    public int CompareTo(Term other) => Value.CompareTo(other.Value);

    public static bool operator <(Term left, Term right) => left.Value < right.Value;

    public static bool operator >(Term left, Term right) => left.Value > right.Value;

    public static bool operator <=(Term left, Term right) => left.Value <= right.Value;

    public static bool operator >=(Term left, Term right) => left.Value >= right.Value;

    public override string ToString() => Value.ToString(System.Globalization.CultureInfo.InvariantCulture);
}

/// <summary>Fencing token of one service: grows with every grant, is never reused. High bits hold the cluster's epoch; always below 2^53.</summary>
[JsonConverter(typeof(Wire.TokenJson))]
public readonly record struct Token(long Value) : IComparable<Token>
{
    public static readonly Token None = new(0);

    /// <summary>Grants per service that fit in one epoch (one Unix second of forming time): 2^20.</summary>
    public const int GrantBits = 20;

    public Token Next() => new(checked(Value + 1));

    /// <summary>Smallest token of an epoch. 2^53 is reached in the year 2242: JavaScript reads every token exactly.</summary>
    public static Token FirstOf(long epochSeconds) => new(checked(epochSeconds << GrantBits));

    public int CompareTo(Token other) => Value.CompareTo(other.Value);

    public static bool operator <(Token left, Token right) => left.Value < right.Value;

    public static bool operator >(Token left, Token right) => left.Value > right.Value;

    public static bool operator <=(Token left, Token right) => left.Value <= right.Value;

    public static bool operator >=(Token left, Token right) => left.Value >= right.Value;

    public override string ToString() => Value.ToString(System.Globalization.CultureInfo.InvariantCulture);
}

/// <summary>A machine's session: the log index of its OpenSession, hence never reused (rule 7). Zero is no session.</summary>
[JsonConverter(typeof(Wire.SessionIdJson))]
public readonly record struct SessionId(long Value) : IComparable<SessionId>
{
    public static readonly SessionId None = new(0);

    public int CompareTo(SessionId other) => Value.CompareTo(other.Value);

    public override string ToString() => Value.ToString(System.Globalization.CultureInfo.InvariantCulture);
}
