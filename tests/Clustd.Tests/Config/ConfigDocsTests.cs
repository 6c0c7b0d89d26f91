using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using Clustd.Config;
using Clustd.Config.Drivers;
using Shouldly;
using Xunit;
using static Clustd.Tests.Config.ConfigTestWorld;

namespace Clustd.Tests.Config;

/// <summary>docs/config.md, docs/config.schema.json and the loader know the same keys, because one table makes all three.</summary>
public sealed partial class ConfigDocsTests
{
    private static readonly string DocsPath = Path.Combine(RepositoryFolder(), "docs/config.md");
    private static readonly string SchemaPath = Path.Combine(RepositoryFolder(), "docs/config.schema.json");

    [Fact]
    public void The_documentation_lists_every_key_as_the_table_has_it()
    {
        var expected = System.IO.File.ReadAllText(DocsPath);
        var sections = new List<string>();
        var actual = KeyTable().Replace(expected, match =>
        {
            sections.Add(match.Groups["section"].Value);
            return $"<!-- keys: {match.Groups["section"].Value} -->\n{Rows(match.Groups["section"].Value)}<!-- end -->";
        });
        sections.ShouldBe(ConfigKeys.All.Select(k => k.Section.Length == 0 ? "top" : k.Section).Distinct());
        Golden.Check(DocsPath, expected, actual);
    }

    [Fact]
    public void The_schema_lists_every_key_as_the_table_has_it() =>
        Golden.Check(SchemaPath, System.IO.File.Exists(SchemaPath) ? System.IO.File.ReadAllText(SchemaPath) : "", ConfigSchema.Text());

    // The other direction: a key in the table that the loader does not read would load whatever stands there.
    [Fact]
    public void The_loader_reads_every_key_of_the_table()
    {
        foreach (var key in ConfigKeys.All)
        {
            const string wrong = "[[wrong]]";
            var text = key.Section switch
            {
                ConfigKeys.Top or ConfigKeys.DriverFileTop => $"{key.Name}: {wrong}",
                ConfigKeys.ServiceSection => $"services:\n  a:\n    {key.Name}: {wrong}",
                CloudflareFile.SectionName => $"cloudflare:\n  {key.Name}: {wrong}",
                CloudflareFile.RecordSectionName => $"cloudflare:\n  dns_record:\n    {key.Name}: {wrong}",
                _ when KindOf(key) is { } kind => $"drivers:\n  - {kind.Word}:\n      {key.Name}: {wrong}",
                _ => $"{key.Section}:\n  {key.Name}: {wrong}",
            };
            var errors = IsOfDriverFile(key) ? ConfigLoader.ParseDriverFile(text, "d.yml", Machine()).Errors : Read(text).Errors;
            errors.ShouldContain(e => e.Line == text.Split('\n').Length && !e.What.StartsWith("Unknown"), $"{key.Section} {key.Name}");
        }
    }

    [Fact]
    public void Every_example_of_the_table_loads()
    {
        foreach (var key in ConfigKeys.All.Where(k => k.Section != ConfigKeys.Top && !IsOfDriverFile(k) && k != ConfigKeys.OldSecret && k != ConfigKeys.Secret))
        {
            var line = $"{key.Name}: {key.Example}";
            var result = key.Section switch
            {
                ConfigKeys.ServerSection => Read($"server: {{ {line} }}\n{File()}"),
                ConfigKeys.ClusterSection => Read(File(line)),
                ConfigKeys.WatchdogSection => Read(File(rest: $"watchdog: {{ {line} }}")),
                ConfigKeys.ServiceSection => Read(File(rest: $"services: {{ web: {{ {line} }}, bot: {{}} }}")),
                _ => Read(File(rest: $"services: {{ web: {{}}, default: {{}} }}\ndrivers: [ {KindOf(key)!.Word}: {{ {line}{Rest(KindOf(key)!, key)} }} ]")),
            };
            result.Errors.ShouldBeEmpty(line);
        }
    }

