using Clustd.Core;
using Clustd.Core.Raft;
using Shouldly;
using Xunit;

namespace Clustd.Tests.Consensus;

public class FormingAndElectionTests
{
    private static readonly TimeSpan Second = TimeSpan.FromSeconds(1);

    [Theory]
    [InlineData(1)]
    [InlineData(3)]
    [InlineData(5)]
    public void All_machines_meet_form_elect_and_hold_sessions(int machines)
    {
        var bench = new CoreBench(machines);

        bench.RunUntil(() => bench.Running.All(core => core.Hold.IsHeld(bench.Now)), Second);

        bench.Running.Count(core => core.Consensus.IsLeader).ShouldBe(1);
        bench.Running.Select(core => core.State.Cluster).Distinct().Count().ShouldBe(1);
    }

    [Fact] // Rule 17
    public void No_cluster_forms_while_one_configured_machine_is_missing()
    {
        var bench = new CoreBench(3, startedExcept: new MachineId("cm-3"));

        bench.RunFor(Second * 10);

        bench.Running.ShouldAllBe(core => !core.Consensus.IsFormed);
        bench[1].View(bench.Now).WaitsFor.ShouldNotBeNull().ShouldContain("10.0.0.3:3001");
    }

    [Fact] // Section 4.2.3 and 9.6: a machine that was cut off does not depose a working leader when it comes back
    public void A_machine_that_comes_back_from_a_cut_does_not_disturb_the_term()
    {
        var bench = Healthy();
        var term = bench.Leader!.Consensus.Term;
        var follower = bench.Running.First(core => !core.Consensus.IsLeader).Settings.Self;

        bench.Cut(follower);
        bench.RunFor(Second * 5);
        bench.Heal();
        bench.RunFor(Second);

        bench.Leader!.Consensus.Term.ShouldBe(term);
    }

    [Fact] // An election at the speed of a closed socket: no election timeout is waited for
    public void A_closed_socket_to_the_leader_elects_another_within_milliseconds()
    {
        var bench = Healthy();
        var dead = bench.Leader!.Settings.Self;
        var killedAt = bench.Now;

        bench.Kill(dead);
        bench.RunUntil(() => bench.Leader is not null, Second);

        (bench.Now - killedAt).ShouldBeLessThan(TimeSpan.FromMilliseconds(50));
    }

    [Fact] // Check-quorum
    public void A_leader_that_hears_no_majority_steps_down()
    {
        var bench = Healthy();
        var leader = bench.Leader!;

        bench.Cut(leader.Settings.Self);
        bench.RunFor(Second);

        leader.Consensus.IsLeader.ShouldBeFalse();
        bench.Running.Count(core => core.Consensus.IsLeader).ShouldBe(1);
    }

    [Fact] // Two that stand in the same term split the vote: a leader that left told one after the other, and nobody led for an election timeout
    public void Of_two_machines_only_one_is_told_to_take_over_leadership()
    {
        var bench = Healthy();
        var leader = bench.Leader!;
        var followers = bench.Running.Select(core => core.Settings.Self).Where(id => id != leader.Settings.Self).ToArray();

        var told = followers.Concat(followers)
            .SelectMany(target => leader.Step(new Input.RequestMade($"{target}", new Request.TransferLeadership(target)), bench.Now).ToArray())
            .ToArray();

        told.OfType<Output.Send>().Where(send => send.Message.Body is PeerBody.TakeOver).Select(send => send.To).ShouldBe([followers[0]]);
        told.OfType<Output.RequestAnswered>().Select(answered => answered.Outcome.Done).ShouldBe([true, false, true, false]);
    }

    [Fact] // Section 3.8: a vote is on disk before it is told
    public void No_vote_leaves_before_the_disk_has_answered()
    {
        var bench = Healthy();
        var leader = bench.Leader!.Settings.Self;
        var voters = bench.Ids.Where(id => id != leader).ToList();
        foreach (var voter in voters)
        {
            bench.SlowDisk(voter);
        }

        bench.Trace.Clear();
        bench.Kill(leader);
        bench.RunFor(TimeSpan.FromMilliseconds(400));

        bench.Trace.Select(line => line.Output).OfType<Output.Send>().Count(send => send.Message.Body is PeerBody.Vote or PeerBody.VoteAnswer { Granted: true }).ShouldBe(0);
        voters.ForEach(bench.AnswerDisk);
        bench.RunUntil(() => bench.Leader is not null, Second);
    }

    [Fact] // Section 3.6.2
    public void An_entry_counts_only_when_a_majority_has_it_on_disk()
    {
        var bench = Healthy();
        var leader = bench.Leader!;
        foreach (var follower in bench.Ids.Where(id => id != leader.Settings.Self))
        {
            bench.SlowDisk(follower);
        }

        var commit = leader.Consensus.CommitIndex;
        bench.Post(leader.Settings.Self, new Input.RequestMade("1", new Request.Pause(true)));
        bench.RunFor(TimeSpan.FromMilliseconds(300));

        leader.Consensus.CommitIndex.ShouldBe(commit);
        bench.AnswerDisk(bench.Ids.First(id => id != leader.Settings.Self));
        bench.RunFor(TimeSpan.FromMilliseconds(1));
        leader.State.Paused.ShouldBeTrue();
    }

    private static CoreBench Healthy()
    {
        var bench = new CoreBench(3);
        bench.RunUntil(() => bench.Running.All(core => core.Hold.IsHeld(bench.Now)), Second * 2);
        return bench;
    }
}
