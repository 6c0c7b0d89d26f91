using Clustd.Core.Cluster;

namespace Clustd;

/// <summary>When, by this machine's wall clock, it applied the newest log entries that tell of something. An annotation for people; nothing decides by it.</summary>
internal sealed class RecentWallClock
{
    private const int Kept = ClusterState.EventsKept * 4;

    private readonly Lock _gate = new();
    private readonly SortedDictionary<long, DateTimeOffset> _instants = [];

    public void Remember(long index, DateTimeOffset at)
    {
        lock (_gate)
        {
            _instants[index] = at;
            if (_instants.Count > Kept)
            {
                _instants.Remove(_instants.First().Key);
            }
        }
    }

    public DateTimeOffset? Of(long index)
    {
        lock (_gate)
        {
            return _instants.TryGetValue(index, out var at) ? at : null;
        }
    }
}
