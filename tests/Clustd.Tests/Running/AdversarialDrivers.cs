using System.Collections.Immutable;
using Clustd.Core;
using Clustd.Core.Cluster;
using Clustd.Core.Running;

namespace Clustd.Tests.Running;

/// <summary>
/// A little world around LocalServices: driver processes that are slow, fail, hang, die and reconnect but keep their word (certain ones are dead at
/// lease end + kill_timeout), a hold that lapses, a daemon that freezes and restarts. It knows the truth: which app runs under which token.
/// It shares no logic with the code under test.
/// </summary>
internal sealed class AdversarialDrivers
{
    public static readonly TimeSpan Lease = TimeSpan.FromSeconds(1);
    public static readonly TimeSpan Kill = TimeSpan.FromMilliseconds(500);
    private static readonly MachineId Self = new("cm-1");
    private static readonly ServiceName[] ServiceNames = [new("bot"), new("web")];

    private readonly SeededRandom _random;
    private readonly List<Process> _processes = [];
    private readonly SortedDictionary<long, Process> _connections = [];
    private readonly SortedDictionary<ServiceName, long> _released = [];
    private readonly SortedSet<string> _underWay = [];
    private readonly List<Output> _outputs = [];
    private LocalServices _local;
    private ClusterState _state;
    private SessionHold _hold;
    private Instant _now = new(10_000_000);
    private Instant _latestUntil = new(0);
    private long _index = 100;
    private long _token = 1000;
    private long _nextConnection;
    private long _nextInstance;
    private long _lastSequence;
    private bool _calm;
    private bool _holds = true;

    public AdversarialDrivers(ulong seed)
    {
        _random = new SeededRandom(seed);
        var services = ImmutableSortedDictionary<ServiceName, ServiceState>.Empty;
        foreach (var name in ServiceNames)
        {
            var definition = new ServiceDefinition { Name = name, StartTimeout = TimeSpan.FromSeconds(3), StopTimeout = TimeSpan.FromSeconds(2), KillTimeout = Kill };
            services = services.Add(name, new ServiceState(definition, null, null, ImmutableSortedDictionary<MachineId, FailureRecord>.Empty, false));
        }

        _state = new ClusterState { Lease = Lease, Services = services, AppliedIndex = _index };
        OpenSession();
        _local = NewDaemon(stored: 0);
        Connect(new Process("app", NewInstance(), Certain: true, Order: 1));
        Connect(new Process("vip", NewInstance(), Certain: true, Order: 0));
        Connect(new Process("script", NewInstance(), Certain: false, Order: 2));
    }

    public List<string> Violations { get; } = [];

    public int Starts { get; private set; }

    public int Releases { get; private set; }

    public void Run(int steps)
    {
        for (var i = 0; i < steps && Violations.Count == 0; i++)
        {
            Disturb();
            Advance();
        }
    }

    /// <summary>Everybody behaves: a goodbye must come to its end.</summary>
    public bool SaysGoodbyeWithin(TimeSpan limit)
    {
        _calm = true;
        _holds = true;
        foreach (var process in _processes)
        {
            process.Hangs = false;
        }

        _local.Leave("goodbye", _now);
        var end = _now + limit;
        while (_now < end && Violations.Count == 0)
        {
            if (_local.IsEmpty && _state.Services.Values.All(service => service.Assignment is null))
            {
                return true;
            }

            if (_local.View.Any(view => view.Phase == LocalPhase.Stuck) && _random.NextInt(20) == 0)
            {
                Any(process => process.Connection is not null && !process.Certain)?.Let(Disconnect); // the operator restarts the driver that is stuck
            }

            Commit(1.0);
            Advance();
        }

        return false;
    }

    public string Describe() => $"{_now} empty={_local.IsEmpty} violations={string.Join("; ", Violations)} wake={_local.WakeAt} " + string.Join("; ", _local.View) + " | " + string.Join("; ", _local.DriverViews) + " | " + string.Join("; ", _local.Wanted) + " | " + string.Join("; ", _state.Services.Values.Select(s => s.Assignment));

