using Clustd.Core.Cluster;

namespace Clustd.Core.Raft;

/// <summary>One entry of the replicated log. Indices start at 1; entry 1 is always <see cref="Command.Form"/>.</summary>
public sealed record LogEntry(long Index, Term Term, Command Command);

/// <summary>Where a log ends, for the election restriction (Ongaro, section 3.6.1): compare terms first, then indices.</summary>
public readonly record struct LogPosition(long Index, Term Term) : IComparable<LogPosition>
{
    public int CompareTo(LogPosition other) => Term != other.Term ? Term.CompareTo(other.Term) : Index.CompareTo(other.Index);
}

/// <summary>What Raft must remember across a crash besides the log (Ongaro, figure 3.1).</summary>
public sealed record HardState(Term Term, MachineId? Vote)
{
    public static readonly HardState Initial = new(Term.Zero, null);
}

/// <summary>The log in memory: what is on disk plus what is on its way there. Holds the invariant that indices are contiguous from 1.</summary>
public sealed class Log
{
    private readonly List<LogEntry> _entries = [];

    public Log(IEnumerable<LogEntry> entries)
    {
        foreach (var entry in entries)
        {
            Append(entry);
        }
    }

    public long LastIndex => _entries.Count;

    public LogPosition Last => new(LastIndex, TermAt(LastIndex));

    public LogEntry this[long index] => _entries[checked((int)index - 1)];

    /// <summary>Term of the entry, zero for index 0. The index must be in [0, LastIndex].</summary>
    public Term TermAt(long index) => index == 0 ? Term.Zero : this[index].Term;

    public bool Has(long index, Term term) => index >= 0 && index <= LastIndex && TermAt(index) == term;

    public void Append(LogEntry entry)
    {
        if (entry.Index != LastIndex + 1)
        {
            throw new System.Diagnostics.UnreachableException($"Log entry {entry.Index} does not follow {LastIndex}.");
        }

        _entries.Add(entry);
    }

    /// <summary>Removes the entry at `index` and all after it. Whoever calls has made sure that none of them is committed.</summary>
    public void TruncateFrom(long index) => _entries.RemoveRange(checked((int)index - 1), checked((int)(LastIndex - index + 1)));

    /// <summary>Entries from `index`, at most `count`.</summary>
    public IReadOnlyList<LogEntry> Slice(long index, int count) =>
        index > LastIndex ? [] : _entries.GetRange(checked((int)index - 1), (int)Math.Min(count, LastIndex - index + 1));

    /// <summary>First index of the run of entries that share the term at `index`: the conflict hint of Ongaro, section 3.5 end.</summary>
    public long FirstIndexOfTermAt(long index)
    {
        var term = TermAt(index);
        while (index > 1 && TermAt(index - 1) == term)
        {
            index--;
        }

        return index;
    }
}
