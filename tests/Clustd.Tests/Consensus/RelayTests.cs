using Clustd.Core;
using Clustd.Core.Cluster;
using Clustd.Core.Raft;
using Shouldly;
using Xunit;

namespace Clustd.Tests.Consensus;

/// <summary>A link between two machines is down, and a third one reaches both: nothing fails over (<see cref="Relays"/>).</summary>
public class RelayTests
{
    private static readonly TimeSpan Lease = TimeSpan.FromSeconds(1);

    [Theory]
    [InlineData(true, true)]
    [InlineData(true, false)]
    [InlineData(false, true)]
    public void A_link_that_is_cut_in_silence_costs_no_session_and_no_leader(bool toFollower, bool toLeader)
    {
        var bench = Healthy();
        var (leader, follower) = (bench.Leader!, bench[FollowerOf(bench)]);
        var (session, term) = (follower.Hold.Session, leader.Consensus.Term);
        if (toFollower) bench.CutLink(leader.Settings.Self, follower.Settings.Self);
        if (toLeader) bench.CutLink(follower.Settings.Self, leader.Settings.Self);

        for (var beat = 0; beat < 100; beat++)
        {
            bench.RunFor(Lease / 20);
            follower.Hold.IsHeld(bench.Now).ShouldBeTrue();
        }

        (follower.Hold.Session, bench.Leader!.Consensus.Term).ShouldBe((session, term));
    }

