using System.Collections.Immutable;
using Clustd.Core.Cluster;
using Clustd.Core.Raft;

namespace Clustd.Core.Running;

/// <summary>
/// What drivers may hold from daemons before this one: an ordinary lease, or, the drivers that a restart grace names, that grace. All of it was asked for before
/// this daemon's start, so it is over k·duration after that (rules 14 to 16).
/// </summary>
internal sealed class FormerLeases
{
    private readonly Instant _startedAt;
    private readonly SortedDictionary<GraceDriver, TimeSpan> _named = [];
    private readonly SortedSet<GraceDriver> _unheard;
    private readonly SortedSet<GraceDriver> _ordinary = [];

    public FormerLeases(Instant startedAt, ImmutableArray<RestartGrace> graces)
    {
        _startedAt = startedAt;
        foreach (var grace in graces)
        {
            foreach (var driver in grace.Drivers)
            {
                _named[driver] = _named.TryGetValue(driver, out var known) && known > grace.Duration ? known : grace.Duration;
            }
        }

        _unheard = [.. _named.Keys];
        Longest = graces.IsDefaultOrEmpty ? TimeSpan.Zero : graces.Max(grace => grace.Duration);
    }

    /// <summary>The longest grace that was open when this daemon started; zero: none.</summary>
    public TimeSpan Longest { get; }

    /// <summary>
    /// The graces of this machine that its stored log leaves open. A former daemon counted only on a grace that was on this disk. What stands behind it and may not be
    /// committed is no danger: whoever proposed the end of a grace, or of the session, knew that nobody counted on it any more.
    /// </summary>
    public static ImmutableArray<RestartGrace> GracesIn(StoredState stored, MachineId self)
    {
        var start = stored.Snapshot ?? ClusterState.Empty;
        var mayBeOpen = start.SessionOf(self) is { Graces.IsEmpty: false } || stored.Entries.Any(entry => entry.Command is Command.GrantGrace);
        if (!mayBeOpen)
        {
            return [];
        }

        var state = stored.Entries.Where(entry => entry.Index > start.AppliedIndex).Aggregate(start, StateMachine.Apply);
        return state.SessionOf(self) is { } session && session.Store == stored.Store ? [.. session.Graces.Values] : [];
    }

    /// <summary>
    /// The longest kill_timeout per service that its stored log knows of. What a former daemon let a driver start is on this disk (decision 0004), but not applied
    /// before a leader says that it is committed: until then this is what bounds that driver.
    /// </summary>
    public static SortedDictionary<ServiceName, TimeSpan> KillTimeoutsIn(StoredState stored)
    {
        var longest = new SortedDictionary<ServiceName, TimeSpan>();
        void Take(ServiceName service, TimeSpan? killTimeout)
        {
            if (killTimeout is { } known && known > longest.GetValueOrDefault(service))
            {
                longest[service] = known;
            }
        }

        foreach (var (name, service) in (stored.Snapshot ?? ClusterState.Empty).Services)
        {
            Take(name, service.Definition.KillTimeout);
            Take(name, service.Assignment?.KillTimeout);
            Take(name, service.Vacated?.KillTimeout);
        }

        foreach (var entry in stored.Entries)
        {
            if (entry.Command is Command.Assign assign)
            {
                Take(assign.Service, assign.KillTimeout);
            }

            foreach (var definition in (entry.Command as Command.DefineServices)?.Services ?? [])
            {
                Take(definition.Name, definition.KillTimeout);
            }
        }

        return longest;
    }

    /// <summary>A driver of a former daemon is back, and has said what it runs: nothing is unknown of it any more.</summary>
    /// <returns>True when it was not known until now.</returns>
    public bool Heard(DriverName name, string instance) => _unheard.Remove(new GraceDriver(name, instance));

    /// <summary>Until when a driver that this daemon has not heard of yet may hold a lease.</summary>
    public Instant UnheardUntil(TimeSpan lease) => Until(lease, _unheard.Count == 0 ? TimeSpan.Zero : _unheard.Max(driver => _named[driver]));

    /// <summary>Until when the session may have been given to a former daemon.</summary>
    public Instant SessionUntil(TimeSpan lease) => Until(lease, Longest);

    /// <summary>Until when this driver may hold a lease from a former daemon.</summary>
    public Instant UntilOf(DriverName name, string instance, TimeSpan lease) =>
        Until(lease, _named.TryGetValue(new GraceDriver(name, instance), out var grace) ? grace : TimeSpan.Zero);

    public bool IsNamed(DriverName name, string instance) => _named.ContainsKey(new GraceDriver(name, instance));

    /// <summary>
    /// Rule 16: a grace on which no driver counts any more, or null, since each has been seen to hold no more than the ordinary lease of this very hold, or since it
    /// is over. Ended by id, so that a crash right after a restart costs lease + kill_timeout again, and not the grace.
    /// </summary>
    public Command? EndOfGrace(Session session, Moment moment, long ownGraceId, bool atOnce)
    {
        foreach (var instance in moment.Instances)
        {
            if (instance.LeaseUntil <= moment.Hold.OrdinaryUntil)
            {
                _ordinary.Add(new GraceDriver(instance.Name, instance.Id));
            }
        }

        foreach (var grace in session.Graces.Values)
        {
            if (grace.Id != ownGraceId && (atOnce || grace.Drivers.All(_ordinary.Contains) || moment.IsOver(Until(TimeSpan.Zero, grace.Duration))))
            {
                return new Command.EndGrace(session.Id, grace.Id);
            }
        }

        return null;
    }

    private Instant Until(TimeSpan lease, TimeSpan grace) => _startedAt + LeaseTiming.Stretch(lease > grace ? lease : grace);
}
