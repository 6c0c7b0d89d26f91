using System.Collections.Immutable;
using Clustd.Core.Cluster;
using Clustd.Core.Leading;
using Clustd.Core.Raft;

namespace Clustd.Core;

/// <summary>
/// How empty stores become a cluster (rule 17). All configured machines must meet, all new, all with the same list. Then one of them, the one
/// with the smallest id, decides alone and makes its decision durable before it tells anybody: a single decider cannot disagree with itself,
/// and whoever has not heard of the decision does not vote. A machine that has formed tells those that the decision names.
/// </summary>
internal sealed class Forming(MachineSettings settings, StoreId store, Raft.Raft raft, Replica replica, AnnouncedLevels levels, SeededRandom random, List<Output> outputs)
{
    private readonly SortedDictionary<MachineId, (StoreId Store, ClusterId Cluster, PeerBody.Hello Hello)> _met = [];
    private bool _isAnnounced = raft.IsFormed;
    private readonly SortedDictionary<MachineId, SortedSet<string>> _saidTo = [];
    private bool _wasReady;
    private Instant _sayHelloAgainAt = Instant.Origin;

    /// <summary>The machines that are connected and have introduced themselves.</summary>
    public IReadOnlyDictionary<MachineId, (StoreId Store, ClusterId Cluster, PeerBody.Hello Hello)> Met => _met;

    /// <summary>Until it is formed, and while nobody leads it, a machine repeats its Hello: a lost one must not keep a cluster from forming, or a machine from being taken in.</summary>
    public Instant WakeAt => IsLed ? Instant.Never : _sayHelloAgainAt;

    private bool IsLed => raft.IsFormed && raft.Leader is not null;

    public void Tick(Instant now)
    {
        if (IsLed || now < _sayHelloAgainAt)
        {
            return;
        }

        _sayHelloAgainAt = now + (settings.Lease / 4);
        foreach (var machine in raft.Connected)
        {
            SayHello(machine);
        }

        FormIfAllReady(now);
    }

    /// <summary>One sentence on what is still missing, or null once the cluster is formed.</summary>
    public string? WaitsFor
    {
        get
        {
            if (raft.IsFormed)
            {
                return null;
            }

            if (_met.FirstOrDefault(met => met.Value.Hello.IsFormed) is { Value.Hello: not null } formed)
            {
                return $"{formed.Key} belongs to a formed cluster; waiting to be taken in, by itself if this machine was a member before, else by `clustd machine add {settings.Self}`";
            }

            var absent = settings.Addresses.Where(address => address != settings.Address && _met.Values.All(met => met.Hello.Address != address)).ToList();
            return absent.Count > 0
                ? $"waiting for {absent.Count} of {settings.Addresses.Length}: {string.Join(", ", absent)} not met yet; a new cluster forms when all have met"
                : "all machines have met; waiting for the one with the smallest id to form the cluster";
        }
    }

    public void PeerConnected(MachineId machine) => SayHello(machine);

    public void PeerLost(MachineId machine)
    {
        _met.Remove(machine);
        _saidTo.Remove(machine);
        AnnounceReadiness();
    }

    public void Greeted(MachineId from, PeerMessage message, PeerBody.Hello hello, Instant now)
    {
        levels.Announced(from, hello.FeatureLevel);
        if (TooOld(from, hello) is { } tooOld)
        {
            outputs.Add(new Output.Send(from, new PeerMessage(raft.Cluster, store, new PeerBody.Refusal(tooOld))));
            outputs.Add(new Output.Disconnect(from, tooOld));
            if (IsNewTo(from, tooOld))
            {
                outputs.Add(new Output.Noted(Severity.Error, "too-old", tooOld));
            }

            return;
        }

        _met[from] = (message.Sender, message.Cluster, hello);
        if (raft.IsFormed)
        {
            GreetedByFormed(from, message, hello);
            return;
        }

        if (hello.IsFormed)
        {
            if (IsNewTo(from, "joining"))
            {
                outputs.Add(new Output.Noted(Severity.Information, "joining", $"{from} belongs to a formed cluster; waiting to be taken in."));
            }

            return;
        }

        if (WhyNot(from, hello) is { } reason)
        {
            _met.Remove(from);
            outputs.Add(new Output.Send(from, new PeerMessage(ClusterId.None, store, new PeerBody.Refusal(reason))));
            outputs.Add(new Output.Disconnect(from, reason));
            outputs.Add(new Output.Noted(Severity.Error, "refused", reason));
            return;
        }

        AnnounceReadiness();
        FormIfAllReady(now);
    }