    [Theory] // Campaign 1063026. Wrong program: takes the ways in turn, so that heartbeats go by the open one and echoes by those that are closed.
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(2)]
    public void Of_several_ways_the_one_that_is_open_is_taken_for_everything(int way)
    {
        var bench = Healthy(machines: 5);
        var (leader, follower) = (bench.Leader!.Settings.Self, FollowerOf(bench));
        var session = bench[follower].Hold.Session;
        var open = bench.Ids.Where(id => id != follower && id != leader).ElementAt(way);
        foreach (var other in bench.Ids.Where(id => id != follower && id != open))
        {
            bench.CutLink(other, follower);
        }

        for (var beat = 0; beat < 100; beat++)
        {
            bench.RunFor(Lease / 20);
            bench[follower].Hold.IsHeld(bench.Now).ShouldBeTrue();
        }

        bench[follower].Hold.Session.ShouldBe(session);
        Ways(bench, leader, follower).TakeLast(20).Distinct().ShouldBe([open]);
    }

    [Fact]
    public void A_link_that_is_closed_costs_no_session_either()
    {
        var bench = Healthy();
        var follower = FollowerOf(bench);
        var session = bench[follower].Hold.Session;
        Close(bench, bench.Leader!.Settings.Self, follower);

        bench.RunFor(Lease * 5);

        bench[follower].Hold.Session.ShouldBe(session);
        bench[follower].Hold.IsHeld(bench.Now).ShouldBeTrue();
        bench.Leader!.State.SessionOf(follower)!.Id.ShouldBe(session);
    }

    [Fact]
    public void What_is_decided_reaches_a_machine_that_the_leader_does_not_reach()
    {
        var bench = Healthy();
        var follower = FollowerOf(bench);
        Close(bench, bench.Leader!.Settings.Self, follower);
        bench.RunFor(Lease);

        bench.Post(bench.Leader!.Settings.Self, new Input.RequestMade("pause", new Request.Pause(true)));
        bench.RunFor(Lease / 4);

        bench[follower].State.Paused.ShouldBeTrue();
    }

    [Fact]
    public void What_a_machine_wants_reaches_a_leader_that_it_does_not_reach()
    {
        var bench = Healthy();
        var follower = FollowerOf(bench);
        Close(bench, bench.Leader!.Settings.Self, follower);
        bench.RunFor(Lease);

        bench.Post(follower, new Input.GoodbyeRequested("maintenance"));
        bench.RunFor(Lease / 2);

        bench.Leader!.State.SessionOf(follower).ShouldBeNull("its goodbye ends its session, long before its lease would");
    }

    [Fact]
    public void While_all_links_work_nothing_is_passed_on_and_after_a_link_has_healed_nothing_any_more()
    {
        var bench = Healthy();
        bench.RunFor(Lease);
        Relays(bench).ShouldBe(0);

        bench.CutLink(bench.Leader!.Settings.Self, FollowerOf(bench));
        bench.RunFor(Lease);
        Relays(bench).ShouldBeGreaterThan(10);
        bench.Heal();
        bench.RunFor(Lease / 4);
        var before = Relays(bench);
        bench.RunFor(Lease);

        Relays(bench).ShouldBe(before);
    }

    [Fact]
    public void A_machine_that_is_down_is_looked_for_once_a_lease()
    {
        var bench = Healthy();
        bench.Kill(FollowerOf(bench));
        bench.RunFor(Lease * 3);
        var before = Relays(bench);

        bench.RunFor(Lease * 10);

        (Relays(bench) - before).ShouldBeInRange(8, 11);
    }

    [Fact]
    public void A_cluster_of_the_first_version_passes_nothing_on()
    {
        var bench = Healthy(level: 1);
        bench.CutLink(bench.Leader!.Settings.Self, FollowerOf(bench));

        bench.RunFor(Lease * 3);

        Relays(bench).ShouldBe(0);
    }

    [Fact]
    public void Votes_are_not_passed_on_nor_the_words_of_a_stranger()
    {
        var bench = Healthy();
        var (from, by, to) = (bench[1], bench[2], bench[3]);
        PeerMessage Message(PeerBody body) => new(from.State.Cluster, from.Store, body);
        var vote = Message(new PeerBody.Vote(new Term(99), new LogPosition(99, new Term(98)), true));
        var echo = Message(new PeerBody.Echo(Term.Zero, SessionId.None, 0, bench.Now, Lease, 0));

        bench.Post(by.Settings.Self, new Input.PeerSpoke(from.Settings.Self, Message(new PeerBody.Relay(to.Settings.Self, vote))));
        bench.Post(by.Settings.Self, new Input.PeerSpoke(new MachineId("stranger"), new PeerMessage(from.State.Cluster, new StoreId("s"), new PeerBody.Relay(to.Settings.Self, echo))));
        bench.Post(to.Settings.Self, new Input.PeerSpoke(by.Settings.Self, new PeerMessage(by.State.Cluster, by.Store, new PeerBody.Relayed(from.Settings.Self, vote))));
        bench.Deliver();

        Relays(bench).ShouldBe(0);
        to.Consensus.Term.ShouldBeLessThan(new Term(99));
    }

    [Fact] // Rule 3, and what the successor runs must not be released by what its predecessor wanted
    public void A_late_word_of_a_former_daemon_does_not_take_its_successors_place()
    {
        var bench = Healthy();
        var (leader, follower) = (bench.Leader!, FollowerOf(bench));
        var passing = bench.Ids.Single(id => id != follower && id != leader.Settings.Self);
        var former = bench[follower].Settings.Incarnation;
        var session = bench[follower].Hold.Session;
        bench.Kill(follower);
        bench.RunFor(Lease / 4);
        bench.Restart(follower);
        bench.RunUntil(() => bench[follower].Hold.IsHeld(bench.Now), Lease);
        void Late(PeerBody body) => bench.Post(leader.Settings.Self, new Input.PeerSpoke(passing, new PeerMessage(
            leader.State.Cluster, bench[passing].Store, new PeerBody.Relayed(follower, new PeerMessage(leader.State.Cluster, bench[follower].Store, body)))));

        Late(new PeerBody.AppendAnswer(leader.Consensus.Term, true, 1, Term.Zero, 0, 1, new Stamp(session, former, bench.Now), new MachineReport(long.MaxValue, true, [], null)));
        Late(new PeerBody.Propose(new Command.EndSession(session, "its predecessor's goodbye"), former));
        bench.RunFor(Lease / 4);

        leader.State.SessionOf(follower)!.Id.ShouldBe(session);
        bench[follower].Hold.IsHeld(bench.Now).ShouldBeTrue();
    }

    [Fact] // Wrong program: counts as sent what could be sent nowhere, so that whoever comes back must ask for it first.
    public void What_could_be_sent_nowhere_does_not_count_as_sent()
    {
        var bench = Healthy();
        var follower = FollowerOf(bench);
        bench.Kill(follower);
        foreach (var paused in (bool[])[true, false, true])
        {
            bench.Post(bench.Leader!.Settings.Self, new Input.RequestMade($"{paused}", new Request.Pause(paused)));
            bench.RunFor(Lease / 20);
        }

        bench.Trace.Clear();
        bench.Restart(follower);
        bench.RunUntil(() => bench[follower].State.Paused, Lease);

        bench.Trace.Select(line => line.Output).OfType<Output.Send>().ShouldNotContain(send => send.Message.Body is PeerBody.AppendAnswer && !((PeerBody.AppendAnswer)send.Message.Body).Success);
    }

    private static CoreBench Healthy(int level = FeatureLevels.Own, int machines = 3)
    {
        var bench = new CoreBench(machines, Lease, level: level);
        bench.RunUntil(() => bench.Running.All(core => core.Hold.IsHeld(bench.Now) && core.State.FeatureLevel == level), Lease * 3);
        bench.RunFor(Lease);
        return bench;
    }

    private static MachineId FollowerOf(CoreBench bench) => bench.Ids.First(id => id != bench.Leader!.Settings.Self);

    private static int Relays(CoreBench bench) => bench.Trace.Count(line => line.Output is Output.Send { Message.Body: PeerBody.Relay or PeerBody.Relayed });

    private static IEnumerable<MachineId> Ways(CoreBench bench, MachineId from, MachineId to) =>
        bench.Trace.Where(line => line.Machine == from).Select(line => line.Output).OfType<Output.Send>().Where(send => send.Message.Body is PeerBody.Relay relay && relay.To == to).Select(send => send.To);

    private static void Close(CoreBench bench, MachineId one, MachineId other)
    {
        bench.CutLink(one, other);
        bench.CutLink(other, one);
        bench.Post(one, new Input.PeerLost(other));
        bench.Post(other, new Input.PeerLost(one));
        bench.Deliver();
    }
}
