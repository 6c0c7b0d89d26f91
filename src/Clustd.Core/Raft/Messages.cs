using System.Collections.Immutable;
using System.Text.Json.Serialization;
using Clustd.Core.Cluster;

namespace Clustd.Core.Raft;

/// <summary>
/// What one machine says to another. Sender names the store that speaks: a voter is (machine, store), so a wiped or
/// cloned disk cannot speak for the one it replaced. Cluster is empty before forming.
/// </summary>
public sealed record PeerMessage(ClusterId Cluster, StoreId Sender, PeerBody Body);

/// <summary>Age of the newest stamp received for a session when the message was made, rounded down to µs (rule 9).</summary>
[method: JsonConstructor] // Without it what is missing in a struct is read as nothing at all.
public readonly record struct SessionAge(SessionId Session, long AgeMicroseconds);

/// <summary>
/// A holder's own clock when it answered. Echoed only after a quorum round that began after it was received (rule 4).
/// Incarnation is random per daemon start, so that an echo to a former incarnation, or from before a reboot, is ignored (rule 3).
/// Session is the one in the sender's applied state: none asks for one.
/// </summary>
[method: JsonConstructor] // Without it what is missing in a struct is read as nothing at all.
public readonly record struct Stamp(SessionId Session, ulong Incarnation, Instant At);

/// <summary>The closed set of what machines say to each other.</summary>
[JsonPolymorphic(TypeDiscriminatorPropertyName = "type")]
[JsonDerivedType(typeof(Hello), "hello")]
[JsonDerivedType(typeof(Formed), "formed")]
[JsonDerivedType(typeof(Refusal), "refusal")]
[JsonDerivedType(typeof(PreVote), "pre-vote")]
[JsonDerivedType(typeof(PreVoteAnswer), "pre-vote-answer")]
[JsonDerivedType(typeof(Vote), "vote")]
[JsonDerivedType(typeof(VoteAnswer), "vote-answer")]
[JsonDerivedType(typeof(Append), "append")]
[JsonDerivedType(typeof(AppendAnswer), "append-answer")]
[JsonDerivedType(typeof(SnapshotChunk), "snapshot-chunk")]
[JsonDerivedType(typeof(SnapshotAnswer), "snapshot-answer")]
[JsonDerivedType(typeof(SetBack), "set-back")]
[JsonDerivedType(typeof(Echo), "echo")]
[JsonDerivedType(typeof(TakeOver), "take-over")]
[JsonDerivedType(typeof(Relay), "relay")]
[JsonDerivedType(typeof(Relayed), "relayed")]
[JsonDerivedType(typeof(Propose), "propose")]
[JsonDerivedType(typeof(Ask), "ask")]
[JsonDerivedType(typeof(AskAnswer), "ask-answer")]
[JsonDerivedType(typeof(AskBarrier), "ask-barrier")]
[JsonDerivedType(typeof(BarrierAnswer), "barrier-answer")]
public abstract record PeerBody
{
    private PeerBody()
    {
    }

    /// <summary>
    /// First words on a new connection, and again while forming. Addresses are the sender's whole configured list, own one included, sorted.
    /// Ready: the sender has itself met everybody on its list, all new, with the same list. FeatureLevel: what its binary can do; ClusterLevel: what its cluster works with.
    /// Both are 1 in the words of the first version, which knew of none.
    /// </summary>
    public sealed record Hello(
        string Address, ImmutableArray<string> Addresses, TimeSpan Lease, bool Witness, ulong Incarnation, bool IsFormed, bool IsReady, int FeatureLevel = 1, int ClusterLevel = 1) : PeerBody;

    /// <summary>The coordinator has formed the cluster: this is entry 1 of everybody's log.</summary>
    public sealed record Formed(LogEntry Entry) : PeerBody;

    /// <summary>The connection is of no use, in three parts, said before it is closed.</summary>
    public sealed record Refusal(string Reason) : PeerBody;

