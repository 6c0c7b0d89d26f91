using System.Collections.Immutable;
using Clustd.Core;
using Clustd.Core.Cluster;
using Clustd.Core.Raft;
using Shouldly;
using Xunit;

namespace Clustd.Tests.Consensus;

/// <summary>The restart grace through the log (rules 10 and 16 of docs/guarantees.md), one rule at a time. The grace of the bench is 15 s.</summary>
public class RestartGraceTests
{
    private static readonly TimeSpan Lease = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan Grace = TimeSpan.FromSeconds(15);
    private static readonly SessionId Session = new(2);

    [Fact] // P5. Wrong program: the leader forgets graces, and ends the session after a lease.
    public void A_daemon_that_restarts_on_purpose_keeps_its_session_for_longer_than_the_lease()
    {
        var bench = Healthy();
        var follower = Follower(bench);
        var session = bench[follower].State.SessionOf(follower)!.Id;

        RestartAndExit(bench, follower).ShouldBeTrue();
        bench.RunFor(Lease * 10);
        bench.Restart(follower);
        bench.RunUntil(() => bench[follower].Hold.IsHeld(bench.Now), Lease);

        bench[follower].Hold.Session.ShouldBe(session);
        bench.RunUntil(() => bench[follower].State.SessionOf(follower)!.Graces.IsEmpty, Lease);
    }

    [Fact] // Rule 10
    public void A_daemon_that_does_not_come_back_loses_its_session_when_its_grace_is_over_and_not_before()
    {
        var bench = Healthy();
        var follower = Follower(bench);
        var askedAt = bench.Now;

        RestartAndExit(bench, follower);
        bench.RunUntil(() => bench.Leader!.State.SessionOf(follower) is null, Grace * 2);

        (bench.Now - askedAt).ShouldBeGreaterThanOrEqualTo(LeaseTiming.Stretch(Grace));
        (bench.Now - askedAt).ShouldBeLessThan(LeaseTiming.Stretch(Grace) + (Lease / 5));
    }

    [Fact] // Rule 16: ended by its holder as soon as nobody counts on it
    public void A_crash_soon_after_a_restart_costs_a_lease_and_not_the_grace()
    {
        var bench = Healthy();
        var follower = Follower(bench);
        RestartAndExit(bench, follower);
        bench.RunFor(Lease * 2);
        bench.Restart(follower);
        bench.RunFor(Lease * 2);
        var crashedAt = bench.Now;

        bench.Kill(follower);
        bench.RunUntil(() => bench.Leader!.State.SessionOf(follower) is null, Lease * 3);

        (bench.Now - crashedAt).ShouldBeLessThan(LeaseTiming.Stretch(Lease) + (Lease / 5));
    }

    [Fact] // Rule 10: the grace is in the log for this
    public void Another_leader_honours_the_grace_that_was_granted_before_its_term()
    {
        var bench = Healthy();
        var follower = Follower(bench);
        RestartAndExit(bench, follower);

        bench.Kill(bench.Leader!.Settings.Self);
        bench.Restart(bench.Ids.First(id => id != follower && bench.Running.All(core => core.Settings.Self != id)));
        bench.RunFor(Lease * 8);

        bench.Leader!.State.SessionOf(follower).ShouldNotBeNull();
    }

    [Fact] // Nobody waits for an election
    public void A_leader_hands_over_before_it_restarts()
    {
        var bench = Healthy();
        var leader = bench.Leader!.Settings.Self;

        RestartAndExit(bench, leader).ShouldBeTrue();

        bench.Leader.ShouldNotBeNull().Settings.Self.ShouldNotBe(leader);
    }

    [Fact]
    public void Without_a_majority_the_restart_goes_on_without_a_grace_and_says_so()
    {
        var bench = Healthy();
        var follower = Follower(bench);
        bench.Cut(follower);
        var askedAt = bench.Now;

        RestartAndExit(bench, follower).ShouldBeFalse();

        (bench.Now - askedAt).ShouldBeLessThan(Lease * 1.1);
        Answer(bench).ShouldContain("without a grace: no majority agreed");
    }

    [Fact]
    public void A_single_machine_restarts_with_a_grace_of_its_own()
    {
        var bench = new CoreBench(1);
        bench.RunUntil(() => bench[1].Hold.IsHeld(bench.Now), Lease * 2);
        var session = bench[1].Hold.Session;

        RestartAndExit(bench, bench.Ids[0]).ShouldBeTrue();
        bench.RunFor(Lease * 5);
        bench.Restart(bench.Ids[0]);
        bench.RunUntil(() => bench[1].Hold.IsHeld(bench.Now), Lease * 2);

        bench[1].Hold.Session.ShouldBe(session);
    }