    private void Disturb()
    {
        Commit(0.5);
        var dice = _random.NextInt(100);
        var name = ServiceNames[_random.NextInt(ServiceNames.Length)];
        var service = _state.Services[name];
        switch (dice)
        {
            case < 25 when service.Assignment is null && service.Vacated is null && _state.SessionOf(Self) is { } session:
                _token++;
                Set(service with { Assignment = new Assignment(Self, session.Id, new Token(_token), Kill, AssignmentState.Starting, null, "chosen", ++_index) });
                break;
            case < 30 when service.Assignment is { State: AssignmentState.Running or AssignmentState.Starting } moving:
                Set(service with { Assignment = moving with { State = AssignmentState.Stopping, SinceIndex = ++_index } });
                break;
            case < 33:
                _holds = false; // echoes stay away
                break;
            case < 45:
                _holds = true;
                break;
            case < 48 when !_holds && _state.SessionOf(Self) is { } ending && _now >= _latestUntil + TimeSpan.FromMilliseconds(100):
                EndSession(ending);
                break;
            case < 60 when _state.SessionOf(Self) is null:
                OpenSession();
                break;
            case < 63:
                Any(process => process.Connection is not null && process.Certain)?.Let(Disconnect);
                break;
            case < 66:
                Any(process => !process.IsDead)?.Let(Die);
                break;
            case < 68:
                Any(process => !process.IsDead)?.Let(process => process.Hangs = !process.Hangs);
                break;
            case < 70:
                Connect(new Process(_random.NextInt(2) == 0 ? "app" : "vip", NewInstance(), Certain: true, Order: _random.NextInt(3)));
                break;
            case < 71:
                Restart();
                break;
            case < 73:
                _now += _random.NextBetween(TimeSpan.Zero, TimeSpan.FromSeconds(3)); // the daemon is frozen, the apps' own timers are not
                break;
            case < 75 when Any(process => process.Connection is not null) is { } failing:
                _local.Failed(new DriverConnection(failing.Connection!.Value), name, new Token(_token - _random.NextInt(2)), "it crashed too often", _now);
                break;
        }
    }

    private void Advance()
    {
        var step = Instant.Min(_now + _random.NextBetween(TimeSpan.FromMilliseconds(1), TimeSpan.FromMilliseconds(80)), _local.WakeAt);
        _now = Instant.Max(step, _now + TimeSpan.FromMicroseconds(1));
        if (_holds && _state.SessionOf(Self) is { } session)
        {
            _hold = new SessionHold(session.Id, Instant.Max(_hold.Session == session.Id ? _hold.Until : new Instant(0), _now + Lease - TimeSpan.FromMilliseconds(50 + _random.NextInt(300))));
            _latestUntil = Instant.Max(_latestUntil, _hold.Until);
        }

        foreach (var process in _processes.ToList())
        {
            Live(process);
        }

        Check();
        Reconcile();
    }

    // What a driver process does by itself: obey its lease, work on its calls, renew, reconnect.
    private void Live(Process process)
    {
        foreach (var app in process.Apps.ToList())
        {
            if (process.Certain && _now >= process.LeaseUntil && app.Value.DieAt == Instant.Never)
            {
                app.Value.DieAt = process.LeaseUntil + Kill;
            }

            if (_now >= app.Value.DieAt)
            {
                process.Apps.Remove(app.Key);
                if (process.IsDead && process.Guarded)
                {
                    _local.Stopped(new DriverName(process.Name), process.Instance, app.Key, new Token(app.Value.Token), "the guard saw its end", _now);
                }
            }
        }

        if (process.IsDead)
        {
            if (process.Apps.Count == 0)
            {
                _processes.Remove(process);
                if (_processes.All(other => other.Name != process.Name))
                {
                    Connect(new Process(process.Name, NewInstance(), process.Certain, process.Order));
                }
            }

            return;
        }

        if (process.Connection is null)
        {
            if (_calm || _random.NextInt(6) == 0)
            {
                Connect(process);
            }

            return;
        }

        if (!process.Hangs && _random.NextInt(2) == 0)
        {
            process.RenewStamp = _now;
            _local.Renewed(new DriverConnection(process.Connection.Value), _now.Microseconds, left: null, _now);
        }

        foreach (var work in process.Work.Values.ToList())
        {
            Do(process, work);
        }
    }

