using System.Globalization;
using Clustd.Core;
using Clustd.Core.Cluster;
using Clustd.Core.Raft;

namespace Clustd.Simulation.Scripts;

/// <summary>One script's world while it runs: performs events one by one, and after each looks whether what is waited for has come.</summary>
internal sealed class Stage
{
    private readonly Dictionary<string, StoredState> _images = new(StringComparer.Ordinal);
    private World? _world;
    private long _requests;

    public ScriptSetup Setup { get; set; } = new();

    public Recorder Recorder { get; } = new();

    public bool HasBegun => _world is not null;

    /// <summary>Where everything is told, not only what makes the story; null: nowhere.</summary>
    public TextWriter? Live { get; init; }

    /// <summary>A rule that this story's cores are to break.</summary>
    public PlantedBug Bug { get; init; }

    /// <summary>When the script last did something, rather than waited or looked, µs.</summary>
    public long MarkedAt { get; private set; }

    /// <summary>What is in the world until now.</summary>
    public World World => _world ?? Begin();

    public ClusterState State => World.Checks.Newest;

    public IEnumerable<Act> Acts => World.Acting.Acts;

    public SimulatedMachine Machine(int index) => World.Machines[index];

    /// <summary>The script does something to the world: bounds and times without a master count from here.</summary>
    public void Do(Action what)
    {
        Mark();
        what();
        World.Changed();
        Recorder.Look(World);
    }

    public void Mark()
    {
        MarkedAt = World.Events.Now;
        Recorder.Mark();
    }

    public void Run(long microseconds) => RunUntil(() => false, World.Events.Now + microseconds);

    /// <summary>False: not by then.</summary>
    public bool RunUntil(Func<bool> isSo, long end)
    {
        while (!isSo())
        {
            if (!World.Events.PerformNext(end))
            {
                return isSo();
            }

            Recorder.Look(World);
        }

        return true;
    }

    /// <summary>An operator asks; without `via`, at the machine that leads, or the first that runs. Waits for the answer, at most 6 s: it is part of the story.</summary>
    public void Ask(Request request, int? via)
    {
        var machine = via is { } index ? Machine(index)
            : Array.Find(World.Machines, machine => machine.Core?.Consensus.IsLeader == true) ?? Array.Find(World.Machines, machine => machine.IsRunning) ?? World.Machines[0];
        Do(() => Answered($"r{++_requests}", id => machine.Post(new Input.RequestMade(id, request))));
    }

    /// <summary>Posts something that is answered, and waits for that.</summary>
    public void Answered(string id, Action<string> post)
    {
        _awaited = id;
        post(id);
        RunUntil(() => _awaited is null, World.Events.Now + 6_000_000);
        _awaited = null;
    }

    private string? _awaited;

    /// <summary>Directions in which nothing gets through.</summary>
    public List<(int From, int To)> Cuts { get; } = [];

    public void Cut(int from, int to)
    {
        Cuts.Add((from, to));
        World.Network.Cut(from, to, closesSockets: false);
    }

    public void SaveDisk(int machine, string name) => _images[name] = Machine(machine).Disk.Read();

    /// <summary>Null: none of that name was saved.</summary>
    public StoredState? ImageOf(string name) => _images.GetValueOrDefault(name);

    /// <summary>Everybody is up: the cluster is formed, all have sessions, and every service runs.</summary>
    public bool IsSettled => !State.Members.IsEmpty && State.Sessions.Count == State.Members.Count && !State.Services.IsEmpty
        && State.Services.Values.All(service => service.Assignment is { State: AssignmentState.Running } held && Acts.Any(act => act.Service == service.Definition.Name && act.Token == held.Token));

    public SimulatedMachine? Leader => Array.Find(World.Machines, machine => machine.Core?.Consensus.IsLeader == true && World.Checks.Leader?.Machine == machine.Id);

    private World Begin()
    {
        var transcript = new Transcript(Live)
        {
            Heard = (time, who, what) =>
            {
                Recorder.Hear(time, who, what);
                if (what is Output.RequestAnswered answered && answered.Id == _awaited || what is Output.BarrierAnswered barrier && barrier.Id == _awaited)
                {
                    _awaited = null;
                }
            },
        };
        _world = new World(Setup.ToScenario() with { Bug = Bug }, transcript);
        _world.BeginScript();
        var bounds = string.Join(", ", _world.Scenario.Services.Select(service => string.Create(
            CultureInfo.InvariantCulture, $"{service.Name} {LeaseTiming.Stretch(Setup.Lease + service.KillTimeout).TotalSeconds:0.###} s")));
        Recorder.Say(string.Create(CultureInfo.InvariantCulture, $"lease {Setup.Lease.TotalSeconds:0.###} s; after a loss another machine has the service within: {bounds}"));
        return _world;
    }
}
