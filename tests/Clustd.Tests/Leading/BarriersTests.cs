using Clustd.Core;
using Clustd.Core.Cluster;
using Clustd.Core.Raft;
using Clustd.Tests.Consensus;
using Shouldly;
using Xunit;

namespace Clustd.Tests.Leading;

/// <summary>A read that waits for a majority: everybody is answered, once, in time and honestly.</summary>
public class BarriersTests
{
    private static readonly TimeSpan Second = TimeSpan.FromSeconds(1);
    private readonly CoreBench _bench = Healthy();

    private MachineId Leader => _bench.Leader!.Settings.Self;

    private MachineId Follower => _bench.Ids.First(id => id != Leader);

    // Wrong program: wakes up when the last of them is late, or never; a reader waits for ever for what nobody will say.
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Each_reader_is_refused_one_lease_after_it_asked(bool atLeader)
    {
        var (leader, follower) = (Leader, Follower);
        var asked = atLeader ? leader : follower;
        if (atLeader) _bench.Cut(leader);
        else _bench.CutLink(leader, follower);
        if (!atLeader)
        {
            foreach (var other in _bench.Ids.Where(id => id != follower)) _bench.CutLink(other, follower);
        }

        var began = _bench.Now;
        _bench.Post(asked, new Input.BarrierRequested("first"));
        _bench.RunFor(TimeSpan.FromMilliseconds(100));
        _bench.Post(asked, new Input.BarrierRequested("second"));
        _bench.RunFor(Second * 2);

        var answers = _bench.Trace.Where(step => step.Machine == asked && step.Output is Output.BarrierAnswered).Select(step => (step.At, Answer: (Output.BarrierAnswered)step.Output)).ToList();
        answers.Select(each => each.Answer.Id).ShouldBe(["first", "second"]);
        answers.ShouldAllBe(each => each.Answer.Index == null && each.Answer.Sentence.StartsWith("Not confirmed: "));
        (answers[0].At - began).ShouldBeLessThanOrEqualTo(Second + TimeSpan.FromMilliseconds(5));
        (answers[1].At - began).ShouldBeLessThanOrEqualTo(TimeSpan.FromMilliseconds(1105));
    }

    [Fact] // Wrong program: asks a version that does not know the question, and waits in vain.
    public void A_leader_of_a_version_that_confirms_no_reads_is_not_asked()
    {
        var bench = new CoreBench(3, level: FeatureLevels.Barrier - 1);
        bench.RunUntil(() => bench.Running.All(core => core.Hold.IsHeld(bench.Now)), Second * 2);
        var follower = bench.Running.First(core => !core.Consensus.IsLeader).Settings.Self;
        bench.Post(follower, new Input.BarrierRequested("read"));
        bench.Deliver();
        Answers(bench, follower).ShouldHaveSingleItem().Sentence.ShouldBe($"Not confirmed: the leader {bench.Leader!.Settings.Self} runs an older version, which confirms no reads. Upgrade it.");

        bench = new CoreBench(3, level: FeatureLevels.Barrier);
        bench.RunUntil(() => bench.Running.All(core => core.Hold.IsHeld(bench.Now)), Second * 2);
        follower = bench.Running.First(core => !core.Consensus.IsLeader).Settings.Self;
        bench.Post(follower, new Input.BarrierRequested("read"));
        bench.Deliver();
        Answers(bench, follower).ShouldHaveSingleItem().Index.ShouldNotBeNull();
    }

    // Wrong program: keeps the question of a machine that believes in a former leader, and it waits in vain.
    [Fact]
    public void Whoever_asks_a_machine_that_does_not_lead_is_told_so_at_once()
    {
        var (asked, asking) = (Follower, _bench.Ids.Last(id => id != Leader));
        Asks(asking, asked, "read");
        Told(asked, asking).ShouldHaveSingleItem().Sentence.ShouldBe($"Not confirmed: {asked} does not lead any more. Ask again in a moment.");
    }

