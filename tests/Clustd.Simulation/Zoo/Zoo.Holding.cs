using System.Collections.Immutable;
using Clustd.Core;

namespace Clustd.Simulation;

internal static partial class Zoo
{
    /// <summary>Rules 12 to 17, and what "stopped" means.</summary>
    private static ImmutableArray<ZooBug> Holding =>
    [
        new(PlantedBug.KillTimeoutOfDefinition, "12 †", "the wait takes the kill_timeout defined now, not the one granted", Invariant.OneMaster, 100)
        {
            World = scenario => ZooWorld.Tight(ZooWorld.Killing(ZooWorld.Only(scenario, 10, "shorter kill_timeout"), 1)), In = "kill_timeout is shortened, the master does not hear",
        },
        new(PlantedBug.NoGuard, "13", "no guard is taken off the lease", Invariant.OneMaster, 100)
        {
            World = scenario => ZooWorld.Tight(ZooWorld.Only(scenario, 3, MasterIsCutOff)), In = "masters are cut off, killers as late as they may be",
        },
        new(PlantedBug.ReleasedOverNoDrivers, "14 †", "after a start, no driver heard of counts as all stopped", Invariant.NoReleaseWhileRunning, 100)
        {
            World = scenario => ZooWorld.Leased(ZooWorld.Only(scenario, 4, "daemon dies in a move"), TimeSpan.FromMilliseconds(200)), In = "masters' daemons die in moves",
        },
        new(PlantedBug.ReleasedAtStart, "11, 14 †", "a daemon that has just started releases what was vacated here", Invariant.NoReleaseWhileRunning, 100)
        {
            World = scenario => ZooWorld.Killing(ZooWorld.Only(scenario, 8, "daemon back at the end"), 1), In = "daemons come back when their session has just ended",
        },
        new(PlantedBug.LostConnectionIsStop, "15", "a lost driver connection counts as a stop", Invariant.NoReleaseWhileRunning, 100)
        {
            World = scenario => ZooWorld.Only(scenario, 4, "driver's connection breaks"), In = "drivers and daemons lose each other",
        },
        new(PlantedBug.GraceReplaced, "16 †", "a second grace replaces a longer first one", Invariant.OneMaster, 200),
        new(PlantedBug.GraceEndedWithoutId, "16 †", "the end of one grace ends all", Invariant.OneMaster, 200)
        {
            World = scenario => ZooWorld.Restarting(ZooWorld.Only(scenario, 6, "isolate master"), ["restart twice", "restart twice on a slow disk"], 2, 6), In = "daemons restart twice in a row",
        },
        new(PlantedBug.GraceEndedAtOnce, "16 †", "a daemon that is back ends its grace at once", Invariant.OneMaster, 200),
        new(PlantedBug.GraceFromApplied, "16", "the holder counts its grace from when it was applied", Invariant.OneMaster, 200),
        new(PlantedBug.LateGraceTaken, "16", "a grace is used although the lease had lapsed", null, 40)
        {
            Why = "a leader with the grace in its log ends no session of it before it is applied, and one without puts the end first, which makes the grace void",
            IsQuick = false,
            World = scenario => ZooWorld.Restarting(ZooWorld.Only(scenario, 4, "isolate master"), ["restart on a slow disk and stay away"], 3, 8), In = "daemons restart on slow disks, and are cut off",
        },
        new(PlantedBug.FormsWithMajority, "17", "a majority forms a cluster", Invariant.LogMatching, 100)
        {
            Machines = 3, World = scenario => ZooWorld.Only(scenario, 4, "second forming"), In = "a disk is wiped, and another machine was away when the cluster formed",
        },
        new(PlantedBug.EpochNotRaised, "17", "a new cluster's tokens begin where the last one's did", Invariant.TokensGrow, 100)
        {
            World = scenario => ZooWorld.For(ZooWorld.Only(scenario, 12, "begin anew", "move"), 60), In = "the cluster is thrown away and formed anew",
        },
        new(PlantedBug.TokensForgotten, "17", "a service that is removed takes its last token along", Invariant.TokensGrow, 100)
        {
            World = scenario => ZooWorld.For(ZooWorld.Only(scenario, 6, "service removed and added", "move"), 60), In = "a service is removed and added again",
        },
        new(PlantedBug.ReleasedWhenTold, "stopping", "released when drivers were told to stop, not when they had", Invariant.NoReleaseWhileRunning, 100),
        new(PlantedBug.SecondInstanceLetIn, "drivers", "a second instance of a driver is let in", Invariant.OneInstance, 100)
        {
            World = scenario => ZooWorld.Only(scenario, 4, "driver's connection breaks", "driver dies") with { HasDoubles = true }, In = "every driver is started twice",
        },
        new(PlantedBug.StartAfterItsStop, "drivers", "a start is delivered after its stop", Invariant.OneCallAtATime, 100) { World = scenario => ZooWorld.Only(scenario, 1, "move", "drain", "isolate master"), In = "moves, drains and cuts" },
        new(PlantedBug.DeadlineOverlooked, "local services", "a deadline makes nobody look", Invariant.NoCrash, 50),
        new(PlantedBug.AnswerOverlooked, "local services", "a driver's answer makes nobody look", Invariant.NoCrash, 50),
    ];
}
