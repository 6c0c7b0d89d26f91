using System.Collections.Immutable;
using Clustd.Core;

namespace Clustd.Simulation;

/// <summary>
/// Every rule, broken once (docs/zoo.md). A simulator that has never failed proves nothing: each of these must be caught by name within its number of seeds.
/// To add one: a value of <see cref="PlantedBug"/>, one line at the place that keeps the rule, and an entry here.
/// </summary>
internal static partial class Zoo
{
    public static ImmutableArray<ZooBug> All => [.. Lease, .. Holding, .. Agreement];

    private static readonly string[] MasterIsCutOff = ["mute master", "isolate master", "isolate leader with master", "stale voter", "crash leader and master", "move"];

    private static Scenario TightAndLong(Scenario scenario) =>
        ZooWorld.For(ZooWorld.Tight(ZooWorld.Killing(ZooWorld.Long(ZooWorld.Only(scenario, 3, MasterIsCutOff)), 0.1)), 40);

    /// <summary>Rules 1 to 11: clocks, confirming, taking over.</summary>
    private static ImmutableArray<ZooBug> Lease =>
    [
        new(PlantedBug.ClockSlewed, "1", "clocks run up to 5 % fast or slow", Invariant.OneMaster, 100)
        {
            World = scenario => ZooWorld.Tight(ZooWorld.Only(scenario, 3, MasterIsCutOff)), In = "masters are cut off, clocks at their limits",
        },
        new(PlantedBug.ClockStopsInSleep, "1", "a machine's clock does not count its sleep", Invariant.OneMaster, 100)
        {
            World = scenario => ZooWorld.Only(scenario, 6, "freeze master"), In = "masters' machines sleep",
        },
        new(PlantedBug.NowBeforeDequeue, "2", "the clock is read before an input is waited for", Invariant.OneMaster, 100)
        {
            World = TightAndLong, In = "long leases, all limits used up, masters cut off",
        },
        new(PlantedBug.IncarnationLeftOut, "3 †", "stamps of a former daemon count as the present one's", Invariant.OneMaster, 100)
        {
            World = scenario => ZooWorld.Failing(ZooWorld.Killing(ZooWorld.Long(ZooWorld.Only(scenario, 6, "daemon dies over its release")), 0.05)), In = "daemons die before they have applied their own release",
        },
        new(PlantedBug.EchoWithoutRound, "4", "a stamp is echoed as soon as it arrives", Invariant.OneMaster, 100),
        new(PlantedBug.StampOfPresentRound, "4", "a round that has begun already confirms a stamp", Invariant.OneMaster, 100)
        {
            World = TightAndLong, In = "long leases, all limits used up, masters cut off",
        },
        new(PlantedBug.EchoAtTick, "4", "echoes wait for the next heartbeat", Invariant.LeaderChangeIsFree, 100)
        {
            Machines = 3, World = JustFastEnough, In = "delays that leave P5 no time to lose; leaders die",
        },
        new(PlantedBug.FirstRoundAtTick, "4", "a new leader's first round waits for the next heartbeat", Invariant.LeaderChangeIsFree, 200)
        {
            IsQuick = false, // It costs a heartbeat of one election at most, and P5's inequality is rarely used up to that.
            Machines = 3, World = JustFastEnough, In = "delays that leave P5 no time to lose; leaders die",
        },
        new(PlantedBug.OwnRoundForgotten, "5 †", "a leader does not remember its own acknowledgements", Invariant.OneMaster, 100)
        {
            Machines = 3, World = scenario => ZooWorld.Killing(ZooWorld.Only(scenario, 8, "only the leader knows"), 0.05), In = "of a quorum only the leader is left to vote",
        },
        new(PlantedBug.LearnersForget, "5 †", "learners do not remember ages", Invariant.OneMaster, 100)
        {
            IsQuick = false,
            Machines = 5,
            World = scenario => ZooWorld.Tight(ZooWorld.For(ZooWorld.Killing(ZooWorld.Long(ZooWorld.Only(scenario, 12, "voter before it knows")), 0.05), 80)) with { NetworkDelayMin = 2_000, NetworkDelayMax = 4_000 },
            In = "a voter that does not know it yet is all that knows the master's last stamps",
        },
        new(PlantedBug.DecidesBeforeNoOp, "6 †", "a leader decides before its own no-op is applied", Invariant.ReadsAreLinearizable, 100)
        {
            World = scenario => ZooWorld.Only(scenario, 8, "leader lost with its commit") with { Extras = new Extras(true, false, default) },
            In = "clients read, and leaders are lost with their commit",
        },
        new(PlantedBug.StampsAfterEnd, "7 †", "stamps are confirmed although the session's end is in the log", Invariant.OneMaster, 100)
        {
            World = scenario => ZooWorld.Killing(ZooWorld.Only(scenario, 10, "back too late"), 0.05), In = "masters come back when their end is in the log",
        },
        new(PlantedBug.SessionIdsReused, "7 †", "a machine's next session has the id of its last", Invariant.MajorityHasMaster, 20)
        {
            Why = "the new session counts as opened when the former one was, and ends before its first stamp",
        },
        new(PlantedBug.StalledLeaderBlames, "8", "a stalled leader counts its stall as others' silence", Invariant.StallBlamesNobody, 100)
        {
            Machines = 2, World = scenario => ZooWorld.For(ZooWorld.Only(scenario, 14, "leader stalls"), 90), In = "leaders of two machines stall",
        },
        new(PlantedBug.AgesLeftOut, "9 †", "votes carry no ages", Invariant.OneMaster, 100),
        new(PlantedBug.OneVoterCounts, "9 †", "one voter's ages count, not the latest of all", Invariant.OneMaster, 100)
        {
            World = scenario => ZooWorld.Only(scenario, 6, "stale voter", "isolate leader with master"), In = "some voters hear nothing before leader and master are cut off",
        },
        new(PlantedBug.PreVoteAges, "9", "votes carry the ages of the pre-vote", Invariant.OneMaster, 100)
        {
            Machines = 3, World = scenario => ZooWorld.Killing(ZooWorld.Long(ZooWorld.Only(scenario, 8, "slow candidate")), 0.05), In = "candidates with slow disks",
        },
        new(PlantedBug.ListMissing, "9 †", "voters remember the leader's last word instead of each session's stamp", Invariant.OneHump, 100)
        {
            Machines = 5, World = scenario => ZooWorld.For(ZooWorld.Killing(ZooWorld.Only(scenario, 14, "leaders come and go"), 0.05), 90), In = "a lost master, and leadership goes from hand to hand",
        },
        new(PlantedBug.ListIncomplete, "9 †", "rounds list no ages while a membership entry is on its way", null, 60)
        {
            IsQuick = false,
            Why = "two masters (seed 19) before detours by a third machine came, nothing since; that nothing can is not proven",
            Machines = 5, World = NewVoter, In = "a new voter is all that knows the master's last stamps",
        },
        new(PlantedBug.EarlierTermsRemembered, "9 †", "a re-elected leader goes on with stamps of its earlier terms", Invariant.MajorityHasMaster, 100)
        {
            World = scenario => ZooWorld.Only(scenario, 12, "transfer leadership") with { JudgesLiveness = true }, In = "leadership goes back and forth",
        },
        new(PlantedBug.GraceNotWaitedFor, "10", "a restart grace does not keep the session", Invariant.OneMaster, 100)
        {
            World = scenario => ZooWorld.Restarting(ZooWorld.Only(scenario, 6), ["restart and stay away"], 3, 8), In = "daemons restart and stay away",
        },
        new(PlantedBug.GraceOfFormerLeader, "10", "a new leader ignores graces granted before its term", Invariant.OneMaster, 100),
        new(PlantedBug.GraceUnderWayIgnored, "10", "a leader ends a session although a grace of it is in its log", Invariant.OneMaster, 100)
        {
            Machines = 5, World = scenario => ZooWorld.For(ZooWorld.Killing(ZooWorld.Only(scenario, 14, "slow leader while the master restarts"), 0.05), 60) with { RestartGraces = [scenario.Lease * 8] },
            In = "masters restart while the leader's disk stalls",
        },
        new(PlantedBug.NoStretch, "10, 11", "waits are not stretched by k", Invariant.OneMaster, 100),
        new(PlantedBug.NoKillWait, "11 †", "a vacated service is assigned at once", Invariant.OneMaster, 100),
        new(PlantedBug.WaitOfFormerLeader, "11 †", "what a former leader ended counts as over", Invariant.OneMaster, 100)
        {
            World = scenario => ZooWorld.Tight(ZooWorld.Killing(ZooWorld.Only(scenario, 8, "leader goes after an end"), 1)), In = "leadership moves when a session has ended",
        },
        new(PlantedBug.ReleaseOfAnyToken, "11 †", "a Release ends any grant, whatever its token", Invariant.OneMaster, 100)
        {
            World = scenario => ZooWorld.Only(scenario, 1, "move", "slow disk", "slow network"), In = "moves on slow disks",
        },
    ];

    private static Scenario NewVoter(Scenario scenario) => ZooWorld.For(ZooWorld.Killing(ZooWorld.Long(ZooWorld.Only(scenario, 12, "new voter and nobody else")), 0.05), 60);

    // 2·heartbeat + 2·delay + electionMax + (2·rtt + 2·fsync) + (2·rtt + fsync + delay) is 927 ms, and (lease − guard)/k is 931: the inequality of P5 holds, and by no heartbeat more.
    private static Scenario JustFastEnough(Scenario scenario) =>
        ZooWorld.For(ZooWorld.Leased(ZooWorld.Only(scenario, 14, "leader dies"), TimeSpan.FromSeconds(1)), 120) with
        {
            NetworkDelayMin = 47_000, NetworkDelayMax = 47_000, NetworkSpikeShare = 0, DiskDelayMin = 20_000, DiskDelayMax = 20_000, DiskSpikeShare = 0, StallMax = 1_000, StallShare = 0.001,
        };
}
