using System.Text.Json;
using System.Text.Json.Serialization;

namespace Clustd.Chaos.History;

/// <summary>A history as a file: one record a line, JSON, in the order of writing. It can be read by eye, by jq, and by the checker.</summary>
public sealed class HistoryFile : IDisposable
{
    private static readonly JsonSerializerOptions Options = new()
    {
        PropertyNamingPolicy = JsonNamingPolicy.CamelCase,
        Converters = { new JsonStringEnumConverter(JsonNamingPolicy.KebabCaseLower) },
        AllowOutOfOrderMetadataProperties = true,
    };

    private readonly Lock _gate = new();
    private readonly StreamWriter _lines;
    private readonly List<HistoryRecord> _all = [];

    public HistoryFile(string path) => _lines = new StreamWriter(path) { AutoFlush = false };

    /// <summary>Called with every record, in order.</summary>
    public event Action<HistoryRecord>? Added;

    public void Add(HistoryRecord record)
    {
        lock (_gate)
        {
            _all.Add(record);
            _lines.WriteLine(Line(record));
            if (record is not ActsSeen) _lines.Flush();
        }

        Added?.Invoke(record);
    }

    public IReadOnlyList<HistoryRecord> All()
    {
        lock (_gate) return [.. _all];
    }

    public void Dispose()
    {
        lock (_gate) _lines.Dispose();
    }

    public static string Line(HistoryRecord record) => JsonSerializer.Serialize(record, Options);

    public static HistoryRecord Parse(string line) =>
        JsonSerializer.Deserialize<HistoryRecord>(line, Options) ?? throw new InvalidDataException($"This is no record of a history: {line}");

    public static IReadOnlyList<HistoryRecord> Read(string path)
    {
        var records = new List<HistoryRecord>();
        foreach (var line in File.ReadLines(path))
        {
            try
            {
                records.Add(Parse(line));
            }
            catch (JsonException e)
            {
                throw new InvalidDataException($"Cannot read line {records.Count + 1} of {path}: {e.Message} Check that the file is a whole history, as `./test chaos` writes it.");
            }
        }

        return records;
    }
}
