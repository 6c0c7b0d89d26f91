using System.Collections.Immutable;
using Clustd.Core.Cluster;
using Clustd.Core.Raft;

namespace Clustd.Core.Running;

/// <summary>
/// What runs on this machine, and which driver is to be told what. Inputs only change what is known; <see cref="Reconcile"/> compares that with
/// the agreed state and the hold, and says what is to be done. Nothing here is safe by timing: a service is released only on acknowledgements,
/// a guard's proof, or the end of every lease that was handed out (rules 11 to 16 of the lease argument). What a pass costs depends on what has
/// changed, not on how many services there are: see LocalServices.Due.cs.
/// </summary>
public sealed partial class LocalServices
{
    private readonly MachineSettings _settings;
    private readonly Instant _startedAt;
    private readonly SortedDictionary<ServiceName, LocalService> _services = [];
    private readonly List<DriverInstance> _instances = [];
    private readonly SortedDictionary<DriverConnection, DriverInstance> _connections = [];
    private readonly SortedDictionary<DriverName, DriverInstance> _active = [];
    private readonly ListedDrivers _listed;
    private readonly DueServices _due = new();
    private readonly Deadlines _ownDeadlines = new();
    private readonly Func<long> _nextSequence;
    private readonly Func<long> _nextRun;
    private readonly Action<DriverInstance, bool> _leaseExtended;
    private readonly Func<ServiceName, TimeSpan> _killTimeoutBefore;
    private readonly List<DriverInstance> _arrivals = [];
    private readonly List<(DriverConnection Connection, long Stamp)> _renewals = [];
    private readonly List<Output> _notes = [];
    private readonly ReadinessReport _report;

    // Continues from the clock, so that sequences also grow over restarts of the daemon within a boot; far below 2^53.
    private long _sequence;
    private long _runs;
    private long _arrivalCount;
    private SessionHold _lastHold = SessionHold.None;
    private ClusterState _state = ClusterState.Empty;

    // Asked for in every step; found out once per state.
    private ClusterState? _leaseOf;
    private TimeSpan _lease;
    private string? _leavingReason;
    private bool _hasHeld;
    private Instant _heldUntil = new(long.MinValue / 2);
    private bool _hasJoined;
    private FormerLeases _former;

    // The drivers that may have more than the ordinary lease, because this daemon restarts; null while it does not.
    private SortedSet<GraceDriver>? _graceDrivers;

    // Sums over all services, made anew after a pass that looked at any: when time makes one due, whether one has a run, whether all are empty.
    private Instant _serviceDueAt = Instant.Never;
    private bool _hasRun;
    private bool _areEmpty = true;
    private bool _haveDeadlinesMoved;

    public LocalServices(MachineSettings settings, Instant startedAt)
    {
        _settings = settings;
        _startedAt = startedAt;
        _former = new FormerLeases(startedAt, SessionId.None, []);
        _listed = new ListedDrivers(settings.Drivers);
        _report = new ReadinessReport(settings, _listed);
        _nextSequence = () => ++_sequence;
        _nextRun = () => ++_runs;
        _leaseExtended = LeaseExtended;
        _killTimeoutBefore = KillTimeoutBefore;
        _sequence = Math.Max(startedAt.Microseconds, 0);
        WakeAt = startedAt;
    }

    /// <summary>
    /// Last index of the log at this daemon's start: what was assigned later cannot have been acted on by a former incarnation. Unless set, everything
    /// seen in the first lease + kill_timeout may have been (rule 14). Requires that entries are applied only once they are durable here.
    /// </summary>
    public long StoredLastIndex { get; init; } = long.MaxValue;

    // With an empty store and a new cluster nobody can have started anything here before.
    private bool IsFirst => StoredLastIndex == 0 && !_hasJoined;

    /// <summary>Restart graces that former daemons of this machine may have handed out; see <see cref="FormerLeases.GracesIn"/>.</summary>
    public (SessionId Session, ImmutableArray<RestartGrace> Graces) FormerGraces
    {
        init => _former = new FormerLeases(_startedAt, value.Session, value.Graces);
    }

    /// <summary>See <see cref="FormerLeases.KillTimeoutsIn"/>.</summary>
    public IReadOnlyDictionary<ServiceName, TimeSpan> FormerKillTimeouts { get; init; } = new SortedDictionary<ServiceName, TimeSpan>();

    /// <summary>What this machine wants in the log until the applied state shows it. Saying it again is harmless.</summary>
    public IReadOnlyList<Command> Wanted { get; private set; } = [];

    /// <summary>The end of a restart grace on which nobody counts any more, wanted in the log likewise; no service's. Several follow one another.</summary>
    public Command? GraceEnd { get; private set; }

