namespace Clustd.Simulation;

/// <summary>What will happen, by true time in µs; what is due at the same moment happens in the order in which it was planned.</summary>
internal sealed class EventQueue
{
    private readonly PriorityQueue<Action, (long Time, long Sequence)> _queue = new(1024);
    private long _sequence;

    /// <summary>True time, µs since the world began. No machine can read it.</summary>
    public long Now { get; private set; }

    public long Performed { get; private set; }

    public void At(long time, Action action) => _queue.Enqueue(action, (Math.Max(time, Now), _sequence++));

    public void After(long delay, Action action) => At(Now + delay, action);

    /// <summary>Performs the next event unless it is due after `end`.</summary>
    public bool PerformNext(long end)
    {
        if (!_queue.TryPeek(out _, out var due) || due.Time > end)
        {
            Now = end;
            return false;
        }

        var action = _queue.Dequeue();
        Now = due.Time;
        Performed++;
        action();
        return true;
    }
}
