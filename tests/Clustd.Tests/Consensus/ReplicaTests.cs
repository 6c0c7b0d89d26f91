using Clustd.Core;
using Clustd.Core.Cluster;
using Clustd.Core.Raft;
using Shouldly;
using Xunit;

namespace Clustd.Tests.Consensus;

/// <summary>
/// When this machine applied what, by its own clock: every wait of rules 8, 10 and 11 counts from there. An instant that is forgotten, or taken for an earlier one, ends a wait
/// too early, and two masters are the price. Each replica here applies the log of a bench anew, one entry per millisecond.
/// </summary>
public class ReplicaTests
{
    private static readonly ServiceName Web = new("web"), Bot = new("bot");
    private static readonly TimeSpan Second = TimeSpan.FromSeconds(1), Kill = TimeSpan.FromMilliseconds(500);
    private static readonly Instant Started = new(50_000_000);

    [Fact] // Wrong program: what an earlier start applied counts from then, by another boot's clock; or what is not applied yet counts already.
    public void An_entry_counts_from_when_it_was_applied_here_and_others_from_the_start()
    {
        var raft = Bench()[1].Consensus;
        var replica = new Replica(raft, null, Started, snapshotEvery: 1000, PlantedBug.None);
        ApplyAll(replica, upTo: 3);
        foreach (var index in (long[])[1, 2, 3]) replica.AppliedAt(index).ShouldBe(AtOf(index));
        replica.AppliedAt(4).ShouldBe(Started);
        replica.TakeOverSnapshot(Started).ShouldBeFalse("there is none");

        replica.NoOpIndex = 2;
        replica.OpenedAt(new Session(new SessionId(3), new MachineId("cm-1"), StoreId.None, Second)).ShouldBe(AtOf(3));
        replica.OpenedAt(new Session(new SessionId(1), new MachineId("cm-1"), StoreId.None, Second)).ShouldBe(Instant.Origin, "it was opened under another leader");
    }

    // Wrong program: the log is cut, and with it the instant at which a session's end, a failure or a grace was applied; each wait counts from the daemon's start then, and is over.
    [Fact]
    public void What_the_state_still_names_keeps_its_instant_when_the_log_is_cut()
    {
        var bench = Bench(new ServiceDefinition { Name = Bot, Prefer = [new MachineId("cm-1")] }, new ServiceDefinition { Name = Web, Prefer = [new MachineId("cm-1")] });
        var (core, raft, now) = (bench[1], bench[1].Consensus, bench.Now);
        var session = core.State.SessionOf(new MachineId("cm-1"))!.Id;
        var other = core.State.SessionOf(new MachineId("cm-2"))!.Id;
        var token = core.State.LastTokenOf(Web).Value;
        var away = core.State.SessionOf(new MachineId("cm-3"))!.Id;
        bench.Cut(new MachineId("cm-3")); // Or it says that it does not need the grace.
        var grace = raft.Propose(new Command.GrantGrace(away, 7, Second * 15, []), now);
        var failure = raft.Propose(new Command.Release(Web, core.State.Services[Web].Assignment!.Token, "crashed", true), now);
        raft.Propose(new Command.Assign(Web, new MachineId("cm-2"), other, new Token(token + 1), Kill, "tested"), now);
        var vacated = raft.Propose(new Command.EndSession(other, "silent"), now);
        var since = core.State.Services[Bot].Assignment!.SinceIndex;
        for (var round = 0; round < 30; round++) raft.Propose(new Command.SetPause(round % 2 == 0, "tested"), now);
        Decide(bench);

        var replica = new Replica(raft, null, Started, snapshotEvery: 5, PlantedBug.None);
        ApplyAll(replica, upTo: raft.Log.LastIndex, compact: true);

        raft.Log.Base.Index.ShouldBeGreaterThan(vacated + 10);
        foreach (var index in (long[])[session.Value, grace, failure, vacated, since]) replica.AppliedAt(index).ShouldBe(AtOf(index), $"entry {index} is named");
        replica.AppliedAt(vacated + 5).ShouldBe(Started, "a pause needs no instant, and must not cost memory for ever");
        replica.AppliedAt(raft.Log.LastIndex).ShouldBe(AtOf(raft.Log.LastIndex), "it is still in the log");
    }

