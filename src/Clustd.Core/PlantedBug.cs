namespace Clustd.Core;

/// <summary>
/// Rules that the simulator can switch off, one at a time, to prove that it would notice. Internal, and set by tests only: each is read
/// at the one place that keeps its rule.
/// </summary>
internal enum PlantedBug
{
    None,

    /// <summary>Rule 9: vote answers carry no ages, so a new leader believes every session long silent.</summary>
    AgesLeftOut,

    /// <summary>Rule 4: a stamp is echoed as soon as it arrives, without a quorum round that began after it.</summary>
    EchoWithoutRound,

    /// <summary>Rule 11: a vacated service is assigned anew at once.</summary>
    NoKillWait,

    /// <summary>k = 1: waits are not stretched by what two clocks may differ.</summary>
    NoStretch,

    /// <summary>Section 6.4: a leader answers a read without asking a majority whether it still leads.</summary>
    BarrierWithoutRound,

    /// <summary>The feature level rises as soon as a majority can do it.</summary>
    LevelByMajority,

    /// <summary>A leader whose disk does not answer keeps leading.</summary>
    StalledLeaderStays,

    /// <summary>Local services: a deadline that is over makes nobody look at its service.</summary>
    DeadlineOverlooked,

    /// <summary>Local services: a driver's answer makes nobody look at its service.</summary>
    AnswerOverlooked,

    /// <summary>Raft: the vote is forgotten in a crash.</summary>
    VoteNotPersisted,

    /// <summary>Rule 16: a second restart grace takes the place of the first, also when it is shorter.</summary>
    GraceReplaced,

    /// <summary>Rule 16: the end of one grace ends all, so a late one ends the next restart's.</summary>
    GraceEndedWithoutId,

    /// <summary>Rule 16: a daemon that is back ends the grace at once, while its drivers still count on it.</summary>
    GraceEndedAtOnce,

    /// <summary>Rule 16: the holder counts its grace from when it was applied, not from when it asked.</summary>
    GraceFromApplied,

    /// <summary>Rule 10: a new leader knows nothing of the graces that were granted before its term.</summary>
    GraceOfFormerLeader,

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
}
