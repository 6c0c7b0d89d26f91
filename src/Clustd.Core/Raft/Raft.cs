using System.Collections.Immutable;
using System.Diagnostics;
using Clustd.Core.Cluster;

namespace Clustd.Core.Raft;

public enum Role
{
    Follower,
    PreCandidate,
    Candidate,
    Leader,
}

/// <summary>
/// What rides on Raft's messages without being Raft's business: sessions. Raft asks for it when it makes a message, hands over what it receives.
/// The second implementation is the empty one of Raft's own tests.
/// </summary>
public interface IHeartbeatCargo
{
    ImmutableArray<SessionAge> AgesForRound(Instant now);

    ImmutableArray<SessionAge> AgesForVote(Instant now);

    Stamp StampFor(Instant now);

    long KnownReport(MachineId machine);

    MachineReport? ReportUnlessKnown(long version);

    /// <summary>An Append of the present leader came: as a voter, remember its ages (rule 9).</summary>
    void AgesReceived(ImmutableArray<SessionAge> ages, Instant now);

    /// <summary>A follower answered: as the leader, take its stamp and report.</summary>
    void AnswerReceived(MachineId from, Stamp stamp, MachineReport? report, Instant now);

    /// <summary>This leader is about to begin a round: its own stamp and its own acknowledgement belong to it (rules 4 and 5).</summary>
    void RoundBegins(long round, Instant now);

    void RoundConfirmed(long round, Instant now);

    /// <summary>This machine was elected; ages are those of the voters that elected it, with the instant each came in.</summary>
    void Elected(IReadOnlyList<VoterMemory> voters, long noOpIndex, Instant now);

    /// <summary>This machine does not lead any more: whatever it knew as leader is void (rule 9).</summary>
    void Deposed();
}

/// <summary>What one voter said with its vote about how long ago stamps were received, and when this machine heard it.</summary>
public sealed record VoterMemory(ImmutableArray<SessionAge> Ages, Instant Heard);

/// <summary>
/// The consensus core, in the manner of etcd-io/raft: pure, time is a parameter, outputs are collected. Source: Ongaro, "Consensus:
/// Bridging Theory and Practice", 2014; section numbers in comments are his. Elections are in Raft.Election.cs, replication in Raft.Replication.cs.
/// </summary>
public sealed partial class Raft
{
    private readonly MachineId _self;
    private readonly StoreId _store;
    private readonly LeaseTiming _timing;
    private readonly SeededRandom _random;
    private readonly IHeartbeatCargo _cargo;
    private readonly PlantedBug _bug;
    private readonly Persistence _disk;
    private readonly List<Output> _outputs;

    // When this leader took its place: what a follower that it has not heard yet counts as heard from.
    private Instant _leaderNow;

    internal Raft(MachineSettings settings, StoredState stored, IHeartbeatCargo cargo, SeededRandom random, List<Output> outputs, Instant now)
    {
        _self = settings.Self;
        _store = stored.Store;
        _timing = new LeaseTiming(settings.Lease);
        Relays = new Relays(_timing);
        _cargo = cargo;
        _random = random;
        _bug = settings.PlantedBug;
        _outputs = outputs;
        _disk = new Persistence(stored.LastIndex);
        Log = new Log(stored.Base, stored.Entries);
        HardState = stored.HardState;
        Snapshot = stored.Snapshot;
        if (stored.Snapshot is { } snapshot)
        {
            CommitIndex = snapshot.AppliedIndex;
            MembershipOf(snapshot);
        }

        foreach (var entry in stored.Entries)
        {
            NoteCluster(entry);
            MembershipAppended(entry);
        }

        ResetElectionDeadline(now);
    }

    public Log Log { get; }

    internal Relays Relays { get; }

    public HardState HardState { get; private set; }

    public Term Term => HardState.Term;

    public Role Role { get; private set; }

    public bool IsLeader => Role == Role.Leader;

    /// <summary>This store was set back: it has forgotten what it promised, so it says nothing any more.</summary>
    public bool IsRefused { get; private set; }

    /// <summary>Whom this machine believes to lead in the present term.</summary>
    public MachineId? Leader { get; private set; }

    public long CommitIndex { get; private set; }

    public ClusterId Cluster { get; private set; } = ClusterId.None;

    public bool IsFormed => Cluster != ClusterId.None;

    /// <summary>All entries up to here are on this machine's disk.</summary>
    public long DurableIndex => _disk.DurableIndex;

