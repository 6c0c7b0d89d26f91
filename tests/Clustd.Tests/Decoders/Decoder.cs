using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;

namespace Clustd.Tests.Decoders;

/// <summary>
/// One door of the program for bytes from elsewhere. Read gives the encoding of what was made of them, or null where they are refused as that door refuses
/// (its own exception, its own null); whatever else it throws is a crash. Valid makes an encoding that must be taken.
/// </summary>
internal sealed record Decoder(string Name, Func<Random, byte[]> Valid, Func<byte[], byte[]?> Read)
{
    public override string ToString() => Name;

    /// <summary>A door that gives an object or null, for values of one type.</summary>
    public static Decoder Of<T>(string name, Func<T, byte[]> write, Func<byte[], T?> read)
        where T : class =>
        new(name, random => write((T)new AnyValue(random).Of(typeof(T))), bytes => read(bytes) is { } value ? write(value) : null);

    /// <summary>JSON as the serializer reads it, where what it throws is caught by whoever asked it: JsonException and NotSupportedException, nothing else.</summary>
    public static Decoder OfJson<T>(string name, JsonTypeInfo<T> type)
        where T : class =>
        Of<T>(name, value => JsonSerializer.SerializeToUtf8Bytes(value, type), bytes =>
        {
            try
            {
                return JsonSerializer.Deserialize(bytes, type);
            }
            catch (Exception e) when (e is JsonException or NotSupportedException)
            {
                return null;
            }
        });

    /// <summary>Lines of text.</summary>
    public static Decoder OfText(string name, Func<Random, string> valid, Func<string, string?> read) =>
        new(name, random => Encoding.UTF8.GetBytes(valid(random)), bytes => read(Encoding.UTF8.GetString(bytes)) is { } text ? Encoding.UTF8.GetBytes(text) : null);
}
