using System.Collections.Immutable;
using Clustd.Core;
using Clustd.Core.Cluster;
using Clustd.Core.Raft;
using Clustd.Core.Running;

namespace Clustd.Tests.Running;

/// <summary>LocalServices with a fake clock, one service 'web' (kill_timeout 0.5 s) and a lease of 1 s. Speaks in verbs.</summary>
internal sealed class LocalBench
{
    public static readonly ServiceName Web = new("web");
    public static readonly MachineId Self = new("cm-1");
    private readonly LocalServices _local;
    private readonly SessionId _session = new(50);
    private long _connections;
    private long _index = 100;

    public LocalBench(string[]? listed = null, long storedLastIndex = 0, OnStopFailure onStopFailure = OnStopFailure.Block, double sessionLease = 1, RestartGrace[]? graces = null, double formerKillTimeout = 0)
    {
        var definition = new ServiceDefinition { Name = Web, OnStopFailure = onStopFailure };
        State = new ClusterState
        {
            Lease = TimeSpan.FromSeconds(1), AppliedIndex = 100,
            Sessions = ImmutableSortedDictionary<SessionId, Session>.Empty.Add(_session, new Session(_session, Self, StoreId.None, TimeSpan.FromSeconds(sessionLease))
            {
                Graces = (graces ?? []).ToImmutableSortedDictionary(grace => grace.Id, grace => grace),
            }),
            Services = ImmutableSortedDictionary<ServiceName, ServiceState>.Empty.Add(
                Web, new ServiceState(definition, null, null, ImmutableSortedDictionary<MachineId, FailureRecord>.Empty, false)),
        };
        _local = new LocalServices(
            new MachineSettings
            {
                Self = Self, Address = "a:1", Addresses = ["a:1"], Lease = TimeSpan.FromSeconds(1), Incarnation = 7, Seed = 1, WallClockSeconds = 1, ChecksWhatIsOverlookedEvery = 1,
                Drivers = [.. (listed ?? []).Select(name => new ListedDriver(new DriverName(name), Web))],
            },
            Now) { StoredLastIndex = storedLastIndex, FormerGraces = (_session, [.. graces ?? []]), FormerKillTimeouts = new SortedDictionary<ServiceName, TimeSpan> { [Web] = TimeSpan.FromSeconds(formerKillTimeout) } };
        Hold(seconds: 1000);
    }

    public Instant Now { get; private set; } = new(5_000_000);

    public ClusterState State { get; private set; }

    public SessionHold Held { get; private set; }

    public List<Output> Outputs { get; } = [];

    public LocalServices Local => _local;

    public IEnumerable<TriggerCall> Triggers => Outputs.OfType<Output.Trigger>().Select(trigger => trigger.Call);

    public IEnumerable<string> Told => Outputs.OfType<Output.Trigger>().Select(trigger => $"{trigger.Connection.Value}:{(trigger.Call.IsMaster ? "start" : trigger.Call.Kill ? "kill" : "stop")}");

    public LocalPhase Phase => _local.View.Single(view => view.Service == Web).Phase;

    public LocalBench Hold(double seconds)
    {
        Held = new SessionHold(_session, Now + TimeSpan.FromSeconds(seconds));
        return this;
    }

    /// <summary>By a restart grace for so long, by the ordinary lease for less.</summary>
    public LocalBench HoldLong(double seconds, double ordinary)
    {
        Held = new SessionHold(_session, Now + TimeSpan.FromSeconds(seconds)) { UntilWithoutGrace = Now + TimeSpan.FromSeconds(ordinary) };
        return this;
    }

    public LocalBench NotHeld()
    {
        Held = SessionHold.None;
        return this;
    }

    public LocalBench HasAppliedNothing()
    {
        State = ClusterState.Empty;
        return this;
    }

    public DriverConnection Register(string name, int order = 0, bool certain = true, string? instance = null, DriverServiceState[]? states = null, TimeSpan? needsToStop = null, string[]? fences = null)
    {
        var connection = new DriverConnection(++_connections);
        _local.Registered(connection, new DriverRegistration
        {
            Name = new DriverName(name), Instance = instance ?? name + "-1", Services = [Web], Order = order, StopsForCertain = certain, States = [.. states ?? []], StopTimeout = needsToStop, Fences = [.. (fences ?? []).Select(machine => new MachineId(machine))],
        }, Now);
        Step();
        return connection;
    }

