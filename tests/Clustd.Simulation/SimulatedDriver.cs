using System.Collections.Immutable;
using Clustd.Client;
using Clustd.Core;

namespace Clustd.Simulation;

/// <summary>
/// A driver program under the SDK's lease logic: it renews every lease/4, acts only on order and while its lease is in effect, and what it
/// runs is dead at the last permitted instant after the lease. It outlives its daemon, and connects again.
/// </summary>
internal sealed partial class SimulatedDriver(World world, SimulatedMachine machine, DriverPlan plan, Chance chance)
{
    private readonly Queue<TriggerCall> _calls = new();
    private readonly Dictionary<TriggerCall, DriverConnection?> _cameBy = new(ReferenceEqualityComparer.Instance);
    private DriverLease _lease = new();
    private DriverConnection? _connection;
    private bool _accepted;
    private int _daemonGeneration;
    private int _process;
    private long _lastToDaemon;
    private long _lastToDriver;
    private long _lastSequence;
    private TimeSpan _killTimeout;
    private TriggerCall? _current;
    private DriverConnection? _currentConnection;
    private bool _hangs;
    private bool _waitsForLease;
    private bool _killing;
    private int _leaseVersion;
    private Act? _act;
    private bool _mayRun;
    private Token _token;
    private Token _acknowledged; // of the last start that has succeeded, until something else begins

    public DriverName Name => plan.Name;

    public ServiceName Service => plan.Service;

    public string Instance { get; private set; } = "";

    public bool IsAlive { get; private set; }

    /// <summary>Does not answer a call.</summary>
    public bool IsHanging => _hangs;

    /// <summary>At the other end of this connection.</summary>
    public bool IsAt(DriverConnection connection) => _connection == connection;

    public void Start()
    {
        if (IsAlive || !machine.HostIsUp)
        {
            return;
        }

        _process++;
        IsAlive = true;
        Instance = $"{machine.Id}-{plan.Name}{Suffix}-{_process}";
        _lease = new DriverLease();
        _leaseVersion++;
        Forget();
        _mayRun = false;
        _token = Token.None;
        world.Note(machine.Id.Value, $"driver {Name} starts as {Instance}");
        ConnectLater();
    }

    /// <summary>The driver's process dies. A guard then kills its app within milliseconds and proves it; without one the app was this process.</summary>
    public void Kill()
    {
        if (!IsAlive)
        {
            return;
        }

        world.Note(machine.Id.Value, $"driver {Instance} dies");
        var (act, instance, token) = (_act, Instance, _token);
        _act = null;
        if (act is not null)
        {
            if (plan.Guarded)
            {
                world.Events.After(chance.Between(500, 15_000), () => GuardKills(act, instance, token));
            }
            else
            {
                world.Acting.End(act, "its process died");
            }
        }

        Die();
        if (_connection is { } connection)
        {
            ToDaemon(new Input.DriverLost(connection));
            _connection = null;
        }
    }

    /// <summary>Its connection to the daemon breaks, and both live on.</summary>
    public void BreakConnection()
    {
        if (_connection is { } connection)
        {
            world.Note(machine.Id.Value, $"the connection of driver {Instance} breaks");
            ToDaemon(new Input.DriverLost(connection));
            ConnectionLost(connection);
        }
    }

    /// <summary>The host lost its power.</summary>
    public void Vanish()
    {
        if (_act is not null)
        {
            world.Acting.End(_act, "the machine lost its power");
            _act = null;
        }

        foreach (var act in world.Acting.Acts.Where(act => act.Machine == machine && act.Driver == Name).ToArray())
        {
            world.Acting.End(act, "the machine lost its power");
        }

        Die();
        _connection = null;
    }

    public void DaemonEnded()
    {
        if (_connection is { } connection)
        {
            Later(chance.Between(50, 2_000), () => ConnectionLost(connection));
        }
    }

    /// <summary>Something of the daemon's on its way to this driver.</summary>
    public void Deliver(DriverConnection connection, Action<SimulatedDriver> message)
    {
        _lastToDriver = Math.Max(_lastToDriver + 1, world.Events.Now + chance.Between(30, 1_000));
        Later(_lastToDriver - world.Events.Now, () =>
        {
            if (_connection == connection)
            {
                message(this);
            }
        });
    }

    public void Accepted(Output.DriverAccepted accepted)
    {
        _accepted = true;
        _killTimeout = accepted.KillTimeout;
        Renew(accepted.Lease / 4, _connection!.Value);
    }

    public void Refused()
    {
        if (_connection is { } connection)
        {
            ToDaemon(new Input.DriverLost(connection));
            ConnectionLost(connection);
        }
    }

