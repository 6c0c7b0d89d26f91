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
    private readonly SortedSet<MachineId> _connected = [];

    internal Raft(MachineSettings settings, StoredState stored, IHeartbeatCargo cargo, SeededRandom random, List<Output> outputs, Instant now)
    {
        _self = settings.Self;
        _store = stored.Store;
        _timing = new LeaseTiming(settings.Lease);
        _cargo = cargo;
        _random = random;
        _bug = settings.PlantedBug;
        _outputs = outputs;
        _disk = new Persistence(stored.Entries.Length);
        Log = new Log(stored.Entries);
        HardState = stored.HardState;
        if (Log.LastIndex > 0)
        {
            CommitIndex = 1; // Entry 1 formed the cluster: everybody's log begins with it.
            ReadMembers();
        }

        ResetElectionDeadline(now);
    }

    public Log Log { get; }

    public HardState HardState { get; private set; }

    public Term Term => HardState.Term;

    public Role Role { get; private set; }

    public bool IsLeader => Role == Role.Leader;

    /// <summary>Whom this machine believes to lead in the present term.</summary>
    public MachineId? Leader { get; private set; }

    public long CommitIndex { get; private set; }

    public ClusterId Cluster { get; private set; } = ClusterId.None;

    public bool IsFormed => Log.LastIndex > 0;

    /// <summary>All entries up to here are on this machine's disk.</summary>
    public long DurableIndex => _disk.DurableIndex;

    /// <summary>The voters: members of the latest membership entry in the log, committed or not (section 4.1).</summary>
    public ImmutableSortedDictionary<MachineId, Member> Members { get; private set; } = ImmutableSortedDictionary<MachineId, Member>.Empty;

    /// <summary>This machine, with this very store, is a voter.</summary>
    public bool IsVoter => Members.TryGetValue(_self, out var member) && member.Store == _store;

    /// <summary>When the next election or round is due.</summary>
    public Instant WakeAt => !IsFormed || !IsVoter ? Instant.Never : IsLeader ? _nextRoundAt : _electionDeadline;

    /// <summary>The newest instant at which this machine knows to have been part of a working majority: a leader by the beginning of its last
    /// confirmed round, a follower by its leader's last word. What it has applied is no older than that, give or take a commit under way.</summary>
    public Instant KnowsAsOf => Instant.Max(_confirmedRoundBeganAt, _leaderHeardAt);

    /// <summary>Its disk does not answer: it stands for no election, because it could not keep its own vote.</summary>
    public bool HoldsBack { get; set; }

    public bool IsConnected(MachineId machine) => _connected.Contains(machine);

    public IReadOnlyCollection<MachineId> Connected => _connected;

    /// <summary>Entry 1 makes this machine part of a formed cluster. The coordinator stands for election at once.</summary>
    public void Form(LogEntry entry, bool asCoordinator, Instant now)
    {
        if (IsFormed || entry.Index != 1)
        {
            throw new UnreachableException("A cluster is formed once, by entry 1.");
        }

        AppendToLog(entry);
        CommitIndex = 1;
        SaveHardState(new HardState(Max(Term, entry.Term), null));
        ReadMembers();
        ResetElectionDeadline(now);
        if (asCoordinator)
        {
            _electionDeadline = now;
        }
    }

    public void PeerConnected(MachineId machine, Instant now)
    {
        _connected.Add(machine);
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
        }

        if (!IsLeader && machine == Leader)
        {
            LeaderLost(now);
        }
    }

    /// <summary>True when the message is from a voter of this cluster, speaking with the store that the cluster knows.</summary>
    public bool IsFromMember(MachineId from, PeerMessage message) =>
        IsFormed && message.Cluster == Cluster && Members.TryGetValue(from, out var member) && member.Store == message.Sender;

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
            case PeerBody.TakeOver takeOver: OnTakeOver(takeOver, now); break;
            default: throw new UnreachableException($"{body.GetType().Name} is not for Raft.");
        }
    }

    /// <summary>Whatever time alone makes due.</summary>
    public void Tick(Instant now)
    {
        if (!IsFormed || !IsVoter)
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
        else if (now >= _electionDeadline && HoldsBack)
        {
            ResetElectionDeadline(now);
        }
        else if (now >= _electionDeadline)
        {
            StartPreVote(now);
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
    }

    private void SaveHardState(HardState hardState)
    {
        HardState = hardState;
        _disk.Save(_bug == PlantedBug.VoteNotPersisted ? hardState with { Vote = null } : hardState);
    }

    private void ReadMembers()
    {
        var form = (Command.Form)Log[1].Command;
        Cluster = form.Cluster;
        Members = form.Members.ToImmutableSortedDictionary(member => member.Machine, member => member);
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

    /// <summary>Sends, once term and vote are durable; a machine that is not connected is told nothing.</summary>
    public void Send(MachineId to, PeerBody body)
    {
        if (_connected.Contains(to))
        {
            _disk.SendAfterTerm(to, new PeerMessage(Cluster, _store, body));
        }
    }

    private void Note(Severity severity, string kind, string sentence) => _outputs.Add(new Output.Noted(severity, kind, sentence));

    private static Term Max(Term left, Term right) => left > right ? left : right;
}
