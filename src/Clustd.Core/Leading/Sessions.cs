using System.Collections.Immutable;
using System.Runtime.InteropServices;
using Clustd.Core.Cluster;
using Clustd.Core.Raft;

namespace Clustd.Core.Leading;

/// <summary>
/// The leader's side of the lease argument: which stamps may be echoed, and when a session is over. All of it is void as soon as this
/// machine does not lead any more: a re-elected leader uses nothing of its earlier terms (rule 9).
/// </summary>
internal sealed class Sessions(PlantedBug bug)
{
    private readonly SortedDictionary<SessionId, Tracked> _tracked = [];
    private readonly List<Inherited> _voters = [];
    private Instant _electedAt;

    /// <summary>What one voter remembered, on this machine's clock. Others: the instant for every session that it did not list.</summary>
    private sealed record Inherited(SortedDictionary<SessionId, Instant> Instants, Instant Others);

    private sealed class Tracked
    {
        public Instant? ReceivedAt { get; set; }

        public TimeSpan Extension { get; set; }

        public ulong Incarnation { get; set; }

        /// <summary>Those before it.</summary>
        public SortedSet<ulong> Former { get; } = [];

        /// <summary>Where the log ended when the first stamp of this incarnation came.</summary>
        public long HeardAtIndex { get; set; }

        /// <summary>Stamps not echoed yet, with the first round whose quorum confirms them. Oldest first.</summary>
        public List<(Instant At, long Round)> Waiting { get; } = [];
    }

    public void Elected(IReadOnlyList<VoterMemory> voters, Instant now)
    {
        Deposed();
        _electedAt = now;
        foreach (var voter in bug.Is(PlantedBug.OneVoterCounts) ? voters.Take(1) : voters)
        {
            var instants = new SortedDictionary<SessionId, Instant>();
            var others = bug.Is(PlantedBug.AgesLeftOut) ? Instant.Origin : voter.Heard;
            foreach (var age in voter.Ages)
            {
                var instant = VoterAges.InstantOf(age.AgeMicroseconds, voter.Heard);
                if (age.Session == SessionId.None)
                {
                    others = instant;
                }
                else
                {
                    instants[age.Session] = instant;
                }
            }

            _voters.Add(new Inherited(instants, others));
        }
    }

    /// <summary>
    /// A stamp came in. `round` is the first round that has not begun yet: only its quorum, or a later one's, confirms this stamp (rule 4).
    /// Whoever calls has checked that the session lives, belongs to the sender and that no EndSession for it is in the log (rule 7).
    /// </summary>
    public void StampReceived(Stamp stamp, long round, long lastIndex, Instant now)
    {
        var tracked = Track(stamp.Session);
        if (tracked.Incarnation != stamp.Incarnation)
        {
            tracked.Former.Add(tracked.Incarnation);
            tracked.Waiting.Clear(); // Rule 3: stamps of a previous incarnation are forgotten.
            tracked.Incarnation = stamp.Incarnation;
            tracked.HeardAtIndex = lastIndex;
        }

        tracked.ReceivedAt = now;
        tracked.Extension = TimeSpan.Zero;
        if (tracked.Waiting.Count == 0 || tracked.Waiting[^1].Round != round)
        {
            tracked.Waiting.Add((stamp.At, round));
        }
        else if (stamp.At > tracked.Waiting[^1].At)
        {
            tracked.Waiting[^1] = (stamp.At, round); // Confirmed by the same round: only the newest is of use.
        }
    }

    /// <summary>The newest stamp of the session that a quorum round up to `round` confirms, taken out; null if there is none.</summary>
    public (Instant At, ulong Incarnation, long Index)? TakeConfirmed(SessionId session, long round)
    {
        if (!_tracked.TryGetValue(session, out var tracked))
        {
            return null;
        }

        Instant? newest = null;
        while (tracked.Waiting.Count > 0 && tracked.Waiting[0].Round <= round)
        {
            newest = newest is { } known ? Instant.Max(known, tracked.Waiting[0].At) : tracked.Waiting[0].At;
            tracked.Waiting.RemoveAt(0);
        }

        return newest is { } at ? (at, tracked.Incarnation, tracked.HeardAtIndex) : null;
    }