    [Fact] // Wrong program: it keeps its vote, so the other one has no majority and stops what it runs after its lease.
    public void Of_two_machines_one_restarts_and_the_other_one_goes_on()
    {
        var bench = new CoreBench(2);
        bench.RunUntil(() => bench.Running.All(core => core.Hold.IsHeld(bench.Now)), Lease * 2);
        bench.RunFor(Lease);
        var (restarts, other) = (bench.Leader!.Settings.Self, Follower(bench));

        RestartAndExit(bench, restarts).ShouldBeTrue();
        bench.RunFor(Lease * 5);
        bench[other].Hold.IsHeld(bench.Now).ShouldBeTrue();
        bench[other].State.SessionOf(restarts).ShouldNotBeNull();

        bench.Restart(restarts);
        bench.RunUntil(() => bench[restarts].Hold.IsHeld(bench.Now) && bench[restarts].Consensus.Voters.Length == 2, Lease * 3);
    }

    // Wrong program: the leader looks at what it has applied only. The others have committed the grace without it, so the holder counts on it already.
    [Fact]
    public void A_leader_with_a_slow_disk_ends_no_session_whose_grace_it_has_not_applied_yet()
    {
        var bench = new CoreBench(5);
        bench.RunUntil(() => bench.Running.All(core => core.Hold.IsHeld(bench.Now)), Lease * 2);
        bench.RunFor(Lease);
        var leader = bench.Leader!;
        var follower = Follower(bench);
        bench.SlowDisk(leader.Settings.Self);

        RestartAndExit(bench, follower).ShouldBeTrue();
        leader.State.SessionOf(follower)!.Graces.ShouldBeEmpty("its own disk has not answered");
        bench.RunFor(Lease * 3);

        bench.Running.ShouldAllBe(core => core.State.SessionOf(follower) != null); // Also of whoever it hands over to, as a leader whose disk stalls does.
    }

    [Fact]
    public void A_goodbye_goes_before_a_restart()
    {
        var bench = Healthy();
        var follower = Follower(bench);

        bench.Post(follower, new Input.GoodbyeRequested("test"));
        bench.Post(follower, new Input.RestartRequested("test", "r1"));
        bench.RunUntil(() => bench.Trace.Any(line => line.Output is Output.Departed), Lease * 10);

        bench.Trace.ShouldNotContain(line => line.Output is Output.ReadyToRestart);
        Answer(bench).ShouldContain("it is leaving already");
    }

    [Fact] // Rule 16. Wrong programs: the newest replaces the others; a late end ends the next restart's.
    public void Graces_accumulate_and_each_is_ended_by_its_id()
    {
        var state = Apply(WithSession(), new Command.GrantGrace(Session, 1, Grace, []), new Command.GrantGrace(Session, 2, Lease, []));
        state.Sessions[Session].Graces.Values.Select(grace => grace.Duration).ShouldBe([Grace, Lease]);

        state = Apply(state, new Command.EndGrace(Session, 2), new Command.EndGrace(Session, 2));
        state.Sessions[Session].Graces.Keys.ShouldBe([1]);
    }

    [Fact]
    public void A_grace_that_is_asked_for_again_counts_once_and_one_of_an_ended_session_is_dead()
    {
        var driver = new GraceDriver(new DriverName("app"), "app-1");
        var state = Apply(WithSession(), new Command.GrantGrace(Session, 1, Grace, [driver]));
        var index = state.Sessions[Session].Graces[1].Index;

        Apply(state, new Command.GrantGrace(Session, 1, Grace, [driver])).Sessions[Session].Graces[1].Index.ShouldBe(index);
        Apply(state, new Command.EndSession(Session, "over"), new Command.GrantGrace(Session, 1, Grace, [driver])).Sessions.ShouldBeEmpty();
        new Command.GrantGrace(Session, 1, Grace, [driver]).ShouldBe(new Command.GrantGrace(Session, 1, Grace, [driver]), "said again, it must be known again");
    }

    /// <summary>Asks, waits until the daemon may exit, and ends it. True: it has a grace.</summary>
    private static bool RestartAndExit(CoreBench bench, MachineId machine)
    {
        bench.Post(machine, new Input.RestartRequested("test", "r1"));
        bench.RunUntil(() => bench.Trace.Any(line => line.Machine == machine && line.Output is Output.ReadyToRestart), Lease * 3);
        bench.Kill(machine);
        return bench.Trace.Select(line => line.Output).OfType<Output.ReadyToRestart>().Single().HasGrace;
    }

    private static string Answer(CoreBench bench) => bench.Trace.Select(line => line.Output).OfType<Output.RequestAnswered>().Single(answer => answer.Id == "r1").Outcome.Sentence;

    private static ClusterState WithSession() => new ClusterState
    {
        AppliedIndex = Session.Value,
        Sessions = ImmutableSortedDictionary<SessionId, Session>.Empty.Add(Session, new Session(Session, new MachineId("cm-1"), new StoreId("s"), Lease)),
    };

    private static ClusterState Apply(ClusterState state, params Command[] commands) =>
        commands.Aggregate(state, (before, command) => StateMachine.Apply(before, new LogEntry(before.AppliedIndex + 1, new Term(1), command)));

    private static MachineId Follower(CoreBench bench) => bench.Running.First(core => !core.Consensus.IsLeader).Settings.Self;

    private static CoreBench Healthy()
    {
        var bench = new CoreBench(3);
        bench.RunUntil(() => bench.Running.All(core => core.Hold.IsHeld(bench.Now)), Lease * 2);
        bench.RunFor(Lease);
        return bench;
    }
}
