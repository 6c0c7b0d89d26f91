using System.Collections.Immutable;
using System.Text;
using System.Text.Json;
using Clustd.Core;
using Clustd.Core.Cluster;
using Clustd.Core.Raft;
using Clustd.Core.Wire;
using Clustd.Store;
using Clustd.Tests.Store;
using Microsoft.Data.Sqlite;
using Shouldly;
using Xunit;

namespace Clustd.Tests.Decoders;

/// <summary>
/// Rows whose checksum is right and whose contents are not: what another version wrote, or a mistake of ours before the checksum was made. The store is loaded
/// whole or refused by name, with the file and what to do; flipped bits, which no checksum fits, are StoreDamageTests'.
/// </summary>
public sealed class StoreRowTests : IDisposable
{
    private const int Damages = 150;
    private readonly TemporaryDirectory _directory = new();

    private enum Row
    {
        HardState,
        StoreId,
        Format,
        Command,
        Snapshot,
    }

    [Fact]
    public void A_row_with_damaged_contents_is_loaded_whole_or_refused()
    {
        var seed = System.Random.Shared.Next();
        var (loaded, refused) = (0, 0);
        for (var i = 0; i < Damages; i++, seed++)
        {
            var random = new System.Random(seed);
            var row = Enum.GetValues<Row>()[i % 5];
            Directory.Delete(_directory.Path, recursive: true);
            Directory.CreateDirectory(_directory.Path);
            SqliteStore.Open(_directory.Path, "test").Dispose();
            Put(row, random);
            try
            {
                using var store = SqliteStore.Open(_directory.Path, "test");
                ShouldBeWhole(store.Stored);
                loaded++;
            }
            catch (StoreException e)
            {
                e.Message.ShouldContain(_directory.File("state.db"), customMessage: $"seed {seed}, {row}");
                e.Message.ShouldContain("data directory", customMessage: $"seed {seed}, {row}");
                refused++;
            }
            catch (Exception e)
            {
                throw new InvalidOperationException($"seed {seed}, {row}: {e.GetType().Name}", e);
            }
        }

        loaded.ShouldBeGreaterThan(0);
        refused.ShouldBeGreaterThan(Damages / 4);
    }

    [Fact]
    public void Rows_of_any_value_are_loaded_as_they_were_written()
    {
        for (var seed = 0; seed < 30; seed++)
        {
            Directory.Delete(_directory.Path, recursive: true);
            Directory.CreateDirectory(_directory.Path);
            SqliteStore.Open(_directory.Path, "test").Dispose();
            var random = new System.Random(seed);
            var hardState = (HardState)new AnyValue(random).Of(typeof(HardState));
            var command = (Command)new AnyValue(random).Of(typeof(Command));
            using (var connection = Open())
            {
                Update(connection, StoreSchema.HardStateKey, JsonSerializer.Serialize(hardState, CoreJson.Default.HardState));
                Insert(connection, "log", "command", 1, JsonSerializer.Serialize(command, CoreJson.Default.Command));
            }

            using var store = SqliteStore.Open(_directory.Path, "test");
            store.Stored.HardState.ShouldBe(hardState);
            JsonSerializer.Serialize(store.Stored.Entries.Single().Command, CoreJson.Default.Command).ShouldBe(JsonSerializer.Serialize(command, CoreJson.Default.Command), $"seed {seed}");
        }
    }

    public void Dispose() => _directory.Dispose();

    private void Put(Row row, System.Random random)
    {
        var any = new AnyValue(random);
        using var connection = Open();
        switch (row)
        {
            case Row.HardState:
                Update(connection, StoreSchema.HardStateKey, Damaged(any.Of(typeof(HardState)), random));
                break;
            case Row.StoreId:
                Update(connection, StoreSchema.StoreKey, Encoding.UTF8.GetString(new Damage(random).Of("0123456789abcdef"u8.ToArray())));
                break;
            case Row.Format:
                Update(connection, StoreSchema.FormatKey, Encoding.UTF8.GetString(new Damage(random).Of("2"u8.ToArray())));
                break;
            case Row.Command:
                Insert(connection, "log", "command", random.Next(3), Damaged(any.Of(typeof(Command)), random));
                break;
            default:
                var state = (ClusterState)any.Of(typeof(ClusterState)) with { AppliedIndex = 7, AppliedTerm = new Term(1) };
                Insert(connection, "snapshot", "state", 7, Damaged(state, random));
                break;
        }
    }

    private static string Damaged(object value, System.Random random)
    {
        var bytes = value switch
        {
            HardState hardState => JsonSerializer.SerializeToUtf8Bytes(hardState, CoreJson.Default.HardState),
            Command command => JsonSerializer.SerializeToUtf8Bytes(command, CoreJson.Default.Command),
            _ => SnapshotBytes.Write((ClusterState)value),
        };
        return Encoding.UTF8.GetString(new Damage(random).Of(bytes));
    }

    // What was taken can be written again: nothing in it is missing.
    private static void ShouldBeWhole(StoredState stored)
    {
        stored.Entries.IsDefault.ShouldBeFalse();
        JsonSerializer.Serialize(stored.HardState, CoreJson.Default.HardState).ShouldNotBeEmpty();
        foreach (var entry in stored.Entries)
        {
            JsonSerializer.Serialize(entry, CoreJson.Default.LogEntry).ShouldNotBeEmpty();
        }

        if (stored.Snapshot is { } snapshot)
        {
            SnapshotBytes.Write(snapshot).ShouldNotBeEmpty();
        }
    }

    private SqliteConnection Open()
    {
        var connection = new SqliteConnection($"Data Source={_directory.File("state.db")};Pooling=False");
        connection.Open();
        return connection;
    }

    private static void Update(SqliteConnection connection, string key, string value)
    {
        using var command = connection.CreateCommand();
        command.CommandText = "UPDATE meta SET value = $value, crc = $crc WHERE key = $key";
        command.Parameters.AddWithValue("$key", key);
        command.Parameters.AddWithValue("$value", value);
        command.Parameters.AddWithValue("$crc", RowChecksum.OfMeta(key, value));
        command.ExecuteNonQuery();
    }

    private static void Insert(SqliteConnection connection, string table, string column, long index, string text)
    {
        using var command = connection.CreateCommand();
        command.CommandText = $"INSERT INTO {table} (idx, term, {column}, crc) VALUES ($index, 1, $text, $crc)";
        command.Parameters.AddWithValue("$index", index);
        command.Parameters.AddWithValue("$text", text);
        command.Parameters.AddWithValue("$crc", RowChecksum.OfEntry(index, 1, text));
        command.ExecuteNonQuery();
    }
}
