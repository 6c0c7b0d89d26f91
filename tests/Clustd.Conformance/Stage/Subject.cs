using System.Text.Json.Nodes;

namespace Clustd.Conformance.Stage;

/// <summary>A driver under test, as clients/conformance/README.md describes it.</summary>
internal abstract class Subject : IAsyncDisposable
{
    private long lastId;

    /// <summary>What it said.</summary>
    public Journal<Message> Said { get; } = new("Said by the subject");

    /// <summary>Its exit code, when it has ended: 137 if it was, or has, killed itself.</summary>
    public abstract Task<int> Ended { get; }

    /// <summary>Starts it.</summary>
    public abstract void Start(ScriptedDaemon daemon, IReadOnlyDictionary<string, string> settings);

    public abstract ValueTask DisposeAsync();

    /// <summary>Tells it to do something, and returns its number when it is in effect.</summary>
    public async Task<long> DoAsync(JsonObject command, TimeSpan patience)
    {
        var id = Interlocked.Increment(ref lastId);
        command["id"] = id;
        await WriteAsync(command);
        await Said.FirstAsync(said => said.Event == "did" && said.Number("id") == id, $"the subject to do {command.ToJsonString()}", patience);
        return id;
    }

    protected abstract Task WriteAsync(JsonObject command);
}
