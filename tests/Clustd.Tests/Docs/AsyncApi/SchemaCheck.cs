using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;

namespace Clustd.Tests.Docs.AsyncApi;

/// <summary>
/// As much of JSON Schema as docs/asyncapi.yaml uses. A keyword that is not known here throws: nothing in the document may be there for show.
/// </summary>
internal sealed class SchemaCheck(AsyncApiDocument document)
{
    private static readonly HashSet<string> Known =
        ["type", "properties", "required", "const", "enum", "items", "minLength", "maxLength", "minimum", "maximum", "maxItems", "pattern", "$ref", "description", "x-codes"];

    /// <summary>What is wrong, with its place; nothing if the value fits.</summary>
    public IEnumerable<string> Faults(JsonNode schema, JsonElement value, string place = "")
    {
        var rules = (JsonObject)(document.Resolve(schema) ?? throw new InvalidOperationException($"{place}: {schema} leads nowhere"));
        if (rules.FirstOrDefault(rule => !Known.Contains(rule.Key)).Key is { } unknown)
            throw new InvalidOperationException($"{place}: the keyword '{unknown}' is not checked by this test; teach it, or leave it out");

        if (rules["type"] is { } type && !Types(type).Any(name => Is(value, name)))
            return [$"{place} is {value.ValueKind}, not {type.ToJsonString()}"];
        return FaultsOf(rules, value, place);
    }

    private IEnumerable<string> FaultsOf(JsonObject rules, JsonElement value, string place)
    {
        if (rules["const"] is { } constant && !Equals(constant, value))
            yield return $"{place} is {value}, not {constant}";
        if (rules["enum"] is JsonArray choices && !choices.Any(choice => Equals(choice!, value)))
            yield return $"{place} is {value}, none of {choices.ToJsonString()}";
        if (value.ValueKind == JsonValueKind.String)
        {
            var text = value.GetString()!;
            if (text.Length < (rules["minLength"]?.GetValue<long>() ?? 0) || text.Length > (rules["maxLength"]?.GetValue<long>() ?? long.MaxValue))
                yield return $"{place} has {text.Length} characters";
            if (rules["pattern"] is { } pattern && !Regex.IsMatch(text, pattern.GetValue<string>()))
                yield return $"{place} is '{text}', not {pattern}";
        }

        if (value.ValueKind == JsonValueKind.Number && (value.GetInt64() < (rules["minimum"]?.GetValue<long>() ?? long.MinValue) || value.GetInt64() > (rules["maximum"]?.GetValue<long>() ?? long.MaxValue)))
            yield return $"{place} is {value}, out of range";
        foreach (var fault in value.ValueKind == JsonValueKind.Object ? OfObject(rules, value, place) : value.ValueKind == JsonValueKind.Array ? OfArray(rules, value, place) : [])
            yield return fault;
    }

    private IEnumerable<string> OfObject(JsonObject rules, JsonElement value, string place)
    {
        foreach (var name in (rules["required"] as JsonArray ?? []).Select(name => name!.GetValue<string>()).Where(name => !value.TryGetProperty(name, out _)))
            yield return $"{place} lacks {name}";
        foreach (var (name, schema) in rules["properties"] as JsonObject ?? [])
        {
            if (!value.TryGetProperty(name, out var property))
                continue;
            foreach (var fault in Faults(schema!, property, $"{place}.{name}"))
                yield return fault;
        }
    }

    private IEnumerable<string> OfArray(JsonObject rules, JsonElement value, string place)
    {
        if (value.GetArrayLength() > (rules["maxItems"]?.GetValue<long>() ?? long.MaxValue))
            yield return $"{place} has {value.GetArrayLength()} items";
        foreach (var fault in rules["items"] is { } items ? value.EnumerateArray().SelectMany((item, index) => Faults(items, item, $"{place}[{index}]")) : [])
            yield return fault;
    }

    private static IEnumerable<string> Types(JsonNode type) => type is JsonArray several ? several.Select(one => one!.GetValue<string>()) : [type.GetValue<string>()];

    private static bool Is(JsonElement value, string type) => type switch
    {
        "object" => value.ValueKind == JsonValueKind.Object,
        "array" => value.ValueKind == JsonValueKind.Array,
        "string" => value.ValueKind == JsonValueKind.String,
        "boolean" => value.ValueKind is JsonValueKind.True or JsonValueKind.False,
        "null" => value.ValueKind == JsonValueKind.Null,
        "integer" => value.ValueKind == JsonValueKind.Number && value.TryGetInt64(out _),
        _ => throw new InvalidOperationException($"the type '{type}' is not checked by this test"),
    };

    private static bool Equals(JsonNode constant, JsonElement value) => JsonNode.DeepEquals(constant, JsonSerializer.SerializeToNode(value));
}
