namespace Clustd.Simulation;

/// <summary>What will happen, by true time in µs; what is due at the same moment happens in the order in which it was planned.</summary>
internal sealed class EventQueue
{
    // A heap with four children per node, each in the order (time, sequence): half as deep as a binary one, and its keys are compared in place.
    private const int Children = 4;
    private Planned[] _heap = new Planned[1024];
    private int _count;
    private long _sequence;

    /// <summary>True time, µs since the world began. No machine can read it.</summary>
    public long Now { get; private set; }

    public long Performed { get; private set; }

    public void At(long time, Action action)
    {
        if (_count == _heap.Length)
        {
            Array.Resize(ref _heap, _count * 2);
        }

        var planned = new Planned(Math.Max(time, Now), _sequence++, action);
        var heap = _heap;
        var at = _count++;
        while (at > 0)
        {
            var parent = (at - 1) / Children;
            if (!planned.IsBefore(heap[parent]))
            {
                break;
            }

            heap[at] = heap[parent];
            at = parent;
        }

        heap[at] = planned;
    }

    public void After(long delay, Action action) => At(Now + delay, action);

    /// <summary>Performs the next event unless it is due after `end`.</summary>
    public bool PerformNext(long end)
    {
        if (_count == 0 || _heap[0].Time > end)
        {
            Now = end;
            return false;
        }

        var next = _heap[0];
        RemoveFirst();
        Now = next.Time;
        Performed++;
        next.Action();
        return true;
    }

    private void RemoveFirst()
    {
        var heap = _heap;
        var count = --_count;
        var last = heap[count];
        heap[count] = default;
        if (count == 0)
        {
            return;
        }

        var at = 0;
        while (true)
        {
            var first = (at * Children) + 1;
            if (first >= count)
            {
                break;
            }

            var best = first;
            for (var child = first + 1; child < Math.Min(first + Children, count); child++)
            {
                best = heap[child].IsBefore(heap[best]) ? child : best;
            }

            if (!heap[best].IsBefore(last))
            {
                break;
            }

            heap[at] = heap[best];
            at = best;
        }

        heap[at] = last;
    }

    private readonly struct Planned(long time, long sequence, Action action)
    {
        public readonly long Time = time;
        public readonly long Sequence = sequence;
        public readonly Action Action = action;

        public bool IsBefore(in Planned other) => Time < other.Time || (Time == other.Time && Sequence < other.Sequence);
    }
}
