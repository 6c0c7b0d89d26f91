using Clustd.Core.Raft;

namespace Clustd.Simulation;

/// <summary>
/// One direction of one TCP connection that loses segments. One message is one segment (the daemon sets TCP_NODELAY). A lost one holds back all behind it until it
/// is sent again: when later ones have arrived and their acknowledgements are back (<see cref="LossRecovery"/>), or when the retransmission timer
/// ends: 200 ms, Linux' TCP_RTO_MIN (RFC 6298 asks for 1 s), doubling with every loss of the same segment, after a round trip because earlier
/// acknowledgements restart it (RFC 6298, 5.3). Left out, on the safe side: that RFC 8985 finds most lost retransmissions too, the tail loss probe (for a single
/// outstanding segment Linux adds 200 ms to it), and the linear timeouts that the daemon asks for (TCP_THIN_LINEAR_TIMEOUTS: off as soon as four segments
/// are outstanding). The congestion window is never full: messages are small and rare.
/// </summary>
internal sealed class StreamLoss(EventQueue events, Chance chance, SoakPlan plan, Action<PeerMessage> arrived, Action<long> blocked)
{
    private const long TimeoutMin = 200_000;

    // From the oldest segment that is missing on. Empty: nothing is missing, and what is under way arrives in order by itself.
    private readonly Queue<Segment> _behind = [];
    private long _lastArrival;

    private int LaterSegments => plan.Recovery == LossRecovery.Linux ? 1 : 3;

    private long Reordering => plan.Recovery == LossRecovery.Linux ? plan.DelayMax / 2 : 0;

    public void Send(PeerMessage message)
    {
        if (_behind.Count == 0 && !chance.Happens(plan.Loss))
        {
            events.At(NextArrival(), () => arrived(message));
            return;
        }

        var segment = new Segment(message, events.Now);
        var isFirstLost = _behind.Count == 0;
        _behind.Enqueue(segment);
        Transmit(segment, isFirstLost || chance.Happens(plan.Loss));
    }

    private void Transmit(Segment segment, bool isLost)
    {
        segment.Transmissions++;
        segment.SentAt = events.Now;
        segment.ArrivedLater = 0;
        if (!isLost)
        {
            events.At(NextArrival(), () => Arrive(segment));
            return;
        }

        var transmission = segment.Transmissions;
        events.After((2 * plan.DelayMax) + (TimeoutMin << Math.Min(segment.Timeouts, 10)), () =>
        {
            if (transmission == segment.Transmissions)
            {
                segment.Timeouts++;
                Transmit(segment, chance.Happens(plan.Loss));
            }
        });
    }

    private void Arrive(Segment segment)
    {
        segment.HasArrived = true;
        foreach (var missing in _behind)
        {
            if (!missing.HasArrived && missing.SentAt < segment.SentAt && missing.Transmissions == 1
                && ++missing.ArrivedLater == LaterSegments)
            {
                var transmission = missing.Transmissions;
                events.After(plan.DelayMax + Reordering, () =>
                {
                    if (transmission == missing.Transmissions && !missing.HasArrived)
                    {
                        Transmit(missing, chance.Happens(plan.Loss));
                    }
                });
            }
        }

        if (events.Now - segment.EnqueuedAt > TimeoutMin && _behind.Peek() == segment)
        {
            blocked(events.Now - segment.EnqueuedAt);
        }

        while (_behind.TryPeek(out var next) && next.HasArrived)
        {
            arrived(_behind.Dequeue().Message);
        }
    }

    private long NextArrival() => _lastArrival = Math.Max(_lastArrival + 1, events.Now + chance.Between(Math.Min(200, plan.DelayMax), plan.DelayMax));

    private sealed class Segment(PeerMessage message, long now)
    {
        public PeerMessage Message { get; } = message;

        public long EnqueuedAt { get; } = now;

        public bool HasArrived { get; set; }

        public int Transmissions { get; set; }

        public int Timeouts { get; set; }

        public long SentAt { get; set; }

        public int ArrivedLater { get; set; }
    }
}