    private void Do(Process process, Work work)
    {
        if (process.Hangs || _now < work.ReadyAt)
        {
            return;
        }

        var call = work.Call;
        string? error = null;
        if (call.IsMaster)
        {
            if (process.Certain && _now >= process.LeaseUntil)
            {
                error = "no lease"; // a certain driver does not act without one
            }
            else
            {
                process.Apps[call.Service] = new App(call.Token.Value);
                Starts++;
                error = work.Cancelled || (!_calm && _random.NextInt(12) == 0) ? "the start failed half way" : null;
            }
        }
        else if (!_calm && _random.NextInt(12) == 0)
        {
            error = "the stop failed";
        }
        else
        {
            process.Apps.Remove(call.Service);
        }

        process.Work.Remove(call.Service);
        if (error is null)
        {
            process.Acknowledged[call.Service] = (call.IsMaster, call.Token);
        }
        else
        {
            process.Acknowledged.Remove(call.Service); // half done: there is nothing that it could claim
        }

        _underWay.Remove($"{process.Connection}/{call.Service}");
        _local.Answered(new DriverConnection(process.Connection!.Value), call.Service, call.Sequence, error, _now);
    }

    private void Reconcile()
    {
        _outputs.Clear();
        _local.Reconcile(_state, _hold, _now, _outputs);
        foreach (var output in _outputs)
        {
            switch (output)
            {
                case Output.Trigger(var connection, var call):
                    Expect(_underWay.Add($"{connection.Value}/{call.Service}"), $"two calls at once: {connection} {call}");
                    Expect(call.Sequence > _lastSequence, $"sequence {call.Sequence} after {_lastSequence}");
                    Expect(!call.IsMaster || _hold.IsHeld(_now), $"a start without a hold: {call}");
                    _lastSequence = call.Sequence;
                    var delay = _random.NextBetween(TimeSpan.Zero, TimeSpan.FromMilliseconds(_random.NextInt(10) == 0 ? 1500 : 60));
                    _connections[connection.Value].Work[call.Service] = new Work(call) { ReadyAt = _now + delay };
                    break;
                case Output.CancelTrigger(var connection, var service, _):
                    _connections[connection.Value].Work[service].Cancelled = true;
                    break;
                case Output.DriverLease(var connection, var stamp, var left):
                    Grant(connection.Value, stamp, left ?? TimeSpan.Zero);
                    break;
                case Output.DriverRefused refused:
                    Expect(false, refused.Reason);
                    break;
            }
        }

        foreach (var command in _local.Wanted)
        {
            if (command is Command.Release release)
            {
                _released[release.Service] = Math.Max(_released.GetValueOrDefault(release.Service), release.Token.Value);
            }
        }

        Check();
    }

    private void Grant(long connection, long stamp, TimeSpan left)
    {
        Expect(left == TimeSpan.Zero || new Instant(stamp) + left <= _hold.Until, "a lease longer than the hold");
        if (left > TimeSpan.Zero && _connections.TryGetValue(connection, out var process))
        {
            foreach (var app in process.Apps.Values.Where(app => app.DieAt == Instant.Never && _now >= process.LeaseUntil && process.Certain))
            {
                app.DieAt = process.LeaseUntil + Kill;
            }

            process.LeaseUntil = Instant.Max(process.LeaseUntil, new Instant(stamp) + left);
        }
    }

