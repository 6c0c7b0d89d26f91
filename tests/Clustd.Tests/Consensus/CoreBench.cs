using System.Collections.Immutable;
using Clustd.Core;
using Clustd.Core.Cluster;
using Clustd.Core.Raft;
using Shouldly;

namespace Clustd.Tests.Consensus;

/// <summary>
/// A few machine cores on one bench: one clock that only moves when told, messages that arrive at once (or not at all when cut), disks that
/// answer at once (or when told). For tests that look at one rule at a time; whole days with random faults are the simulator's business.
/// </summary>
internal sealed class CoreBench
{
    private readonly SortedDictionary<MachineId, MachineCore> _cores = [];
    private readonly SortedDictionary<MachineId, List<LogEntry>> _disks = [];
    private readonly SortedDictionary<MachineId, HardState> _hardStates = [];
    private readonly SortedDictionary<MachineId, ClusterState> _snapshots = [];
    private readonly SortedDictionary<MachineId, StoreId> _stores = [];
    private readonly Queue<(MachineId To, Input Input)> _mail = [];
    private readonly HashSet<(MachineId From, MachineId To)> _cuts = [];
    private readonly HashSet<MachineId> _slowDisks = [];
    private readonly Dictionary<MachineId, List<long>> _unanswered = [];
    private ulong _incarnations;

    public CoreBench(
        int machines, TimeSpan? lease = null, MachineId? startedExcept = null, int snapshotEvery = 1000, ImmutableArray<ServiceDefinition> services = default, int level = FeatureLevels.Own)
    {
        Services = services;
        Lease = lease ?? TimeSpan.FromSeconds(1);
        SnapshotEvery = snapshotEvery;
        Ids = [.. Enumerable.Range(1, machines).Select(number => new MachineId($"cm-{number}"))];
        Addresses = [.. Enumerable.Range(1, machines).Select(number => $"10.0.0.{number}:3001")];
        foreach (var id in Ids)
        {
            _disks[id] = [];
            _hardStates[id] = HardState.Initial;
            Levels[id] = level;
            if (id != startedExcept)
            {
                Start(id);
            }
        }

        ConnectAll();
        Deliver();
    }

    public ImmutableArray<MachineId> Ids { get; private set; }

    public ImmutableArray<string> Addresses { get; private set; }

    public TimeSpan Lease { get; }

    /// <summary>Feature levels of the binaries that the next start of each machine runs.</summary>
    public SortedDictionary<MachineId, int> Levels { get; } = [];

    /// <summary>What every machine's file names; default: nothing.</summary>
    public ImmutableArray<ServiceDefinition> Services { get; }

    /// <summary>Bytes that the steps of each machine have allocated, their outputs included.</summary>
    public SortedDictionary<MachineId, long> Allocated { get; } = [];

    /// <summary>Wake-ups so far, of all machines.</summary>
    public int Ticks { get; private set; }

    public Instant Now { get; private set; } = new(1_000_000);

    /// <summary>Every output of every machine, in order.</summary>
    public List<(Instant At, MachineId Machine, Output Output)> Trace { get; } = [];

    public MachineCore this[MachineId id] => _cores[id];

    public MachineCore this[int number] => _cores[Ids[number - 1]];

    public MachineCore? Leader => _cores.Values.Where(core => core.Consensus.IsLeader).MaxBy(core => core.Consensus.Term);

    public IEnumerable<MachineCore> Running => _cores.Values;

    /// <summary>Applied entries between two snapshots, for all.</summary>
    public int SnapshotEvery { get; }

    /// <summary>A machine that the others' files do not name; it names them, and dials.</summary>
    public MachineId StartNewcomer()
    {
        var id = new MachineId($"cm-{Ids.Length + 1}");
        Ids = Ids.Add(id);
        Addresses = Addresses.Add($"10.0.0.{Ids.Length}:3001");
        _disks[id] = [];
        _hardStates[id] = HardState.Initial;
        Levels[id] = FeatureLevels.Own;
        Restart(id);
        return id;
    }

    public void Start(MachineId id)
    {
        var number = Ids.IndexOf(id) + 1;
        var settings = new MachineSettings
        {
            Self = id,
            Address = Addresses[number - 1],
            Addresses = Addresses,
            Lease = Lease,
            Services = Services,
            Incarnation = ++_incarnations,
            Seed = 1000 + _incarnations,
            WallClockSeconds = 1_700_000_000,
            FeatureLevel = Levels.TryGetValue(id, out var level) ? level : FeatureLevels.Own,
            SnapshotEvery = SnapshotEvery,
        };
        _stores.TryAdd(id, new StoreId($"store-{number}"));
        _cores[id] = new MachineCore(settings, new StoredState(_stores[id], _hardStates[id], [.. _disks[id]], _snapshots.GetValueOrDefault(id)), Now);
        Post(id, new Input.Tick());
    }

    /// <summary>SIGKILL: what its disk has answered stays, the others see their sockets close.</summary>
    public void Kill(MachineId id)
    {
        _cores.Remove(id);
        foreach (var other in _cores.Keys)
        {
            Post(other, new Input.PeerLost(id));
        }

        Deliver();
    }