    /// <summary>False for words of a former daemon of this machine, late on the wire: its successor may have taken the session up again meanwhile.</summary>
    public bool IsPresentIncarnation(SessionId session, ulong incarnation) =>
        _tracked.TryGetValue(session, out var tracked) && tracked.Incarnation == incarnation;

    /// <summary>Of the newest stamp; 0 if there was none.</summary>
    public ulong IncarnationOf(SessionId session) => _tracked.TryGetValue(session, out var tracked) ? tracked.Incarnation : 0;

    /// <summary>Its daemon has a successor that this leader has heard already: a late word, passed on by a third machine, say. It must not take its successor's place (rule 3).</summary>
    public bool IsFormerIncarnation(Stamp stamp) => _tracked.TryGetValue(stamp.Session, out var tracked) && tracked.Former.Contains(stamp.Incarnation);

    /// <summary>When the newest stamp known for this session was received, by this leader or by those before it, on this clock.</summary>
    public Instant LastKnown(Session session, Instant openedAt)
    {
        var latest = openedAt;
        if (_tracked.TryGetValue(session.Id, out var tracked) && tracked.ReceivedAt is { } received)
        {
            latest = Instant.Max(latest, received);
            if (received >= _electedAt)
            {
                return latest; // All that was inherited is older: ages are not negative, and the votes came before this leader led.
            }
        }

        foreach (var voter in _voters)
        {
            latest = Instant.Max(latest, voter.Instants.TryGetValue(session.Id, out var instant) ? instant : voter.Others);
        }

        return latest;
    }

    /// <summary>
    /// When the session is over: k·lease after its newest stamp, later by this leader's own stalls, and not before k·grace from when this machine applied
    /// any restart grace of it (rules 8 and 10).
    /// </summary>
    public Instant EndsAt(Session session, Instant openedAt, Func<long, Instant> appliedAt)
    {
        var wait = bug.Is(PlantedBug.NoStretch) ? session.Lease : LeaseTiming.Stretch(session.Lease);
        var extension = _tracked.TryGetValue(session.Id, out var tracked) ? tracked.Extension : TimeSpan.Zero;
        var ends = LastKnown(session, openedAt) + wait + extension;
        if (session.Graces.IsEmpty || bug.Is(PlantedBug.GraceNotWaitedFor))
        {
            return ends;
        }

        foreach (var grace in session.Graces.Values)
        {
            ends = Instant.Max(ends, appliedAt(grace.Index) + (bug.Is(PlantedBug.NoStretch) ? grace.Duration : LeaseTiming.Stretch(grace.Duration)));
        }

        return ends;
    }

    /// <summary>Rule 8: what this leader did not hear because it was stalled is nobody else's fault.</summary>
    public void ExtendBy(TimeSpan stall, IEnumerable<SessionId> sessions)
    {
        foreach (var session in sessions)
        {
            Track(session).Extension += stall;
        }
    }

    public void Forget(SessionId session) => _tracked.Remove(session);

    public void Deposed()
    {
        if (!bug.Is(PlantedBug.EarlierTermsRemembered))
        {
            _tracked.Clear();
        }

        _voters.Clear();
    }

    /// <summary>How long this leader has led.</summary>
    public TimeSpan LedFor(Instant now) => now - _electedAt;

    /// <summary>Ages of the newest stamps, for the rounds.</summary>
    public ImmutableArray<SessionAge> Ages(ImmutableArray<Session> sessions, Func<Session, Instant> openedAt, Instant now)
    {
        var ages = new SessionAge[sessions.Length];
        for (var i = 0; i < ages.Length; i++)
        {
            ages[i] = new SessionAge(sessions[i].Id, VoterAges.AgeOf(LastKnown(sessions[i], openedAt(sessions[i])), now));
        }

        return ImmutableCollectionsMarshal.AsImmutableArray(ages);
    }

    private Tracked Track(SessionId session)
    {
        if (!_tracked.TryGetValue(session, out var tracked))
        {
            _tracked[session] = tracked = new Tracked();
        }

        return tracked;
    }
}