    /// <summary>Would you vote for me in this term? Changes nothing at either side (Ongaro, section 9.6).</summary>
    public sealed record PreVote(Term Term, LogPosition Last) : PeerBody;

    public sealed record PreVoteAnswer(Term Term, bool Granted) : PeerBody;

    /// <summary>Transfer: the leader itself told the candidate to stand, so stickiness does not apply (Ongaro, section 4.2.3).</summary>
    public sealed record Vote(Term Term, LogPosition Last, bool Transfer) : PeerBody;

    /// <summary>Ages say, per session, how long ago the voter knows a stamp to have been received, for the candidate's waits (rule 9).</summary>
    public sealed record VoteAnswer(Term Term, bool Granted, ImmutableArray<SessionAge> Ages) : PeerBody;

    /// <summary>
    /// Replication and heartbeat in one (Ongaro, section 3.5). Round numbers the leader's rounds in this term; KnownReport is the
    /// newest version of the follower's report that the leader has.
    /// </summary>
    public sealed record Append(
        Term Term, LogPosition Previous, ImmutableArray<LogEntry> Entries, long Commit, long Round, ImmutableArray<SessionAge> Ages, long KnownReport) : PeerBody;

    /// <summary>
    /// Success: the follower's log holds, durably, all up to MatchIndex. Else ConflictTerm and ConflictIndex hint where to go on.
    /// Report is there when the leader's KnownReport was not the present version.
    /// </summary>
    public sealed record AppendAnswer(
        Term Term, bool Success, long MatchIndex, Term ConflictTerm, long ConflictIndex, long Round, Stamp Stamp, MachineReport? Report) : PeerBody;

    /// <summary>
    /// A piece of the leader's snapshot, for a follower whose next entry the leader's log does not hold any more (Ongaro, section 5). One is under way at a
    /// time, each small, and heartbeats go on beside them. Offset and Length are in bytes of UTF-8 JSON; Checksum is <see cref="SnapshotBytes.Checksum"/> of all of them.
    /// </summary>
    public sealed record SnapshotChunk(Term Term, LogPosition Position, long Offset, long Length, long Checksum, byte[] Data) : PeerBody;

    /// <summary>So many bytes of that snapshot are here; go on behind them.</summary>
    public sealed record SnapshotAnswer(Term Term, LogPosition Position, long Received) : PeerBody;

    /// <summary>
    /// The leader to a follower: you acknowledged all up to here in this term, and your log is shorter. Your disk was set back, so it may have forgotten
    /// votes, too. Whoever finds that this is so takes no further part. Term zero in Acknowledged: the index alone counts.
    /// </summary>
    public sealed record SetBack(Term Term, LogPosition Acknowledged) : PeerBody;

    /// <summary>
    /// A confirmed stamp comes home: the session holds until At + Lease on the clock that made it, once the holder has applied the log up to Index. That is
    /// where the leader's log ended when it first heard this incarnation: what a former one asked for stands at or before it.
    /// </summary>
    public sealed record Echo(Term Term, SessionId Session, ulong Incarnation, Instant At, TimeSpan Lease, long Index) : PeerBody;

    /// <summary>Stand for election at once: leadership transfer to a named peer (Ongaro, section 3.10).</summary>
    public sealed record TakeOver(Term Term) : PeerBody;

    /// <summary>To be passed on to a machine that the sender may not reach directly (<see cref="Relays"/>). One hop, never two.</summary>
    public sealed record Relay(MachineId To, PeerMessage Message) : PeerBody;

    /// <summary>Passed on: what From gave to the sender of this for the receiver.</summary>
    public sealed record Relayed(MachineId From, PeerMessage Message) : PeerBody;

    /// <summary>A follower wants this in the log. Not answered: whoever wants it says so again until the applied state shows it.</summary>
    /// <param name="More">Others beside it, or none: what many services want at once travels in one message.</param>
    public sealed record Propose(Command Command, ulong Incarnation, ImmutableArray<Command>? More = null) : PeerBody;

