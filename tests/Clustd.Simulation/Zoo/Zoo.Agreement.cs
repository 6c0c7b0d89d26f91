using System.Collections.Immutable;
using Clustd.Core;

namespace Clustd.Simulation;

internal static partial class Zoo
{
    /// <summary>Consensus, members, snapshots, versions.</summary>
    private static ImmutableArray<ZooBug> Agreement =>
    [
        new(PlantedBug.VoteNotPersisted, "Raft", "the vote is not on disk before it is given", Invariant.DurableBeforeSent, 20),
        new(PlantedBug.AcknowledgedBeforeFsync, "Raft", "entries are acknowledged before fsync", Invariant.DurableBeforeSent, 20),
        new(PlantedBug.FormerTermCommitted, "Raft", "an entry of a former term is committed by counting copies", Invariant.CommitsOwnTerm, 20),
        new(PlantedBug.BarrierWithoutRound, "Reading", "a read is confirmed without a round", Invariant.ReadsAreLinearizable, 200),
        new(PlantedBug.ChangeBeforeNoOp, "Members", "a membership change before the leader's no-op", Invariant.MembershipStepwise, 200),
        new(PlantedBug.TwoChangesAtOnce, "Members", "a membership change while another is on its way", Invariant.MembershipStepwise, 200),
        new(PlantedBug.MajorityOfOldMembership, "Members", "rounds and commits count by the old list", Invariant.CommittedIsDurable, 200),
        new(PlantedBug.WipedKeepsVote, "Members", "a wiped disk votes at once", Invariant.MembershipStepwise, 200),
        new(PlantedBug.SessionOfAnotherStore, "Members", "a wiped machine takes its session up again", Invariant.NoReleaseWhileRunning, 100)
        {
            World = scenario => ZooWorld.Leased(ZooWorld.Only(scenario, 6, "wipe the master's disk"), TimeSpan.FromMilliseconds(200)), Machines = 3, In = "masters' disks are wiped while their drivers run on",
        },
        new(PlantedBug.GoodbyeKeepsVote, "Members", "of two voters, the one that leaves keeps its vote", Invariant.TwoVotersPart, 200),
        new(PlantedBug.AppliedBeforeFsync, "Snapshots", "entries are applied before they are on the own disk", Invariant.DurableBeforeApplied, 20),
        new(PlantedBug.SnapshotNotDurable, "Snapshots", "a snapshot is taken over before it is on the own disk", Invariant.DurableBeforeApplied, 200),
        new(PlantedBug.SnapshotCountsFromStart, "Snapshots, 11", "what a snapshot tells of counts as applied long ago", Invariant.OneMaster, 200)
        {
            IsQuick = false,
            Machines = 5, World = scenario => ZooWorld.Killing(ZooWorld.Only(scenario, 6, "snapshot successor"), 1) with { SnapshotEvery = 10 }, In = "a machine that missed everything is to lead",
        },
        new(PlantedBug.LevelByMajority, "Versions", "the feature level rises when a majority can do it", Invariant.NothingTooNew, 200),
        new(PlantedBug.FencingSkipped, "Fencing", "nobody waits until a lost master is fenced", Invariant.FencedFirst, 20)
        {
            World = scenario => ZooWorld.Only(scenario, 6, "isolate master", "crash master", "mute master").WithFencing(0.1), In = "services require fencing, masters are lost",
        },
        new(PlantedBug.StalledLeaderStays, "Stalls", "a leader whose disk does not answer keeps leading", Invariant.MajorityHasMaster, 200),
    ];
}
