using Clustd.Core;
using Clustd.Core.Cluster;
using Clustd.Core.Raft;
using Clustd.Tests.Consensus;
using Shouldly;
using Xunit;

namespace Clustd.Tests.Leading;

/// <summary>What an operator's change of the members is refused for, with nothing changed. Each could leave a cluster that decides nothing, or two that do.</summary>
public class MembershipRefusalTests
{
    private static readonly TimeSpan Second = TimeSpan.FromSeconds(1);
    private readonly CoreBench _bench = Healthy(3);

    private MachineId Leader => _bench.Leader!.Settings.Self;

    private MachineId Follower => _bench.Ids.First(id => id != Leader);

    private MachineId Third => _bench.Ids.Last(id => id != Leader);

    [Fact]
    public void Who_is_in_already_is_not_added_again()
    {
        Refused(new Request.AddMachine(Follower)).ShouldBe($"Nothing to do: {Follower} is a member already.");

        var wiped = Follower;
        _bench.Kill(wiped);
        _bench.WipeDisk(wiped);
        _bench.SlowDisk(wiped); // So it does not catch up.
        _bench.Restart(wiped);
        _bench.RunUntil(() => _bench.Leader!.State.Members[wiped].Learner, Second * 5);
        Refused(new Request.AddMachine(wiped)).ShouldBe($"Nothing to do: {wiped} is a learner and votes as soon as it has caught up.");
    }

    [Fact] // Wrong program: takes in a voter that nobody hears, and needs its vote from then on; or one that was there once.
    public void Who_is_not_connected_is_not_added()
    {
        Refused(new Request.AddMachine(new MachineId("cm-9"))).ShouldStartWith($"Cannot add cm-9: it is not connected to the leader, {Leader}.");
        var newcomer = _bench.StartNewcomer();
        _bench.RunFor(Second);
        _bench.Kill(newcomer);
        Refused(new Request.AddMachine(newcomer)).ShouldStartWith($"Cannot add cm-4: it is not connected to the leader, {Leader}.");
    }

    [Fact] // Wrong program: two machines with one memory vote as two.
    public void A_copy_of_a_member_is_not_added()
    {
        var newcomer = _bench.StartNewcomer();
        _bench.RunFor(Second);
        Greets(newcomer, hello => hello, _bench[Follower].Store);
        Refused(new Request.AddMachine(newcomer)).ShouldBe($"Cannot add cm-4: its store is a copy of that of {Follower}. Move its data directory away, start it again, then ask again.");
    }

    [Fact] // Rule of Ongaro's section 4.1. Wrong program: two changes at once, and two majorities that share nobody.
    public void One_change_after_the_other()
    {
        MachineId four = _bench.StartNewcomer(), five = _bench.StartNewcomer();
        _bench.RunFor(Second);
        foreach (var id in _bench.Ids.Where(id => id != Leader)) _bench.SlowDisk(id); // Nothing is committed from here on.
        _bench.Post(Leader, new Input.RequestMade("first", new Request.AddMachine(four)));
        _bench.Deliver();

        Refused(new Request.AddMachine(five)).ShouldBe("Cannot add cm-5: another change of the members is not complete yet. Ask again in a moment.");
        Refused(new Request.RemoveMachine(four)).ShouldBe("Cannot remove cm-4: another change of the members is not complete yet. Ask again in a moment.");
    }

    // The one that goes still votes until it is gone. Wrong program: removes it, and the two that are left, one of them dead, decide nothing any more.
    [Theory]
    [InlineData("dead")]
    [InlineData("disk stalled")]
    [InlineData("well")]
    public void A_vote_that_is_needed_is_not_taken_away(string other)
    {
        var (gone, left) = (Follower, Third);
        _bench.Post(gone, new Input.GoodbyeRequested("it goes"));
        _bench.RunUntil(() => _bench.Leader!.State.SessionOf(gone) is null, Second * 5);
        if (other == "dead") _bench.Kill(left);
        if (other == "disk stalled") _bench.SlowDisk(left);
        _bench.Post(Leader, new Input.RequestMade("something to write down", new Request.Pause(true)));
        _bench.RunFor(Second * 3);

        var before = _bench.Leader!.Consensus.Log.LastIndex;
        var outcome = Ask(new Request.RemoveMachine(gone));
        outcome.Done.ShouldBe(other == "well", outcome.Sentence);
        if (other == "well") return;
        outcome.Sentence.ShouldBe($"Cannot remove {gone}: too few of the other machines answer, disks included, so nothing could be decided without it. Bring them back first.");
        _bench.Leader!.Consensus.Log.LastIndex.ShouldBe(before);
    }

    [Fact] // Wrong program: a learner, whose vote nobody counts, cannot be removed while others are away.
    public void A_learner_can_always_be_removed()
    {
        var newcomer = _bench.StartNewcomer();
        _bench.RunFor(Second);
        _bench.SlowDisk(newcomer);
        Ask(new Request.AddMachine(newcomer)).Done.ShouldBeTrue();
        _bench.Kill(newcomer);
        var dead = Follower;
        _bench.Kill(dead);
        _bench.RunUntil(() => _bench.Leader!.State.SessionOf(newcomer) is null, Second * 10);
        Ask(new Request.RemoveMachine(newcomer)).Sentence.ShouldBe("cm-4 is no longer a member, because an operator removed it.");
    }

    [Fact] // Wrong program: of three, whoever leaves takes its vote back, and the next one that fails stops the cluster.
    public void Of_three_the_one_that_leaves_keeps_its_vote()
    {
        var gone = Follower;
        _bench.Post(gone, new Input.GoodbyeRequested("maintenance"));
        _bench.RunFor(Second * 3);
        _bench.Leader!.State.Members.Values.ShouldAllBe(member => !member.Learner);
    }

    private string Refused(Request request)
    {
        var before = _bench.Leader!.Consensus.Log.LastIndex;
        var outcome = Ask(request);
        outcome.Done.ShouldBeFalse(outcome.Sentence);
        _bench.Leader!.Consensus.Log.LastIndex.ShouldBe(before, "nothing was decided");
        return outcome.Sentence;
    }

    private RequestOutcome Ask(Request request)
    {
        var id = $"{request}-{_bench.Trace.Count}";
        _bench.Post(Leader, new Input.RequestMade(id, request));
        _bench.RunFor(TimeSpan.FromMilliseconds(20));
        return _bench.Trace.Select(step => step.Output).OfType<Output.RequestAnswered>().Single(answered => answered.Id == id).Outcome;
    }

    private void Greets(MachineId from, Func<PeerBody.Hello, PeerBody.Hello> change, StoreId store)
    {
        var said = _bench.Trace.Where(step => step.Machine == from).Select(step => step.Output).OfType<Output.Send>().Last(send => send.To == Leader && send.Message.Body is PeerBody.Hello).Message;
        _bench.Post(Leader, new Input.PeerSpoke(from, said with { Sender = store, Body = change((PeerBody.Hello)said.Body) }));
        _bench.Deliver();
    }

    private static CoreBench Healthy(int machines)
    {
        var bench = new CoreBench(machines);
        bench.RunUntil(() => bench.Running.All(core => core.Hold.IsHeld(bench.Now)), Second * 2);
        bench.RunFor(Second);
        return bench;
    }
}
