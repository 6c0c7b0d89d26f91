using System.Collections.Immutable;
using Clustd.Core;
using Clustd.Core.Cluster;
using Clustd.Core.Raft;

namespace Clustd.Tests.Store;

/// <summary>
/// An endless, predictable history of writes: batch n is the same in every process, and leaves n behind as the term. So whoever finds
/// a store can tell which batch was its last, and what all of it must look like.
/// </summary>
internal sealed class StoreScript
{
    private readonly List<LogEntry> _log = [];

    public long Written { get; private set; }

    public IReadOnlyList<LogEntry> Log => _log;

    public static StoreScript After(long batches)
    {
        var script = new StoreScript();
        while (script.Written < batches)
        {
            script.Next();
        }

        return script;
    }

    public Output.Persist Next()
    {
        var n = ++Written;
        long? truncateFrom = null;
        if (n % 7 == 0)
        {
            // Followers do this when a new leader overrules them: the next entries take the place of these.
            truncateFrom = _log.Count - 1;
            _log.RemoveRange(_log.Count - 2, 2);
        }

        var entries = Enumerable.Range(0, (int)(n % 3) + 1)
            .Select(i => new LogEntry(_log.Count + 1 + i, new Term(n), new Command.NoOp(new MachineId($"machine-{n}-{i}"))))
            .ToImmutableArray();
        _log.AddRange(entries);
        return new Output.Persist(n, new HardState(new Term(n), new MachineId($"vote-{n}")), truncateFrom, entries);
    }
}
