using System.Collections.Immutable;
using Clustd.Core;
using Clustd.Core.Cluster;
using Clustd.Core.Raft;
using Clustd.Store;
using Microsoft.Data.Sqlite;
using Shouldly;
using Xunit;

namespace Clustd.Tests.Store;

/// <summary>A snapshot takes the place of the entries that it covers, in the same transaction. The wrong program: one that starts with a hole between the two.</summary>
public sealed class StoreSnapshotTests : IDisposable
{
    private readonly TemporaryDirectory _directory = new();

    private string Database => _directory.File("state.db");

    [Fact]
    public void A_snapshot_takes_the_place_of_the_entries_up_to_its_index()
    {
        WriteTenWithSnapshotOf(7);

        using var again = Open();

        again.Stored.Base.ShouldBe(new LogPosition(7, new Term(1)));
        again.Stored.LastIndex.ShouldBe(10);
        again.Stored.Entries.Select(entry => entry.Index).ShouldBe([8, 9, 10]);
        SnapshotBytes.Write(again.Stored.Snapshot!).ShouldBe(SnapshotBytes.Write(StateAt(7)));
    }

    [Fact]
    public void A_snapshot_of_another_machine_replaces_the_whole_log_and_entries_follow_it()
    {
        using (var store = Open())
        {
            store.Write([new Output.Persist(1, null, null, Entries(1, 10))], []);
            store.Write([new Output.Persist(2, null, 1, Entries(51, 52), StateAt(50))], []);
            store.Write([new Output.Persist(3, null, null, Entries(53, 53))], []);
        }

        using var again = Open();

        again.Stored.Base.Index.ShouldBe(50);
        again.Stored.Entries.Select(entry => entry.Index).ShouldBe([51, 52, 53]);
    }

    [Fact]
    public void Of_two_snapshots_the_newer_one_is_kept()
    {
        using (var store = Open())
        {
            store.Write([new Output.Persist(1, null, null, Entries(1, 10)), new Output.Persist(2, null, null, [], StateAt(4)), new Output.Persist(3, null, null, [], StateAt(9))], []);
        }

        using var again = Open();

        again.Stored.Base.Index.ShouldBe(9);
        again.Stored.Entries.Length.ShouldBe(1);
    }

    [Theory]
    [InlineData("UPDATE snapshot SET state = replace(state, 'paused', 'Paused')", "snapshot row 7")]
    [InlineData("UPDATE snapshot SET idx = 8", "snapshot row 8")]
    [InlineData("UPDATE snapshot SET term = term + 1", "snapshot row 7")]
    [InlineData("INSERT INTO snapshot SELECT idx + 1, term, state, crc FROM snapshot", "snapshot row 8")]
    [InlineData("DELETE FROM snapshot", "log row 8")]
    [InlineData("DELETE FROM log WHERE idx = 8", "log row 9")]
    public void A_changed_row_stops_the_start_and_is_named(string damage, string place)
    {
        WriteTenWithSnapshotOf(7);
        using (var connection = new SqliteConnection($"Data Source={Database};Pooling=False"))
        {
            connection.Open();
            connection.Execute(damage);
        }

        var refusal = Should.Throw<StoreCorruptException>(() => Open().Dispose());

        refusal.Place.ShouldBe(place);
        refusal.Message.ShouldContain("Move the data directory away");
    }

    [Fact]
    public void A_file_of_the_first_format_is_read_and_brought_up_to_date()
    {
        using (var store = Open())
        {
            store.Write([new Output.Persist(1, null, null, Entries(1, 10))], []);
        }

        using (var connection = new SqliteConnection($"Data Source={Database};Pooling=False"))
        {
            connection.Open();
            connection.Execute($"DROP TABLE snapshot; UPDATE meta SET value = '1', crc = {RowChecksum.OfMeta("format", "1")} WHERE key = 'format'");
        }

        using (var upgraded = Open())
        {
            upgraded.Stored.Entries.Length.ShouldBe(10);
            upgraded.Write([new Output.Persist(2, null, null, [], StateAt(5))], []);
        }

        using var again = Open();
        again.Stored.Base.Index.ShouldBe(5);
    }

    public void Dispose() => _directory.Dispose();

    private static ImmutableArray<LogEntry> Entries(int first, int last) =>
        [.. Enumerable.Range(first, last - first + 1).Select(index => new LogEntry(index, new Term(1), new Command.NoOp(new MachineId("a"))))];

    private static ClusterState StateAt(long index) => ClusterState.Empty with
    {
        AppliedIndex = index,
        AppliedTerm = new Term(1),
        Cluster = new ClusterId("c"),
        LastTokens = ClusterState.Empty.LastTokens.Add(new ServiceName("web"), new Token(index)),
    };

    private SqliteStore Open() => SqliteStore.Open(_directory.Path, "test");

    private void WriteTenWithSnapshotOf(long index)
    {
        using var store = Open();
        store.Write([new Output.Persist(1, null, null, Entries(1, 10))], []);
        store.Write([new Output.Persist(2, null, null, [], StateAt(index))], []);
    }
}
