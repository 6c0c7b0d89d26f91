using Clustd.Core;
using Clustd.Core.Raft;
using Shouldly;
using Xunit;

namespace Clustd.Tests.Consensus;

public class MembershipTests
{
    private static readonly TimeSpan Second = TimeSpan.FromSeconds(1);

    [Fact] // The wrong program: one that lets an empty store vote, or that never takes it back
    public void A_wiped_machine_is_taken_in_anew_as_a_learner_and_votes_once_it_has_caught_up()
    {
        var bench = Healthy(3);
        var wiped = Follower(bench);
        var former = bench[wiped].Store;

        bench.Kill(wiped);
        bench.WipeDisk(wiped);
        bench.Restart(wiped);
        bench.RunUntil(() => bench.Leader!.State.Members[wiped] is { Learner: false } member && member.Store != former, Second * 5);

        Changes(bench).Select(change => change.Members.Single(member => member.Machine == wiped).Learner).ShouldBe([true, false]);
        bench.RunUntil(() => bench[wiped].Hold.IsHeld(bench.Now), Second * 5);
        bench[wiped].State.Cluster.ShouldBe(bench.Leader!.State.Cluster);
    }

    [Fact]
    public void A_wiped_machine_that_others_do_not_let_in_does_not_vote()
    {
        var bench = Healthy(3);
        var (leader, wiped) = (bench.Leader!.Settings.Self, Follower(bench));
        var third = bench.Ids.Single(id => id != leader && id != wiped);
        bench.Kill(third); // Two are left, one of them empty: what the third holds is not known to be held by a majority of those that remember.
        bench.Kill(leader);
        bench.Kill(wiped);
        bench.WipeDisk(wiped);
        bench.Restart(wiped);
        bench.Restart(leader);

        bench.RunFor(Second * 10);

        bench.Leader.ShouldBeNull();
        bench[wiped].Consensus.IsVoter.ShouldBeFalse();
    }

    [Fact]
    public void A_newcomer_waits_until_an_operator_adds_it()
    {
        var bench = Healthy(3);
        var newcomer = bench.StartNewcomer();
        bench.RunFor(Second * 3);
        bench[newcomer].View(bench.Now).WaitsFor.ShouldNotBeNull().ShouldContain("clustd machine add cm-4");
        bench.Leader!.State.Members.Count.ShouldBe(3);
        // It repeats its greeting while it waits; those who hear it do not repeat theirs in the log.
        bench.Trace.Where(entry => entry.Machine == bench.Leader.Settings.Self).Select(entry => entry.Output).OfType<Output.Noted>()
            .Where(noted => noted.Kind is "not-a-member" or "lists-differ").Select(noted => noted.Kind).Order().ShouldBe(["lists-differ", "not-a-member"]);

        var outcome = Ask(bench, new Request.AddMachine(newcomer));

        outcome.Done.ShouldBeTrue(outcome.Sentence);
        bench.RunUntil(() => bench.Leader!.Consensus.Voters.Contains(newcomer) && bench[newcomer].Hold.IsHeld(bench.Now), Second * 5);
    }

    [Fact]
    public void A_machine_is_removed_only_after_its_session_has_ended_and_then_for_good()
    {
        var bench = Healthy(4);
        var gone = Follower(bench);
        Ask(bench, new Request.RemoveMachine(gone)).Sentence.ShouldContain("holds a session");

        bench.Post(gone, new Input.GoodbyeRequested("it goes"));
        bench.RunUntil(() => bench.Trace.Any(step => step.Machine == gone && step.Output is Output.Departed), Second * 5);
        bench.Kill(gone);
        var outcome = Ask(bench, new Request.RemoveMachine(gone));

        outcome.Done.ShouldBeTrue(outcome.Sentence);
        bench.Restart(gone);
        bench.RunFor(Second * 3);
        bench.Leader!.State.Members.Keys.ShouldNotContain(gone);
        bench.Leader.State.SessionOf(gone).ShouldBeNull();
    }

