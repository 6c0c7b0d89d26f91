using System.Collections.Immutable;
using System.Diagnostics;
using Clustd.Core;
using Clustd.Core.Cluster;
using Clustd.Core.Raft;
using Clustd.Store;
using Shouldly;
using Xunit;

namespace Clustd.Tests.Store;

public sealed class SqliteStoreTests(ITestOutputHelper output) : IDisposable
{
    private readonly TemporaryDirectory _directory = new();

    [Fact]
    public void A_new_store_is_empty_and_keeps_its_random_id()
    {
        StoreId id;
        using (var store = Open())
        {
            id = store.Id;
            id.Value.ShouldMatch("^[0-9a-f]{16}$");
            store.Stored.HardState.ShouldBe(HardState.Initial);
            store.Stored.Entries.ShouldBeEmpty();
        }

        using (var again = Open())
        {
            again.Id.ShouldBe(id);
        }

        using var other = new TemporaryDirectory();
        using var elsewhere = SqliteStore.Open(other.Path, "test");
        elsewhere.Id.ShouldNotBe(id);
    }

    [Fact]
    public void What_was_written_is_there_after_reopening_truncations_included()
    {
        var script = new StoreScript();
        using (var store = Open())
        {
            for (var i = 0; i < 30; i++)
            {
                store.Write([script.Next()], []);
            }

            store.Write([script.Next(), script.Next(), script.Next(), script.Next(), script.Next()], []); // the 35th truncates what the 34th wrote
        }

        using var again = Open();
        again.Stored.Entries.ShouldBe(script.Log);
        again.Stored.HardState.ShouldBe(new HardState(new Term(35), new MachineId("vote-35")));
    }

    [Fact]
    public void A_batch_without_term_and_vote_leaves_them_as_they_are()
    {
        using (var store = Open())
        {
            store.Write([new Output.Persist(1, new HardState(new Term(4), null), null, [])], []);
            store.Write([new Output.Persist(2, null, null, [new LogEntry(1, new Term(4), new Command.NoOp(new MachineId("a")))])], []);
        }

        using var again = Open();
        again.Stored.HardState.ShouldBe(new HardState(new Term(4), null));
    }

    [Fact]
    public void An_entry_that_does_not_follow_the_last_one_is_a_broken_invariant_and_stores_nothing()
    {
        using (var store = Open())
        {
            var gap = new LogEntry(2, new Term(1), new Command.NoOp(new MachineId("a")));
            Should.Throw<UnreachableException>(() => store.Write([new Output.Persist(1, new HardState(new Term(1), null), null, [gap])], []));
        }

        using var again = Open();
        again.Stored.HardState.ShouldBe(HardState.Initial);
    }

    [Fact]
    public void The_directory_and_its_files_are_for_their_owner_alone()
    {
        var path = _directory.File("made");
        using var store = SqliteStore.Open(path, "test");
        store.Write([new StoreScript().Next()], []);

        File.GetUnixFileMode(path).ShouldBe(UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        foreach (var file in Directory.GetFiles(path))
        {
            File.GetUnixFileMode(file).ShouldBe(UnixFileMode.UserRead | UnixFileMode.UserWrite, file);
        }
    }

    [Fact]
    public void A_second_daemon_is_refused_with_the_pid_of_the_first()
    {
        using var child = StoreChild.Start("hold", _directory.Path);
        try
        {
            child.StandardOutput.ReadLine().ShouldBe("holding");
            var refusal = Should.Throw<StoreInUseException>(Open);
            refusal.Message.ShouldContain($"pid {child.Id} (test child hold)");
            refusal.Message.ShouldContain("server.data_dir");
        }
        finally
        {
            child.Kill();
            child.WaitForExit();
        }

        using var afterwards = Open(); // the kernel dropped the dead one's lock, though the file is there
    }

    [Fact]
    public void A_user_without_permission_is_told_so()
    {
        Assert.SkipWhen(Environment.UserName == "root", "root may write everywhere");
        Directory.CreateDirectory(_directory.File("closed"), UnixFileMode.UserRead);
        Should.Throw<StoreUnwritableException>(() => SqliteStore.Open(_directory.File("closed"), "test")).Message.ShouldContain("closed");
    }

    [Fact]
    public void A_data_directory_that_is_a_file_is_told_so()
    {
        File.WriteAllText(_directory.File("file"), "");
        var refusal = Should.Throw<StoreUnwritableException>(() => SqliteStore.Open(_directory.File("file"), "test"));
        refusal.Message.ShouldContain(_directory.File("file"));
        refusal.Message.ShouldContain("server.data_dir");
    }

    [Fact]
    public void Ten_thousand_entries_load_in_a_time_worth_knowing()
    {
        using (var store = Open())
        {
            var entries = Enumerable.Range(1, 10_000)
                .Select(i => new LogEntry(i, new Term(1), new Command.SetPause(true, new string('x', 200))))
                .ToImmutableArray();
            store.Write([new Output.Persist(1, null, null, entries)], []);
        }

        var started = Stopwatch.GetTimestamp();
        using var again = Open();
        output.WriteLine($"10,000 entries: {Stopwatch.GetElapsedTime(started).TotalMilliseconds:0} ms");
        again.Stored.Entries.Length.ShouldBe(10_000);
    }

    public void Dispose() => _directory.Dispose();

    private SqliteStore Open() => SqliteStore.Open(_directory.Path, "test");
}
