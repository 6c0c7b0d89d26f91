using System.Collections.Immutable;

namespace Clustd.Simulation;

/// <summary>One way in which things go wrong, or in which an operator wants something. The name is what counts, tables and command lines use.</summary>
internal sealed record FaultPattern(string Name, string Description);

/// <summary>All that can be injected, with one line each: the table of docs/testing.md (`--fault-table`; a test holds them against each other).</summary>
internal static class FaultPatterns
{
    public static readonly ImmutableArray<FaultPattern> All =
    [
        new("all drivers die", "the driver processes of a machine die together; its daemon stays without them"),
        new("clone disk", "a machine is started with a copy of another one's disk, and later with an empty one"),
        new("corrupt row", "a damaged store: the daemon refuses to start until an operator has moved it away"),
        new("crash", "power loss of any machine: nobody is told, what was not synced is lost from some write on, the clock begins anew"),
        new("crash leader", "the same of the leader"),
        new("crash leader and master", "of both at once"),
        new("crash majority", "of a majority at once"),
        new("crash master", "of the master"),
        new("disk stalls", "a disk answers nothing for seconds or for as long as there are faults, alone or just when a takeover must be decided"),
        new("drain", "an operator drains a machine, and ends that later"),
        new("driver dies", "one driver process dies; a guard kills its app and proves it, or the app was the process"),
        new("duplicate connection", "a second connection takes the first one's place; what was in flight is lost"),
        new("flap", "a connection closes without any fault"),
        new("freeze daemon", "a daemon stops and goes on (SIGSTOP), half the time between deciding and doing"),
        new("freeze leader", "the leader's daemon"),
        new("freeze machine", "everything on a machine stops and goes on, its killers included (P3)"),
        new("freeze master", "everything on the master's machine"),
        new("freeze master's daemon", "the master's daemon, not its drivers"),
        new("fsync fails", "a write fails: the daemon ends at once, its successor reads what is there"),
        new("full disk", "the daemon says goodbye and cannot start until there is room"),
        new("goodbye", "an operator stops a daemon in good order; what does not get done with it is killed"),
        new("isolate", "any machine is cut off, silently or with closed sockets"),
        new("isolate leader", "the leader is cut off"),
        new("isolate leader with master", "both are cut off together, able to talk to each other"),
        new("isolate master", "the master is cut off"),
        new("kill daemon", "SIGKILL of a daemon; its drivers live on"),
        new("kill master's daemon", "of the master's"),
        new("lossy network", "1, 5 or 20 % of all messages are lost by the line and sent again; what follows on the connection waits"),
        new("many decisions", "a log that grows: snapshots become due"),
        new("move", "an operator moves a service, with or without a target"),
        new("mute master", "what the master's machine says is lost, what it is told arrives: nothing but k is left of the margin"),
        new("one way", "some connections of a machine work in one direction only"),
        new("partial mesh", "a third of all pairs are cut from each other"),
        new("pause", "an operator pauses all automatic moves, and ends that later"),
        new("remove and add", "an operator takes a machine out of the cluster, and in again"),
        new("restart", "a daemon restarts on purpose with a grace and is back in time"),
        new("restart and crash", "and its machine loses power soon after"),
        new("restart and die as soon as it is back", "and is killed while drivers still count on the grace"),
        new("restart and stay away", "and does not come back within its grace"),
        new("restart leader", "the leader's daemon restarts"),
        new("restart master", "the master's daemon restarts"),
        new("restart on a slow disk and stay away", "decided, applied and asked for are three different moments"),
        new("restart twice", "the second time before all drivers are back, with a shorter grace or a longer one"),
        new("restart twice on a slow disk", "the same where everything is applied late"),
        new("restart while the leader changes", "a grace is inherited by another leader"),
        new("rolling restart", "all machines, one after another"),
        new("rolling upgrade", "a daemon is restarted with a version of another feature level, up or, before the level has risen, down"),
        new("set back disk", "a machine is started with an old backup of its own disk, which lacks what it has acknowledged; then, refused, with an empty one"),
        new("sleep", "a machine is suspended: nothing runs, its network is gone, its clock goes on"),
        new("slow disk", "every write of a machine takes up to half a lease longer"),
        new("slow network", "every message takes up to an eighth of a lease longer"),
        new("snapshot successor", "a machine that missed everything takes over a snapshot that tells of a vacated service, and leads before the wait is over"),
        new("split", "the network falls into two parts"),
        new("stale voter", "voters that have not heard of the master's stamps elect the next leader (rule 9)"),
        new("stalled stream", "what one machine says to another waits behind a lost packet"),
        new("transfer leadership", "an operator hands leadership over"),
        new("wall clock jumps", "by up to 400 days, either way"),
        new("wipe disk", "a machine comes back with an empty disk: another voter"),
    ];

    public static string Table => $"| fault | what happens |\n|---|---|\n{string.Concat(All.Select(pattern => $"| {pattern.Name} | {pattern.Description} |\n"))}";
}