    /// <summary>When the next election or round is due.</summary>
    public Instant WakeAt => IsLeader ? _nextRoundAt : IsFormed && (IsVoter || Leader is not null) ? _electionDeadline : Instant.Never;

    /// <summary>The newest instant at which this machine knows to have been part of a working majority: a leader by the beginning of its last
    /// confirmed round, a follower by its leader's last word. What it has applied is no older than that, give or take a commit under way.</summary>
    public Instant KnowsAsOf => Instant.Max(_confirmedRoundBeganAt, _leaderHeardAt);

    /// <summary>Its disk does not answer: it stands for no election, because it could not keep its own vote.</summary>
    public bool HoldsBack { get; set; }

    /// <summary>Entry 1 makes this machine part of a formed cluster. The coordinator stands for election at once.</summary>
    public void Form(LogEntry entry, bool asCoordinator, Instant now)
    {
        if (IsFormed || entry.Index != 1)
        {
            throw new UnreachableException("A cluster is formed once, by entry 1.");
        }

        AppendToLog(entry);
        SaveHardState(new HardState(Max(Term, entry.Term), null));
        ResetElectionDeadline(now);
        if (asCoordinator)
        {
            _electionDeadline = now;
        }
    }

    public void PeerConnected(MachineId machine, Instant now)
    {
        _connected[machine] = StoreId.None;
        if (IsLeader && _peers.TryGetValue(machine, out var progress))
        {
            SendAppend(machine, progress, now);
        }
    }

    public void PeerLost(MachineId machine, Instant now)
    {
        _connected.Remove(machine);
        if (IsLeader && _peers.TryGetValue(machine, out var progress))
        {
            progress.NextIndex = progress.MatchIndex + 1; // What was under way is lost.
            progress.Transfer = null;
        }

        if (!IsLeader && machine == Leader)
        {
            LeaderLost(now);
        }
    }

    public void Receive(MachineId from, PeerBody body, Instant now)
    {
        switch (body)
        {
            case PeerBody.PreVote preVote: OnPreVote(from, preVote, now); break;
            case PeerBody.PreVoteAnswer answer: OnPreVoteAnswer(from, answer, now); break;
            case PeerBody.Vote vote: OnVote(from, vote, now); break;
            case PeerBody.VoteAnswer answer: OnVoteAnswer(from, answer, now); break;
            case PeerBody.Append append: OnAppend(from, append, now); break;
            case PeerBody.AppendAnswer answer: OnAppendAnswer(from, answer, now); break;
            case PeerBody.SnapshotChunk chunk: OnSnapshotChunk(from, chunk, now); break;
            case PeerBody.SnapshotAnswer answer: OnSnapshotAnswer(from, answer, now); break;
            case PeerBody.SetBack setBack: OnSetBack(from, setBack); break;
            case PeerBody.TakeOver takeOver: OnTakeOver(from, takeOver, now); break;
            default: throw new UnreachableException($"{body.GetType().Name} is not for Raft.");
        }
    }

    /// <summary>Whatever time alone makes due.</summary>
    public void Tick(Instant now)
    {
        if (!IsFormed)
        {
            return;
        }

        if (IsLeader)
        {
            if (!HearsQuorum(now))
            {
                Note(Severity.Warning, "leader-stepped-down", $"Stepped down as leader of term {Term}: no answer from a majority. Whoever can reach one will lead.");
                BecomeFollower(Term, null, now);
            }
            else if (now >= _nextRoundAt)
            {
                BeginRound(now);
            }
        }
        else if (now >= _electionDeadline && IsVoter && HoldsBack)
        {
            ResetElectionDeadline(now);
        }
        else if (now >= _electionDeadline && IsVoter)
        {
            StartPreVote(now);
        }
        else if (now >= _electionDeadline)
        {
            Leader = null; // A learner does not stand; it waits to be spoken to.
        }
    }

    /// <summary>Leader only: gives up leadership without a successor. The others elect one as soon as they miss its heartbeats.</summary>
    public void StepDown(string sentence, Instant now)
    {
        Note(Severity.Warning, "leader-stepped-down", sentence);
        BecomeFollower(Term, null, now);
    }

    public void Persisted(long sequence, Instant now)
    {
        _disk.Completed(sequence);
        if (Role == Role.Candidate && _disk.IsHardStateDurable)
        {
            CountVote(_self, _cargo.AgesForVote(now), now);
        }

        if (IsLeader)
        {
            AdvanceCommit();
        }
        else if (Leader is { } leader && Math.Min(_matchedIndex, _disk.DurableIndex) > _acknowledgedIndex)
        {
            AnswerAppend(leader, now);
        }
    }