    [Fact] // Wrong program: keeps whatever is asked, and grows without end.
    public void Of_too_many_that_wait_at_the_leader_the_last_are_refused()
    {
        var (leader, asking) = (Leader, Follower);
        foreach (var other in _bench.Ids.Where(id => id != leader)) _bench.CutLink(other, leader);
        for (var number = 0; number < 1030; number++) Asks(asking, leader, $"r{number}");

        var refused = Told(leader, asking);
        refused.Select(answer => answer.Id).ShouldBe(Enumerable.Range(1024, 6).Select(number => $"r{number}"));
        refused.ShouldAllBe(answer => answer.Sentence == "Not confirmed: 1024 reads wait for a majority already. Ask again in a moment.");
        _bench.RunFor(Second * 2);
        Told(leader, asking).Select(answer => answer.Id).Distinct().Count().ShouldBe(1030, "it leads no more, and tells those who waited");
        Told(leader, asking).Count.ShouldBe(1030, "each of them once");
    }

    [Fact] // Wrong program: takes the answer to one for that to another, or a late one for one more.
    public void Each_answer_belongs_to_its_question_and_counts_once()
    {
        var (leader, follower) = (Leader, Follower);
        _bench.CutLink(follower, leader);
        foreach (var id in (string[])["a", "b"]) _bench.Post(follower, new Input.BarrierRequested(id));
        _bench.Deliver();

        var term = _bench[leader].Consensus.Term;
        Says(leader, follower, new PeerBody.BarrierAnswer("b", 1, ""));
        Answers(_bench, follower).Select(answer => answer.Id).ShouldBe(["b"]);
        Says(leader, follower, new PeerBody.BarrierAnswer("b", 1, ""));
        Says(leader, follower, new PeerBody.BarrierAnswer("c", 1, ""));
        Answers(_bench, follower).Count.ShouldBe(1);
        Says(leader, follower, new PeerBody.BarrierAnswer("a", null, "Not confirmed: so it is."));
        Answers(_bench, follower)[^1].ShouldBe(new Output.BarrierAnswered("a", null, "Not confirmed: so it is."));
        _bench[leader].Consensus.Term.ShouldBe(term);
    }

    [Fact] // Wrong program: a leader of a former term confirms by rounds of its new one, which began before the question was asked again.
    public void Who_stops_leading_tells_those_who_wait()
    {
        var former = Leader;
        _bench.Cut(former);
        _bench.Post(former, new Input.BarrierRequested("read"));
        _bench.RunUntil(() => _bench.Leader is { } other && other.Settings.Self != former, Second * 3);
        _bench.Heal();
        _bench.RunFor(Second);
        Answers(_bench, former).ShouldHaveSingleItem().Index.ShouldBeNull();
    }

    private void Asks(MachineId from, MachineId to, string id) => Says(from, to, new PeerBody.AskBarrier(id));

    private void Says(MachineId from, MachineId to, PeerBody body)
    {
        var sample = _bench.Trace.Where(step => step.Machine == from).Select(step => step.Output).OfType<Output.Send>().Last(send => send.To == to).Message;
        _bench.Post(to, new Input.PeerSpoke(from, sample with { Body = body }));
        _bench.Deliver();
    }

    private List<PeerBody.BarrierAnswer> Told(MachineId by, MachineId whom) =>
        [.. _bench.Trace.Where(step => step.Machine == by).Select(step => step.Output).OfType<Output.Send>().Where(send => send.To == whom).Select(send => send.Message.Body).OfType<PeerBody.BarrierAnswer>()];

    private static List<Output.BarrierAnswered> Answers(CoreBench bench, MachineId machine) =>
        [.. bench.Trace.Where(step => step.Machine == machine).Select(step => step.Output).OfType<Output.BarrierAnswered>()];

    private static CoreBench Healthy()
    {
        var bench = new CoreBench(3);
        bench.RunUntil(() => bench.Running.All(core => core.Hold.IsHeld(bench.Now)), Second * 2);
        bench.RunFor(Second);
        return bench;
    }
}