    public LocalBench Assign(long token, AssignmentState state = AssignmentState.Starting) =>
        Set(service => service with { Assignment = new Assignment(Self, _session, new Token(token), TimeSpan.FromMilliseconds(500), state, null, "chosen", ++_index), Vacated = null });

    /// <summary>A move of what an earlier daemon of this machine ran was aborted: granted long ago, `starting` since a moment ago.</summary>
    public LocalBench Resumes(long token)
    {
        var moving = new LogEntry(++_index, new Term(1), new Command.AbortMove(Web, new Token(token), "the stop failed"));
        State = State with
        {
            Services = State.Services.SetItem(Web, State.Services[Web] with
            {
                Assignment = new Assignment(Self, _session, new Token(token), TimeSpan.FromMilliseconds(500), AssignmentState.Stopping, null, "moves", 60),
            }),
        };
        State = StateMachine.Apply(State, moving);
        return Step();
    }

    public LocalBench Defined(double killTimeout) => Set(service => service with { Definition = service.Definition with { KillTimeout = TimeSpan.FromSeconds(killTimeout) } });

    /// <summary>The service requires fencing, and these machines were lost as its masters.</summary>
    public LocalBench Unfenced(params string[] machines) =>
        Set(service => service with { Definition = service.Definition with { RequiresFencing = true }, Unfenced = [.. machines.Select(machine => new MachineId(machine))] });

    public LocalBench Becomes(AssignmentState state) =>
        Set(service => service with { Assignment = service.Assignment! with { State = state, SinceIndex = ++_index } });

    public LocalBench KnowsLastToken(long token)
    {
        State = State with { LastTokens = State.LastTokens.SetItem(Web, new Token(token)) };
        return this;
    }

    /// <summary>The session under which it was granted has ended: whoever is chosen next waits until it is dead.</summary>
    public LocalBench Vacated(long token)
    {
        KnowsLastToken(token);
        return Set(service => service with { Assignment = null, Vacated = new Vacated(Self, new Token(token), TimeSpan.FromMilliseconds(500), ++_index) });
    }

    /// <summary>The agreed state knows of no grace: those that there were have been ended, or were never granted.</summary>
    public LocalBench HasNoGrace()
    {
        var session = State.Sessions[_session];
        State = State with { Sessions = State.Sessions.SetItem(_session, session with { Graces = session.Graces.Clear() }) };
        return Step();
    }

    public LocalBench Released() => Set(service => service with { Assignment = null });

    public LocalBench Answer(DriverConnection connection, string? error = null)
    {
        var call = Calls[connection];
        _local.Answered(connection, Web, call.Sequence, error, Now);
        return Step();
    }

    public LocalBench Pass(double seconds)
    {
        Now += TimeSpan.FromSeconds(seconds);
        return Step();
    }

    public LocalBench Step()
    {
        Outputs.Clear();
        _local.Reconcile(State, Held, Now, Outputs);
        foreach (var trigger in Outputs.OfType<Output.Trigger>())
        {
            Calls[trigger.Connection] = trigger.Call;
        }

        return this;
    }

    public TimeSpan Renew(DriverConnection connection) => Renewal(connection) ?? TimeSpan.Zero;

    /// <summary>Null: the daemon makes no statement.</summary>
    public TimeSpan? Renewal(DriverConnection connection)
    {
        _local.Renewed(connection, Now.Microseconds, left: null, Now);
        Step();
        return Outputs.OfType<Output.DriverLease>().Single().Left;
    }

    /// <summary>The driver says what it counts to hold.</summary>
    public Output.DriverLease RenewHolding(DriverConnection connection, double seconds)
    {
        _local.Renewed(connection, Now.Microseconds, TimeSpan.FromSeconds(seconds), Now);
        Step();
        return Outputs.OfType<Output.DriverLease>().Single();
    }

    /// <summary>A registered driver that has acknowledged its first `false` and then the start; the service runs under the token.</summary>
    public DriverConnection RunningDriver(string name = "app", long token = 1001, bool certain = true)
    {
        var connection = Register(name, certain: certain);
        Answer(connection);
        Assign(token);
        Answer(connection);
        Becomes(AssignmentState.Running);
        return connection;
    }

    private SortedDictionary<DriverConnection, TriggerCall> Calls { get; } = [];

    private LocalBench Set(Func<ServiceState, ServiceState> change)
    {
        State = State with { AppliedIndex = ++_index, Services = State.Services.SetItem(Web, change(State.Services[Web])) };
        return Step();
    }
}