    public void Called(TriggerCall call)
    {
        // What a former connection brought may still be under way: the daemon forgot that when the connection was lost.
        if (_calls.Append(_current).Any(other => other is not null && _cameBy.GetValueOrDefault(other) == _connection))
        {
            throw new ViolationException(Invariant.OneCallAtATime, $"{Instance} is called with #{call.Sequence} while #{_current?.Sequence} is under way");
        }

        if (call.Sequence <= _lastSequence)
        {
            throw new ViolationException(Invariant.OneCallAtATime, $"{Instance} is called with #{call.Sequence} after #{_lastSequence}");
        }

        if (call.Service != plan.Service)
        {
            throw new ViolationException(Invariant.OneCallAtATime, $"{Instance} is called for {call.Service}");
        }

        _lastSequence = call.Sequence;
        world.Restarts.Called(machine, call);
        _currentConnection = _connection;
        _cameBy[call] = _connection;
        _calls.Enqueue(call);
        Pump();
    }

    public void Cancelled(ServiceName service, long sequence)
    {
        if (service != plan.Service)
        {
            return;
        }

        if (_current is { IsMaster: true } call && call.Sequence == sequence)
        {
            Later(chance.Between(0, 5_000), () => Answer(call, "the start was cancelled"));
        }
        else if (_calls.FirstOrDefault(waiting => waiting.IsMaster && waiting.Sequence == sequence) is { } waiting)
        {
            // As the SDK: a start that has not begun, because what ran before is still being stopped, is given up all the same (campaign 1009613).
            var others = _calls.Where(other => other != waiting).ToArray();
            _calls.Clear();
            foreach (var other in others)
            {
                _calls.Enqueue(other);
            }

            _cameBy.Remove(waiting);
            ToDaemon(new Input.DriverAnswered(_connection!.Value, Service, sequence, "the start was cancelled before it began"));
        }
    }

    public void Renewed(Output.DriverLease answer)
    {
        var now = machine.LocalNow.Microseconds;
        if (_lease.Answered(answer.Stamp, (long?)answer.Left?.TotalMicroseconds, now, answer.Shortens))
        {
            PlanLeaseEnd();
        }

        if (_waitsForLease && _lease.IsValid(now) && _current is { } call)
        {
            _waitsForLease = false;
            Act(call);
        }
    }

    private void Die()
    {
        IsAlive = false;
        _process++;
        _leaseVersion++;
        Forget();
    }

    private void Forget()
    {
        _calls.Clear();
        _cameBy.Clear();
        _current = null;
        _currentConnection = null;
        _hangs = _waitsForLease = _killing = _accepted = false;
    }

    private void ConnectLater() => Later(chance.Between(1_000, 100_000), Connect);

    private void Connect()
    {
        if (_connection is not null)
        {
            return;
        }

        if (!machine.Answers || AwayUntil > world.Events.Now)
        {
            ConnectLater();
            return;
        }

        _connection = machine.NextConnection();
        _daemonGeneration = machine.Generation;
        _lastSequence = 0;
        _accepted = false;
        ToDaemon(new Input.DriverRegistered(_connection.Value, new DriverRegistration
        {
            Name = Name,
            Instance = Instance,
            Services = [Service],
            Order = plan.Order,
            Required = plan.Required,
            StopsForCertain = plan.StopsForCertain,
            Fences = plan.IsFence ? [.. world.Machines.Where(other => other != machine).Select(other => other.Id)] : [],
            States = _token == Token.None ? [] : [new DriverServiceState(Service, _mayRun, _token, Unsettled: _mayRun && (_current is not null || _calls.Count > 0 || _killing || _acknowledged != _token))],
        }));
    }

    private void ConnectionLost(DriverConnection connection)
    {
        if (_connection != connection)
        {
            return;
        }

        _connection = null;
        _accepted = false;
        _lease.ConnectionLost();
        ForgetStartsNotBegun();
        ConnectLater();
    }

    // The next daemon is told what runs when this driver registers: a start that began after that, under an order of the former daemon, would be
    // known to nobody. Left out, it gave two masters (seeds 3854, 4209 and 4375).
    private void ForgetStartsNotBegun()
    {
        var stops = _calls.Where(call => !call.IsMaster).ToArray();
        _calls.Clear();
        foreach (var stop in stops)
        {
            _calls.Enqueue(stop);
        }

        if (_waitsForLease)
        {
            _waitsForLease = false;
            _current = null;
            Pump();
        }
    }