    public void Formed(PeerBody.Formed formed, Instant now)
    {
        if (!raft.IsFormed && formed.Entry is { Index: 1, Command: Command.Form form }
            && form.Members.Any(member => member.Machine == settings.Self && member.Store == store))
        {
            raft.Form(formed.Entry, false, now);
            NoteFormed(form);
        }
    }

    /// <summary>Once entry 1 is durable, all are told, and again whenever one connects that has not heard.</summary>
    public void Persisted()
    {
        if (raft.DurableIndex >= 1 && !_isAnnounced)
        {
            _isAnnounced = true;
            foreach (var (machine, met) in _met)
            {
                TellIfNamed(machine, met.Store, met.Hello);
            }
        }
    }

    /// <summary>Forms a cluster of one, or looks whether the last condition is met.</summary>
    private void FormIfAllReady(Instant now)
    {
        if (raft.IsFormed || !AreEnoughMet || !_met.Values.All(met => met.Hello.IsReady) || _met.Keys.Any(machine => machine.CompareTo(settings.Self) < 0))
        {
            return;
        }

        var members = _met.Select(met => new Member(met.Key, met.Value.Store, met.Value.Hello.Address, met.Value.Hello.Witness))
            .Append(new Member(settings.Self, store, settings.Address, settings.Witness))
            .OrderBy(member => member.Machine)
            .ToImmutableArray();
        var cluster = new ClusterId($"{random.NextUInt64():x16}");
        var form = new Command.Form(cluster, settings.WallClockSeconds, settings.Lease, members, _met.Values.Select(met => met.Hello.FeatureLevel).Append(settings.FeatureLevel).Min());
        raft.Form(new LogEntry(1, new Term(1), form), true, now);
        NoteFormed(form);
    }

    private bool AreAllMet => settings.Addresses.All(address => address == settings.Address || _met.Values.Any(met => met.Hello.Address == address && !met.Hello.IsFormed))
        && _met.Count == settings.Addresses.Length - 1;

    /// <summary>Rule 17: all of them, not a majority.</summary>
    private bool AreEnoughMet => AreAllMet
        || (settings.PlantedBug.Is(PlantedBug.FormsWithMajority) && (_met.Count + 1) * 2 > settings.Addresses.Length && _met.Values.All(met => !met.Hello.IsFormed));

    private void GreetedByFormed(MachineId from, PeerMessage message, PeerBody.Hello hello)
    {
        if (hello.IsFormed && message.Cluster != raft.Cluster)
        {
            var reason = $"{from} and {settings.Self} belong to two different clusters ({message.Cluster} and {raft.Cluster}). One of them was formed on its own or "
                + "restored from elsewhere. Decide which is right, stop the other, move its data directory away and start it again.";
            outputs.Add(new Output.Send(from, new PeerMessage(raft.Cluster, store, new PeerBody.Refusal(reason))));
            outputs.Add(new Output.Disconnect(from, reason));
            outputs.Add(new Output.Noted(Severity.Error, "refused", reason));
        }
        else if (raft.Members.Values.FirstOrDefault(member => member.Store == message.Sender && member.Machine != from) is { } original)
        {
            Refuse(from, $"{from} speaks with a copy of the store of {original.Machine}: its disk was cloned. It is not heard. Move the data directory of {from} away and start it again.");
        }
        else if (!raft.Members.ContainsKey(from))
        {
            Refuse(from, $"{from} is not a member of the cluster {raft.Cluster}. To take it in, run `clustd machine add {from}`; else stop clustd there.");
        }
        else if (_isAnnounced)
        {
            TellIfNamed(from, message.Sender, hello);
        }

        if (!hello.Addresses.AsSpan().SequenceEqual(settings.Addresses.AsSpan()) && IsNewTo(from, "lists-differ"))
        {
            outputs.Add(new Output.Noted(Severity.Warning, "lists-differ", $"{from} lists other machines than {settings.Self}: {Difference(hello)}. The cluster's own list rules; make the files the same."));
        }
    }

    /// <summary>Said once per connection: whoever is not formed repeats its Hello.</summary>
    private bool IsNewTo(MachineId machine, string words)
    {
        if (!_saidTo.TryGetValue(machine, out var said))
        {
            _saidTo[machine] = said = new SortedSet<string>(StringComparer.Ordinal);
        }

        return said.Add(words);
    }