    [Theory]
    [InlineData("cm-9", "there is no such machine")]
    [InlineData("leader", "it leads")]
    public void What_cannot_be_removed_is_refused_with_the_reason(string machine, string reason)
    {
        var bench = Healthy(3);

        var outcome = Ask(bench, new Request.RemoveMachine(machine == "leader" ? bench.Leader!.Settings.Self : new MachineId(machine)));

        outcome.Done.ShouldBeFalse();
        outcome.Sentence.ShouldContain(reason);
    }

    [Theory] // Planned maintenance works on two servers. The wrong program: one that leaves and takes its vote along.
    [InlineData(true)]
    [InlineData(false)]
    public void Of_two_voters_the_one_that_says_goodbye_leaves_the_other_able_to_decide(bool isLeader)
    {
        var bench = Healthy(2);
        var gone = isLeader ? bench.Leader!.Settings.Self : Follower(bench);
        var left = bench.Ids.Single(id => id != gone);

        bench.Post(gone, new Input.GoodbyeRequested("maintenance"));
        bench.RunUntil(() => bench.Trace.Any(step => step.Machine == gone && step.Output is Output.Departed), Second * 5);
        bench.Kill(gone);
        bench.RunFor(Second * 3);

        bench.Leader.ShouldNotBeNull().Settings.Self.ShouldBe(left);
        bench[left].Hold.IsHeld(bench.Now).ShouldBeTrue();
        bench.Restart(gone);
        bench.RunUntil(() => bench.Leader!.Consensus.Voters.Length == 2 && bench[gone].Hold.IsHeld(bench.Now), Second * 5);
    }

    [Fact]
    public void Of_two_voters_the_one_that_dies_without_a_word_stops_the_other()
    {
        var bench = Healthy(2);
        var gone = Follower(bench);

        bench.Kill(gone);
        bench.RunFor(Second * 10);

        bench.Leader.ShouldBeNull();
    }

    [Fact] // The wrong program: a leader that goes on counting what the follower has forgotten, or a follower that goes on voting
    public void A_disk_that_was_set_back_ends_its_daemon()
    {
        var bench = Healthy(3);
        var follower = Follower(bench);
        bench.RunFor(Second);

        bench.Kill(follower);
        bench.SetBackDisk(follower, 2);
        bench.Restart(follower);
        bench.RunFor(TimeSpan.FromMilliseconds(200));

        bench.Trace.Where(step => step.Machine == follower).Select(step => step.Output).OfType<Output.StoreRefused>().Single().Reason.ShouldContain("was set back");
        bench.Trace.Clear();
        bench.RunFor(Second);
        bench.Trace.ShouldNotContain(step => step.Machine == follower && step.Output is Output.Send && ((Output.Send)step.Output).Message.Body is PeerBody.VoteAnswer);
    }

    private static CoreBench Healthy(int machines)
    {
        var bench = new CoreBench(machines);
        bench.RunUntil(() => bench.Running.All(core => core.Hold.IsHeld(bench.Now)), Second * 2);
        return bench;
    }

    private static MachineId Follower(CoreBench bench) => bench.Running.First(core => !core.Consensus.IsLeader).Settings.Self;

    private static RequestOutcome Ask(CoreBench bench, Request request)
    {
        bench.Trace.Clear();
        bench.Post(bench.Leader!.Settings.Self, new Input.RequestMade("asked", request));
        bench.RunUntil(() => bench.Trace.Any(step => step.Output is Output.RequestAnswered { Id: "asked" }), Second * 5);
        return bench.Trace.Select(step => step.Output).OfType<Output.RequestAnswered>().First(answered => answered.Id == "asked").Outcome;
    }

    private static List<Core.Cluster.Command.ChangeMembers> Changes(CoreBench bench) =>
        [.. bench.Trace.Select(step => step.Output).OfType<Output.Persist>().SelectMany(persist => persist.Entries)
            .DistinctBy(entry => entry.Index).Select(entry => entry.Command).OfType<Core.Cluster.Command.ChangeMembers>()];
}
