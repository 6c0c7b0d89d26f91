using System.Text;
using System.Text.Json.Nodes;

namespace Clustd.Tests.Decoders;

/// <summary>What can become of a valid encoding: on the wire (bits, bytes, pieces), and in the head of whoever wrote it (fields, types, values).</summary>
internal sealed class Damage(Random random)
{
    // As they stand in a document: what a number, a text or a field must not be, and what looks nearly right.
    private static readonly string[] MeanValues =
    [
        "null", "true", "0", "-0", "-1", "1e999", "-1e400", "1E+2", "0.5", "1.0", "9223372036854775807", "9223372036854775808", "-9223372036854775809", "18446744073709551616",
        "922337203685477", "922337203685478", "NaN", "Infinity", "0x10", "01", "+1", "1_000", "\"\"", "\"1\"", "\"NaN\"", "\"\\ud800\"", "\"\\udc00x\"", "\"\\u0000\"", "\"\\x\"", "\"a", "[]", "{}", "[null]", "{\"\":0}",
        "{\"type\":\"no-op\"}", "{\"type\":1}", "{\"$type\":\"x\"}", "[[]]", "undefined", "//", "/**/", "'x'", "\"\\ud83d\\ude42\"", "\"\u2028\"",
    ];

    private static readonly byte[][] MeanBytes = [[0], [0xff], [0xc0, 0x80], [0xed, 0xa0, 0x80], [0xf4, 0x90, 0x80, 0x80], [0xef, 0xbb, 0xbf], [.. "\r\n"u8], [.. "}"u8], [.. "]"u8], [.. "\""u8], [.. ","u8], [.. "\\u"u8], [.. "/*"u8]];

    public byte[] Of(byte[] valid)
    {
        var bytes = valid;
        for (var times = 1 + random.Next(3); times > 0; times--)
        {
            bytes = random.Next(2) == 0 ? OfTree(bytes) : OfBytes(bytes);
        }

        return bytes;
    }

    private byte[] OfBytes(byte[] bytes)
    {
        if (bytes.Length == 0) return MeanBytes[random.Next(MeanBytes.Length)];
        var (from, to) = (random.Next(bytes.Length), random.Next(bytes.Length + 1));
        (from, to) = (Math.Min(from, to), Math.Max(from, to));
        switch (random.Next(7))
        {
            case 0:
                var flipped = (byte[])bytes.Clone();
                flipped[from] ^= (byte)(1 << random.Next(8));
                return flipped;
            case 1:
                return bytes[..from];
            case 2:
                return [.. bytes[..from], .. bytes[to..]];
            case 3:
                return [.. bytes[..to], .. bytes[from..]]; // a piece twice
            case 4:
                return [.. bytes[..from], .. MeanBytes[random.Next(MeanBytes.Length)], .. bytes[from..]];
            case 5:
                return [.. bytes[..from], .. Encoding.UTF8.GetBytes(MeanValues[random.Next(MeanValues.Length)]), .. bytes[to..]];
            default:
                var other = (byte[])bytes.Clone();
                other[from] = (byte)random.Next(256);
                return other;
        }
    }

    /// <summary>One place in the document: its value replaced, or a field of it gone, doubled, moved, renamed. What is no document is damaged as bytes.</summary>
    private byte[] OfTree(byte[] bytes)
    {
        JsonNode? root;
        var places = new List<JsonNode>();
        try
        {
            root = JsonNode.Parse(bytes);
            Collect(root, places);
        }
        catch (Exception e) when (e is System.Text.Json.JsonException or ArgumentException or InvalidOperationException)
        {
            return OfBytes(bytes); // damaged by an earlier round
        }

        string text;
        if (places.Count == 0) return OfBytes(bytes);
        var place = places[random.Next(places.Count)];
        const string mark = "\"7b1e-the-place-7b1e\"";
        if (random.Next(3) == 0 && place is JsonObject { Count: > 0 } fields)
        {
            return Fields(root!, fields);
        }

        try
        {
            if (place.Parent is null) return Encoding.UTF8.GetBytes(Mean());
            place.ReplaceWith(JsonValue.Create(mark[1..^1]));
            text = root!.ToJsonString();
        }
        catch (Exception e) when (e is InvalidOperationException or ArgumentException)
        {
            return OfBytes(bytes); // text that .NET itself cannot carry, a lone surrogate from an earlier round
        }

        return Encoding.UTF8.GetBytes(text.Replace(mark, Mean(), StringComparison.Ordinal));
    }

    private byte[] Fields(JsonNode root, JsonObject fields)
    {
        try
        {
            var name = fields.ElementAt(random.Next(fields.Count)).Key;
            var value = fields[name]?.ToJsonString() ?? "null";
            switch (random.Next(5))
            {
                case 0:
                    fields.Remove(name);
                    break;
                case 1: // last place
                    var node = fields[name];
                    fields.Remove(name);
                    fields.Add(name, node);
                    break;
                case 2:
                    fields.Remove(name);
                    fields.Add(name + "x", JsonNode.Parse(value));
                    break;
                case 3:
                    fields.Add("7b1e-new", JsonNode.Parse(value));
                    break;
                default: // twice: JsonObject has no such thing, text does
                    fields.Add("7b1e-twice", JsonNode.Parse(value));
                    return Encoding.UTF8.GetBytes(root.ToJsonString().Replace("7b1e-twice", name, StringComparison.Ordinal));
            }

            return Encoding.UTF8.GetBytes(root.ToJsonString());
        }
        catch (Exception e) when (e is InvalidOperationException or ArgumentException or System.Text.Json.JsonException)
        {
            return Encoding.UTF8.GetBytes(Mean());
        }
    }

    private string Mean() => random.Next(12) switch
    {
        0 => string.Concat(Enumerable.Repeat("[", 1 + random.Next(5_000))), // deeper than anybody reads
        1 => string.Concat(Enumerable.Repeat("{\"a\":", 1 + random.Next(100))) + "1" + new string('}', 100),
        2 => $"\"{new string('x', random.Next(70_000))}\"",
        3 => new string('9', 1 + random.Next(400)),
        4 => random.NextInt64(long.MinValue, long.MaxValue).ToString(System.Globalization.CultureInfo.InvariantCulture),
        _ => MeanValues[random.Next(MeanValues.Length)],
    };

    private static void Collect(JsonNode? node, List<JsonNode> places)
    {
        if (node is null) return;
        places.Add(node);
        if (node is JsonObject fields)
        {
            foreach (var (_, value) in fields) Collect(value, places);
        }
        else if (node is JsonArray list)
        {
            foreach (var value in list) Collect(value, places);
        }
    }
}
