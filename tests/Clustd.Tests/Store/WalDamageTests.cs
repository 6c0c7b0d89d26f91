using Clustd.Core;
using Clustd.Store;
using Shouldly;
using Xunit;

namespace Clustd.Tests.Store;

/// <summary>A store as a crash leaves it: everything is in the write-ahead log, nothing was checkpointed.</summary>
public sealed class WalDamageTests : IDisposable
{
    private const int Batches = 40;

    private readonly TemporaryDirectory _directory = new();
    private readonly byte[] _database;
    private readonly byte[] _log;

    public WalDamageTests()
    {
        using var original = new TemporaryDirectory();
        using var store = SqliteStore.Open(original.Path, "test");
        var script = new StoreScript();
        for (var i = 0; i < Batches; i++)
        {
            store.Write([script.Next()], []);
        }

        // Read as a crash would leave it; closing the store would checkpoint and remove the log.
        _database = ReadShared(original.File("state.db"));
        _log = ReadShared(original.File("state.db-wal"));
    }

    [Fact]
    public void A_crash_image_holds_everything()
    {
        LoadedBatches(_log, "untouched").ShouldBe(Batches);
    }

    /// <summary>The wrong program leaves this to SQLite, which takes the flipped frame for the end of the log and forgets votes.</summary>
    [Fact]
    public void No_single_flipped_bit_loses_more_than_a_power_cut_could()
    {
        var seed = Random.Shared.Next();
        var random = new Random(seed);
        var refused = 0;
        for (var i = 0; i < 200; i++)
        {
            var damaged = (byte[])_log.Clone();
            var bit = random.Next(damaged.Length * 8);
            damaged[bit / 8] ^= (byte)(1 << (bit % 8));
            try
            {
                LoadedBatches(damaged, $"seed {seed}, bit {bit}").ShouldBeGreaterThanOrEqualTo(Batches - 1, $"seed {seed}, bit {bit}");
            }
            catch (StoreCorruptException e)
            {
                e.Place.ShouldBe("write-ahead log");
                refused++;
            }
        }

        refused.ShouldBeGreaterThan(150, $"seed {seed}");
    }

    [Fact]
    public void A_flipped_bit_in_the_header_stops_the_start()
    {
        for (var bit = 0; bit < 32 * 8; bit++)
        {
            var damaged = (byte[])_log.Clone();
            damaged[bit / 8] ^= (byte)(1 << (bit % 8));
            WalVerification.FindDamage(damaged).ShouldNotBeNull($"bit {bit}");
        }
    }

    [Fact]
    public void A_log_cut_off_anywhere_is_what_a_power_cut_leaves_and_starts()
    {
        for (var length = 0; length <= _log.Length; length += 1_777)
        {
            WalVerification.FindDamage(_log.AsSpan(0, length)).ShouldBeNull($"length {length}");
        }

        LoadedBatches(_log[..^100], "torn last frame").ShouldBe(Batches - 1);
    }

    [Fact]
    public void A_log_that_was_begun_anew_over_an_older_round_is_sound()
    {
        using var original = new TemporaryDirectory();
        using var store = SqliteStore.Open(original.Path, "test");
        var script = new StoreScript();
        for (var i = 0; i < 700; i++)
        {
            store.Write([script.Next()], []); // several rounds: a checkpoint comes every 500 pages
        }

        WalVerification.FindDamage(ReadShared(original.File("state.db-wal"))).ShouldBeNull();
    }

    public void Dispose() => _directory.Dispose();

    private long LoadedBatches(byte[] log, string hint)
    {
        File.Delete(_directory.File("state.db-shm"));
        File.WriteAllBytes(_directory.File("state.db"), _database);
        File.WriteAllBytes(_directory.File("state.db-wal"), log);
        using var store = SqliteStore.Open(_directory.Path, "test");
        var batches = store.Stored.HardState.Term.Value;
        store.Stored.Entries.SequenceEqual(StoreScript.After(batches).Log).ShouldBeTrue(hint);
        return batches;
    }

    private static byte[] ReadShared(string path)
    {
        using var stream = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite);
        var bytes = new byte[stream.Length];
        stream.ReadExactly(bytes);
        return bytes;
    }
}
