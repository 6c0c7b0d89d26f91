using System.Collections.Immutable;
using Clustd.Core;
using Clustd.Core.Cluster;
using Clustd.Core.Running;
using Shouldly;

namespace Clustd.Tests.Running;

/// <summary>
/// LocalServices with a fake clock and services of any definition; drivers go by their name, or by that of their instance. What was told reads as `app:start`, and
/// `app:start bot` for any other service than `web`. In every step the services that are not due are looked at, too, and all that are due are looked at again:
/// nothing may come of it.
/// </summary>
internal sealed class ServicesBench
{
    public static readonly MachineId Self = new("cm-1");
    public static readonly ServiceName Web = new("web");
    public static readonly ServiceName Bot = new("bot");
    private readonly SortedDictionary<string, DriverConnection> _connections = [];
    private readonly SortedDictionary<(DriverConnection, ServiceName), long> _sequences = [];
    private readonly SessionId _session = new(50);
    private long _nextConnection;
    private long _index = 100;

    /// <param name="web">What is agreed of `web`, which there always is.</param>
    /// <param name="bot">What is agreed of `bot`; null: there is none.</param>
    /// <param name="listed">Drivers that this machine's file lists: `app` for `web`, `app bot` for another service.</param>
    /// <param name="stored">Last index of the log at this daemon's start; 0: a new machine. What is applied is 100, and the session is 50.</param>
    /// <param name="level">The cluster's.</param>
    /// <param name="former">kill_timeout, in seconds, by service, of which the store tells.</param>
    /// <param name="proposal">Services of this machine's file.</param>
    /// <param name="graces">Restart graces that a former daemon may have handed out.</param>
    /// <param name="checksEvery">In every so many-th step the services that are not due are looked at, too.</param>
    public ServicesBench(
        ServiceDefinition? web = null, ServiceDefinition? bot = null, string[]? listed = null, long stored = 0, int level = FeatureLevels.Own,
        (ServiceName Service, double KillTimeout)[]? former = null, ServiceDefinition[]? proposal = null, RestartGrace[]? graces = null,
        int checksEvery = 1)
    {
        State = new ClusterState
        {
            Lease = TimeSpan.FromSeconds(1), AppliedIndex = _index, FeatureLevel = level,
            Sessions = ImmutableSortedDictionary<SessionId, Session>.Empty.Add(_session, new Session(_session, Self, StoreId.None, TimeSpan.FromSeconds(1))
            {
                Graces = (graces ?? []).ToImmutableSortedDictionary(grace => grace.Id, grace => grace),
            }),
        };
        foreach (var definition in new[] { web ?? new ServiceDefinition { Name = Web }, bot }.OfType<ServiceDefinition>())
        {
            Define(definition);
        }

        Local = new LocalServices(
            new MachineSettings
            {
                Self = Self, Address = "a:1", Addresses = ["a:1"], Lease = TimeSpan.FromSeconds(1), Incarnation = 7, Seed = 1, WallClockSeconds = 1, ChecksWhatIsOverlookedEvery = checksEvery,
                Drivers = [.. (listed ?? []).Select(words => words.Split(' ')).Select(words => new ListedDriver(new DriverName(words[0]), words.Length > 1 ? new ServiceName(words[1]) : Web))],
                Services = proposal is null ? default : [.. proposal],
            },
            Now)
        {
            StoredLastIndex = stored, FormerKillTimeouts = (former ?? []).ToImmutableSortedDictionary(known => known.Service, known => TimeSpan.FromSeconds(known.KillTimeout)),
            FormerGraces = (_session, [.. graces ?? []]),
        };
        Hold(1000);
    }

    public LocalServices Local { get; }

    public Instant Now { get; private set; } = new(5_000_000);

    public ClusterState State { get; private set; }

    public SessionHold Held { get; private set; }

    /// <summary>Of the last step.</summary>
    public List<Output> Outputs { get; } = [];

    /// <summary>Kinds of all that was noted since the beginning.</summary>
    public List<string> Noted { get; } = [];

    public IEnumerable<TriggerCall> Triggers => Outputs.OfType<Output.Trigger>().Select(trigger => trigger.Call);

    public IEnumerable<string> Told => Outputs.OfType<Output.Trigger>().Select(trigger => Words(NameOf(trigger.Connection), trigger.Call));

    public IReadOnlyList<Command> Wanted => Local.Wanted;

    public Command.Release? Release => Wanted.OfType<Command.Release>().SingleOrDefault();

    public TimeSpan WakesIn => Local.WakeAt - Now;

    public LocalPhase Phase => PhaseOf(Web);

    public LocalPhase PhaseOf(ServiceName service) => Local.View.Single(view => view.Service == service).Phase;

    public ServicesBench Hold(double seconds)
    {
        Held = new SessionHold(_session, Now + TimeSpan.FromSeconds(seconds));
        return this;
    }

    public ServicesBench NotHeld()
    {
        Held = SessionHold.None;
        return Step();
    }

