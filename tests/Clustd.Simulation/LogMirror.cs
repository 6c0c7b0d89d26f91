using Clustd.Core;
using Clustd.Core.Raft;

namespace Clustd.Simulation;

/// <summary>What a core's log in memory must be: what it started with and every persist since, durable or not.</summary>
internal sealed class LogMirror(LogPosition start, IEnumerable<LogEntry> entries)
{
    private readonly List<LogEntry> _entries = [.. entries];

    /// <summary>Where the snapshot ends that stands for what came before.</summary>
    public LogPosition Base { get; private set; } = start;

    public long LastIndex => Base.Index + _entries.Count;

    public LogEntry this[long index] => _entries[(int)(index - Base.Index) - 1];

    public Term TermAt(long index) => index == Base.Index ? Base.Term : this[index].Term;

    /// <summary>What a snapshot covers is committed, and judged by the state in it.</summary>
    public bool Covers(long index) => index <= Base.Index;

    public void Take(Output.Persist persist)
    {
        if (persist.TruncateFrom is { } from && from <= LastIndex)
        {
            var kept = (int)Math.Max(0, from - Base.Index - 1);
            _entries.RemoveRange(kept, _entries.Count - kept);
        }

        if (persist.Snapshot is { } snapshot)
        {
            _entries.RemoveRange(0, (int)Math.Min(_entries.Count, snapshot.AppliedIndex - Base.Index));
            Base = snapshot.Position;
        }

        foreach (var entry in persist.Entries)
        {
            if (entry.Index != LastIndex + 1)
            {
                throw new ViolationException(Invariant.PersistInOrder, $"entry {entry.Index} is to be persisted after {LastIndex}");
            }

            _entries.Add(entry);
        }
    }
}
