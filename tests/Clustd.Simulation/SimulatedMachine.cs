using Clustd.Core;
using Clustd.Core.Cluster;
using Clustd.Core.Raft;

namespace Clustd.Simulation;

/// <summary>
/// One machine: a host with a clock and a disk, a daemon process around a <see cref="MachineCore"/>, and driver processes. The loop is the
/// daemon's: one input at a time, the clock read after it was dequeued, ticks after the inbox.
/// </summary>
internal sealed partial class SimulatedMachine
{
    private readonly World _world;
    private readonly Chance _chance;
    private readonly Chance _wipes;
    private readonly Queue<Input> _inbox = new();
    private bool _loopPlanned;
    private long _tickPlannedFor = long.MaxValue;
    private long _tickGeneration;
    private long _connections;
    private int _wakesAtOnce;
    private Instant _waitsSince;
    private (long Duration, bool WholeHost)? _freezeBeforeOutputs;
    private bool _holdsOutputs;

    public SimulatedMachine(World world, int index, Chance chance)
    {
        _world = world;
        _chance = chance;
        Index = index;
        Id = new MachineId($"{Prefix}{index + 1}");
        Disk = new Disk(world.Events, chance.Split(), world.Scenario);
        _wipes = new Chance(world.Scenario.Seed ^ 0x51DE_0000_0000_0000 ^ (ulong)index);
        Clock = BootClock();
        FeatureLevel = world.Scenario.Extras.HasUpgrades ? world.Scenario.Extras.Levels[index] : FeatureLevels.Own;
        IsWitness = world.Scenario.Witnesses.Contains(index);
        WallClockError = world.Scenario.WallClockErrors.IsDefault ? 0 : world.Scenario.WallClockErrors[index];
        foreach (var plan in IsWitness ? [] : world.Scenario.Drivers)
        {
            Drivers.Add(new SimulatedDriver(world, this, plan, chance.Split()));
        }

        // Somebody started them twice.
        foreach (var plan in world.Scenario.HasDoubles ? world.Scenario.Drivers : [])
        {
            Drivers.Add(new SimulatedDriver(world, this, plan, chance.Split()) { Suffix = "b" });
        }
    }

    public int Index { get; }

    public MachineId Id { get; }

    public Disk Disk { get; }

    public SimulatedClock Clock { get; private set; }

    /// <summary>Null while no daemon runs.</summary>
    public MachineCore? Core { get; private set; }

    /// <summary>One more with every start and end of a daemon: what belongs to a former one is void.</summary>
    public int Generation { get; private set; }

    public List<SimulatedDriver> Drivers { get; } = [];

    /// <summary>What the installed binary can do.</summary>
    public int FeatureLevel { get; private set; }

    /// <summary>It votes and runs nothing.</summary>
    public bool IsWitness { get; }

    /// <summary>By how much its wall clock is off, seconds. Nothing but the epoch of a new cluster may depend on it.</summary>
    public long WallClockError { get; set; }

    public bool HostIsUp { get; private set; }

    public bool IsRunning => Core is not null;

    public bool IsLeaving { get; private set; }

    /// <summary>The daemon does nothing before.</summary>
    public long DaemonFrozenUntil { get; private set; }

    /// <summary>Nothing on this host does anything before.</summary>
    public long HostFrozenUntil { get; private set; }

    public bool IsFrozen => DaemonFrozenUntil > _world.Events.Now;

    /// <summary>Takes connections: runs and is not frozen.</summary>
    public bool Answers => IsRunning && !IsFrozen;

    /// <summary>Since when the log in memory is what the persists made it; mirrors what the core must hold.</summary>
    public LogMirror Log { get; private set; } = new(default, []);

    public Instant LocalNow => Clock.At(_world.Events.Now);

    public void BootHost()
    {
        HostIsUp = true;
        Clock = BootClock();
        foreach (var driver in Drivers)
        {
            driver.Start();
        }
    }

