using System.Globalization;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace Clustd.Core.Wire;

// Names travel as bare strings and numbers, readable with sqlite3 and a browser, and serve as object keys too.

/// <summary>A name that is one string.</summary>
public abstract class TextNameJson<T> : JsonConverter<T>
    where T : struct
{
    protected abstract T Make(string value);

    protected abstract string Text(T name);

    public override T Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options) =>
        Make(reader.GetString() ?? throw new JsonException($"A {typeof(T).Name} is text, not null."));

    public override void Write(Utf8JsonWriter writer, T value, JsonSerializerOptions options) => writer.WriteStringValue(Text(value));

    public override T ReadAsPropertyName(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options) => Make(reader.GetString()!);

    public override void WriteAsPropertyName(Utf8JsonWriter writer, T value, JsonSerializerOptions options) => writer.WritePropertyName(Text(value));
}

/// <summary>A name that is one number.</summary>
public abstract class NumberNameJson<T> : JsonConverter<T>
    where T : struct
{
    protected abstract T Make(long value);

    protected abstract long Number(T name);

    public override T Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options) => Make(reader.GetInt64());

    public override void Write(Utf8JsonWriter writer, T value, JsonSerializerOptions options) => writer.WriteNumberValue(Number(value));

    public override T ReadAsPropertyName(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options) =>
        long.TryParse(reader.GetString(), NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var number)
            ? Make(number)
            : throw new JsonException($"A {typeof(T).Name} is a whole number of 64 bits.");

    public override void WriteAsPropertyName(Utf8JsonWriter writer, T value, JsonSerializerOptions options) =>
        writer.WritePropertyName(Number(value).ToString(CultureInfo.InvariantCulture));
}

public sealed class MachineIdJson : TextNameJson<MachineId>
{
    protected override MachineId Make(string value) => new(value);

    protected override string Text(MachineId name) => name.Value;
}

public sealed class StoreIdJson : TextNameJson<StoreId>
{
    protected override StoreId Make(string value) => new(value);

    protected override string Text(StoreId name) => name.Value;
}

public sealed class ClusterIdJson : TextNameJson<ClusterId>
{
    protected override ClusterId Make(string value) => new(value);

    protected override string Text(ClusterId name) => name.Value;
}

public sealed class ServiceNameJson : TextNameJson<ServiceName>
{
    protected override ServiceName Make(string value) => new(value);

    protected override string Text(ServiceName name) => name.Value;
}

public sealed class DriverNameJson : TextNameJson<DriverName>
{
    protected override DriverName Make(string value) => new(value);

    protected override string Text(DriverName name) => name.Value;
}

public sealed class TermJson : NumberNameJson<Term>
{
    protected override Term Make(long value) => new(value);

    protected override long Number(Term name) => name.Value;
}

public sealed class TokenJson : NumberNameJson<Token>
{
    protected override Token Make(long value) => new(value);

    protected override long Number(Token name) => name.Value;
}

public sealed class SessionIdJson : NumberNameJson<SessionId>
{
    protected override SessionId Make(long value) => new(value);

    protected override long Number(SessionId name) => name.Value;
}

/// <summary>Instants travel as µs on the clock of whoever made them.</summary>
public sealed class InstantJson : NumberNameJson<Instant>
{
    protected override Instant Make(long value) => new(value);

    protected override long Number(Instant name) => name.Microseconds;
}

/// <summary>Durations travel as whole µs.</summary>
public sealed class MicrosecondsJson : NumberNameJson<TimeSpan>
{
    private const long Max = long.MaxValue / TimeSpan.TicksPerMicrosecond;

    // What is too long for a TimeSpan is no message, like anything else that cannot be read: whoever asks the serializer expects nothing but JsonException.
    protected override TimeSpan Make(long value) =>
        value is >= -Max and <= Max ? TimeSpan.FromMicroseconds(value) : throw new JsonException($"A duration of {value} µs is longer than any there is.");

    protected override long Number(TimeSpan name) => name.Ticks / TimeSpan.TicksPerMicrosecond;
}
