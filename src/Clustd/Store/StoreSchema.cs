using Clustd.Core;
using Clustd.Core.Raft;
using Clustd.Core.Wire;
using Microsoft.Data.Sqlite;

namespace Clustd.Store;

/// <summary>
/// Tables of `state.db`. What consensus depends on (`meta`, `log`, `snapshot`) has a checksum in every row; `events` is for people.
/// Term and vote share one row, so that no damage can mix the vote of one term with another.
/// </summary>
internal static class StoreSchema
{
    /// <summary>Grows when an older clustd could no longer read the file rightly.</summary>
    public const int Format = 2;

    /// <summary>The first format with a snapshot; those before keep the whole log.</summary>
    public const int FormatWithSnapshot = 2;

    public const string FormatKey = "format";
    public const string StoreKey = "store";
    public const string HardStateKey = "hard_state";

    private const string SnapshotTable =
        "CREATE TABLE IF NOT EXISTS snapshot (idx INTEGER PRIMARY KEY, term INTEGER NOT NULL, state TEXT NOT NULL, crc INTEGER NOT NULL) STRICT;";

    private const string Tables = """
        CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL, crc INTEGER NOT NULL) STRICT, WITHOUT ROWID;
        CREATE TABLE log (idx INTEGER PRIMARY KEY, term INTEGER NOT NULL, command TEXT NOT NULL, crc INTEGER NOT NULL) STRICT;
        CREATE TABLE events (id INTEGER PRIMARY KEY, at TEXT NOT NULL, severity TEXT NOT NULL, kind TEXT NOT NULL, service TEXT, sentence TEXT NOT NULL) STRICT;
        """;

    public static void Create(SqliteConnection connection, StoreId store)
    {
        connection.Execute("BEGIN IMMEDIATE");
        connection.Execute(Tables);
        connection.Execute(SnapshotTable);
        Insert(connection, FormatKey, Format.ToString(System.Globalization.CultureInfo.InvariantCulture));
        Insert(connection, StoreKey, store.Value);
        Insert(connection, HardStateKey, System.Text.Json.JsonSerializer.Serialize(HardState.Initial, CoreJson.Default.HardState));
        connection.Execute("COMMIT");
    }

    /// <summary>Brings a file of an earlier format, read and verified, to the present one. All or nothing; clustd of that format does not read it any more.</summary>
    public static void Upgrade(SqliteConnection connection)
    {
        connection.Execute("BEGIN IMMEDIATE");
        connection.Execute(SnapshotTable);
        var format = Format.ToString(System.Globalization.CultureInfo.InvariantCulture);
        using (var command = connection.CreateCommand())
        {
            command.CommandText = "UPDATE meta SET value = $value, crc = $crc WHERE key = $key";
            command.Parameters.AddWithValue("$key", FormatKey);
            command.Parameters.AddWithValue("$value", format);
            command.Parameters.AddWithValue("$crc", RowChecksum.OfMeta(FormatKey, format));
            command.ExecuteNonQuery();
        }

        connection.Execute("COMMIT");
    }

    /// <summary>Runs statements without parameters or results.</summary>
    public static void Execute(this SqliteConnection connection, string statements)
    {
        using var command = connection.CreateCommand();
        command.CommandText = statements;
        command.ExecuteNonQuery();
    }

    private static void Insert(SqliteConnection connection, string key, string value)
    {
        using var command = connection.CreateCommand();
        command.CommandText = "INSERT INTO meta (key, value, crc) VALUES ($key, $value, $crc)";
        command.Parameters.AddWithValue("$key", key);
        command.Parameters.AddWithValue("$value", value);
        command.Parameters.AddWithValue("$crc", RowChecksum.OfMeta(key, value));
        command.ExecuteNonQuery();
    }
}
