using System.Collections.Immutable;
using Clustd.Core;
using Clustd.Core.Cluster;
using Clustd.Core.Raft;

namespace Clustd.CoreCost;

/// <summary>
/// Three cores, a network of 0.2 ms, disks of 1 ms that write together what waits (as the daemon's do), one driver per machine that follows every
/// service, answers in 1 ms and renews six times per lease. The clock moves from event to event.
/// </summary>
internal sealed class BenchCluster
{
    private static readonly TimeSpan NetworkDelay = TimeSpan.FromMicroseconds(200);
    private static readonly TimeSpan DiskDelay = TimeSpan.FromMilliseconds(1);
    private static readonly TimeSpan DriverDelay = TimeSpan.FromMilliseconds(1);
    private static readonly DriverConnection Connection = new(1);

    private readonly PriorityQueue<(BenchMachine To, Input Input), (Instant At, long Number)> _mail = new();
    private readonly Dictionary<MachineId, (long Newest, bool Writes)> _disks = [];
    private readonly List<Output> _outputs = [];
    private readonly TimeSpan _lease = TimeSpan.FromSeconds(1);
    private long _number;
    private Instant _renewAt;

    public BenchCluster(int services, bool driver)
    {
        HasDriver = driver;
        Services = [.. Enumerable.Range(0, services).Select(number => new ServiceDefinition { Name = new ServiceName($"service-{number:0000}"), Prefer = [new MachineId("cm-1")] })];
        ImmutableArray<string> addresses = ["10.0.0.1:3001", "10.0.0.2:3001", "10.0.0.3:3001"];
        Machines =
        [
            .. Enumerable.Range(1, 3).Select(number => new BenchMachine(new MachineCore(
                new MachineSettings
                {
                    Self = new MachineId($"cm-{number}"),
                    Address = addresses[number - 1],
                    Addresses = addresses,
                    Lease = _lease,
                    Services = Services,
                    Drivers = driver ? [.. Services.Select(service => new ListedDriver(new DriverName("app"), service.Name))] : [],
                    Incarnation = (ulong)number,
                    Seed = (ulong)(1000 + number),
                    WallClockSeconds = 1_700_000_000,
                },
                StoredState.New(new StoreId($"store-{number}")),
                Now))),
        ];
        _renewAt = Now;
        foreach (var machine in Machines)
        {
            _disks[machine.Id] = (0, false);
            Post(machine, new Input.Tick(), TimeSpan.Zero);
            foreach (var other in Machines.Where(other => other != machine))
            {
                Post(machine, new Input.PeerConnected(other.Id), TimeSpan.Zero);
            }

            if (driver)
            {
                Post(machine, new Input.DriverRegistered(Connection, new DriverRegistration
                {
                    Name = new DriverName("app"), Instance = $"app-{machine.Id}", Services = [.. Services.Select(service => service.Name)], StopsForCertain = true,
                }), TimeSpan.Zero);
            }
        }
    }

    public bool HasDriver { get; }

    public ImmutableArray<ServiceDefinition> Services { get; }

    public ImmutableArray<BenchMachine> Machines { get; }

    public Instant Now { get; private set; } = new(1_000_000);

    public IEnumerable<BenchMachine> Alive => Machines.Where(machine => machine.IsAlive);

    public BenchMachine? Leader => Alive.FirstOrDefault(machine => machine.Core.View(Now).Role == Role.Leader);

    public bool AllRunOn(Func<MachineId, bool> where) => Alive.All(machine =>
        machine.Core.State.Services.Count == Services.Length
        && machine.Core.State.Services.Values.All(service => service.Assignment is { State: AssignmentState.Running } running && where(running.Machine)));

    /// <summary>Its process ends: the others see their sockets close.</summary>
    public void Kill(BenchMachine machine)
    {
        machine.IsAlive = false;
        foreach (var other in Alive)
        {
            Post(other, new Input.PeerLost(machine.Id), TimeSpan.Zero);
        }
    }

    public void Post(BenchMachine to, Input input, TimeSpan delay) => _mail.Enqueue((to, input), (Now + delay, ++_number));

    public void RunUntil(Func<bool> condition, TimeSpan atMost)
    {
        var end = Now + atMost;
        var looked = Now;
        while (true)
        {
            // Looking is not free, and not part of what is measured.
            if (Now - looked >= TimeSpan.FromMilliseconds(5))
            {
                looked = Now;
                if (condition())
                {
                    return;
                }
            }

            if (Now >= end)
            {
                throw new InvalidOperationException($"Not within {atMost}: the cores do not do what this benchmark is about.");
            }

            Advance(end);
        }
    }

    public void RunFor(TimeSpan duration)
    {
        var end = Now + duration;
        while (Now < end)
        {
            Advance(end);
        }
    }

    private void Advance(Instant end)
    {
        var next = Alive.Min(machine => machine.Core.WakeAt);
        var mail = _mail.TryPeek(out _, out var first) ? first.At : Instant.Never;
        var at = Instant.Min(Instant.Min(next, mail), Instant.Min(end, _renewAt));
        Now = Instant.Max(Now, at);
        if (Now >= _renewAt)
        {
            _renewAt = Now + (_lease / 6);
            foreach (var machine in Alive.Where(_ => HasDriver))
            {
                Post(machine, new Input.DriverRenewed(Connection, Now.Microseconds), TimeSpan.Zero);
            }
        }

        while (_mail.TryPeek(out var due, out var priority) && priority.At <= Now)
        {
            _mail.Dequeue();
            if (due.To.IsAlive)
            {
                Step(due.To, due.Input);
            }
        }

        foreach (var machine in Machines)
        {
            if (machine.IsAlive && machine.Core.WakeAt <= Now)
            {
                Step(machine, new Input.Tick());
            }
        }

        Now += TimeSpan.FromMicroseconds(1); // Nothing takes no time.
    }

    private void Step(BenchMachine machine, Input input)
    {
        if (input is Input.Persisted persisted)
        {
            DiskDone(machine, persisted.Sequence);
        }

        machine.Step(input, Now, _outputs);
        foreach (var output in _outputs)
        {
            switch (output)
            {
                case Output.Send send:
                    Post(Machines.First(other => other.Id == send.To), new Input.PeerSpoke(machine.Id, send.Message), NetworkDelay);
                    break;
                case Output.Persist persist:
                    Write(machine, persist.Sequence);
                    break;
                case Output.Trigger trigger:
                    Post(machine, new Input.DriverAnswered(trigger.Connection, trigger.Call.Service, trigger.Call.Sequence, null), DriverDelay);
                    break;
            }
        }
    }

    private void Write(BenchMachine machine, long sequence)
    {
        var disk = _disks[machine.Id];
        if (!disk.Writes)
        {
            Post(machine, new Input.Persisted(sequence), DiskDelay);
        }

        _disks[machine.Id] = (sequence, true);
    }

    // What came while the disk was writing goes into its next transaction together.
    private void DiskDone(BenchMachine machine, long written)
    {
        var (newest, _) = _disks[machine.Id];
        _disks[machine.Id] = (newest, false);
        if (newest > written)
        {
            Write(machine, newest);
        }
    }
}