    private void Check()
    {
        foreach (var process in _processes.Where(process => !process.IsExcused))
        {
            foreach (var (service, app) in process.Apps.Where(app => app.Value.DieAt > _now))
            {
                var alive = !process.Certain || _now < process.LeaseUntil + Kill;
                Expect(!alive || app.Token > _released.GetValueOrDefault(service), $"{process.Name} {process.Instance} runs {service} under {app.Token}, released up to {_released.GetValueOrDefault(service)}");
                Expect(!alive || !process.Certain || _now < _latestUntil + Kill, $"{process.Name} runs {service} after the hold's end + kill_timeout");
                Expect(!alive || _processes.All(other => ReferenceEquals(other, process) || other.Name != process.Name
                    || !other.Apps.TryGetValue(service, out var rival) || rival.DieAt <= _now || (other.Certain && _now >= other.LeaseUntil + Kill)), $"two instances of {process.Name} run {service}");
            }
        }
    }

    private void Commit(double share)
    {
        foreach (var command in _local.Wanted)
        {
            if (_random.NextDouble() >= share)
            {
                continue;
            }

            switch (command)
            {
                case Command.Release release when _state.Services[release.Service] is var service:
                    if (service.Assignment?.Token == release.Token || service.Vacated?.Token == release.Token)
                    {
                        Set(service with { Assignment = null, Vacated = null });
                        Releases++;
                    }

                    break;
                case Command.ReportRunning running:
                    Move(running.Service, running.Token, AssignmentState.Running, AssignmentState.Starting);
                    break;
                case Command.ReportStarting starting:
                    Move(starting.Service, starting.Token, AssignmentState.Starting, AssignmentState.Running);
                    break;
                case Command.ReportStuck stuck:
                    Move(stuck.Service, stuck.Token, AssignmentState.Stuck, null);
                    break;
                case Command.AbortMove abort:
                    Move(abort.Service, abort.Token, AssignmentState.Running, AssignmentState.Stopping);
                    break;
            }
        }
    }

    private void Move(ServiceName name, Token token, AssignmentState to, AssignmentState? from)
    {
        var service = _state.Services[name];
        if (service.Assignment is { } assignment && assignment.Token == token && (from is null || assignment.State == from))
        {
            Set(service with { Assignment = assignment with { State = to, SinceIndex = ++_index } });
        }
    }

    private void Set(ServiceState service) =>
        _state = _state with { AppliedIndex = ++_index, Services = _state.Services.SetItem(service.Definition.Name, service) };

    private void OpenSession()
    {
        var id = new SessionId(++_index);
        _state = _state with { AppliedIndex = _index, Sessions = _state.Sessions.Add(id, new Session(id, Self, StoreId.None, Lease)) };
    }

    private void EndSession(Session session)
    {
        _state = _state with { AppliedIndex = ++_index, Sessions = _state.Sessions.Remove(session.Id) };
        foreach (var service in _state.Services.Values)
        {
            if (service.Assignment is { } assignment)
            {
                Set(service with { Assignment = null, Vacated = new Vacated(Self, assignment.Token, Kill, _index) });
            }
        }
    }

    private void Restart()
    {
        foreach (var process in _processes.Where(process => process.Connection is not null).ToList())
        {
            Cut(process);
            process.IsExcused |= !process.Certain; // P2 is not promised for best-effort drivers that nobody remembers
        }

        _now += _random.NextBetween(TimeSpan.Zero, TimeSpan.FromMilliseconds(700));
        _released.Clear(); // what was wanted and not applied was never said
        _local = NewDaemon(_random.NextInt(2) == 0 ? long.MaxValue : _index);
    }