    /// <summary>The earliest moment at which Reconcile must run again.</summary>
    public Instant WakeAt { get; private set; }

    /// <summary>Goes into the report: why this machine should be given nothing new to run (<see cref="Stalls"/>).</summary>
    public string? Stalled { get; set; }

    public MachineReport Report => _report.Current;

    /// <summary>Goes into the report: this machine has left, but for its vote.</summary>
    public bool WantsNoVote { get; set; }

    /// <summary>After Leave: nothing runs or may run here under any token; all is released or proven stopped.</summary>
    public bool IsEmpty { get; private set; }

    /// <summary>Until when this machine held its session, last. Before this daemon has held one: until when a former one may have.</summary>
    public Instant HeldUntil => _hasHeld ? _heldUntil : _former.SessionUntil(Lease);

    /// <summary>What may run here just now, each with the kill_timeout that binds it: when HeldUntil and that are over, it must be gone.</summary>
    public IEnumerable<(ServiceName Service, TimeSpan KillTimeout)> MayRun =>
        _services.Values.Where(service => service.MayRunHere).Select(service => (service.Name, service.KillTimeout));

    /// <summary>Nothing runs or may run here, not even something that no driver has told of yet.</summary>
    public bool AreEmpty => _areEmpty;

    public IReadOnlyList<LocalServiceView> View => [.. _services.Values.Select(service => new LocalServiceView(service.Name, service.Phase, service.Token, service.Reason))];

    public IReadOnlyList<DriverView> DriverViews => [.. _instances.Select(ViewOf)];

    public void Registered(DriverConnection connection, DriverRegistration registration, Instant now)
    {
        Lost(connection, now);
        var instance = _instances.Find(known => known.Name == registration.Name && known.Id == registration.Instance);
        var isNew = instance is null;
        if (instance is null)
        {
            _instances.Add(instance = new DriverInstance(registration, ++_arrivalCount));
        }
        else if (instance.Connection is { } former)
        {
            Lost(former, now); // a process has one connection: the new one replaces the old
        }

        MarkServicesOf(instance);
        instance.Registration = registration;
        instance.Connection = connection;
        _connections[connection] = instance;
        if (isNew && _former.IsNamed(registration.Name, registration.Instance))
        {
            instance.Inherits(_former.UntilOf(registration.Name, registration.Instance, Lease));
        }

        foreach (var state in registration.States)
        {
            var calls = instance.CallsOf(state.Service);
            calls.Claimed(state.IsMaster, state.Token, state.Unsettled);
            if (state.IsMaster && calls.RunNumber == 0)
            {
                // Its lease came from a former incarnation of this daemon: at most one lease, or grace, from its end, which was before our start.
                instance.Inherits(Instant.Max(now, _former.UntilOf(registration.Name, registration.Instance, Lease)));
            }
        }

        var claimed = new SortedSet<ServiceName>(registration.States.Select(state => state.Service));
        foreach (var service in instance.FollowedIn(_state))
        {
            // Only where time bounds the wait: a best-effort driver is told `false` too, but cannot hold up a service by what it may have done before.
            if (isNew && registration.StopsForCertain && !IsFirst && now < FreshUntil(LongestKillTimeoutOf(service))
                && !claimed.Contains(service))
            {
                instance.CallsOf(service).MayHaveStarted();
                instance.Inherits(Instant.Max(now, _former.UntilOf(registration.Name, registration.Instance, Lease)));
            }
        }

        if (_former.Heard(registration.Name, registration.Instance))
        {
            _due.MarkAll(); // What nobody knew of may be over sooner now.
        }

        _arrivals.Add(instance);
        MarkServicesOf(instance);
    }

    public void Lost(DriverConnection connection, Instant now)
    {
        if (!_connections.Remove(connection, out var instance))
        {
            return;
        }

        Disconnect(instance);
        _arrivals.Remove(instance);
        Note(Severity.Information, "driver-lost", $"The connection of driver {instance.Name} was lost. What it runs counts as running until it is proven stopped or its lease is over.");
    }

    public void Answered(DriverConnection connection, ServiceName service, long sequence, string? error, Instant now)
    {
        if (!_connections.TryGetValue(connection, out var instance) || !instance.Calls.TryGetValue(service, out var calls)
            || calls.Answered(sequence, error) is not { } call)
        {
            return; // an answer to a call of a former connection: what it did is unknown, the level is told again
        }

        if (!_settings.PlantedBug.Is(PlantedBug.AnswerOverlooked))
        {
            MarkFor(instance, service);
        }

        if (error is not null)
        {
            var told = call.IsMaster ? "start" : "stop";
            Note(Severity.Warning, "driver-error", $"Driver {instance.Name} answered the order to {told} '{service}' with an error: {error}", service);
        }
        else if (!call.IsMaster)
        {
            // Stop scripts are run again by the next process of the driver: its acknowledgement takes the blame off the one that died over its stop.
            foreach (var other in _instances.Where(other => other.Name == instance.Name && !other.IsConnected && other.Calls.ContainsKey(service)))
            {
                other.Calls[service].StopFailed = false;
            }
        }
    }

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

