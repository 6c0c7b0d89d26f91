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
    private readonly SessionId _session;
    private readonly SortedDictionary<GraceDriver, TimeSpan> _named = [];
    private readonly SortedSet<GraceDriver> _unheard;
    private readonly SortedSet<GraceDriver> _ordinary = [];
    private ImmutableArray<RestartGrace> _open;

    /// <param name="session">The one that the graces belong to.</param>
    public FormerLeases(Instant startedAt, SessionId session, ImmutableArray<RestartGrace> graces)
    {
        _startedAt = startedAt;
        _session = session;
        _open = graces;
        Name();
        _unheard = [.. _named.Keys];
    }

    /// <summary>The longest grace that was open when this daemon started, and may still be; zero: none.</summary>
    public TimeSpan Longest { get; private set; }

    /// <summary>
    /// What is applied now shows a grace ended, although the store knew it open: every driver that it names had said that it holds no more than the ordinary lease. Or it was never
    /// granted at all: it stood in the log only, where another entry has taken its place, and nobody counts on what is not applied (decision 0004). Either way it binds nobody any
    /// more; waited for, a service had no master for as long as that grace (campaign 48).
    /// </summary>
    /// <returns>True if that is news.</returns>
    public bool Applied(ClusterState state, MachineId self)
    {
        if (_open.IsEmpty || state.SessionOf(self) is not { } session || session.Id != _session)
        {
            return false;
        }

        var open = _open.RemoveAll(grace => state.AppliedIndex >= grace.Index && !session.Graces.ContainsKey(grace.Id));
        if (open.Length == _open.Length)
        {
            return false;
        }

        _open = open;
        Name();
        _unheard.IntersectWith(_named.Keys);
        return true;
    }

    /// <summary>
    /// The graces of this machine that its stored log leaves open. A former daemon counted only on a grace that was on this disk. What stands behind it and may not be
    /// committed is no danger: whoever proposed the end of a grace, or of the session, knew that nobody counted on it any more.
    /// </summary>
    public static (SessionId Session, ImmutableArray<RestartGrace> Graces) GracesIn(StoredState stored, MachineId self)
    {
        var start = stored.Snapshot ?? ClusterState.Empty;
        var mayBeOpen = start.SessionOf(self) is { Graces.IsEmpty: false } || stored.Entries.Any(entry => entry.Command is Command.GrantGrace);
        if (!mayBeOpen)
        {
            return (SessionId.None, []);
        }

        var state = stored.Entries.Where(entry => entry.Index > start.AppliedIndex).Aggregate(start, StateMachine.Apply);
        return state.SessionOf(self) is { } session && session.Store == stored.Store ? (session.Id, [.. session.Graces.Values]) : (SessionId.None, []);
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

    private void Name()
    {
        _named.Clear();
        foreach (var grace in _open)
        {
            foreach (var driver in grace.Drivers)
            {
                _named[driver] = _named.TryGetValue(driver, out var known) && known > grace.Duration ? known : grace.Duration;
            }
        }

        Longest = _open.IsEmpty ? TimeSpan.Zero : _open.Max(grace => grace.Duration);
    }

    private Instant Until(TimeSpan lease, TimeSpan grace) => _startedAt + LeaseTiming.Stretch(lease > grace ? lease : grace);
}
