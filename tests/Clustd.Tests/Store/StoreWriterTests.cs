using System.Collections.Concurrent;
using System.Diagnostics;
using Clustd.Core;
using Clustd.Events;
using Clustd.Store;
using Microsoft.Data.Sqlite;
using Microsoft.Extensions.Time.Testing;
using Shouldly;
using Xunit;

namespace Clustd.Tests.Store;

public sealed class StoreWriterTests : IDisposable
{
    private static readonly TimeSpan Deadline = TimeSpan.FromSeconds(30);

    private readonly TemporaryDirectory _directory = new();
    private readonly BlockingCollection<object> _told = []; // a long for each Persisted, the exception for the others
    private readonly FakeTimeProvider _wallClock = new(new DateTimeOffset(2026, 1, 2, 3, 4, 5, TimeSpan.Zero));

    [Fact]
    public async Task Acknowledges_in_order_and_many_waiting_batches_together()
    {
        var script = new StoreScript();
        await using (var writer = Start(_directory.Path))
        {
            for (var i = 0; i < 2_000; i++)
            {
                writer.Persist(script.Next());
            }

            await writer.DisposeAsync();
            writer.Commits.Count.ShouldBeLessThan(2_000);
        }

        var sequences = _told.Cast<long>().ToList();
        sequences.ShouldBe(sequences.Order());
        sequences[^1].ShouldBe(2_000);
        using var store = SqliteStore.Open(_directory.Path, "test");
        store.Stored.Entries.ShouldBe(script.Log);
    }

    /// <summary>The wrong program: one that tries again after a failed write, or acknowledges a later batch over a hole.</summary>
    [Fact]
    public async Task A_failed_write_is_told_once_and_nothing_is_acknowledged_after_it()
    {
        var script = new StoreScript();
        await using var writer = Start(_directory.Path);
        writer.Persist(script.Next());
        Next().ShouldBe(1L);
        using (var saboteur = new SqliteConnection($"Data Source={_directory.File("state.db")};Pooling=False"))
        {
            saboteur.Open();
            saboteur.Execute("ALTER TABLE log RENAME TO gone");
        }

        writer.Persist(script.Next());
        Next().ShouldBeOfType<StoreUnwritableException>().Message.ShouldContain(_directory.File("state.db"));
        writer.Persist(new Output.Persist(3, null, null, []));
        await writer.DisposeAsync();
        _told.ShouldBeEmpty();
    }

    [Fact]
    public async Task On_a_full_disk_the_reserve_is_spent_so_that_the_goodbye_can_be_written()
    {
        await using var mount = SmallDisk.Mount(_directory.File("small"), megabytes: 4);
        var script = new StoreScript();
        var writer = Start(mount.Path);
        writer.Persist(script.Next());
        Next().ShouldBe(1L);
        var filler = Path.Combine(mount.Path, "filler");
        mount.Fill(filler);

        object told = 0L;
        while (told is long)
        {
            writer.Persist(script.Next());
            told = Next();
        }

        told.ShouldBeOfType<StoreUnwritableException>().DiskFull.ShouldBeTrue();
        Next().ShouldBe(script.Written); // the batch that found no room is durable after all
        for (var i = 0; i < 8; i++)
        {
            writer.Persist(script.Next());
            Next().ShouldBe(script.Written);
        }

        var safe = script.Written;
        do
        {
            writer.Persist(script.Next());
            told = Next();
            safe = told is long sequence ? sequence : safe;
        }
        while (told is long);

        told.ShouldBeOfType<StoreUnwritableException>().DiskFull.ShouldBeTrue();
        await writer.DisposeAsync();
        Should.Throw<StoreUnwritableException>(() => SqliteStore.Open(mount.Path, "test")).DiskFull.ShouldBeTrue();
        File.Delete(filler);
        using var store = SqliteStore.Open(mount.Path, "test");
        store.Stored.HardState.Term.Value.ShouldBe(safe);
        store.Stored.Entries.ShouldBe(StoreScript.After(safe).Log);
    }

    [Fact]
    public async Task Events_are_kept_with_the_wall_clocks_time_and_found_by_service_and_severity()
    {
        await using (var writer = Start(_directory.Path))
        {
            writer.Note(new Output.Noted(Severity.Information, "promoted", "web runs here now.", new ServiceName("web")));
            _wallClock.Advance(TimeSpan.FromMinutes(1));
            writer.Note(new Output.Noted(Severity.Warning, "session-lost", "The lease is over: nobody has confirmed it."));
        }

        var history = new EventHistory(_directory.File("state.db"));
        var all = history.Read(new EventQuery());
        all.Select(e => e.Kind).ShouldBe(["promoted", "session-lost"]);
        all[0].ShouldBe(new RecordedEvent(
            1, new DateTimeOffset(2026, 1, 2, 3, 4, 5, TimeSpan.Zero), Severity.Information, "promoted", new ServiceName("web"), "web runs here now."));
        history.Read(new EventQuery { Service = new ServiceName("web") }).Select(e => e.Kind).ShouldBe(["promoted"]);
        history.Read(new EventQuery { AtLeast = Severity.Warning }).Select(e => e.Kind).ShouldBe(["session-lost"]);
        history.Read(new EventQuery { AfterId = 1 }).Select(e => e.Kind).ShouldBe(["session-lost"]);
        history.Read(new EventQuery { Since = all[1].At }).Select(e => e.Kind).ShouldBe(["session-lost"]);
        history.Read(new EventQuery { Limit = 1 }).Select(e => e.Kind).ShouldBe(["session-lost"]);
    }

    [Fact]
    public async Task Events_are_written_within_seconds_without_any_other_write()
    {
        await using var writer = Start(_directory.Path);
        writer.Note(new Output.Noted(Severity.Information, "started", "clustd has started."));
        var history = new EventHistory(_directory.File("state.db"));
        SpinWait.SpinUntil(() => history.Read(new EventQuery()).Count == 1, Deadline).ShouldBeTrue();
    }

    [Fact]
    public void The_history_forgets_its_oldest_events()
    {
        using (var store = SqliteStore.Open(_directory.Path, "test"))
        {
            var events = Enumerable.Range(1, EventHistory.Capacity + 5)
                .Select(i => new RecordedEvent(0, _wallClock.GetUtcNow(), Severity.Debug, $"kind-{i}", null, "It happened."));
            store.Write([], [.. events]);
        }

        var kept = new EventHistory(_directory.File("state.db")).Read(new EventQuery { Limit = int.MaxValue });
        kept.Count.ShouldBe(EventHistory.Capacity);
        kept[0].Kind.ShouldBe("kind-6");
        kept[^1].Kind.ShouldBe($"kind-{EventHistory.Capacity + 5}");
    }

    public void Dispose()
    {
        _told.Dispose();
        _directory.Dispose();
    }

    private StoreWriter Start(string path) => new(
        SqliteStore.Open(path, "test"),
        new StoreWriterEvents { Persisted = s => _told.Add(s), DiskFull = _told.Add, Failed = _told.Add },
        _wallClock);

    private object Next() => _told.TryTake(out var told, Deadline) ? told : throw new TimeoutException("The writer says nothing.");
}