    [Fact]
    public void Every_sample_in_the_documentation_loads()
    {
        var samples = Sample().Matches(System.IO.File.ReadAllText(DocsPath)).Select(m => m.Groups["text"].Value).ToList();
        samples.Count.ShouldBeGreaterThan(5);
        foreach (var sample in samples)
        {
            var text = sample.Replace("file:/etc/clustd/secret", GoodSecret);
            if (sample.StartsWith("host:", StringComparison.Ordinal)) ConfigLoader.ParseDriverFile(text, "driver.yml", Machine()).Errors.ShouldBeEmpty(sample);
            else Read(text).Errors.ShouldBeEmpty(sample);
        }
    }

    private static bool IsOfDriverFile(ConfigKey key) => key.Section is ConfigKeys.DriverFileTop or CloudflareFile.SectionName or CloudflareFile.RecordSectionName;

    private static DriverKind? KindOf(ConfigKey key) => DriverKinds.All.FirstOrDefault(kind => kind.Section == key.Section);

    // What the kind needs besides. A key whose own example must stand alone is one of the shell driver's commands.
    private static string Rest(DriverKind kind, ConfigKey key)
    {
        if (kind == DriverKinds.Shell && key.Name is "run" or "start" or "stop") return "";
        var least = kind.Example.Trim('{', '}', ' ');
        // These stand instead of another one.
        if (key.Name == "cname") least = Without(least, "addresses")[2..];
        if (kind == DriverKinds.Cloudflare && key.Name == "email") least = $"{Without(least, "token")[2..]}, api_key: x";
        if (kind == DriverKinds.Cloudflare && key.Name == "api_key") least = $"{Without(least, "token")[2..]}, email: x";
        return least.Length == 0 || least.Contains($"{key.Name}:") ? Without(least, key.Name) : $", {least}";
    }

    private static string Without(string least, string name) =>
        string.Concat(least.Split(", ").Where(pair => !pair.StartsWith($"{name}:", StringComparison.Ordinal) && pair.Length > 0).Select(pair => $", {pair}"));

    private static string Rows(string section)
    {
        var rows = new StringBuilder("| key | type | default | range | meaning | example |\n|---|---|---|---|---|---|\n");
        foreach (var key in ConfigKeys.In(section == "top" ? ConfigKeys.Top : section))
        {
            var constant = key.DefaultWords is null && !key.Must && key.DefaultText != "none";
            rows.Append($"| `{key.Name}` | {key.TypeText} | {(constant ? $"`{key.DefaultText}`" : key.DefaultText)} | {key.RangeText} | {key.Meaning} | `{key.Name}: {key.Example}` |\n");
        }
        return rows.ToString();
    }

    [GeneratedRegex(@"<!-- keys: (?<section>.+?) -->\n(.*?)<!-- end -->", RegexOptions.Singleline)]
    private static partial Regex KeyTable();

    [GeneratedRegex(@"```yaml\n(?<text>.*?)```", RegexOptions.Singleline)]
    private static partial Regex Sample();
}

