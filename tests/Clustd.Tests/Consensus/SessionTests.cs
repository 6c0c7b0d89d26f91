using Clustd.Core;
using Clustd.Core.Raft;
using Shouldly;
using Xunit;

namespace Clustd.Tests.Consensus;

/// <summary>The leader's and the holder's side of the lease argument (docs/guarantees.md), one rule at a time.</summary>
public class SessionTests
{
    private static readonly TimeSpan Lease = TimeSpan.FromSeconds(1);

    [Fact] // Rule 13: the holder acts only while clock < stamp + lease − guard
    public void A_machine_that_is_cut_off_stops_holding_within_its_lease_less_the_guard()
    {
        var bench = Healthy();
        var follower = Follower(bench);
        var cutAt = bench.Now;

        bench.Cut(follower);
        bench.RunUntil(() => !bench[follower].Hold.IsHeld(bench.Now), Lease);

        (bench[follower].Hold.Until - cutAt).ShouldBeLessThanOrEqualTo(Lease - LeaseTiming.GuardOf(Lease));
    }

    [Fact] // Rule 10
    public void A_silent_session_ends_k_times_lease_after_its_last_stamp_and_not_before()
    {
        var bench = Healthy();
        var follower = Follower(bench);
        bench.Cut(follower);
        var cutAt = bench.Now;
        var leader = bench.Leader!;

        bench.RunUntil(() => leader.State.SessionOf(follower) is null, Lease * 3);

        var waited = bench.Now - cutAt;
        waited.ShouldBeGreaterThan(Lease - new LeaseTiming(Lease).Heartbeat); // its last stamp came at most one heartbeat before the cut
        waited.ShouldBeLessThan(LeaseTiming.Stretch(Lease) + TimeSpan.FromMilliseconds(5));
    }

    [Fact] // Rule 9: one hump. The new leader counts from the last stamp, not from its election.
    public void Losing_the_leader_and_another_machine_together_costs_no_more_than_losing_one()
    {
        var bench = new CoreBench(5);
        bench.RunUntil(() => bench.Running.All(core => core.Hold.IsHeld(bench.Now)), Lease * 2);
        bench.RunFor(Lease);
        var leader = bench.Leader!.Settings.Self;
        var other = Follower(bench);
        var lostAt = bench.Now;

        bench.Cut(other);
        bench.RunFor(TimeSpan.FromMilliseconds(500));
        bench.Kill(leader);
        bench.RunUntil(() => bench.Leader is { } elected && elected.State.SessionOf(other) is null, Lease * 3);

        (bench.Now - lostAt).ShouldBeLessThan(LeaseTiming.Stretch(Lease) + TimeSpan.FromMilliseconds(5));
    }

    [Fact] // Rule 9: the ages err to the late side, also through several elections
    public void No_session_ends_early_through_three_elections_in_a_row()
    {
        var bench = Healthy();
        var watched = Follower(bench);

        for (var election = 0; election < 3; election++)
        {
            bench.Post(bench.Leader!.Settings.Self, new Input.RequestMade($"{election}", new Request.TransferLeadership(null)));
            bench.RunFor(TimeSpan.FromMilliseconds(120));
        }

        bench.RunFor(Lease * 2);

        bench.Trace.Select(line => line.Output).OfType<Output.Noted>().ShouldNotContain(noted => noted.Kind == "session-ended");
        bench[watched].Hold.IsHeld(bench.Now).ShouldBeTrue();
    }

    [Fact] // P5
    public void Losing_the_leader_ends_no_other_session_and_no_hold_lapses()
    {
        var bench = new CoreBench(3);
        bench.RunUntil(() => bench.Running.All(core => core.Hold.IsHeld(bench.Now)), Lease * 2);
        bench.RunFor(Lease);
        bench.Trace.Clear();
        var leader = bench.Leader!.Settings.Self;

        bench.Kill(leader);
        bench.RunFor(Lease * 3);

        var kinds = bench.Trace.Where(line => line.Output is Output.Noted).Select(line => ((Output.Noted)line.Output).Kind).ToList();
        kinds.ShouldNotContain("session-not-held");
        bench.Running.ShouldAllBe(core => core.Hold.IsHeld(bench.Now));
    }

    [Fact] // Rule 4: without a confirmed round nothing is echoed, however many stamps a cut-off leader receives
    public void A_leader_without_a_majority_confirms_nothing_not_even_for_itself()
    {
        var bench = Healthy();
        var leader = bench.Leader!;
        bench.Cut(leader.Settings.Self);
        var until = leader.Hold.Until;

        bench.RunFor(Lease / 4);

        leader.Hold.Until.ShouldBe(until);
        bench.RunFor(Lease);
        leader.Hold.IsHeld(bench.Now).ShouldBeFalse();
    }

