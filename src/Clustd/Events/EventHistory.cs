using System.Globalization;
using Clustd.Core;
using Microsoft.Data.Sqlite;

namespace Clustd.Events;

/// <summary>What to read. Null means any. Events newer than the last commit (a second at most) are not there yet.</summary>
public sealed record EventQuery
{
    /// <summary>Only events with a greater id: to go on where one stopped.</summary>
    public long AfterId { get; init; }

    public DateTimeOffset? Since { get; init; }

    public ServiceName? Service { get; init; }

    public Severity AtLeast { get; init; } = Severity.Debug;

    /// <summary>The newest so many of those that match.</summary>
    public int Limit { get; init; } = 100;
}

/// <summary>
/// What happened on this machine, in sentences: the table `events` of `state.db`, read on a connection of its own that is closed after
/// each query. Readers never wait for the writer, nor it for them (WAL).
/// </summary>
public sealed class EventHistory(string databasePath)
{
    /// <summary>Events kept; the oldest go. About 2 MB.</summary>
    public const int Capacity = 10_000;

    // Sortable as text, readable with sqlite3.
    internal const string TimeFormat = "yyyy-MM-ddTHH:mm:ss.fffZ";

    private const string Select = """
        SELECT id, at, severity, kind, service, sentence FROM events
        WHERE id > $after AND ($since IS NULL OR at >= $since) AND ($service IS NULL OR service = $service) AND severity IN (SELECT value FROM json_each($severities))
        ORDER BY id DESC LIMIT $limit
        """;

    /// <summary>Matching events, oldest first.</summary>
    public IReadOnlyList<RecordedEvent> Read(EventQuery query)
    {
        using var connection = new SqliteConnection(new SqliteConnectionStringBuilder
        {
            DataSource = databasePath,
            Mode = SqliteOpenMode.ReadOnly,
            Pooling = false,
        }.ToString());
        connection.Open();
        using var command = connection.CreateCommand();
        command.CommandText = Select;
        command.Parameters.AddWithValue("$after", query.AfterId);
        command.Parameters.AddWithValue("$since", (object?)query.Since?.UtcDateTime.ToString(TimeFormat, CultureInfo.InvariantCulture) ?? DBNull.Value);
        command.Parameters.AddWithValue("$service", (object?)query.Service?.Value ?? DBNull.Value);
        command.Parameters.AddWithValue("$severities", $"[{string.Join(',', Enum.GetValues<Severity>().Where(s => s >= query.AtLeast).Select(s => $"\"{s}\""))}]");
        command.Parameters.AddWithValue("$limit", query.Limit);
        var events = new List<RecordedEvent>();
        using var rows = command.ExecuteReader();
        while (rows.Read())
        {
            events.Add(new RecordedEvent(
                rows.GetInt64(0),
                DateTimeOffset.Parse(rows.GetString(1), CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal),
                Enum.Parse<Severity>(rows.GetString(2)),
                rows.GetString(3),
                rows.IsDBNull(4) ? null : new ServiceName(rows.GetString(4)),
                rows.GetString(5)));
        }

        events.Reverse();
        return events;
    }
}