    public void StartDaemon()
    {
        if (!HostIsUp || IsRunning)
        {
            return;
        }

        if (CannotStart is { } reason)
        {
            _world.Note(Id.Value, $"does not start: {reason}");
            return;
        }

        if (FeatureLevels.WhyNotStart(Id, Disk.Read(), FeatureLevel) is { } refusal)
        {
            _world.Note(Id.Value, $"does not start: {refusal}");
            return;
        }

        Generation++;
        _inbox.Clear();
        IsLeaving = _holdsOutputs = false;
        _freezeBeforeOutputs = null;
        DaemonFrozenUntil = HostFrozenUntil;
        var stored = Disk.Read();
        Log = new LogMirror(stored.Base, stored.Entries);
        _waitsSince = LocalNow;
        var scenario = _world.Scenario;
        var settings = new MachineSettings
        {
            Self = Id,
            Address = AddressOf(Index),
            Addresses = [.. Enumerable.Range(0, scenario.Machines).Select(AddressOf).Order(StringComparer.Ordinal)],
            Lease = scenario.Lease,
            Services = _world.Definitions,
            Witness = IsWitness,
            Drivers = [.. (IsWitness ? [] : scenario.Drivers).Where(plan => plan.IsListed).Select(plan => new ListedDriver(plan.Name, plan.Service))],
            Incarnation = _chance.Bits(),
            Seed = _chance.Bits(),
            WallClockSeconds = 1_800_000_000 + WallClockError + (_world.Events.Now / 1_000_000),
            FeatureLevel = FeatureLevel,
            RestartGrace = _world.Restarts.GraceFor(this),
            PlantedBug = scenario.Bug,
            SnapshotEvery = scenario.SnapshotEvery,
            ChecksWhatIsOverlookedEvery = scenario.ChecksWhatIsOverlookedEvery,
        };
        settings = scenario.Script?.Adjust(Index, settings) ?? settings;
        try
        {
            Core = new MachineCore(settings, stored, LocalNow);
        }
        catch (Exception exception)
        {
            throw World.Crash(Id, exception);
        }

        _world.Note(Id.Value, $"the daemon starts with term {stored.HardState.Term}, vote {stored.HardState.Vote?.Value ?? "none"}, {stored.Entries.Length} entries after {stored.Base.Index}");
        _world.Checks.Started(this);
        PlanTick();
    }

    /// <summary>The daemon process dies, drivers live on. Its kernel closes its sockets.</summary>
    public void KillDaemon()
    {
        if (!IsRunning)
        {
            return;
        }

        EndDaemon();
        _world.Network.ProcessDied(Index);
    }

    /// <summary>Power loss: all processes end at once and nobody is told.</summary>
    public void CrashHost()
    {
        if (!HostIsUp)
        {
            return;
        }

        HostIsUp = false;
        EndDaemon();
        foreach (var driver in Drivers)
        {
            driver.Vanish();
        }

        DaemonFrozenUntil = HostFrozenUntil = 0;
        _world.Network.HostDied(Index);
    }

    public void Freeze(long duration, bool wholeHost)
    {
        var until = _world.Events.Now + duration;
        DaemonFrozenUntil = Math.Max(DaemonFrozenUntil, until);
        if (wholeHost)
        {
            HostFrozenUntil = Math.Max(HostFrozenUntil, until);
            if (_world.Scenario.Bug.Is(PlantedBug.ClockStopsInSleep))
            {
                Sleep(Clock);
            }

            _world.Events.At(until, () => _world.Acting.Recheck(this));
        }

        _world.Events.At(until, _world.Changed);
    }

    private void Sleep(SimulatedClock clock)
    {
        clock.Stop(_world.Events.Now);
        _world.Events.At(HostFrozenUntil, () =>
        {
            if (_world.Events.Now >= HostFrozenUntil)
            {
                clock.Continue(_world.Events.Now);
            }
        });
    }

    /// <summary>The freeze falls between the next step and its outputs: what was decided before is done after.</summary>
    public void FreezeBeforeOutputs(long duration, bool wholeHost) => _freezeBeforeOutputs = (duration, wholeHost);

    public void Post(Input input)
    {
        if (IsRunning)
        {
            if (input is Input.PeerSpoke { Message: var message } && Unpacked(message) is PeerBody.Append { Entries.Length: > 0 } append)
            {
                _world.Checks.Arrived(this, append);
            }

            _inbox.Enqueue(input);
            PlanLoop(_chance.Between(1, 30));
        }
    }

    public DriverConnection NextConnection() => new(++_connections);

    /// <summary>One more driver process beside those of the file: a second copy of one of them, perhaps.</summary>
    public SimulatedDriver AddDriver(DriverPlan plan, string suffix)
    {
        var driver = new SimulatedDriver(_world, this, plan, _chance.Split()) { Suffix = suffix };
        Drivers.Add(driver);
        return driver;
    }

