using Clustd.Core;
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
    private long _lastCompletion;
    private int _crashes;

    public StoreId Store { get; private set; } = new($"store-{chance.Bits():x16}");

    public HardState HardState { get; private set; } = HardState.Initial;

    public IReadOnlyList<LogEntry> Entries => _entries;

    /// <summary>A disk fault: every write takes this much longer, µs.</summary>
    public long Slowness { get; set; }

    /// <summary>A disk fault: nothing is answered before, µs of true time.</summary>
    public long StalledUntil { get; set; }

    public bool IsStalled => StalledUntil > events.Now;

    public StoredState Read() => new(Store, HardState, [.. _entries]);

    public bool Holds(long index, Term term) => index <= _entries.Count && (index == 0 || _entries[(int)index - 1].Term == term);

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
        events.At(_lastCompletion, () =>
        {
            if (crashes == _crashes)
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
        if (persist.TruncateFrom is { } from && from <= _entries.Count)
        {
            _entries.RemoveRange((int)from - 1, _entries.Count - (int)from + 1);
        }

        foreach (var entry in persist.Entries)
        {
            if (entry.Index != _entries.Count + 1)
            {
                throw new ViolationException(Invariant.PersistInOrder, $"entry {entry.Index} is to be stored after {_entries.Count}");
            }

            _entries.Add(chance.Happens(scenario.JsonShare) ? RoundTrip(entry) : entry);
        }

        HardState = persist.HardState ?? HardState;
    }

    private static LogEntry RoundTrip(LogEntry entry) =>
        JsonSerializer.Deserialize(JsonSerializer.SerializeToUtf8Bytes(entry, CoreJson.Default.LogEntry), CoreJson.Default.LogEntry)!;
}