    private void Refuse(MachineId machine, string reason)
    {
        if (!IsNewTo(machine, reason))
        {
            return;
        }

        outputs.Add(new Output.Send(machine, new PeerMessage(raft.Cluster, store, new PeerBody.Refusal(reason))));
        outputs.Add(new Output.Noted(Severity.Warning, "not-a-member", reason));
    }

    private void TellIfNamed(MachineId machine, StoreId theirs, PeerBody.Hello hello)
    {
        // Later, when a snapshot stands for entry 1, the leader's log or snapshot tells it.
        if (!hello.IsFormed && raft.Log.Base.Index == 0 && raft.Log.LastIndex > 0 && raft.Members.TryGetValue(machine, out var member) && member.Store == theirs)
        {
            outputs.Add(new Output.Send(machine, new PeerMessage(raft.Cluster, store, new PeerBody.Formed(raft.Log[1]))));
        }
    }

    private string? WhyNot(MachineId from, PeerBody.Hello hello)
    {
        if (!hello.Addresses.AsSpan().SequenceEqual(settings.Addresses.AsSpan()))
        {
            return $"{settings.Self} and {from} list different machines, so they cannot form a cluster: {Difference(hello)}. Make `cluster.machines` (with each one's own "
                + "`server.remote_address`) name the same addresses in every file.";
        }

        if (hello.Lease != settings.Lease)
        {
            return $"{settings.Self} and {from} have different leases, {settings.Lease.TotalMilliseconds:F0} ms and {hello.Lease.TotalMilliseconds:F0} ms, so they cannot form a "
                + "cluster. Make `cluster.lease` the same in every file.";
        }

        if (!settings.Addresses.Contains(hello.Address) || hello.Address == settings.Address)
        {
            return $"{from} says that its address is {hello.Address}, which is {(hello.Address == settings.Address ? $"the address of {settings.Self}" : "not on the list")}. "
                + "Give each machine its own `server.remote_address`, as the others' `cluster.machines` name it.";
        }

        return _met.FirstOrDefault(met => met.Key != from && met.Value.Hello.Address == hello.Address) is { Value.Hello: not null } other
            ? $"{from} and {other.Key} both say that their address is {hello.Address}. Give each machine its own `server.remote_address`."
            : null;
    }

    /// <summary>One of the two cannot read what the other's cluster has agreed on. Said to the older one, which can do nothing by itself, and without harm to either.</summary>
    private string? TooOld(MachineId from, PeerBody.Hello hello) =>
        hello.FeatureLevel < replica.State.FeatureLevel ? FeatureLevels.TooOld(from, replica.State.FeatureLevel, hello.FeatureLevel)
        : hello.ClusterLevel > settings.FeatureLevel ? FeatureLevels.TooOld(settings.Self, hello.ClusterLevel, settings.FeatureLevel)
        : null;

    private string Difference(PeerBody.Hello hello)
    {
        var onlyOurs = settings.Addresses.Except(hello.Addresses).ToList();
        var onlyTheirs = hello.Addresses.Except(settings.Addresses).ToList();
        return $"only {settings.Self} lists {(onlyOurs.Count == 0 ? "nothing more" : string.Join(", ", onlyOurs))}, only {hello.Address} lists "
            + (onlyTheirs.Count == 0 ? "nothing more" : string.Join(", ", onlyTheirs));
    }

    /// <summary>Everybody must know that everybody has met everybody: say so when it becomes true, or stops being true.</summary>
    private void AnnounceReadiness()
    {
        var isReady = AreEnoughMet;
        if (isReady != _wasReady && !raft.IsFormed)
        {
            _wasReady = isReady;
            foreach (var machine in _met.Keys)
            {
                SayHello(machine);
            }
        }
    }

    private void SayHello(MachineId machine) => outputs.Add(new Output.Send(machine, new PeerMessage(raft.Cluster, store, new PeerBody.Hello(
        settings.Address, settings.Addresses, settings.Lease, settings.Witness, settings.Incarnation, raft.IsFormed, AreEnoughMet, settings.FeatureLevel, replica.State.FeatureLevel))));

    private void NoteFormed(Command.Form form) => outputs.Add(new Output.Noted(
        Severity.Information, "formed", $"The cluster {form.Cluster} is formed: {string.Join(", ", form.Members.Select(member => member.Machine))}."));
}
