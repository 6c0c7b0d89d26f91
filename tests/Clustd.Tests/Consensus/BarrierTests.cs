using Clustd.Core;
using Clustd.Core.Raft;
using Shouldly;
using Xunit;

namespace Clustd.Tests.Consensus;

/// <summary>The read barrier, Ongaro's section 6.4, one rule at a time.</summary>
public class BarrierTests
{
    private static readonly TimeSpan Second = TimeSpan.FromSeconds(1);

    [Theory]
    [InlineData(1)]
    [InlineData(3)]
    public void A_healthy_cluster_confirms_a_read_through_any_machine_at_once(int machines)
    {
        var bench = Healthy(machines);
        foreach (var id in bench.Ids)
        {
            Read(bench, id).ShouldNotBeNull().Index.ShouldNotBeNull().ShouldBe(bench.Leader!.Consensus.CommitIndex);
        }
    }

    // Catches: the planted bug BarrierWithoutRound, and a round that began before the question.
    [Fact]
    public void A_leader_that_is_cut_off_confirms_nothing_although_it_still_believes_that_it_leads()
    {
        var bench = Healthy(3);
        var leader = bench.Leader!.Settings.Self;
        bench.Cut(leader);

        Read(bench, leader).ShouldBeNull();

        bench[leader].Consensus.IsLeader.ShouldBeTrue();
        bench.RunFor(Second * 2);
        var answer = Answers(bench, leader).ShouldHaveSingleItem();
        answer.Index.ShouldBeNull();
        answer.Sentence.ShouldStartWith("Not confirmed: ");
    }

    [Fact]
    public void A_machine_without_a_leader_refuses_at_once()
    {
        var bench = Healthy(3);
        var follower = bench.Running.First(core => !core.Consensus.IsLeader).Settings.Self;
        bench.Cut(follower);
        bench.RunFor(Second);

        Read(bench, follower).ShouldNotBeNull().Sentence.ShouldContain("no leader");
    }

    // Catches: a follower that answers with what it has, not with what it was told to wait for.
    [Fact]
    public void A_follower_answers_only_when_it_has_applied_what_the_leader_had_committed()
    {
        var bench = Healthy(3);
        var leader = bench.Leader!.Settings.Self;
        var follower = bench.Ids.First(id => id != leader);
        bench.SlowDisk(follower);
        bench.Post(leader, new Input.RequestMade("r", new Request.Pause(true)));
        bench.Deliver();
        bench[leader].State.Paused.ShouldBeTrue();

        Read(bench, follower).ShouldBeNull();

        bench.AnswerDisk(follower);
        Answers(bench, follower).ShouldHaveSingleItem().Index.ShouldNotBeNull();
        bench[follower].State.Paused.ShouldBeTrue();
    }

    // Catches: a heartbeat storm made by readers.
    [Fact]
    public void Many_reads_share_few_rounds()
    {
        var bench = Healthy(3);
        var leader = bench.Leader!.Settings.Self;
        var before = bench.Trace.Count(line => line.Output is Output.Send { Message.Body: PeerBody.Append });
        for (var i = 0; i < 200; i++)
        {
            bench.Post(leader, new Input.BarrierRequested($"b{i}"));
        }

        bench.Deliver();

        Answers(bench, leader).Count(answer => answer.Index is not null).ShouldBe(200);
        (bench.Trace.Count(line => line.Output is Output.Send { Message.Body: PeerBody.Append }) - before).ShouldBeLessThan(10);
    }

    private static CoreBench Healthy(int machines)
    {
        var bench = new CoreBench(machines);
        bench.RunUntil(() => bench.Running.All(core => core.Hold.IsHeld(bench.Now)), Second);
        bench.RunFor(Second);
        return bench;
    }

    private static Output.BarrierAnswered? Read(CoreBench bench, MachineId machine)
    {
        bench.Post(machine, new Input.BarrierRequested($"read of {machine}"));
        bench.Deliver();
        return Answers(bench, machine).LastOrDefault();
    }

    private static List<Output.BarrierAnswered> Answers(CoreBench bench, MachineId machine) =>
        [.. bench.Trace.Where(line => line.Machine == machine).Select(line => line.Output).OfType<Output.BarrierAnswered>()];
}