    public void Stopped(DriverName name, string instance, ServiceName service, Token token, string reason, Instant now)
    {
        var known = _instances.Find(one => one.Name == name && one.Id == instance);
        if (known is null || !known.Calls.TryGetValue(service, out var calls))
        {
            return;
        }

        MarkFor(known, service); // Also where it does not count as a stop: the driver is then told its level again.
        if (!calls.Proven(token, known.IsConnected))
        {
            return;
        }

        Note(Severity.Information, "driver-stopped", $"What driver {name} ran for '{service}' is proven gone: {reason}", service);
        if (!known.IsConnected)
        {
            FailRun(known, service, token, $"driver {name} is gone and what it ran has ended: {reason}", now);
        }
    }

    public void Failed(DriverConnection connection, ServiceName service, Token token, string reason, Instant now)
    {
        if (!_connections.TryGetValue(connection, out var instance))
        {
            return;
        }

        MarkFor(instance, service);
        Note(Severity.Error, "driver-failed", $"Driver {instance.Name} reports that '{service}' failed: {reason}", service);
        FailRun(instance, service, token, $"driver {instance.Name} gave up: {reason}", now);
    }

    /// <summary>This machine was taken into a cluster that lived already: its disk may have been wiped, and then a former daemon's drivers may still run here.</summary>
    public void Joined()
    {
        _hasJoined = true;
        _due.MarkAll();
    }

