using Clustd.Core;
using Clustd.Core.Raft;

namespace Clustd.Simulation;

/// <summary>What a core's log in memory must be: what it started with and every persist since, durable or not.</summary>
internal sealed class LogMirror(IEnumerable<LogEntry> entries)
{
    private readonly List<LogEntry> _entries = [.. entries];

    public long LastIndex => _entries.Count;

    public LogEntry this[long index] => _entries[(int)index - 1];

    public Term TermAt(long index) => index == 0 ? Term.Zero : this[index].Term;

    public void Take(Output.Persist persist)
    {
        if (persist.TruncateFrom is { } from && from <= LastIndex)
        {
            _entries.RemoveRange((int)from - 1, (int)(LastIndex - from + 1));
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
