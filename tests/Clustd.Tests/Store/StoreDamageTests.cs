using Clustd.Core;
using Clustd.Store;
using Microsoft.Data.Sqlite;
using Shouldly;
using Xunit;

namespace Clustd.Tests.Store;

/// <summary>Damage must stop the start. The wrong program: one that loads a log with a hole, or forgets a vote, and votes again.</summary>
public sealed class StoreDamageTests : IDisposable
{
    private readonly TemporaryDirectory _directory = new();
    private readonly StoreScript _script = new();

    public StoreDamageTests()
    {
        using var store = SqliteStore.Open(_directory.Path, "test");
        for (var i = 0; i < 40; i++)
        {
            store.Write([_script.Next()], []);
        }
    }

    private string Database => _directory.File("state.db");

    [Theory]
    [InlineData("UPDATE log SET term = term + 1 WHERE idx = 3", "log row 3")]
    [InlineData("UPDATE log SET command = replace(command, 'machine', 'nachine') WHERE idx = 3", "log row 3")]
    [InlineData("UPDATE log SET crc = crc + 1 WHERE idx = 3", "log row 3")]
    [InlineData("UPDATE log SET (term, command, crc) = (SELECT term, command, crc FROM log WHERE idx = 4) WHERE idx = 3", "log row 3")]
    [InlineData("DELETE FROM log WHERE idx = 3", "log row 4")]
    [InlineData("DELETE FROM log WHERE idx = 1", "log row 2")]
    [InlineData("UPDATE meta SET value = replace(value, '40', '39') WHERE key = 'hard_state'", "meta row hard_state")]
    [InlineData("UPDATE meta SET value = 'fedcba9876543210' WHERE key = 'store'", "meta row store")]
    [InlineData("UPDATE meta SET value = '0' WHERE key = 'format'", "meta row format")]
    [InlineData("DELETE FROM meta WHERE key = 'hard_state'", "meta row hard_state")]
    [InlineData("DROP TABLE meta", "file")]
    public void A_changed_row_stops_the_start_and_is_named(string damage, string place)
    {
        Execute(damage);

        var refusal = Should.Throw<StoreCorruptException>(Open);

        refusal.Place.ShouldBe(place);
        refusal.Message.ShouldContain(Database);
        refusal.Message.ShouldContain(place == "file" ? "`meta`" : place);
        refusal.Message.ShouldContain("Move the data directory away");
    }

    [Fact]
    public void No_single_flipped_bit_changes_what_is_loaded()
    {
        var sound = File.ReadAllBytes(Database);
        var seed = Random.Shared.Next();
        var random = new Random(seed);
        var refused = 0;
        for (var i = 0; i < 300; i++)
        {
            var damaged = (byte[])sound.Clone();
            var bit = random.Next(sound.Length * 8);
            damaged[bit / 8] ^= (byte)(1 << (bit % 8));
            Write(damaged);
            try
            {
                using var store = Open();
                ShouldBeWhole(store.Stored, $"seed {seed}, bit {bit}");
            }
            catch (StoreException e)
            {
                e.Path.ShouldBe(Database);
                refused++;
            }
        }

        refused.ShouldBeGreaterThan(50, $"seed {seed}"); // else the flips never met a row
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(100)]
    [InlineData(4096)]
    [InlineData(8192)]
    public void A_truncated_file_stops_the_start(int length)
    {
        Write(File.ReadAllBytes(Database)[..length]);
        var refusal = Should.Throw<StoreCorruptException>(Open);
        refusal.Message.ShouldContain(Database);
    }

    [Fact]
    public void A_file_that_is_no_database_stops_the_start()
    {
        Write([.. Enumerable.Range(0, 20_000).Select(i => (byte)(i * 7))]);
        Should.Throw<StoreCorruptException>(Open).Message.ShouldContain(Database);
    }

    [Fact]
    public void A_write_ahead_log_without_its_database_stops_the_start()
    {
        File.Move(Database, Database + "-wal");
        Should.Throw<StoreCorruptException>(Open).Message.ShouldContain("missing");
        File.Exists(Database).ShouldBeFalse();
    }

    [Fact]
    public void A_creation_that_was_interrupted_is_begun_anew()
    {
        using var other = new TemporaryDirectory();
        File.WriteAllBytes(other.File("state.db.new"), File.ReadAllBytes(Database)[..5000]);
        File.WriteAllBytes(other.File("state.db.new-wal"), [1, 2, 3]);
        using var store = SqliteStore.Open(other.Path, "test");
        store.Stored.Entries.ShouldBeEmpty();
    }

    [Fact]
    public void A_newer_format_is_refused_with_what_to_do()
    {
        Execute($"UPDATE meta SET value = '3', crc = {RowChecksum.OfMeta("format", "3")} WHERE key = 'format'");
        var refusal = Should.Throw<StoreTooNewException>(Open);
        refusal.Message.ShouldContain("format 3");
        refusal.Message.ShouldContain("Install that version again");
    }

    [Fact]
    public void An_intact_command_of_an_unknown_kind_is_a_newer_clustds()
    {
        const string command = """{"type":"fly-to-the-moon"}""";
        Execute($"UPDATE log SET command = '{command}', crc = {RowChecksum.OfEntry(3, _script.Log[2].Term.Value, command)} WHERE idx = 3");
        Should.Throw<StoreTooNewException>(Open).Message.ShouldContain("log row 3");
    }

    public void Dispose() => _directory.Dispose();

    private SqliteStore Open() => SqliteStore.Open(_directory.Path, "test");

    private void ShouldBeWhole(StoredState stored, string hint)
    {
        stored.HardState.Term.Value.ShouldBe(40, hint);
        stored.HardState.Vote.ShouldBe(new MachineId("vote-40"), hint);
        stored.Entries.SequenceEqual(_script.Log).ShouldBeTrue(hint);
    }

    private void Write(byte[] bytes)
    {
        File.Delete(Database + "-wal");
        File.Delete(Database + "-shm");
        File.WriteAllBytes(Database, bytes);
    }

    private void Execute(string sql)
    {
        using var connection = new SqliteConnection($"Data Source={Database};Pooling=False");
        connection.Open();
        connection.Execute(sql);
    }
}
