using System.Collections.Immutable;
using Clustd.Core.Cluster;

namespace Clustd.Core.Running;

/// <summary>Which services a driver follows, and how long after its lease all that it runs is gone.</summary>
internal sealed record DriverTerms(ImmutableArray<ServiceName> Services, TimeSpan KillTimeout)
{
    /// <summary>Nothing would be too late or unheard of by these terms where the others are in force.</summary>
    public bool Keep(DriverTerms others) =>
        KillTimeout <= others.KillTimeout && (others.Services == Services || others.Services.All(Services.Contains));
}

/// <summary>One process of one driver, connected or not yet over.</summary>
internal sealed class DriverInstance
{
    // Null: the driver names no services.
    private SortedSet<ServiceName>? _named;

    public DriverInstance(DriverRegistration registration, long arrival)
    {
        Registration = registration;
        Arrival = arrival;
    }

    public DriverName Name => Registration.Name;

    public string Id => Registration.Instance;

    public DriverRegistration Registration
    {
        get;
        set
        {
            field = value;
            _named = value.Services.IsDefaultOrEmpty ? null : [.. value.Services];
        }
    }

    /// <summary>Counts registrations of new instances: the first to come is the first in line.</summary>
    public long Arrival { get; }

    public DriverConnection? Connection { get; set; }

    public bool IsConnected => Connection is not null;

    /// <summary>The latest instant, on this machine's clock, until which it may hold a lease, whoever gave it.</summary>
    public Instant LeaseUntil => Instant.Max(GivenUntil, InheritedUntil);

    /// <summary>The latest instant until which this daemon gave it a lease; never moves back.</summary>
    public Instant GivenUntil { get; private set; } = new(long.MinValue / 2);

    /// <summary>The latest instant until which it may hold a lease from a former daemon.</summary>
    public Instant InheritedUntil { get; private set; } = new(long.MinValue / 2);

    /// <summary>Until when it holds a lease by its own last word, give or take the way of a message; null: it does not say.</summary>
    public Instant? SaidUntil { get; private set; }

    public SortedDictionary<ServiceName, DriverCalls> Calls { get; } = [];

    /// <summary>Connected and accepted: it can be told.</summary>
    public bool Answerable { get; set; }

    /// <summary>What it was told when it was accepted.</summary>
    public DriverTerms Terms { get; set; } = new([], TimeSpan.MaxValue);

    /// <summary>What it follows, or what that grants, may have come short of its terms: to be looked at.</summary>
    public bool TermsInDoubt { get; set; }

    public bool WaitNoted { get; set; }

    /// <summary>For how many services it owes a stop.</summary>
    public int Owing { get; private set; }

    public void Gave(Instant until) => GivenUntil = Instant.Max(GivenUntil, until);

    public void Inherits(Instant until) => InheritedUntil = Instant.Max(InheritedUntil, until);

    /// <summary>
    /// Its own word on what it holds, at a stamp that it made before `now`: its clock may be slower than ours, hence k. Answers that are still on
    /// their way to it are this daemon's own.
    /// </summary>
    public void Holds(TimeSpan left, Instant now)
    {
        left = left > TimeSpan.Zero ? left : TimeSpan.Zero;
        InheritedUntil = Instant.Min(InheritedUntil, now + LeaseTiming.Stretch(left));
        SaidUntil = now + left;
    }

    public DriverCalls CallsOf(ServiceName service)
    {
        if (!Calls.TryGetValue(service, out var calls))
        {
            Calls[service] = calls = new DriverCalls(change => Owing += change);
        }

        return calls;
    }

    public bool Follows(ServiceName service, ClusterState state) =>
        _named is not null ? _named.Contains(service) : FollowedByDefault(state) == service;

    /// <summary>Services empty: `default`, or the only one there is.</summary>
    public ImmutableArray<ServiceName> FollowedIn(ClusterState state)
    {
        if (_named is not null)
        {
            return Registration.Services;
        }

        return FollowedByDefault(state) is { } only ? [only] : [];
    }

    private static ServiceName? FollowedByDefault(ClusterState state) =>
        state.Services.Count == 0 || state.Services.ContainsKey(ServiceName.Default) ? ServiceName.Default
        : state.Services.Count == 1 ? state.Services.Keys.First()
        : null;

    /// <summary>
    /// How long after its last lease time alone proves that what it started is gone: k·kill_timeout (rules 13 and 15), and the guard besides, because a
    /// killer may be late by that much: the guard was taken off the lease to pay for it. Null, never: for a connected driver
    /// that does not stop for certain, or for one whose stop has failed.
    /// </summary>
    public TimeSpan? GraceAfterLease(DriverCalls calls, TimeSpan killTimeoutDefault, TimeSpan guard)
    {
        var byItself = Registration.StopsForCertain || (!IsConnected && !calls.StopFailed);
        return byItself ? LeaseTiming.Stretch(calls.KillTimeout ?? killTimeoutDefault) + guard : null;
    }

    public void ConnectionLost()
    {
        Connection = null;
        Answerable = false;
        foreach (var calls in Calls.Values)
        {
            calls.ConnectionLost();
        }
    }
}
