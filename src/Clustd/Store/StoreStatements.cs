using System.Globalization;
using System.Text.Json;
using Clustd.Core.Cluster;
using Clustd.Core.Raft;
using Clustd.Core.Wire;
using Clustd.Events;
using Microsoft.Data.Sqlite;

namespace Clustd.Store;

/// <summary>The prepared statements of one connection. BEGIN and COMMIT are statements like the others: no object per transaction.</summary>
internal sealed class StoreStatements : IDisposable
{
    private readonly SqliteCommand _begin;
    private readonly SqliteCommand _commit;
    private readonly SqliteCommand _rollback;
    private readonly SqliteCommand _truncate;
    private readonly SqliteCommand _forgetSnapshot;
    private readonly SqliteCommand _insertSnapshot;
    private readonly SqliteCommand _dropEntries;
    private readonly SqliteCommand _insertEntry;
    private readonly SqliteCommand _updateHardState;
    private readonly SqliteCommand _insertEvent;
    private readonly SqliteCommand _forgetEvents;

    public StoreStatements(SqliteConnection connection)
    {
        _begin = Prepare(connection, "BEGIN IMMEDIATE");
        _commit = Prepare(connection, "COMMIT");
        _rollback = Prepare(connection, "ROLLBACK");
        _truncate = Prepare(connection, "DELETE FROM log WHERE idx >= $from", "$from");
        _forgetSnapshot = Prepare(connection, "DELETE FROM snapshot");
        _insertSnapshot = Prepare(connection, "INSERT INTO snapshot (idx, term, state, crc) VALUES ($idx, $term, $state, $crc)", "$idx", "$term", "$state", "$crc");
        _dropEntries = Prepare(connection, "DELETE FROM log WHERE idx <= $to", "$to");
        _insertEntry = Prepare(connection, "INSERT INTO log (idx, term, command, crc) VALUES ($idx, $term, $command, $crc)", "$idx", "$term", "$command", "$crc");
        _updateHardState = Prepare(connection, $"UPDATE meta SET value = $value, crc = $crc WHERE key = '{StoreSchema.HardStateKey}'", "$value", "$crc");
        _insertEvent = Prepare(
            connection,
            "INSERT INTO events (at, severity, kind, service, sentence) VALUES ($at, $severity, $kind, $service, $sentence)",
            "$at", "$severity", "$kind", "$service", "$sentence");
        _forgetEvents = Prepare(connection, $"DELETE FROM events WHERE id <= last_insert_rowid() - {EventHistory.Capacity}");
    }

    public void Begin() => _begin.ExecuteNonQuery();

    public void Commit() => _commit.ExecuteNonQuery();

    public void Rollback() => _rollback.ExecuteNonQuery();

    public void TruncateFrom(long index) => Run(_truncate, index);

    public void InsertEntry(LogEntry entry)
    {
        var command = JsonSerializer.Serialize(entry.Command, CoreJson.Default.Command);
        Run(_insertEntry, entry.Index, entry.Term.Value, command, RowChecksum.OfEntry(entry.Index, entry.Term.Value, command));
    }

    /// <summary>Takes the place of the former snapshot, and of all entries up to its index.</summary>
    public void ReplaceSnapshot(ClusterState snapshot)
    {
        var state = JsonSerializer.Serialize(snapshot, CoreJson.Default.ClusterState);
        Run(_forgetSnapshot);
        Run(_insertSnapshot, snapshot.AppliedIndex, snapshot.AppliedTerm.Value, state, RowChecksum.OfEntry(snapshot.AppliedIndex, snapshot.AppliedTerm.Value, state));
        Run(_dropEntries, snapshot.AppliedIndex);
    }

    public void UpdateHardState(HardState hardState)
    {
        var value = JsonSerializer.Serialize(hardState, CoreJson.Default.HardState);
        Run(_updateHardState, value, RowChecksum.OfMeta(StoreSchema.HardStateKey, value));
    }

    /// <summary>Appends to the history and lets the oldest row beyond its capacity go.</summary>
    public void InsertEvent(RecordedEvent happened)
    {
        Run(
            _insertEvent,
            happened.At.UtcDateTime.ToString(EventHistory.TimeFormat, CultureInfo.InvariantCulture),
            happened.Severity.ToString(),
            happened.Kind,
            (object?)happened.Service?.Value ?? DBNull.Value,
            happened.Sentence);
        _forgetEvents.ExecuteNonQuery();
    }

    public void Dispose()
    {
        foreach (var command in (SqliteCommand[])[_begin, _commit, _rollback, _truncate, _forgetSnapshot, _insertSnapshot, _dropEntries, _insertEntry, _updateHardState, _insertEvent, _forgetEvents])
        {
            command.Dispose();
        }
    }

    private static void Run(SqliteCommand command, params ReadOnlySpan<object> values)
    {
        for (var i = 0; i < values.Length; i++)
        {
            command.Parameters[i].Value = values[i];
        }

        command.ExecuteNonQuery();
    }

    private static SqliteCommand Prepare(SqliteConnection connection, string text, params ReadOnlySpan<string> parameters)
    {
        var command = connection.CreateCommand();
        command.CommandText = text;
        foreach (var name in parameters)
        {
            command.Parameters.Add(new SqliteParameter { ParameterName = name });
        }

        command.Prepare();
        return command;
    }
}
