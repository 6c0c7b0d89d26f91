namespace Clustd.Core;

/// <summary>
/// Rules that the simulator can break, one at a time, to prove that it would notice: the zoo (docs/zoo.md). Internal, set by tests only, and each is read at the
/// one place that keeps its rule, through <see cref="PlantedBugs.Is"/>. Those of the simulator's own parts (a clock, a loop) stand for the daemon's.
/// </summary>
internal enum PlantedBug
{
    None,

    /// <summary>Rule 1: the clock is slewed by far more than 1 % (in the simulated clock).</summary>
    ClockSlewed,

    /// <summary>Rule 1: the clock does not count sleep (in the simulated clock).</summary>
    ClockStopsInSleep,

    /// <summary>Rule 2: the clock is read before an input is waited for, not after it was dequeued (in the simulated loop).</summary>
    NowBeforeDequeue,

    /// <summary>Rule 3: all daemons of a machine count as one incarnation, so neither holder nor leader tells a former one's stamps from the present one's.</summary>
    IncarnationLeftOut,

    /// <summary>Rule 4: a stamp is echoed as soon as it arrives, without a quorum round that began after it.</summary>
    EchoWithoutRound,

    /// <summary>Rule 4: a round that has begun already confirms a stamp.</summary>
    StampOfPresentRound,

    /// <summary>Rule 4: echoes wait for the next tick.</summary>
    EchoAtTick,

    /// <summary>Rule 4: a new leader's round begins at its next tick, not when its no-op is applied.</summary>
    FirstRoundAtTick,

    /// <summary>Rule 5: a leader does not remember, as a voter, what it acknowledged to itself.</summary>
    OwnRoundForgotten,

    /// <summary>Rule 5: learners do not remember ages.</summary>
    LearnersForget,

    /// <summary>Rule 6: a leader decides before its own no-op is applied.</summary>
    DecidesBeforeNoOp,

    /// <summary>Rule 7: stamps of a session are accepted and confirmed although its end is in the log.</summary>
    StampsAfterEnd,

    /// <summary>Rule 7: a session may get the id of an earlier one of its machine.</summary>
    SessionIdsReused,

    /// <summary>Rule 8: a leader that was stalled counts its own stall as the others' silence.</summary>
    StalledLeaderBlames,

    /// <summary>Rule 9: vote answers carry no ages, so a new leader believes every session long silent.</summary>
    AgesLeftOut,

    /// <summary>Rule 9: a new leader looks at one voter's ages only, not at the latest of all.</summary>
    OneVoterCounts,

    /// <summary>Rule 9: vote answers carry the ages of when the pre-vote was answered.</summary>
    PreVoteAges,

    /// <summary>Rule 9: voters remember when they last heard their leader, not each session's newest stamp.</summary>
    ListMissing,

    /// <summary>Rule 9: while a membership entry is on its way, rounds list no ages.</summary>
    ListIncomplete,

    /// <summary>Rule 9: a leader that is elected again goes on with the stamps of its earlier terms.</summary>
    EarlierTermsRemembered,

    /// <summary>Rule 10: a restart grace does not keep the session.</summary>
    GraceNotWaitedFor,

    /// <summary>Rule 10: a new leader knows nothing of the graces that were granted before its term.</summary>
    GraceOfFormerLeader,

    /// <summary>Rule 10: a grace that is in the leader's log and not applied there does not keep it from ending the session.</summary>
    GraceUnderWayIgnored,

    /// <summary>Rules 10 and 11: k = 1: waits are not stretched by what two clocks may differ.</summary>
    NoStretch,

    /// <summary>Rule 11: a vacated service is assigned anew at once.</summary>
    NoKillWait,

    /// <summary>Rule 11: what a former leader decided counts as applied long ago.</summary>
    WaitOfFormerLeader,

    /// <summary>Rule 11: a Release ends whatever grant or wait there is, whatever its token: neither the leader nor the state machine compares it.</summary>
    ReleaseOfAnyToken,

    /// <summary>Rule 12: the wait for a former master takes the kill_timeout that is defined now, not the one granted.</summary>
    KillTimeoutOfDefinition,

