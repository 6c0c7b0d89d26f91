using System.Collections.Immutable;
using Clustd.Core.Cluster;

namespace Clustd.Core.Raft;

/// <summary>
/// Persist before you answer: gathers what one step changed into one <see cref="Output.Persist"/>, holds back every message until what it
/// depends on is durable, and knows up to which index the log is.
/// </summary>
public sealed class Persistence(long durableIndex)
{
    private readonly List<LogEntry> _entries = [];
    private readonly List<(long Sequence, long LastIndex)> _underWay = [];
    private readonly Queue<(long Required, Output.Send Send)> _held = [];
    private HardState? _hardState;
    private long? _truncateFrom;
    private ClusterState? _snapshot;
    private bool _isInstalled;
    private long _issued;
    private long _completed;
    private long _hardStateSequence;

    /// <summary>All entries up to here are on this machine's disk.</summary>
    public long DurableIndex { get; private set; } = durableIndex;

    /// <summary>Term and vote in memory are on disk.</summary>
    public bool IsHardStateDurable => _hardState is null && _completed >= _hardStateSequence;

    public void Save(HardState hardState) => _hardState = hardState;

    public void Append(LogEntry entry) => _entries.Add(entry);

    public void TruncateFrom(long index)
    {
        // Entries of this very step that go again were never anywhere; those under way or on disk are cut by the store.
        _entries.RemoveAll(entry => entry.Index >= index);
        _truncateFrom = _truncateFrom is { } earlier ? Math.Min(earlier, index) : index;
        DurableIndex = Math.Min(DurableIndex, index - 1);
        for (var i = 0; i < _underWay.Count; i++)
        {
            _underWay[i] = (_underWay[i].Sequence, Math.Min(_underWay[i].LastIndex, index - 1));
        }
    }

    /// <summary>A snapshot of what is applied here takes the place of the entries up to its index.</summary>
    public void Compact(ClusterState snapshot) => _snapshot = snapshot;

    /// <summary>Another machine's snapshot takes the place of the whole log, which ends at its index until entries follow.</summary>
    public void Install(ClusterState snapshot)
    {
        TruncateFrom(1);
        _snapshot = snapshot;
        _isInstalled = true;
    }

    /// <summary>Queues a message that depends on term and vote only.</summary>
    public void SendAfterTerm(MachineId to, PeerMessage message) =>
        _held.Enqueue((_hardState is null ? _hardStateSequence : _issued + 1, new Output.Send(to, message)));

    public void Completed(long sequence)
    {
        _completed = Math.Max(_completed, sequence);
        while (_underWay.Count > 0 && _underWay[0].Sequence <= sequence)
        {
            DurableIndex = Math.Max(DurableIndex, _underWay[0].LastIndex);
            _underWay.RemoveAt(0);
        }
    }

    /// <summary>End of a step: one batch for the disk, then every message that waits for nothing any more, in the order they were queued.</summary>
    public void Flush(List<Output> outputs)
    {
        if (_hardState is not null || _truncateFrom is not null || _snapshot is not null || _entries.Count > 0)
        {
            _issued++;
            if (_hardState is not null)
            {
                _hardStateSequence = _issued;
            }

            if (_entries.Count > 0)
            {
                _underWay.Add((_issued, _entries[^1].Index));
            }
            else if (_isInstalled)
            {
                _underWay.Add((_issued, _snapshot!.AppliedIndex));
            }

            outputs.Add(new Output.Persist(_issued, _hardState, _truncateFrom, [.. _entries], _snapshot));
            _entries.Clear();
            _snapshot = null;
            _isInstalled = false;
            _hardState = null;
            _truncateFrom = null;
        }

        while (_held.Count > 0 && _held.Peek().Required <= _completed)
        {
            outputs.Add(_held.Dequeue().Send);
        }
    }
}