    [Fact] // Rule 3
    public void An_echo_for_another_incarnation_is_ignored()
    {
        var bench = Healthy();
        var follower = Follower(bench);
        var core = bench[follower];
        var until = core.Hold.Until;
        var echo = new PeerBody.Echo(core.Consensus.Term, core.Hold.Session, core.Settings.Incarnation + 1, bench.Now + (Lease * 10), Lease, 0);

        bench.Cut(follower);
        bench.Post(follower, new Input.PeerSpoke(bench.Leader!.Settings.Self, new PeerMessage(core.State.Cluster, bench.Leader!.Store, echo)));
        bench.Deliver();

        core.Hold.Until.ShouldBe(until);
    }

    [Fact] // Rule 14: what a daemon asked for before it died must not reach its successor's grants by a late message
    public void A_late_word_of_a_former_incarnation_is_not_heard_any_more()
    {
        var bench = Healthy();
        var master = bench.Running.First().State.Services.Values.Single().Assignment!;
        var holder = bench.Ids.First(id => id == master.Machine);
        if (bench[holder].Consensus.IsLeader)
        {
            bench.Post(holder, new Input.RequestMade("away", new Request.TransferLeadership(null)));
            bench.RunFor(TimeSpan.FromMilliseconds(100));
        }

        var former = bench[holder].Settings.Incarnation;
        bench.Kill(holder);
        bench.RunFor(Lease / 4);
        bench.Restart(holder);
        bench.RunUntil(() => bench[holder].Hold.IsHeld(bench.Now), Lease);
        var leader = bench.Leader!;
        var release = new Clustd.Core.Cluster.Command.Release(Clustd.Core.ServiceName.Default, master.Token, "late", false);
        bench.Post(leader.Settings.Self, new Input.PeerSpoke(holder, new PeerMessage(leader.State.Cluster, bench[holder].Store, new PeerBody.Propose(release, former))));
        bench.RunFor(Lease);

        leader.State.Services.Values.Single().Assignment!.Token.ShouldBe(master.Token);
    }

    [Fact] // A daemon that is back within the lease takes its session up again: no new one, nothing vacated
    public void A_daemon_that_restarts_within_its_lease_keeps_its_session()
    {
        var bench = Healthy();
        var follower = Follower(bench);
        var session = bench[follower].State.SessionOf(follower)!.Id;

        bench.Kill(follower);
        bench.RunFor(Lease / 2);
        bench.Restart(follower);
        bench.RunUntil(() => bench[follower].Hold.IsHeld(bench.Now), Lease);

        bench[follower].Hold.Session.ShouldBe(session);
    }

    [Fact] // A leader's own report must be fresh: it gave the service back to itself while it left, and took one more token and stop
    public void A_single_machine_that_says_goodbye_does_not_take_its_service_again()
    {
        var bench = new CoreBench(1);
        bench.RunUntil(() => bench[1].State.Services.Values.Any(service => service.Assignment is not null), Lease * 2);
        bench.RunFor(Lease);
        var token = bench[1].State.LastTokenOf(ServiceName.Default);

        bench.Post(bench.Ids[0], new Input.GoodbyeRequested("test"));
        bench.RunUntil(() => bench.Trace.Any(line => line.Output is Output.Departed), Lease * 10);

        bench[1].State.LastTokenOf(ServiceName.Default).ShouldBe(token);
    }

    [Fact] // Campaign 1026733. Wrong program: opens a session for a machine whose disk has not come so far, which ends before the machine has applied it, and another one, and so on.
    public void A_machine_whose_disk_is_late_gets_no_session_before_its_log_has_come_so_far()
    {
        var bench = Healthy();
        var follower = Follower(bench);
        bench.Cut(follower);
        bench.RunUntil(() => bench.Leader!.State.SessionOf(follower) is null, Lease * 3);
        bench.SlowDisk(follower);
        bench.Heal();

        bench.RunFor(Lease * 4);
        bench.Leader!.State.SessionOf(follower).ShouldBeNull();
        bench.AnswerDisk(follower);
        bench.RunUntil(() => bench[follower].Hold.IsHeld(bench.Now), Lease);
    }

    private static MachineId Follower(CoreBench bench) => bench.Running.First(core => !core.Consensus.IsLeader).Settings.Self;

    private static CoreBench Healthy()
    {
        var bench = new CoreBench(3);
        bench.RunUntil(() => bench.Running.All(core => core.Hold.IsHeld(bench.Now)), Lease * 2);
        bench.RunFor(Lease);
        return bench;
    }
}