/// <summary>The JSON Schema (2020-12) that follows from the key table.</summary>
internal static class ConfigSchema
{
    public static string Text()
    {
        var schema = new JsonObject
        {
            ["$schema"] = "https://json-schema.org/draft/2020-12/schema",
            ["title"] = "clustd configuration",
            ["description"] = "config.yml of a clustd daemon; a driver file is #/$defs/driver_file. Made from the key table by the tests.",
        };
        foreach (var (name, value) in Section(ConfigKeys.Top)) schema[name] = value?.DeepClone();
        schema["$defs"] = new JsonObject
        {
            ["duration"] = new JsonObject { ["type"] = "string", ["pattern"] = "^[0-9]+(\\.[0-9]+)?\\s*(ms|s|m|h)$" },
            ["id"] = new JsonObject { ["type"] = "string", ["pattern"] = "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$" },
            ["address"] = new JsonObject { ["type"] = "string", ["pattern"] = "^(wss?://)?[^/@?#]+:[0-9]+/?$" },
            ["server"] = Section(ConfigKeys.ServerSection),
            ["cluster"] = Section(ConfigKeys.ClusterSection),
            ["service"] = Section(ConfigKeys.ServiceSection, "object", "null"),
            ["watchdog"] = Section(ConfigKeys.WatchdogSection),
            ["driver"] = new JsonObject { ["type"] = "object", ["properties"] = new JsonObject([.. DriverKinds.All.Select(kind => KeyValuePair.Create(kind.Word, (JsonNode?)Ref(kind.Word)))]), ["minProperties"] = 1, ["maxProperties"] = 1, ["additionalProperties"] = false },
        };
        foreach (var kind in DriverKinds.All) schema["$defs"]![kind.Word] = Section(kind.Section);
        schema["$defs"]![CloudflareFile.SectionName] = Section(CloudflareFile.SectionName);
        schema["$defs"]![CloudflareFile.RecordSectionName] = Section(CloudflareFile.RecordSectionName);
        schema["$defs"]!["driver_file"] = Section(ConfigKeys.DriverFileTop);
        var options = new JsonSerializerOptions { WriteIndented = true, Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping };
        using var stream = new MemoryStream();
        using (var writer = new Utf8JsonWriter(stream, new JsonWriterOptions { Indented = true, Encoder = options.Encoder })) schema.WriteTo(writer);
        return Encoding.UTF8.GetString(stream.ToArray()) + "\n";
    }

    private static JsonObject Section(string section, params string[] types)
    {
        var properties = new JsonObject();
        foreach (var key in ConfigKeys.In(section))
        {
            var property = Property(key);
            property["description"] = $"{key.Meaning} Default: {key.DefaultText}. Range: {key.RangeText}.".Replace("`", "");
            properties[key.Name] = property;
        }
        var result = new JsonObject
        {
            ["type"] = types.Length == 0 ? "object" : new JsonArray([.. types.Select(t => (JsonNode)t)]),
            ["properties"] = properties,
            ["additionalProperties"] = false,
        };
        // The daemon's secret can come from the environment; a driver file's cannot.
        var must = section == ConfigKeys.DriverFileTop ? ConfigKeys.In(section).Where(k => k.Must).Select(k => (JsonNode)k.Name).ToArray() : [];
        if (must.Length > 0) result["required"] = new JsonArray(must);
        return result;
    }

    private static JsonObject Property(ConfigKey key) => key switch
    {
        DurationKey => Ref("duration"),
        NumberKey number => new JsonObject { ["type"] = "integer", ["minimum"] = number.Min, ["maximum"] = number.Max },
        SwitchKey => new JsonObject { ["type"] = "boolean" },
        ChoiceKey choice => new JsonObject { ["enum"] = new JsonArray([.. choice.Choices.Select(c => (JsonNode)c)]) },
        TextKey text => One(text.Form),
        ListKey list => new JsonObject { ["type"] = "array", ["items"] = One(list.Form), ["uniqueItems"] = true },
        MapKey => new JsonObject { ["type"] = "object", ["additionalProperties"] = new JsonObject { ["type"] = new JsonArray("string", "number", "boolean", "null") } },
        SectionKey { Opens: ConfigKeys.ServiceSection } => new JsonObject { ["type"] = "object", ["propertyNames"] = Ref("id"), ["additionalProperties"] = Ref("service") },
        SectionKey { IsList: true } => new JsonObject { ["type"] = "array", ["items"] = Ref("driver") },
        SectionKey opened when DriverKinds.All.FirstOrDefault(kind => kind.Section == opened.Opens) is { } kind => Ref(kind.Word),
        SectionKey opened => Ref(opened.Opens),
        _ => throw new InvalidOperationException($"{key.GetType().Name} has no line in the schema"),
    };

    private static JsonObject One(TextForm form) => form switch
    {
        TextForm.Id => Ref("id"),
        TextForm.Address => Ref("address"),
        _ => new JsonObject { ["type"] = "string", ["minLength"] = 1 },
    };

    private static JsonObject Ref(string name) => new() { ["$ref"] = $"#/$defs/{name}" };
}
