using System.Text.Json;
using System.Text.Json.Nodes;

namespace Clustd.Tests.Docs.AsyncApi;

/// <summary>Holds recorded messages against the document: each is a message of an operation, or an answer that its operation may have, and fits its schema.</summary>
internal sealed class TrafficCheck(AsyncApiDocument document)
{
    private readonly Dictionary<(int Connection, bool FromDriver, string Id), string> _asked = [];
    private readonly SchemaCheck _schemas = new(document);

    public List<string> Faults { get; } = [];

    public SortedSet<string> Operations { get; } = new(StringComparer.Ordinal);

    public SortedSet<string> Messages { get; } = new(StringComparer.Ordinal);

    public void Check(IEnumerable<Recorded> traffic)
    {
        foreach (var recorded in traffic)
            Check(recorded, JsonDocument.Parse(recorded.Text).RootElement);
    }

    private void Check(Recorded recorded, JsonElement message)
    {
        if (message.TryGetProperty("method", out var method))
            CheckCall(recorded, message, method.GetString()!);
        else if (!_asked.Remove((recorded.Connection, !recorded.FromDriver, message.GetProperty("id").GetRawText()), out var asked))
            Faults.Add($"an answer to nothing: {recorded.Text}");
        else
            CheckAnswer(recorded, message, document.Operations[asked]!["reply"]);
    }

    private void CheckCall(Recorded recorded, JsonElement message, string method)
    {
        if (document.Operations[method] is not { } operation)
        {
            Faults.Add($"'{method}' is no operation");
            return;
        }

        if (operation["action"]!.GetValue<string>() != (recorded.FromDriver ? "receive" : "send"))
            Faults.Add($"'{method}' comes from the wrong side");
        Operations.Add(method);
        if (message.TryGetProperty("id", out var id))
            _asked.Add((recorded.Connection, recorded.FromDriver, id.GetRawText()), method);
        Fits(AsyncApiDocument.MessagesOf(operation).Single(), message);
    }

    private void CheckAnswer(Recorded recorded, JsonElement message, JsonNode? reply)
    {
        if (reply is null)
        {
            Faults.Add($"an answer where there is none: {recorded.Text}");
            return;
        }

        var failed = message.TryGetProperty("error", out _);
        Fits(AsyncApiDocument.MessagesOf(reply).Single(name => name == "failure" == failed), message);
    }

    private void Fits(string name, JsonElement message)
    {
        Messages.Add(name);
        Faults.AddRange(_schemas.Faults(document.Messages[name]!["payload"]!, message, name));
    }
}
