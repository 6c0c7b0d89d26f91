using System.Text.Json.Nodes;
using YamlDotNet.Core;
using YamlDotNet.RepresentationModel;

namespace Clustd.Tests.Docs.AsyncApi;

/// <summary>docs/asyncapi.yaml: as JSON, with its references.</summary>
internal sealed class AsyncApiDocument
{
    public const string Path = "docs/asyncapi.yaml";

    public AsyncApiDocument(string yaml)
    {
        var stream = new YamlStream();
        stream.Load(new StringReader(yaml));
        Root = (JsonObject)Json(stream.Documents.Single().RootNode)!;
    }

    public static AsyncApiDocument Ours { get; } = new(Repository.Text(Path));

    public JsonObject Root { get; }

    public JsonObject Messages => (JsonObject)At("#/components/messages")!;

    public JsonObject Operations => (JsonObject)Root["operations"]!;

    /// <summary>What a reference means: followed until it is none. Null where it leads nowhere.</summary>
    public JsonNode? Resolve(JsonNode? node)
    {
        for (var steps = 0; node is JsonObject named && named["$ref"]?.GetValue<string>() is { } reference; steps++)
        {
            if (steps > 10)
                throw new InvalidOperationException($"{reference} leads to itself");
            node = At(reference);
        }

        return node;
    }

    public JsonNode? At(string reference) => reference.Split('/').Skip(1).Aggregate((JsonNode?)Root, (node, name) => (node as JsonObject)?[name]);

    /// <summary>Every reference in the document.</summary>
    public IEnumerable<string> References() => ReferencesIn(Root);

    /// <summary>Names of the messages that an operation or its reply may be: the last part of their references.</summary>
    public static IReadOnlyList<string> MessagesOf(JsonNode? operationOrReply) =>
        [.. operationOrReply!["messages"]!.AsArray().Select(message => message!["$ref"]!.GetValue<string>().Split('/')[^1])];

    private static IEnumerable<string> ReferencesIn(JsonNode? node) => node switch
    {
        JsonObject named => named.SelectMany(pair => pair.Key == "$ref" ? [pair.Value!.GetValue<string>()] : ReferencesIn(pair.Value)),
        JsonArray list => list.SelectMany(ReferencesIn),
        _ => [],
    };

    private static JsonNode? Json(YamlNode node) => node switch
    {
        YamlMappingNode mapping => new JsonObject(mapping.Children.Select(pair => KeyValuePair.Create(((YamlScalarNode)pair.Key).Value!, Json(pair.Value)))),
        YamlSequenceNode sequence => new JsonArray([.. sequence.Children.Select(Json)]),
        YamlScalarNode { Style: ScalarStyle.Plain, Value: "true" or "false" } plain => JsonValue.Create(plain.Value == "true"),
        YamlScalarNode { Style: ScalarStyle.Plain } plain when long.TryParse(plain.Value, out var number) => JsonValue.Create(number),
        YamlScalarNode scalar => JsonValue.Create(scalar.Value),
        _ => throw new InvalidOperationException($"{node.NodeType} is no JSON"),
    };
}