    /// <summary>Rule 13: no guard is taken off the lease.</summary>
    NoGuard,

    /// <summary>Rule 14: after a start, no driver that owes a stop is taken for proof that nothing runs.</summary>
    ReleasedOverNoDrivers,

    /// <summary>Rules 11 and 14: a daemon that has just started releases at once what was vacated here.</summary>
    ReleasedAtStart,

    /// <summary>Rule 15: a driver whose connection was lost counts as stopped.</summary>
    LostConnectionIsStop,

    /// <summary>Rule 16: a second restart grace takes the place of the first, also when it is shorter.</summary>
    GraceReplaced,

    /// <summary>Rule 16: the end of one grace ends all, so a late one ends the next restart's.</summary>
    GraceEndedWithoutId,

    /// <summary>Rule 16: a daemon that is back ends the grace at once, while its drivers still count on it.</summary>
    GraceEndedAtOnce,

    /// <summary>Rule 16: the holder counts its grace from when it was applied, not from when it asked.</summary>
    GraceFromApplied,

    /// <summary>Rule 16: a grace is used although the ordinary lease had lapsed before it was applied.</summary>
    LateGraceTaken,

    /// <summary>Rule 17: a majority of the configured machines forms a cluster.</summary>
    FormsWithMajority,

    /// <summary>Rule 17: a new cluster's tokens begin where the former one's did.</summary>
    EpochNotRaised,

    /// <summary>Rule 17: the last token of a service is forgotten when the service is removed.</summary>
    TokensForgotten,

    /// <summary>Stopping: a service is released as soon as its drivers were told to stop.</summary>
    ReleasedWhenTold,

    /// <summary>Drivers: a second instance of a name is let in while the first may still run.</summary>
    SecondInstanceLetIn,

    /// <summary>Drivers: a stop does not wait for the answer to the start under way, so the start may be delivered after it.</summary>
    StartAfterItsStop,

    /// <summary>Raft: the vote is forgotten in a crash.</summary>
    VoteNotPersisted,

    /// <summary>Raft: entries are acknowledged before they are durable.</summary>
    AcknowledgedBeforeFsync,

    /// <summary>Decision 0004: entries are applied before they are on this machine's own disk.</summary>
    AppliedBeforeFsync,

    /// <summary>Section 3.6.2: a leader commits an entry of a former term by counting its copies.</summary>
    FormerTermCommitted,

    /// <summary>Section 6.4: a leader answers a read without asking a majority whether it still leads.</summary>
    BarrierWithoutRound,

    /// <summary>Membership: a machine with a wiped disk takes up the session of the store that it had.</summary>
    SessionOfAnotherStore,

    /// <summary>Membership: a change is appended before an entry of the leader's own term is committed.</summary>
    ChangeBeforeNoOp,

    /// <summary>Membership: a change is appended while another one is on its way.</summary>
    TwoChangesAtOnce,

    /// <summary>Membership: rounds and commits count by the voters before the change that is on its way.</summary>
    MajorityOfOldMembership,

    /// <summary>Membership: a machine with a wiped disk is a voter at once, under its new store.</summary>
    WipedKeepsVote,

    /// <summary>Membership: of two voters, one leaves and takes its vote along.</summary>
    GoodbyeKeepsVote,

    /// <summary>Snapshots: what a snapshot tells of counts as applied since this daemon's start (rule 11).</summary>
    SnapshotCountsFromStart,

    /// <summary>Snapshots: a snapshot of another machine is taken over before it is on this machine's own disk (decision 0004).</summary>
    SnapshotNotDurable,

    /// <summary>Versions: the feature level rises as soon as a majority can do it.</summary>
    LevelByMajority,

    /// <summary>Stalls: a leader whose disk does not answer keeps leading (decision 0008).</summary>
    StalledLeaderStays,

    /// <summary>Fencing: a service starts without waiting until whoever was lost as its master is fenced.</summary>
    FencingSkipped,

    /// <summary>Local services: a deadline that is over makes nobody look at its service.</summary>
    DeadlineOverlooked,

    /// <summary>Local services: a driver's answer makes nobody look at its service.</summary>
    AnswerOverlooked,
}
