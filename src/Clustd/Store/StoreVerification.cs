using System.Collections.Immutable;
using System.Globalization;
using System.Text.Json;
using Clustd.Core;
using Clustd.Core.Cluster;
using Clustd.Core.Raft;
using Clustd.Core.Wire;
using Microsoft.Data.Sqlite;

namespace Clustd.Store;

/// <summary>
/// Reads the whole store and believes nothing: SQLite's own structure, each row's checksum, indices contiguous from 1 or from the snapshot on, terms that never
/// fall. Whatever is wrong stops the start; a machine without memory is safe, one with a wrong memory is not.
/// </summary>
internal static class StoreVerification
{
    public static StoredState Load(SqliteConnection connection, string path, out int format)
    {
        try
        {
            return LoadAndVerify(connection, path, out format);
        }
        catch (Exception e) when (e is InvalidOperationException or InvalidCastException or FormatException or OverflowException or ArgumentException)
        {
            // What a damaged record can do to a reader: null or a number where text should be, one key twice.
            throw StoreFailure.Corrupt(path, "file", e.Message, e);
        }
    }

    private static StoredState LoadAndVerify(SqliteConnection connection, string path, out int format)
    {
        CheckTables(connection, path);
        var meta = ReadMeta(connection, path);
        format = FormatOf(meta, path);
        CheckStructure(connection, path);
        var store = new StoreId(Value(meta, StoreSchema.StoreKey, path));
        var hardState = Parse(Value(meta, StoreSchema.HardStateKey, path), CoreJson.Default.HardState, path, "meta row " + StoreSchema.HardStateKey);
        var snapshot = format < StoreSchema.FormatWithSnapshot ? null : ReadSnapshot(connection, path);
        var entries = ReadLog(connection, path, snapshot?.Position ?? default);
        return new StoredState(store, hardState, entries, snapshot);
    }

    private static void CheckTables(SqliteConnection connection, string path)
    {
        using var command = Query(connection, "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = 'meta'");
        if ((long)command.ExecuteScalar()! == 0)
        {
            throw StoreFailure.Corrupt(path, "file", "it is a database, but not one of clustd's: it has no table `meta`");
        }
    }

    private static SortedDictionary<string, string> ReadMeta(SqliteConnection connection, string path)
    {
        var meta = new SortedDictionary<string, string>(StringComparer.Ordinal);
        using var command = Query(connection, "SELECT key, value, crc FROM meta");
        using var rows = command.ExecuteReader();
        while (rows.Read())
        {
            var (key, value) = (rows.GetString(0), rows.GetString(1));
            if (RowChecksum.OfMeta(key, value) != rows.GetInt64(2))
            {
                throw StoreFailure.Corrupt(path, "meta row " + key, "its checksum does not match");
            }

            meta.Add(key, value);
        }

        return meta;
    }

    // Before anything else is read: a newer format may be laid out in another way.
    private static int FormatOf(SortedDictionary<string, string> meta, string path)
    {
        var format = Value(meta, StoreSchema.FormatKey, path);
        if (!int.TryParse(format, NumberStyles.None, CultureInfo.InvariantCulture, out var number) || number > StoreSchema.Format)
        {
            throw new StoreTooNewException(
                path,
                $"The store {path} has format {format}, and this clustd reads up to {StoreSchema.Format}: a newer clustd wrote it. " +
                "Install that version again, or move the data directory away to join as a new member.");
        }

        return number;
    }

    private static void CheckStructure(SqliteConnection connection, string path)
    {
        using var command = Query(connection, "PRAGMA integrity_check(1)");
        if (command.ExecuteScalar() is not "ok" and var finding)
        {
            throw StoreFailure.Corrupt(path, "file", $"SQLite's integrity check says: {finding}");
        }
    }

    private static ClusterState? ReadSnapshot(SqliteConnection connection, string path)
    {
        ClusterState? snapshot = null;
        using var command = Query(connection, "SELECT idx, term, state, crc FROM snapshot ORDER BY idx");
        using var rows = command.ExecuteReader();
        while (rows.Read())
        {
            var (index, term, text) = (rows.GetInt64(0), rows.GetInt64(1), rows.GetString(2));
            var place = $"snapshot row {index.ToString(CultureInfo.InvariantCulture)}";
            if (snapshot is not null)
            {
                throw StoreFailure.Corrupt(path, place, "there is another one");
            }

            if (RowChecksum.OfEntry(index, term, text) != rows.GetInt64(3))
            {
                throw StoreFailure.Corrupt(path, place, "its checksum does not match");
            }

            snapshot = Parse(text, CoreJson.Default.ClusterState, path, place);
            if (snapshot.Position != new LogPosition(index, new Term(term)))
            {
                throw StoreFailure.Corrupt(path, place, $"the state in it ends at entry {snapshot.AppliedIndex}");
            }
        }

        return snapshot;
    }

    private static ImmutableArray<LogEntry> ReadLog(SqliteConnection connection, string path, LogPosition start)
    {
        var entries = ImmutableArray.CreateBuilder<LogEntry>();
        var lastTerm = start.Term;
        using var command = Query(connection, "SELECT idx, term, command, crc FROM log ORDER BY idx");
        using var rows = command.ExecuteReader();
        while (rows.Read())
        {
            var (index, term, text) = (rows.GetInt64(0), new Term(rows.GetInt64(1)), rows.GetString(2));
            var place = $"log row {index.ToString(CultureInfo.InvariantCulture)}";
            if (RowChecksum.OfEntry(index, term.Value, text) != rows.GetInt64(3))
            {
                throw StoreFailure.Corrupt(path, place, "its checksum does not match");
            }

            if (index != start.Index + entries.Count + 1)
            {
                throw StoreFailure.Corrupt(path, place, $"row {start.Index + entries.Count + 1} should come here");
            }

            if (term < lastTerm)
            {
                throw StoreFailure.Corrupt(path, place, $"its term {term} is lower than {lastTerm} before it");
            }

            entries.Add(new LogEntry(index, term, Parse(text, CoreJson.Default.Command, path, place)));
            lastTerm = term;
        }

        return entries.ToImmutable();
    }

    // The checksum matched, so this is what was written: what we cannot read, a newer version wrote.
    private static T Parse<T>(string text, System.Text.Json.Serialization.Metadata.JsonTypeInfo<T> type, string path, string place)
    {
        try
        {
            return JsonSerializer.Deserialize(text, type) ?? throw new JsonException("It is null.");
        }
        catch (Exception e) when (e is JsonException or NotSupportedException)
        {
            throw new StoreTooNewException(
                path,
                $"The store {path} holds something in {place} that this clustd does not know, though it is intact: a newer clustd wrote it ({e.Message}). " +
                "Install that version again, or move the data directory away to join as a new member.",
                e);
        }
    }

    private static string Value(SortedDictionary<string, string> meta, string key, string path) =>
        meta.TryGetValue(key, out var value) ? value : throw StoreFailure.Corrupt(path, "meta row " + key, "it is missing");

    private static SqliteCommand Query(SqliteConnection connection, string text)
    {
        var command = connection.CreateCommand();
        command.CommandText = text;
        return command;
    }
}