    private LocalServices NewDaemon(long stored) => new(
        new MachineSettings
        {
            Self = Self, Address = "a:1", Addresses = ["a:1"], Lease = Lease, Incarnation = _random.NextUInt64(), Seed = 1, WallClockSeconds = 1, ChecksWhatIsOverlookedEvery = 1,
            Drivers = [new ListedDriver(new DriverName("app"), ServiceNames[0]), new ListedDriver(new DriverName("app"), ServiceNames[1])],
        },
        _now) { StoredLastIndex = stored };

    private void Connect(Process process)
    {
        if (!_processes.Contains(process))
        {
            _processes.Add(process);
        }

        process.Connection = ++_nextConnection;
        _connections[_nextConnection] = process;
        _local.Registered(new DriverConnection(_nextConnection), new DriverRegistration
        {
            Name = new DriverName(process.Name), Instance = process.Instance, Services = [.. ServiceNames], Order = process.Order, StopsForCertain = process.Certain,
            States =
            [
                .. process.Acknowledged.Select(pair => new DriverServiceState(pair.Key, pair.Value.IsMaster, pair.Value.Token)),
                .. process.Apps.Where(app => ClaimsHalfDone(process) && !process.Acknowledged.ContainsKey(app.Key)).Select(app => new DriverServiceState(app.Key, true, new Token(app.Value.Token), Unsettled: true)),
            ],
        }, _now);
    }

    // Half of the instances, as other drivers than our SDK's may say nothing of it.
    private static bool ClaimsHalfDone(Process process) => process.Instance[^1] % 2 == 0;

    private void Disconnect(Process process)
    {
        var connection = process.Connection!.Value;
        Cut(process);
        _local.Lost(new DriverConnection(connection), _now);
    }

    // A call under way on a connection that closes is given up by the driver.
    private void Cut(Process process)
    {
        foreach (var work in process.Work.Values)
        {
            _underWay.Remove($"{process.Connection}/{work.Call.Service}");
            process.Acknowledged.Remove(work.Call.Service);
        }

        process.Work.Clear();
        process.Connection = null;
    }

    private void Die(Process process)
    {
        process.IsDead = true;
        process.Guarded = process.Certain && _random.NextInt(2) == 0;
        foreach (var app in process.Apps.Values)
        {
            var end = Instant.Max(_now, process.LeaseUntil + Kill);
            app.DieAt = Instant.Min(app.DieAt, process.Guarded ? _now + TimeSpan.FromMilliseconds(5) : end);
        }

        if (process.Connection is not null)
        {
            Disconnect(process);
        }
    }

    private Process? Any(Func<Process, bool> which)
    {
        var fitting = _processes.Where(which).ToList();
        return fitting.Count == 0 ? null : fitting[_random.NextInt(fitting.Count)];
    }

    private string NewInstance() => $"i{++_nextInstance}";

    private void Expect(bool holds, string otherwise)
    {
        if (!holds)
        {
            Violations.Add($"at {_now}: {otherwise}");
        }
    }

    private sealed record Process(string Name, string Instance, bool Certain, int Order)
    {
        public long? Connection { get; set; }

        public Instant LeaseUntil { get; set; } = new(0);

        public Instant RenewStamp { get; set; }

        public bool Hangs { get; set; }

        public bool IsDead { get; set; }

        public bool Guarded { get; set; }

        public bool IsExcused { get; set; }

        public SortedDictionary<ServiceName, App> Apps { get; } = [];

        public SortedDictionary<ServiceName, Work> Work { get; } = [];

        public SortedDictionary<ServiceName, (bool IsMaster, Token Token)> Acknowledged { get; } = [];

        public void Let(Action<Process> act) => act(this);

        public bool Equals(Process? other) => ReferenceEquals(this, other);

        public override int GetHashCode() => 0;
    }

    private sealed class App(long token)
    {
        public long Token { get; } = token;

        public Instant DieAt { get; set; } = Instant.Never;
    }

    private sealed record Work(TriggerCall Call)
    {
        public Instant ReadyAt { get; init; }

        public bool Cancelled { get; set; }
    }
}
