using System.Diagnostics;
using Clustd.Core;
using Clustd.Events;

namespace Clustd.Store;

/// <summary>
/// What the writer tells; each on the writer's own thread, none may block. After DiskFull the writer goes on, with the reserve as its
/// last room: say goodbye. After Failed nothing is written any more: leave.
/// </summary>
public sealed record StoreWriterEvents
{
    /// <summary>All batches up to this sequence are durable.</summary>
    public required Action<long> Persisted { get; init; }

    /// <summary>The disk was full, the reserve is spent, and everything up to now is durable nevertheless. Said once.</summary>
    public required Action<StoreUnwritableException> DiskFull { get; init; }

    /// <summary>Said once; the last word of this writer.</summary>
    public required Action<Exception> Failed { get; init; }
}

/// <summary>
/// The one thread that writes the store. What waits while a commit is under way goes into the next one together (group commit), so a
/// slow disk makes transactions larger, not the queue longer. Events ride along, and wait a second at most when nothing else comes.
/// </summary>
public sealed class StoreWriter : IAsyncDisposable
{
    // The core has a handful of batches under way. Thousands waiting mean that the disk has not answered for very long.
    private const int BatchesMaximum = 4096;

    // Events are for people: a flood of them loses its end rather than memory; a takeover of a thousand services, some five sentences each, is no flood.
    // Few per commit, so that they never make consensus wait.
    private const int EventsMaximum = 8192;
    private const int EventsPerCommit = 32;

    private static readonly TimeSpan EventDelay = TimeSpan.FromSeconds(1);

    private readonly SqliteStore _store;
    private readonly StoreWriterEvents _events;
    private readonly TimeProvider _wallClock;
    private readonly Thread _thread;
    private readonly TaskCompletionSource _ended = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly DurationRing _commits = new();

    // All below are guarded by _gate.
    private readonly object _gate = new();
    private readonly Queue<RecordedEvent> _notes = new();
    private List<Output.Persist> _waiting = [];
    private int _notesLost;
    private bool _ending;
    private bool _failed;
    private bool _diskFullSaid;

    /// <summary>Starts the thread. The writer owns the store from here on and closes it at its end.</summary>
    public StoreWriter(SqliteStore store, StoreWriterEvents events, TimeProvider wallClock)
    {
        _store = store;
        _events = events;
        _wallClock = wallClock;
        // Background: a disk that never answers must not keep the process from leaving.
        _thread = new Thread(Run) { IsBackground = true, Name = "store writer" };
        _thread.Start();
    }

    /// <summary>Durations of commits: what this disk can promise.</summary>
    public DurationSummary Commits => _commits.Summarize();

    /// <summary>Queues a batch; never blocks. After a failure it goes nowhere and is never acknowledged, which is safe.</summary>
    public void Persist(Output.Persist batch)
    {
        lock (_gate)
        {
            if (_failed || _ending)
            {
                return;
            }

            if (_waiting.Count < BatchesMaximum)
            {
                _waiting.Add(batch);
                Monitor.Pulse(_gate);
                return;
            }

            _failed = true;
        }

        _events.Failed(new StoreUnwritableException(
            _store.DatabasePath,
            $"The store {_store.DatabasePath} does not keep up: {BatchesMaximum} writes wait for the disk. Look for disk errors in the kernel's log; " +
            "once the disk is well, start clustd again."));
    }

    /// <summary>Queues a sentence for the history, with the wall clock's time of now; never blocks.</summary>
    public void Note(Output.Noted noted)
    {
        lock (_gate)
        {
            if (_failed || _ending)
            {
                return;
            }

            if (_notes.Count >= EventsMaximum)
            {
                _notesLost++;
                return;
            }

            // No pulse: the thread looks for events after each commit, and every second.
            _notes.Enqueue(new RecordedEvent(0, _wallClock.GetUtcNow(), noted.Severity, noted.Kind, noted.Service, noted.Sentence));
        }
    }

    /// <summary>Writes what waits, then closes the store.</summary>
    public async ValueTask DisposeAsync()
    {
        lock (_gate)
        {
            _ending = true;
            Monitor.Pulse(_gate);
        }

        await _ended.Task;
    }

    private void Run()
    {
        var batches = new List<Output.Persist>();
        var notes = new List<RecordedEvent>();
        try
        {
            while (TakeWaiting(ref batches, notes))
            {
                var started = Stopwatch.GetTimestamp();
                WriteOrMakeRoom(batches, notes);
                _commits.Add(Stopwatch.GetElapsedTime(started));
                if (batches.Count > 0)
                {
                    _events.Persisted(batches[^1].Sequence);
                }
            }
        }
        catch (Exception e)
        {
            Fail(e);
        }
        finally
        {
            _store.Dispose();
            _ended.TrySetResult();
        }
    }

    // Waits for batches; for events alone only as long as they may be late. False: the end.
    private bool TakeWaiting(ref List<Output.Persist> batches, List<RecordedEvent> notes)
    {
        batches.Clear();
        notes.Clear();
        lock (_gate)
        {
            if (_waiting.Count == 0 && _notes.Count < EventsPerCommit && !_ending && !_failed)
            {
                Monitor.Wait(_gate, EventDelay);
            }

            while (_waiting.Count == 0 && _notes.Count == 0 && !_ending && !_failed)
            {
                Monitor.Wait(_gate, EventDelay);
            }

            if (_failed || (_ending && _waiting.Count == 0 && _notes.Count == 0))
            {
                return false;
            }

            (batches, _waiting) = (_waiting, batches);
            while (notes.Count < EventsPerCommit && _notes.TryDequeue(out var note))
            {
                notes.Add(note);
            }

            if (_notesLost > 0 && _notes.Count == 0)
            {
                notes.Add(new RecordedEvent(0, _wallClock.GetUtcNow(), Severity.Warning, "events-lost", null, $"{_notesLost} events came too fast to be written down here; the log has them."));
                _notesLost = 0;
            }

            return true;
        }
    }

    private void WriteOrMakeRoom(List<Output.Persist> batches, List<RecordedEvent> notes)
    {
        try
        {
            _store.Write(batches, notes);
        }
        catch (StoreUnwritableException full) when (full.DiskFull && !_diskFullSaid && _store.DropBallast())
        {
            // Found no room: nothing reached the disk, so this is no repeated fsync. Said first, so that the goodbye begins at once.
            _diskFullSaid = true;
            _events.DiskFull(full);
            _store.Write(batches, []); // the room that is left is for the goodbye, not for sentences
        }
    }

    private void Fail(Exception cause)
    {
        lock (_gate)
        {
            if (_failed)
            {
                return; // said already, by the poster that found the queue full
            }

            _failed = true;
            _waiting.Clear();
            _notes.Clear();
        }

        _events.Failed(cause);
    }
}
