using System.Collections.Immutable;
using Clustd.Core.Cluster;
using Clustd.Core.Raft;

namespace Clustd.Core.Leading;

/// <summary>
/// A voter's memory of when stamps were received, on its own clock (rule 9). It outlives leaders, not restarts: for what it does not know it
/// says its own start, because everything that it acknowledged before is older than that.
/// </summary>
internal sealed class VoterAges(Instant startedAt)
{
    private readonly SortedDictionary<SessionId, Instant> _remembered = [];

    /// <summary>Age in whole µs, rounded down; never negative.</summary>
    public static long AgeOf(Instant instant, Instant now) => Math.Max(0, now.Microseconds - instant.Microseconds);

    /// <summary>The instant that lay so long before `now`. No clock has run for longer than a century: what a peer claims beyond that, or below zero, is cut off.</summary>
    public static Instant InstantOf(long ageMicroseconds, Instant now) =>
        new(now.Microseconds - Math.Clamp(ageMicroseconds, 0, 100L * 366 * 24 * 3600 * 1_000_000));

    public void Remember(SessionId session, Instant at) =>
        _remembered[session] = _remembered.TryGetValue(session, out var known) ? Instant.Max(known, at) : at;

    public void Received(ImmutableArray<SessionAge> ages, Instant now)
    {
        foreach (var age in ages)
        {
            Remember(age.Session, InstantOf(age.AgeMicroseconds, now));
        }
    }

    /// <summary>One age per session remembered, and under <see cref="SessionId.None"/> the age for all others.</summary>
    public ImmutableArray<SessionAge> ForVote(Instant now)
    {
        var ages = ImmutableArray.CreateBuilder<SessionAge>(_remembered.Count + 1);
        ages.Add(new SessionAge(SessionId.None, AgeOf(startedAt, now)));
        foreach (var (session, at) in _remembered)
        {
            ages.Add(new SessionAge(session, AgeOf(at, now)));
        }

        return ages.DrainToImmutable();
    }

    /// <summary>Ended sessions never come back (their ids are log indices), so what is applied and not alive can go.</summary>
    public void ForgetEnded(ClusterState state)
    {
        foreach (var session in _remembered.Keys.Where(id => id.Value <= state.AppliedIndex && !state.Sessions.ContainsKey(id)).ToList())
        {
            _remembered.Remove(session);
        }
    }
}