    /// <summary>A user's request, passed on to the leader.</summary>
    public sealed record Ask(string Id, Request Request) : PeerBody;

    public sealed record AskAnswer(string Id, RequestOutcome Outcome) : PeerBody;

    /// <summary>A reader waits: up to which index must the asker have applied to have seen all that was decided until now?</summary>
    public sealed record AskBarrier(string Id) : PeerBody;

    /// <summary>Confirmed by a round that began after the question. Index null: it is not, and Sentence says why.</summary>
    public sealed record BarrierAnswer(string Id, long? Index, string Sentence) : PeerBody;
}

/// <summary>What an operator may ask of the cluster. The leader decides and answers when the decision is applied.</summary>
[JsonPolymorphic(TypeDiscriminatorPropertyName = "type")]
[JsonDerivedType(typeof(Move), "move")]
[JsonDerivedType(typeof(TransferLeadership), "transfer-leadership")]
[JsonDerivedType(typeof(Drain), "drain")]
[JsonDerivedType(typeof(Pause), "pause")]
[JsonDerivedType(typeof(AddMachine), "add-machine")]
[JsonDerivedType(typeof(RemoveMachine), "remove-machine")]
[JsonDerivedType(typeof(ConfirmOff), "confirm-off")]
public abstract record Request
{
    private Request()
    {
    }

    /// <summary>Switch a service over, to Target or wherever placement says.</summary>
    public sealed record Move(ServiceName Service, MachineId? Target) : Request;

    public sealed record TransferLeadership(MachineId? Target) : Request;

    public sealed record Drain(MachineId Machine, bool Drained) : Request;

    public sealed record Pause(bool Paused) : Request;

    /// <summary>Take in a machine that is connected and waits for it: as a learner first, as a voter once it has caught up.</summary>
    public sealed record AddMachine(MachineId Machine) : Request;

    /// <summary>Take out a machine that holds no session, for good.</summary>
    public sealed record RemoveMachine(MachineId Machine) : Request;

    /// <summary>The operator knows that this machine is off: services that wait until it is fenced may start.</summary>
    public sealed record ConfirmOff(MachineId Machine) : Request;
}

/// <summary>Done: accepted and in the log. Sentence: what was decided, or what happened, why and what to do.</summary>
public sealed record RequestOutcome(bool Done, string Sentence);

/// <summary>What a machine can do for one service. Listed: its own file has a driver for it. Missing: names not registered yet.</summary>
public sealed record ServiceReadiness(ServiceName Service, bool HasDriver, bool Ready, string Missing);

/// <summary>
/// What the leader's placement must know of a machine. Version grows with every change and starts anew with each incarnation
/// (its high bits are random), so equal versions mean equal contents. Proposal: the services its file names, or null for none. FeatureLevel: what its binary
/// can do. Stalled: why it should be given nothing new to run, as the rest of a sentence that begins with its name, or null.
/// </summary>
/// <param name="Services">Sorted by name.</param>
public sealed record MachineReport(
    long Version, bool Leaving, ImmutableArray<ServiceReadiness> Services, ImmutableArray<ServiceDefinition>? Proposal, int FeatureLevel = 1, string? Stalled = null)
{
    /// <summary>All here has stopped and been released, and the machine wants to go without taking its vote with it (<see cref="Leading.Membership"/>).</summary>
    public bool WantsNoVote { get; init; }

    /// <summary>What it can do for this service; null when it says nothing of it.</summary>
    public ServiceReadiness? Of(ServiceName service)
    {
        var (low, high) = (0, Services.Length - 1);
        while (low <= high)
        {
            var middle = (low + high) / 2;
            var order = Services[middle].Service.CompareTo(service);
            if (order == 0)
            {
                return Services[middle];
            }

            (low, high) = order < 0 ? (middle + 1, high) : (low, middle - 1);
        }

        return null;
    }
}
