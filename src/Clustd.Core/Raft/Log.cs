using Clustd.Core.Cluster;

namespace Clustd.Core.Raft;

/// <summary>One entry of the replicated log. Indices start at 1; entry 1 is always <see cref="Command.Form"/>.</summary>
public sealed record LogEntry(long Index, Term Term, Command Command);

/// <summary>Where a log ends, for the election restriction (Ongaro, section 3.6.1): compare terms first, then indices.</summary>
[method: System.Text.Json.Serialization.JsonConstructor] // Without it what is missing in a struct is read as nothing at all.
public readonly record struct LogPosition(long Index, Term Term) : IComparable<LogPosition>
{
    public int CompareTo(LogPosition other) => Term != other.Term ? Term.CompareTo(other.Term) : Index.CompareTo(other.Index);
}

/// <summary>What Raft must remember across a crash besides the log (Ongaro, figure 3.1).</summary>
public sealed record HardState(Term Term, MachineId? Vote)
{
    public static readonly HardState Initial = new(Term.Zero, null);
}

/// <summary>
/// The log in memory: what is on disk plus what is on its way there, from behind the newest snapshot on. Holds the invariant that indices are
/// contiguous from <see cref="Base"/> on.
/// </summary>
public sealed class Log
{
    private readonly List<LogEntry> _entries = [];

    /// <param name="start">Where the snapshot before these entries ends; index 0 without one.</param>
    /// <param name="entries">What follows it.</param>
    public Log(LogPosition start, IEnumerable<LogEntry> entries)
    {
        Base = start;
        foreach (var entry in entries)
        {
            Append(entry);
        }
    }

    /// <summary>The last entry that only the snapshot knows: index 0, term 0 when the log is whole. It is committed.</summary>
    public LogPosition Base { get; private set; }

    public long LastIndex => Base.Index + _entries.Count;

    public LogPosition Last => new(LastIndex, TermAt(LastIndex));

    public LogEntry this[long index] => _entries[checked((int)(index - Base.Index - 1))];

    /// <summary>Term of the entry, zero for index 0. The index must be in [Base.Index, LastIndex].</summary>
    public Term TermAt(long index) => index == Base.Index ? Base.Term : this[index].Term;

    /// <summary>Whether the entry at this index is of this term. What the snapshot covers is committed, so a leader's log agrees with it.</summary>
    public bool Has(long index, Term term) => index >= 0 && index <= LastIndex && (index < Base.Index || TermAt(index) == term);

    public void Append(LogEntry entry)
    {
        if (entry.Index != LastIndex + 1)
        {
            throw new System.Diagnostics.UnreachableException($"Log entry {entry.Index} does not follow {LastIndex}.");
        }

        _entries.Add(entry);
    }

    /// <summary>Removes the entry at `index` and all after it. Whoever calls has made sure that none of them is committed.</summary>
    public void TruncateFrom(long index) => _entries.RemoveRange(checked((int)(index - Base.Index - 1)), checked((int)(LastIndex - index + 1)));

    /// <summary>A snapshot now stands for all up to `index`.</summary>
    public void DropUpTo(long index)
    {
        var term = TermAt(index);
        _entries.RemoveRange(0, checked((int)(index - Base.Index)));
        Base = new LogPosition(index, term);
    }

    /// <summary>Another machine's snapshot replaces the whole log.</summary>
    public void Restart(LogPosition start)
    {
        _entries.Clear();
        Base = start;
    }

    /// <summary>Entries from `index`, at most `count`.</summary>
    public IReadOnlyList<LogEntry> Slice(long index, int count) =>
        index > LastIndex ? [] : _entries.GetRange(checked((int)(index - Base.Index - 1)), (int)Math.Min(count, LastIndex - index + 1));

    /// <summary>First index, in what is kept, of the run of entries that share the term at `index`: the conflict hint of Ongaro, section 3.5 end.</summary>
    public long FirstIndexOfTermAt(long index)
    {
        var term = TermAt(index);
        while (index > Base.Index + 1 && TermAt(index - 1) == term)
        {
            index--;
        }

        return index;
    }
}
