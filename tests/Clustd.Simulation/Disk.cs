using Clustd.Core;
using Clustd.Core.Cluster;
using Clustd.Core.Raft;
using Clustd.Core.Wire;
using System.Collections.Immutable;
using System.Text.Json;

namespace Clustd.Simulation;

/// <summary>
/// One machine's store. Writes become durable in order, each after a delay; a crash loses any suffix of those under way.
/// What is durable survives everything but a wipe.
/// </summary>
internal sealed class Disk(EventQueue events, Chance chance, Scenario scenario)
{
    private readonly Queue<Output.Persist> _underWay = new();
    private readonly List<LogEntry> _entries = [];
    private ClusterState? _snapshot;
    private readonly Dictionary<StoreId, long> _wiped = [];
    private long _lastCompletion;
    private int _crashes;

    public StoreId Store { get; private set; } = new($"store-{chance.Bits():x16}");

    public HardState HardState { get; private set; } = HardState.Initial;

    /// <summary>The last index that it holds, be it in the snapshot only.</summary>
    public long LastIndex => (_snapshot?.AppliedIndex ?? 0) + _entries.Count;

    /// <summary>A disk fault: every write takes this much longer, µs.</summary>
    public long Slowness { get; set; }

    /// <summary>A disk fault: nothing is answered before, µs of true time.</summary>
    public long StalledUntil { get; set; }

    /// <summary>A disk fault: the next write fails, and this is what comes of it.</summary>
    public Action? FailsNext { get; set; }

    public bool IsStalled => StalledUntil > events.Now;

    public StoredState Read() => new(Store, HardState, [.. _entries], _snapshot);

    public bool Holds(long index, Term term)
    {
        var first = _snapshot?.AppliedIndex ?? 0;
        return index <= first || (index <= LastIndex && _entries[(int)(index - first) - 1].Term == term);
    }

    /// <summary>As this store, it holds the entry, or held it when it was wiped: an acknowledgement counts although its disk dies a moment later (seed 5139).</summary>
    public bool HasHeld(StoreId store, long index, Term term) => store == Store ? Holds(index, term) : _wiped.TryGetValue(store, out var last) && index <= last;

    /// <summary>The disk is replaced by an empty one while nobody uses it: another store, which knows nothing.</summary>
    public void Wipe(ulong bits)
    {
        _wiped[Store] = LastIndex;
        _underWay.Clear();
        _entries.Clear();
        _snapshot = null;
        _crashes++;
        HardState = HardState.Initial;
        Store = new StoreId($"store-{bits:x16}");
    }

    /// <summary>Its own contents of some time ago take their place while nobody uses it.</summary>
    public void SetBack(StoredState image)
    {
        _underWay.Clear();
        _entries.Clear();
        _entries.AddRange(image.Entries);
        (_snapshot, HardState) = (image.Snapshot, image.HardState);
        _crashes++;
    }

    /// <summary>A copy of another machine's disk takes its place while nobody uses it.</summary>
    public void Clone(StoredState image)
    {
        _wiped[Store] = LastIndex;
        _underWay.Clear();
        _entries.Clear();
        _entries.AddRange(image.Entries);
        (_snapshot, HardState, Store) = (image.Snapshot, image.HardState, image.Store);
        _crashes++;
    }

    public void Write(Output.Persist persist, Action<long> durable)
    {
        _underWay.Enqueue(persist);
        var delay = chance.Between(scenario.DiskDelayMin, scenario.DiskDelayMax) + Slowness;
        if (chance.Happens(scenario.DiskSpikeShare))
        {
            delay += chance.Between(0, scenario.DiskDelayMax * 6);
        }

        _lastCompletion = Math.Max(Math.Max(_lastCompletion, events.Now), StalledUntil) + delay;
        var crashes = _crashes;
        var fails = FailsNext;
        FailsNext = null;
        events.At(_lastCompletion, () =>
        {
            if (crashes != _crashes)
            {
                return;
            }

            if (fails is not null)
            {
                fails();
            }
            else
            {
                MakeDurable(_underWay.Dequeue());
                durable(persist.Sequence);
            }
        });
    }

    public void Crash()
    {
        for (var survives = chance.Between(0, _underWay.Count); survives > 0; survives--)
        {
            MakeDurable(_underWay.Dequeue());
        }

        _underWay.Clear();
        _crashes++;
        _lastCompletion = events.Now;
    }

    private void MakeDurable(Output.Persist persist)
    {
        if (persist.TruncateFrom is { } from)
        {
            _entries.RemoveAll(entry => entry.Index >= from);
        }

        if (persist.Snapshot is { } snapshot)
        {
            _entries.RemoveAll(entry => entry.Index <= snapshot.AppliedIndex);
            _snapshot = chance.Happens(scenario.JsonShare * 4) ? RoundTrip(snapshot) : snapshot;
        }

        foreach (var entry in persist.Entries)
        {
            if (entry.Index != LastIndex + 1)
            {
                throw new ViolationException(Invariant.PersistInOrder, $"entry {entry.Index} is to be stored after {LastIndex}");
            }

            _entries.Add(chance.Happens(scenario.JsonShare) ? RoundTrip(entry) : entry);
        }

        HardState = persist.HardState ?? HardState;
    }

    private static ClusterState RoundTrip(ClusterState state) =>
        JsonSerializer.Deserialize(JsonSerializer.SerializeToUtf8Bytes(state, CoreJson.Default.ClusterState), CoreJson.Default.ClusterState)!;

    private static LogEntry RoundTrip(LogEntry entry) =>
        JsonSerializer.Deserialize(JsonSerializer.SerializeToUtf8Bytes(entry, CoreJson.Default.LogEntry), CoreJson.Default.LogEntry)!;
}