    /// <summary>Goodbye: everything stops in good order, then is killed; nothing is promoted any more.</summary>
    public void Leave(string reason, Instant now)
    {
        if (_leavingReason is null)
        {
            _leavingReason = reason;
            _due.MarkAll();
            Note(Severity.Information, "leaving", $"This machine leaves: {reason}");
        }
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

    /// <summary>
    /// The disk does not answer, so what was granted to this machine meanwhile cannot be applied, and nobody would run it for as long as that lasts: it is given
    /// back. Only what is in no log of this disk may be: anything else a former daemon may have begun.
    /// </summary>
    public void Refuse(Command.Assign assign, string reason)
    {
        if (!_services.TryGetValue(assign.Service, out var service))
        {
            _services[assign.Service] = service = new LocalService(assign.Service);
        }

        if (service.Refuse(assign.Token, reason))
        {
            _due.Mark(assign.Service);
            Note(Severity.Warning, "service-refused", $"'{assign.Service}' (token {assign.Token}) is given back: {reason}", assign.Service);
        }
    }

    /// <summary>Called at the end of every step with the applied state and the hold. Decides promotions, demotions and deadlines.</summary>
    public void Reconcile(ClusterState state, SessionHold hold, Instant now, List<Output> outputs)
    {
        // The clock passed the end of the hold before it was extended, as after a freeze: whoever renewed in time has stopped meanwhile.
        var lapsed = _lastHold != SessionHold.None && now >= _lastHold.Until;
        MarkWhatChanged(state, hold, lapsed, now);
        if (_former.Applied(state, _settings.Self))
        {
            _due.MarkAll();
        }

        outputs.AddRange(_notes);
        _notes.Clear();
        Welcome(outputs);
        SendAwayWhoseTermsAreOver(outputs);
        if (hold.IsHeld(now))
        {
            (_hasHeld, _heldUntil) = (true, hold.Until);
        }

        _ownDeadlines.Clear();
        var moment = new Moment(_settings, _listed, state, hold, now, _instances, _active, _nextSequence, _leaseExtended, outputs)
        {
            LeavingReason = _leavingReason,
            IsRestarting = _graceDrivers is not null && _leavingReason is null,
            CannotTellUntil = _hasHeld || _leavingReason is not null ? Instant.Origin : _former.SessionUntil(Lease),
            Deadlines = _ownDeadlines,
            KillTimeoutBefore = _killTimeoutBefore,
        };
        ChooseActive(moment);
        LookAtServices(moment, lapsed, outputs);
        _lastHold = hold.IsHeld(now) ? hold : SessionHold.None;
        Renew(moment, outputs);
        GraceEnd = EndOfGrace(moment);

        Forget(moment);
        var knowsAllAt = KnowsAllAt();
        IsEmpty = _leavingReason is not null && _areEmpty && now >= knowsAllAt;
        _report.Close(_leavingReason is not null || _graceDrivers is not null, WantsNoVote, Stalled);
        WakeAt = Instant.Min(_ownDeadlines.Earliest, _serviceDueAt);
        WakeAt = hold.IsHeld(now) && _hasRun ? Instant.Min(WakeAt, hold.Until) : WakeAt;
        WakeAt = _leavingReason is not null && now < knowsAllAt ? Instant.Min(WakeAt, knowsAllAt) : WakeAt;
    }

    // The longest that anybody may have handed out here: the session's is the one that its leader wrote down, whatever this machine's file says (rule 12).
    private TimeSpan Lease
    {
        get
        {
            if (!ReferenceEquals(_leaseOf, _state))
            {
                var longest = _settings.Lease > _state.Lease ? _settings.Lease : _state.Lease;
                _lease = _state.SessionOf(_settings.Self) is { } session && session.Lease > longest ? session.Lease : longest;
                _leaseOf = _state;
            }

            return _lease;
        }
    }

    // Rule 14: until then drivers of a former incarnation may run here unknown to us.
    private Instant FreshUntil(TimeSpan killTimeout) => _former.UnheardUntil(Lease) + LeaseTiming.Stretch(killTimeout);

    // What may bind a driver of a former daemon while this one has not applied all that its store holds.
    private TimeSpan KillTimeoutBefore(ServiceName service) =>
        _state.AppliedIndex < StoredLastIndex && FormerKillTimeouts.TryGetValue(service, out var killTimeout) ? killTimeout : TimeSpan.Zero;

    // A daemon that has not applied its own log knows of no service that a former one may have begun, and "nothing runs here" would be a guess: it said so, and left, while a
    // driver ran on under its grace (campaign 110362). Until when; the origin: it knows.
    // A hold counts as knowing: its echo waits until all that stood in the leader's log before is applied here, also where the stored log was longer than what was committed.
    private Instant KnowsAllAt()
    {
        if (_hasHeld)
        {
            return Instant.Origin;
        }

        if (StoredLastIndex == 0)
        {
            // A new machine, or one whose disk was wiped while its drivers ran (seed 209244). Only a cluster that forms out of new ones proves that it is the former.
            return IsFirst && _state.AppliedIndex > 0 ? Instant.Origin : FreshUntil(LongestKillTimeoutConfigured());
        }

        return _state.AppliedIndex >= StoredLastIndex ? Instant.Origin : FreshUntil(FormerKillTimeouts.Values.DefaultIfEmpty(TimeSpan.Zero).Max());
    }

    // The store does not tell; what this machine's file says, or would say by default, is the best that is known.
    private TimeSpan LongestKillTimeoutConfigured() =>
        _settings.Services.IsDefaultOrEmpty ? ServiceDefinition.KillTimeoutDefault : _settings.Services.Max(definition => definition.KillTimeout);

    private TimeSpan LongestKillTimeoutOf(ServiceName service)
    {
        var (defined, before) = (DefinitionOf(service).KillTimeout, KillTimeoutBefore(service));
        return defined > before ? defined : before;
    }

    private Command? EndOfGrace(Moment moment) =>
        moment.Hold.IsHeld(moment.Now) && moment.State.Sessions.TryGetValue(moment.Hold.Session, out var session) && !session.Graces.IsEmpty
            ? _former.EndOfGrace(session, moment, _settings.GraceId, atOnce: _settings.PlantedBug.Is(PlantedBug.GraceEndedAtOnce))
            : null;

    private bool IsActive(DriverInstance instance) => ReferenceEquals(_active.GetValueOrDefault(instance.Name), instance);

    private bool MayHaveGrace(DriverInstance instance) => _graceDrivers?.Contains(new GraceDriver(instance.Name, instance.Id)) == true;

    private static bool Runs(DriverInstance instance) => instance.Owing > 0;

    private void FailRun(DriverInstance instance, ServiceName service, Token token, string reason, Instant now)
    {
        var required = _listed.Contains(instance.Name, service)
            || (_state.Services.TryGetValue(service, out var known) && known.Definition.Drivers.Contains(instance.Name));
        if (_services.TryGetValue(service, out var local))
        {
            local.DriverFailed(instance, required, token, reason, now);
        }
    }

    private ServiceDefinition DefinitionOf(ServiceName service)
    {
        if (_state.Services.TryGetValue(service, out var known))
        {
            return known.Definition;
        }

        var proposed = _settings.Services.IsDefault ? null : _settings.Services.FirstOrDefault(definition => definition.Name == service);
        return proposed ?? new ServiceDefinition { Name = service };
    }

    private void Note(Severity severity, string kind, string sentence, ServiceName? service = null) => _notes.Add(new Output.Noted(severity, kind, sentence, service));
}
