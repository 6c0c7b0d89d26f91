using System.Collections.Immutable;
using Clustd.Core.Cluster;

namespace Clustd.Core.Running;

/// <summary>
/// The leases that drivers hold: what this daemon gives them, more than that when it restarts, and what they may still hold from daemons before this one.
/// </summary>
public sealed partial class LocalServices
{
    private FormerLeases _former;

    // The drivers that may have more than the ordinary lease, because this daemon restarts; null while it does not.
    private SortedSet<GraceDriver>? _graceDrivers;

    /// <summary>Restart graces that former daemons of this machine may have handed out; see <see cref="FormerLeases.GracesIn"/>.</summary>
    public ImmutableArray<RestartGrace> FormerGraces
    {
        init => _former = new FormerLeases(_startedAt, value);
    }

    /// <summary>The end of a restart grace on which nobody counts any more, wanted in the log likewise; no service's. Several follow one another.</summary>
    public Command? GraceEnd { get; private set; }

    /// <summary>`left`: what the driver counts to hold from its stamp on; null: it does not say, and time alone ends what it was given.</summary>
    public void Renewed(DriverConnection connection, long stamp, TimeSpan? left, Instant now)
    {
        if (left is { } held && _connections.TryGetValue(connection, out var instance))
        {
            var before = instance.LeaseUntil;
            instance.Holds(held, now);
            if (instance.LeaseUntil != before)
            {
                _haveDeadlinesMoved = true;
                MarkServicesOf(instance);
            }
        }

        _renewals.Add((connection, stamp));
    }

    /// <summary>
    /// The daemon restarts: nothing is begun any more, and the drivers that run something now may have the long lease. Returns them, for the grace to name
    /// them: whoever comes later gets the ordinary lease only, so nobody holds a long one that the successor does not know of.
    /// </summary>
    public ImmutableArray<GraceDriver> HoldStill()
    {
        _graceDrivers = [.. _instances.Where(instance => instance.Answerable && IsActive(instance) && Runs(instance)).Select(instance => new GraceDriver(instance.Name, instance.Id))];
        _due.MarkAll();
        return [.. _graceDrivers];
    }

    /// <summary>
    /// Every driver that may have the long lease, and is connected, has it, and has said so if it ever says: an answer that was on its way when this process
    /// ended would be lost with it.
    /// </summary>
    public bool HasHandedOut(SessionHold hold) => _instances.TrueForAll(instance => !instance.Answerable || !MayHaveGrace(instance) || !Runs(instance)
        || (instance.GivenUntil >= hold.Until && (instance.SaidUntil is not { } said || said >= hold.Until - (Lease / 2))));

    private Command? EndOfGrace(Moment moment) =>
        moment.Hold.IsHeld(moment.Now) && moment.State.Sessions.TryGetValue(moment.Hold.Session, out var session) && !session.Graces.IsEmpty
            ? _former.EndOfGrace(session, moment, _settings.GraceId, atOnce: _settings.PlantedBug == PlantedBug.GraceEndedAtOnce)
            : null;

    private bool IsActive(DriverInstance instance) => ReferenceEquals(_active.GetValueOrDefault(instance.Name), instance);

    private bool MayHaveGrace(DriverInstance instance) => _graceDrivers?.Contains(new GraceDriver(instance.Name, instance.Id)) == true;

    private static bool Runs(DriverInstance instance) => instance.Owing > 0;

    private void Renew(Moment moment, List<Output> outputs)
    {
        foreach (var (connection, stamp) in _renewals)
        {
            if (!_connections.TryGetValue(connection, out var instance))
            {
                continue;
            }

            var starves = Starves(instance);
            TimeSpan? left = moment.CannotTell ? null : TimeSpan.Zero;
            var until = MayHaveGrace(instance) ? moment.Hold.Until : moment.Hold.OrdinaryUntil;
            if (instance.Answerable && moment.IsActive(instance) && moment.Hold.IsHeld(moment.Now) && !starves)
            {
                left = until > moment.Now ? until - moment.Now : TimeSpan.Zero;
                moment.ExtendLease(instance, until);
            }

            // It may still hold what a daemon before this one gave it in order to restart. That is over sooner than by itself only if the driver takes less.
            outputs.Add(new Output.DriverLease(connection, stamp, left) { Shortens = instance.InheritedUntil > until });
        }

        _renewals.Clear();
    }

    private bool Starves(DriverInstance instance)
    {
        foreach (var (name, calls) in instance.Calls)
        {
            if (_services.TryGetValue(name, out var service) && service.Starves(calls))
            {
                return true;
            }
        }

        return false;
    }
}