    public ServicesBench Register(
        string name, int order = 0, bool certain = true, string? instance = null, long? claims = null, ServiceName[]? follows = null, ServiceName? claimed = null, double? needsToStop = null,
        double? needsToBeKilled = null)
    {
        var connection = new DriverConnection(++_nextConnection);
        _connections[instance ?? name] = connection;
        Local.Registered(connection, new DriverRegistration
        {
            Name = new DriverName(name), Instance = instance ?? name + "-1", Services = [.. follows ?? [Web]], Order = order, StopsForCertain = certain,
            States = claims is { } token ? [new DriverServiceState(claimed ?? Web, true, new Token(token))] : [],
            StopTimeout = needsToStop is { } stop ? TimeSpan.FromSeconds(stop) : null, KillTimeout = needsToBeKilled is { } kill ? TimeSpan.FromSeconds(kill) : null,
        }, Now);
        return Step();
    }

    /// <summary>Registered, and has acknowledged the first `false`.</summary>
    public ServicesBench Standby(string name, int order = 0, bool certain = true, string? instance = null, ServiceName[]? follows = null)
    {
        Register(name, order, certain, instance, follows: follows);
        foreach (var service in follows ?? [Web])
        {
            Answer(instance ?? name, service: service);
        }

        return this;
    }

    /// <summary>All these have started it, in their order, and the cluster knows that it runs.</summary>
    public ServicesBench Running(long token, params string[] drivers)
    {
        Assign(token);
        foreach (var driver in drivers)
        {
            Answer(driver);
        }

        return Becomes(AssignmentState.Running);
    }

    public ServicesBench Assign(long token, AssignmentState state = AssignmentState.Starting, ServiceName? service = null, double? killTimeout = null, MachineId? machine = null) => Set(
        service ?? Web,
        known => known with
        {
            Assignment = new Assignment(
                machine ?? Self, _session, new Token(token), killTimeout is { } kill ? TimeSpan.FromSeconds(kill) : known.Definition.KillTimeout, state, null, "chosen", ++_index), Vacated = null,
        });

    public ServicesBench Becomes(AssignmentState state, ServiceName? service = null) =>
        Set(service ?? Web, known => known with { Assignment = known.Assignment! with { State = state, SinceIndex = ++_index } });

    public ServicesBench Set(ServiceName service, Func<ServiceState, ServiceState> change) =>
        Change(state => state with { Services = state.Services.SetItem(service, change(state.Services[service])) });

    public ServicesBench Change(Func<ClusterState, ClusterState> change)
    {
        State = change(State) with { AppliedIndex = ++_index };
        return Step();
    }

    public ServicesBench Answer(string driver, string? error = null, ServiceName? service = null)
    {
        var connection = _connections[driver];
        Local.Answered(connection, service ?? Web, _sequences[(connection, service ?? Web)], error, Now);
        return Step();
    }

    public ServicesBench Fails(string driver, long token, ServiceName? service = null)
    {
        Local.Failed(_connections[driver], service ?? Web, new Token(token), "crashed", Now);
        return Step();
    }

    public ServicesBench Lost(string driver)
    {
        Local.Lost(_connections[driver], Now);
        return Step();
    }

    public ServicesBench Leave()
    {
        Local.Leave("maintenance", Now);
        return Step();
    }

    /// <summary>The lease that it is told; null: nothing is said.</summary>
    public TimeSpan? Renew(string driver, double? holds = null)
    {
        Local.Renewed(_connections[driver], Now.Microseconds, holds is { } seconds ? TimeSpan.FromSeconds(seconds) : null, Now);
        Step();
        return Outputs.OfType<Output.DriverLease>().SingleOrDefault()?.Left;
    }

    public ServicesBench Pass(double seconds)
    {
        Now += TimeSpan.FromSeconds(seconds);
        return Step();
    }

    public ServicesBench Step()
    {
        Outputs.Clear();
        Local.Reconcile(State, Held, Now, Outputs);
        Noted.AddRange(Outputs.OfType<Output.Noted>().Select(note => note.Kind));
        foreach (var trigger in Outputs.OfType<Output.Trigger>())
        {
            _sequences[(trigger.Connection, trigger.Call.Service)] = trigger.Call.Sequence;
        }

        List<Output> later = [];
        for (var again = 0; again < 2; again++)
        {
            Local.Reconcile(State, Held, Now, later);
            later.ShouldBeEmpty("a step leaves nothing to be said for the next one at the same moment");
        }

        return this;
    }

    private static string Words(string driver, TriggerCall call) =>
        $"{driver}:{(call.IsMaster ? "start" : call.Kill ? "kill" : "stop")}{(call.Service == Web ? "" : $" {call.Service}")}";

    private string NameOf(DriverConnection connection) => _connections.Single(known => known.Value == connection).Key;

    private void Define(ServiceDefinition definition) => State = State with
    {
        Services = State.Services.Add(definition.Name, new ServiceState(definition, null, null, ImmutableSortedDictionary<MachineId, FailureRecord>.Empty, false)),
    };
}
