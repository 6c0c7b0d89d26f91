using Clustd.Core;

namespace Clustd.Simulation;

/// <summary>
/// A cluster in one thread: machines, network, disks, drivers and faults, all from one seed, in true time. Runs until the scenario's end or
/// the first violated invariant.
/// </summary>
internal sealed class World
{
    private readonly Transcript _transcript;
    private readonly Faults _faults;
    private readonly Health _health;
    private readonly DiskStalls? _diskStalls;
    private readonly RollingUpgrades? _upgrades;

    public World(Scenario scenario, Transcript transcript)
    {
        Scenario = scenario;
        Definitions = scenario.Services;
        (Bound, End) = (scenario.Bound, scenario.End);
        Phase = scenario.IsCampaign ? scenario.Phases[0] : new Phase(0, scenario.ChaosEnd, scenario.FaultInterval, scenario.Patterns, scenario.RestartPatterns);
        Injections = new Injections(this);
        _transcript = transcript;
        var chance = new Chance(scenario.Seed);
        Checks = new Checks(this);
        Acting = new Acting(this);
        Fencing = new Fencing(this);
        Machines = new SimulatedMachine[scenario.Machines];
        for (var i = 0; i < Machines.Length; i++)
        {
            Machines[i] = new SimulatedMachine(this, i, chance.Split());
        }

        Network = new Network(this, chance.Split());
        _health = new Health(this);
        Restarts = new Restarts(this);
        _faults = new Faults(this, chance.Split());
        Readers = scenario.Extras.HasReaders ? new Readers(this, ExtraChance(1)) : null;
        _diskStalls = scenario.Extras.HasDiskStalls ? new DiskStalls(this, ExtraChance(2)) : null;
        _upgrades = scenario.Extras.HasUpgrades ? new RollingUpgrades(this, ExtraChance(3)) : null;
        Soak = scenario.Soak is { } plan ? new Soak(this, plan, chance.Split()) : null;
    }

    public Scenario Scenario { get; }

    /// <summary>The services that a machine's file names, as of its daemon's next start.</summary>
    public System.Collections.Immutable.ImmutableArray<Core.Cluster.ServiceDefinition> Definitions { get; set; }

    /// <summary>The scenario's, reckoned once: asked for all the time.</summary>
    public long Bound { get; }

    public long End { get; }

    public EventQueue Events { get; } = new();

    public Network Network { get; }

    public SimulatedMachine[] Machines { get; }

    public Acting Acting { get; }

    public Fencing Fencing { get; }

    public Restarts Restarts { get; }

    public Checks Checks { get; }

    /// <summary>Not null: clients read.</summary>
    public Readers? Readers { get; }

    /// <summary>Not null: a long quiet run.</summary>
    public Soak? Soak { get; }

    /// <summary>Faults may begin; after it comes quiet, in which a healthy cluster must show itself.</summary>
    public bool IsChaos => Events.Now < Phase.Ends;

    /// <summary>The latest time of faults that has begun. Whatever it does is undone at its end at the latest.</summary>
    public Phase Phase { get; private set; }

    public Injections Injections { get; }

    /// <summary>The longest that a healthy majority went without a master, as a share of the bound.</summary>
    public double WorstShareOfBound => _health.WorstShareOfBound;

    /// <summary>Two runs of one seed have the same: events, commits, grants, terms.</summary>
    public string Digest => $"{Events.Performed} events, {Checks.Committed} commits, {Acting.Begun} starts, {Checks.Elections} terms";

    public void Run()
    {
        Note("world", Scenario.ToString());
        foreach (var machine in Machines)
        {
            Events.At(_faults.StartDelay(), () =>
            {
                machine.BootHost();
                machine.StartDaemon();
            });
        }

        if (Soak is not null)
        {
            Soak.Begin();
        }
        else
        {
            _faults.Begin();
            Restarts.Begin();
            _health.Begin();
            Readers?.Begin();
            _diskStalls?.Begin();
            _upgrades?.Begin();
            foreach (var phase in Scenario.Phases.Skip(1))
            {
                Events.At(phase.Begins, () => BeginPhase(phase));
            }
        }

        while (Events.PerformNext(End))
        {
        }

        JudgeQuiet();
    }

    private void BeginPhase(Phase phase)
    {
        JudgeQuiet();
        Phase = phase;
        Note("world", $"faults again: {phase}");
        _faults.BeginPhase();
        Restarts.BeginPhase();
        _diskStalls?.Begin();
    }

    /// <summary>A quiet time is over: what it must have brought about.</summary>
    private void JudgeQuiet()
    {
        if (Soak is null)
        {
            _health.CheckEnd();
        }

        Checks.CheckEnd();
        Readers?.End();
        _upgrades?.End();
    }

    /// <summary>A script says what happens from here on, and performs the events itself: nothing starts and nothing fails by chance.</summary>
    public void BeginScript() => _health.Begin();

    /// <summary>Something about who is healthy and connected has changed: bounds count anew from here.</summary>
    public void Changed()
    {
        ChangedAt = Events.Now;
        if (Soak is null)
        {
            _health.Changed();
        }
    }

    /// <summary>When anything but a restart last changed.</summary>
    public long ChangedAt { get; private set; }

    /// <summary>A daemon ended in order to be started again, or is back: bounds count anew, but what runs must not notice.</summary>
    public void Restarted() => _health.Changed();

    /// <summary>A session ended or a service failed.</summary>
    public void Lost(string what) => _health.Lost(what);

    public void Note(string who, object what) => _transcript.Note(Events.Now, who, what);

    /// <summary>Something goes wrong, or an operator wants something.</summary>
    public void NoteFault(string sentence)
    {
        Injections.Effects++;
        Note("fault", sentence);
    }

    /// <summary>What was noted last.</summary>
    public IEnumerable<string> Story() => _transcript.Tail();

    /// <summary>Whether a majority of these voters, each with the very store that votes, is as asked.</summary>
    public bool IsMajority(IReadOnlyCollection<(MachineId Machine, StoreId Store)> voters, Func<SimulatedMachine, bool> condition) =>
        voters.Count(voter => MachineOf(voter.Machine) is var machine && machine.Disk.Store == voter.Store && condition(machine)) * 2 > voters.Count;

    /// <summary>Nothing else happened from the beginning of its goodbye to its end.</summary>
    public bool WasGoodbyeUndisturbed(SimulatedMachine machine) => _health.WasUndisturbed(machine);

    public void BeginsGoodbye(SimulatedMachine machine) => _health.BeginsGoodbye(machine);

    public SimulatedMachine MachineOf(MachineId id)
    {
        foreach (var machine in Machines)
        {
            if (machine.Id == id)
            {
                return machine;
            }
        }

        throw new ViolationException(Invariant.NoCrash, $"a message is addressed to {id}, which does not exist");
    }

    // Apart from all else that the seed decides: worlds without these keep their stories.
    private Chance ExtraChance(ulong which) => new(Scenario.Seed ^ (0xE874_A500_0000_0100 + which));

    /// <summary>Whatever code of the core throws is a violation.</summary>
    public static ViolationException Crash(MachineId machine, Exception exception) => new(Invariant.NoCrash, $"on {machine}: {exception}");
}