    /// <summary>End of a step: the batch for the disk and the messages that may go.</summary>
    public void Flush() => _disk.Flush(_outputs);

    /// <summary>Leader only: puts a command into the log and on its way. Returns its index.</summary>
    public long Propose(Command command, Instant now)
    {
        if (!IsLeader)
        {
            throw new UnreachableException("Only the leader proposes.");
        }

        var entry = new LogEntry(Log.LastIndex + 1, Term, command);
        AppendToLog(entry);
        _replicationDue = true;
        return entry.Index;
    }

    private void AppendToLog(LogEntry entry)
    {
        Log.Append(entry);
        _disk.Append(entry);
        NoteCluster(entry);
        MembershipAppended(entry);
    }

    private void NoteCluster(LogEntry entry)
    {
        if (entry.Command is Command.Form form)
        {
            Cluster = form.Cluster;
            CommitIndex = Math.Max(CommitIndex, entry.Index); // Entry 1 formed the cluster: everybody's log begins with it.
        }
    }

    private void SaveHardState(HardState hardState)
    {
        HardState = hardState;
        _disk.Save(_bug.Is(PlantedBug.VoteNotPersisted) ? hardState with { Vote = null } : hardState);
    }

    private void OnSetBack(MachineId from, PeerBody.SetBack setBack)
    {
        // Its own word and this machine's own log: nobody else's opinion ends a voter.
        var acknowledged = setBack.Acknowledged;
        if (from != Leader || setBack.Term != Term || (acknowledged.Index <= Log.LastIndex && (acknowledged.Term == Term.Zero || Log.Has(acknowledged.Index, acknowledged.Term))))
        {
            return;
        }

        IsRefused = true;
        _outputs.Add(new Output.StoreRefused(
            $"The store of {_self} was set back: it has acknowledged the log up to entry {acknowledged.Index} to {from} and now ends at {Log.LastIndex}, as after an old image or backup of its disk was "
            + "put in place. It may have forgotten votes, so it must not take part. Move its data directory away and start clustd again: it is then taken in anew and gets everything from the others."));
    }

    private void BecomeFollower(Term term, MachineId? leader, Instant now)
    {
        var wasLeader = IsLeader;
        if (leader != Leader || wasLeader || term > Term)
        {
            _matchedIndex = 0; // What matched another leader's log, or this one's in an earlier term, says nothing now.
            _acknowledgedIndex = 0;
        }

        if (term > Term)
        {
            SaveHardState(new HardState(term, null));
        }

        Role = Role.Follower;

        Leader = leader;
        ResetElectionDeadline(now);
        if (wasLeader)
        {
            _peers.Clear();
            _cargo.Deposed();
        }
    }

    /// <summary>
    /// Sends, once term and vote are durable, and also by way of another machine where the direct way seems to be shut (<see cref="Relays"/>). A machine
    /// that can be reached on neither way is told nothing. True: sent directly, so it arrives unless that connection breaks.
    /// </summary>
    public bool Send(MachineId to, PeerBody body)
    {
        if (IsRefused)
        {
            return false;
        }

        var message = new PeerMessage(Cluster, _store, body);
        var via = ViaFor(to, body);
        var isDirect = _connected.ContainsKey(to) && Relays.IsDirectly(body, to, via);
        if (isDirect)
        {
            _disk.SendAfterTerm(to, message);
        }

        if (via is { } other)
        {
            _disk.SendAfterTerm(other, new PeerMessage(Cluster, _store, new PeerBody.Relay(to, message)));
        }

        return isDirect;
    }

    /// <summary>A member wants this said to another one. It goes at once: nothing in it depends on this machine's own disk.</summary>
    public void PassOn(MachineId from, PeerBody.Relay relay)
    {
        if (relay.To != _self && _connected.ContainsKey(relay.To) && Relays.IsFit(relay.Message.Body) && !IsRefused)
        {
            _outputs.Add(new Output.Send(relay.To, new PeerMessage(Cluster, _store, new PeerBody.Relayed(from, relay.Message))));
        }
    }

    private MachineId? ViaFor(MachineId to, PeerBody body) =>
        Relays.IsFit(body) ? Relays.Via(to, IsLeader, () => [.. _connected.Keys.Where(machine => machine != to && machine != _self && Members.ContainsKey(machine))]) : null;

    private void Note(Severity severity, string kind, string sentence) => _outputs.Add(new Output.Noted(severity, kind, sentence));

    private static Term Max(Term left, Term right) => left > right ? left : right;
}