    public void Restart(MachineId id)
    {
        Start(id);
        foreach (var other in _cores.Keys.Where(other => other != id))
        {
            Post(other, new Input.PeerConnected(id));
            Post(id, new Input.PeerConnected(other));
        }

        Deliver();
    }

    /// <summary>Its disk is replaced by an empty one: another store.</summary>
    public void WipeDisk(MachineId id)
    {
        _disks[id].Clear();
        _snapshots.Remove(id);
        _hardStates[id] = HardState.Initial;
        _stores[id] = new StoreId($"{_stores[id]}-wiped");
    }

    public ClusterState? SnapshotOf(MachineId id) => _snapshots.GetValueOrDefault(id);

    public IReadOnlyList<LogEntry> DiskOf(MachineId id) => _disks[id];

    /// <summary>An old image of its disk: what it acknowledged last is gone.</summary>
    public void SetBackDisk(MachineId id, int entries) => _disks[id].RemoveRange(_disks[id].Count - entries, entries);

    /// <summary>Frames vanish silently both ways.</summary>
    public void Cut(MachineId id)
    {
        foreach (var other in Ids.Where(other => other != id))
        {
            _cuts.Add((id, other));
            _cuts.Add((other, id));
        }
    }

    /// <summary>Frames from the one to the other vanish silently.</summary>
    public void CutLink(MachineId from, MachineId to) => _cuts.Add((from, to));

    public void Heal() => _cuts.Clear();

    public void SlowDisk(MachineId id) => _slowDisks.Add(id);

    public void AnswerDisk(MachineId id)
    {
        _slowDisks.Remove(id);
        foreach (var sequence in _unanswered.GetValueOrDefault(id) ?? [])
        {
            Post(id, new Input.Persisted(sequence));
        }

        _unanswered.Remove(id);
        Deliver();
    }

    public void Post(MachineId to, Input input) => _mail.Enqueue((to, input));

    /// <summary>Delivers all mail, then moves the clock from wake-up to wake-up until the time has passed.</summary>
    public void RunFor(TimeSpan duration)
    {
        var end = Now + duration;
        Deliver();
        var overdue = 0;
        while (true)
        {
            var next = _cores.Values.Select(core => core.WakeAt).DefaultIfEmpty(Instant.Never).Min();
            if (next > end)
            {
                break;
            }

            overdue = next <= Now ? overdue + 1 : 0;
            overdue.ShouldBeLessThan(300, "a machine that wants to be woken at once, again and again");
            Now = Instant.Max(Now, next);
            foreach (var core in _cores.Values.Where(core => core.WakeAt <= Now))
            {
                Ticks++;
                Post(core.Settings.Self, new Input.Tick());
            }

            Deliver();
            Now += TimeSpan.FromMicroseconds(10); // Nothing takes no time.
        }

        Now = Instant.Max(Now, end);
    }

    public void RunUntil(Func<bool> condition, TimeSpan atMost)
    {
        var end = Now + atMost;
        while (!condition() && Now < end)
        {
            RunFor(TimeSpan.FromMilliseconds(1));
        }

        condition().ShouldBeTrue($"not within {atMost}");
    }

    public void Deliver()
    {
        for (var steps = 0; _mail.TryDequeue(out var mail); steps++)
        {
            steps.ShouldBeLessThan(100_000, "machines that never stop talking");
            if (_cores.TryGetValue(mail.To, out var core))
            {
                var allocated = GC.GetAllocatedBytesForCurrentThread();
                var outputs = core.Step(mail.Input, Now);
                Allocated[mail.To] = Allocated.GetValueOrDefault(mail.To) + GC.GetAllocatedBytesForCurrentThread() - allocated;
                foreach (var output in outputs.ToList())
                {
                    Trace.Add((Now, mail.To, output));
                    Perform(mail.To, output);
                }
            }
        }
    }

    private void ConnectAll()
    {
        foreach (var id in Ids)
        {
            foreach (var other in _cores.Keys.Where(other => other != id))
            {
                Post(id, new Input.PeerConnected(other));
            }
        }
    }

    private void Perform(MachineId from, Output output)
    {
        switch (output)
        {
            case Output.Send send when !_cuts.Contains((from, send.To)):
                Post(send.To, new Input.PeerSpoke(from, send.Message));
                break;
            case Output.Persist persist:
                var disk = _disks[from];
                if (persist.TruncateFrom is { } index)
                {
                    disk.RemoveAll(entry => entry.Index >= index);
                }

                if (persist.Snapshot is { } snapshot)
                {
                    disk.RemoveAll(entry => entry.Index <= snapshot.AppliedIndex);
                    _snapshots[from] = snapshot;
                }

                disk.AddRange(persist.Entries);
                _hardStates[from] = persist.HardState ?? _hardStates[from];
                if (_slowDisks.Contains(from))
                {
                    (_unanswered.TryGetValue(from, out var waiting) ? waiting : _unanswered[from] = []).Add(persist.Sequence);
                }
                else
                {
                    Post(from, new Input.Persisted(persist.Sequence));
                }

                break;
        }
    }
}