    [Fact] // Wrong program: counts what it took over from another machine from its own start, long ago.
    public void What_came_with_a_snapshot_counts_from_when_it_was_taken_over()
    {
        var bench = Bench();
        var raft = bench[1].Consensus;
        for (var round = 0; round < 10; round++) raft.Propose(new Command.SetPause(round % 2 == 0, "tested"), bench.Now);
        Decide(bench);
        var saved = new Replica(raft, null, Started, snapshotEvery: 5, PlantedBug.None);
        ApplyAll(saved, upTo: raft.Log.LastIndex, compact: true);
        var cut = raft.Log.Base.Index;
        cut.ShouldBeGreaterThan(3);

        var late = new Replica(raft, null, Started, snapshotEvery: 5, PlantedBug.None);
        late.ApplyNext(Started).ShouldBeNull("the entries are gone");
        late.TakeOverSnapshot(Started + (Second * 9)).ShouldBeTrue();
        late.State.AppliedIndex.ShouldBe(cut);
        foreach (var index in (long[])[1, cut - 1, cut]) late.AppliedAt(index).ShouldBe(Started + (Second * 9));
        late.AppliedAt(cut + 1).ShouldBe(Started);
        late.TakeOverSnapshot(Started + (Second * 10)).ShouldBeFalse("it is taken over already");

        var restarted = new Replica(raft, raft.Snapshot, Started, snapshotEvery: 5, PlantedBug.None);
        (restarted.State.AppliedIndex, restarted.AppliedAt(cut)).ShouldBe((cut, Started));
        restarted.TakeOverSnapshot(Started).ShouldBeFalse("it has it from its own disk");
    }

    // Rule 7. Wrong program: confirms a session whose end is in the log; or ends one while a grace that its holder counts on is in the log and not applied here.
    [Fact]
    public void What_is_in_the_log_and_not_applied_binds_already()
    {
        var bench = Bench();
        var (core, raft) = (bench[1], bench[1].Consensus);
        SessionId ending = core.State.SessionOf(new MachineId("cm-2"))!.Id, graced = core.State.SessionOf(new MachineId("cm-1"))!.Id, plain = core.State.SessionOf(new MachineId("cm-3"))!.Id;
        var replica = new Replica(raft, null, Started, snapshotEvery: 1000, PlantedBug.None);
        ApplyAll(replica, upTo: raft.Log.LastIndex);
        replica.NoOpIndex = 1;
        replica.IsEnding(ending).ShouldBeFalse();
        replica.UnderWay.ShouldBeEmpty();

        Command pause = new Command.SetPause(true, "tested"), end = new Command.EndSession(ending, "silent"), grant = new Command.GrantGrace(graced, 7, Second * 15, []);
        foreach (var command in (Command[])[pause, end, grant]) raft.Propose(command, bench.Now);
        replica.UnderWay.ShouldBe([pause, end, grant]);
        (replica.IsUnderWay(pause), replica.IsUnderWay(grant), replica.IsUnderWay(new Command.SetPause(false, "tested"))).ShouldBe((true, true, false));
        (replica.IsEnding(ending), replica.IsEnding(plain)).ShouldBe((true, false));
        (replica.IsGraceUnderWay(graced), replica.IsGraceUnderWay(ending), replica.IsGraceUnderWay(plain)).ShouldBe((true, false, false));

        Decide(bench);
        ApplyAll(replica, upTo: raft.Log.LastIndex);
        replica.UnderWay.ShouldBeEmpty();
        replica.IsGraceUnderWay(graced).ShouldBeFalse("it is applied");
        replica.IsEnding(ending).ShouldBeTrue("ids do not come again");
        replica.NoOpIndex = raft.Log.LastIndex;
        replica.IsEnding(ending).ShouldBeFalse("it leads anew, and the session is gone from the state");
    }

    private static Instant AtOf(long index) => Started + TimeSpan.FromMilliseconds(index);

    private static void ApplyAll(Replica replica, long upTo, bool compact = false)
    {
        while (replica.State.AppliedIndex < upTo)
        {
            replica.ApplyNext(AtOf(replica.State.AppliedIndex + 1)).ShouldNotBeNull();
            if (compact) replica.Compact();
        }
    }

    /// <summary>What was proposed is written down and committed.</summary>
    private static void Decide(CoreBench bench)
    {
        var proposed = bench[1].Consensus.Log.LastIndex;
        bench.Post(bench.Ids[0], new Input.Tick());
        bench.RunUntil(() => bench[1].Consensus.CommitIndex >= proposed, Second);
        bench.RunUntil(() => bench[1].State.AppliedIndex == bench[1].Consensus.Log.LastIndex, Second);
    }

    /// <summary>Three machines; cm-1 leads and has all services.</summary>
    private static CoreBench Bench(params ServiceDefinition[] services)
    {
        var bench = new CoreBench(3, services: [.. services]);
        bench.RunUntil(() => bench.Running.All(core => core.Hold.IsHeld(bench.Now)), Second * 2);
        bench.RunFor(Second);
        if (bench.Leader!.Settings.Self != bench.Ids[0])
        {
            bench.Post(bench.Leader.Settings.Self, new Input.RequestMade("lead", new Request.TransferLeadership(bench.Ids[0])));
            bench.RunUntil(() => bench[1].Consensus.IsLeader, Second);
            bench.RunFor(Second);
        }

        foreach (var service in services) bench[1].State.Services[service.Name].Assignment!.Machine.ShouldBe(bench.Ids[0]);
        return bench;
    }
}