    private void Renew(TimeSpan interval, DriverConnection connection)
    {
        if (_connection != connection || !_accepted)
        {
            return;
        }

        var stamp = machine.LocalNow.Microseconds;
        if (_lease.Sent(stamp))
        {
            ToDaemon(new Input.DriverRenewed(connection, stamp) { Left = TimeSpan.FromMicroseconds(_lease.LeftAt(stamp)) });
        }

        // As the SDK's LeaseWatch: eight times as often while less than half a lease is left.
        var every = (long)interval.TotalMicroseconds;
        var isShort = _lease.EndsAt is { } end && end > stamp && end - stamp < 3 * every;
        Later(isShort ? every / 8 : every, () => Renew(interval, connection));
    }

    private void Pump()
    {
        if (_current is not null || _killing || !_calls.TryDequeue(out var call))
        {
            return;
        }

        _current = call;
        if (!call.IsMaster)
        {
            Stop(call);
        }
        else if (_lease.IsValid(machine.LocalNow.Microseconds))
        {
            Act(call);
        }
        else
        {
            _waitsForLease = true;
        }
    }

    private void Act(TriggerCall call)
    {
        _mayRun = true;
        _acknowledged = Token.None;
        if (_act is not null && _act.Token != call.Token)
        {
            throw new ViolationException(Invariant.OneMaster, $"{Instance} is to act with token {call.Token} and has not been told to stop acting with {_act.Token}");
        }

        _token = call.Token;
        if (plan.IsFence)
        {
            Fence(call);
            return;
        }

        _act ??= world.Acting.Begin(machine, Name, Instance, Service, call.Token);
        if (chance.Happens(world.IsChaos ? plan.HangShare : 0) || Trouble.HangsInStart)
        {
            Hang(call);
            return;
        }

        var error = chance.Happens(world.IsChaos ? plan.FailShare : 0) ? "the app did not start" : Trouble.StartError;
        Later(chance.Skewed(200, world.Scenario.StartMax), () => Answer(call, error));
    }

    private void Hang(TriggerCall call)
    {
        _hangs = true;
        world.Note(machine.Id.Value, $"driver {Instance} hangs in #{call.Sequence}");
        world.Changed();
    }

    private void Stop(TriggerCall call)
    {
        if ((chance.Happens(world.IsChaos ? plan.HangShare : 0) && !call.Kill) || IsTroubledBy(call))
        {
            Hang(call);
            return;
        }

        if (_mayRun && !call.Kill && Trouble.StopError is { } error)
        {
            Later(chance.Between(50, 500), () => Answer(call, error));
            return;
        }

        if (!_mayRun)
        {
            Later(chance.Between(50, 500), () => Answer(call, null));
            return;
        }

        var longest = call.Kill ? Math.Max(1, (long)call.Limit.TotalMicroseconds) : world.Scenario.StartMax;
        Later(call.Kill ? (long)(longest * plan.KillPromptness * 0.98) : chance.Skewed(200, longest), () => Answer(call, null));
    }

    private void Answer(TriggerCall call, string? error)
    {
        if (_current != call)
        {
            return;
        }

        if (_hangs)
        {
            _hangs = false;
            world.Changed();
        }

        _cameBy.Remove(call);
        _current = null;
        _waitsForLease = false;
        _acknowledged = call.IsMaster && error is null ? call.Token : Token.None;
        if (!call.IsMaster && error is null)
        {
            Stopped("it was told to");
            _token = call.Token;
        }

        if (error is not null)
        {
            world.Note(machine.Id.Value, $"driver {Instance} answers #{call.Sequence}: {error}");
            world.Changed();
        }

        if (_connection is { } connection && connection == _currentConnection)
        {
            ToDaemon(new Input.DriverAnswered(connection, Service, call.Sequence, error));
        }

        Pump();
    }

    private void Stopped(string why)
    {
        if (_act is not null)
        {
            world.Acting.End(_act, why);
            _act = null;
        }

        _mayRun = false;
    }

    private void ToDaemon(Input input)
    {
        _lastToDaemon = Math.Max(_lastToDaemon + 1, world.Events.Now + chance.Between(30, 1_000));
        var generation = _daemonGeneration;
        world.Events.At(_lastToDaemon, () =>
        {
            if (machine.Generation == generation)
            {
                machine.Post(input);
            }
        });
    }

    // A frozen host does nothing: what would have happened happens when it thaws.
    private void Later(long delay, Action action)
    {
        var process = _process;
        world.Events.After(delay, () => Run(process, action));
    }

    private void Run(int process, Action action)
    {
        if (process != _process)
        {
            return;
        }

        if (machine.HostFrozenUntil > world.Events.Now)
        {
            world.Events.At(machine.HostFrozenUntil, () => Run(process, action));
            return;
        }

        action();
    }
}