    private string Prefix => _world.Scenario.Script is null ? "m" : "cm-";

    private string AddressOf(int index) => $"{Prefix}{index + 1}:3001";

    private SimulatedClock BootClock() => new(_chance.Between(0, 1_000_000_000), _world.Scenario.ClockRates[Index] * (_world.Scenario.Bug.Is(PlantedBug.ClockSlewed) ? 5 : 1));

    private void EndDaemon()
    {
        Core = null;
        Generation++;
        _inbox.Clear();
        _loopPlanned = false;
        _tickGeneration++;
        _tickPlannedFor = long.MaxValue;
        Disk.Crash();
        DaemonFrozenUntil = HostFrozenUntil;
        _world.Checks.Stopped(this);
        foreach (var driver in Drivers)
        {
            driver.DaemonEnded();
        }
    }

    private void PlanLoop(long delay)
    {
        if (_loopPlanned || _holdsOutputs)
        {
            return;
        }

        _loopPlanned = true;
        if (_chance.Happens(_world.Scenario.StallShare))
        {
            delay += _chance.Between(0, _world.Scenario.StallMax);
        }

        var generation = Generation;
        _world.Events.At(Math.Max(_world.Events.Now + delay, DaemonFrozenUntil), () =>
        {
            if (generation == Generation)
            {
                RunLoop();
            }
        });
    }

    private void RunLoop()
    {
        _loopPlanned = false;
        if (IsFrozen)
        {
            PlanLoop(0);
            return;
        }

        if (_inbox.TryDequeue(out var input))
        {
            Step(input);
        }
        else if (Core!.WakeAt <= LocalNow)
        {
            if (++_wakesAtOnce > 100)
            {
                throw new ViolationException(Invariant.NoCrash, $"{Id} wants to be woken without end, at {Core.WakeAt}: consensus at {Core.Consensus.WakeAt}, local services at {Core.Local.WakeAt}, now {LocalNow}, hold {Core.Hold}");
            }

            Step(new Input.Tick());
        }

        if (Core is null)
        {
            return;
        }

        if (_inbox.Count > 0)
        {
            PlanLoop(_chance.Between(5, 40));
        }
        else
        {
            PlanTick();
        }
    }

    private void PlanTick()
    {
        var due = Math.Max(Clock.TrueTimeOf(Core!.WakeAt), _world.Events.Now);
        if (due != _world.Events.Now)
        {
            _wakesAtOnce = 0;
        }

        if (due == long.MaxValue || due == _tickPlannedFor)
        {
            return;
        }

        _tickPlannedFor = due;
        var generation = ++_tickGeneration;
        _world.Events.At(due + _chance.Between(1, 150), () =>
        {
            if (generation == _tickGeneration && Core is not null)
            {
                _tickPlannedFor = long.MaxValue;
                PlanLoop(0);
            }
        });
    }

    private void Step(Input input)
    {
        var now = _world.Scenario.Bug.Is(PlantedBug.NowBeforeDequeue) ? _waitsSince : LocalNow;
        _waitsSince = LocalNow;
        if (input is Input.RequestMade or Input.GoodbyeRequested or Input.RestartRequested)
        {
            IsLeaving |= input is Input.GoodbyeRequested;
            if (input is Input.GoodbyeRequested)
            {
                _world.BeginsGoodbye(this);
            }

            _world.Note(Id.Value, input);
        }

        IReadOnlyList<Output> outputs;
        try
        {
            outputs = Core!.Step(input, now);
        }
        catch (Exception exception)
        {
            throw World.Crash(Id, exception);
        }

        if (_freezeBeforeOutputs is not { } freeze || outputs.Count == 0)
        {
            Perform(outputs);
            return;
        }

        _freezeBeforeOutputs = null;
        _holdsOutputs = true;
        Freeze(freeze.Duration, freeze.WholeHost);
        var held = outputs.ToArray();
        var generation = Generation;
        _world.Events.At(DaemonFrozenUntil, () =>
        {
            if (generation == Generation)
            {
                _holdsOutputs = false;
                Perform(held);
                if (Core is not null)
                {
                    PlanLoop(0);
                }
            }
        });
    }
}
