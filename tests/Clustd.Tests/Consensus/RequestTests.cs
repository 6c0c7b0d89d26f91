using Clustd.Core;
using Clustd.Core.Cluster;
using Clustd.Core.Raft;
using Shouldly;
using Xunit;

namespace Clustd.Tests.Consensus;

/// <summary>What operators are answered: once each, whichever machine they ask, and never "done" when it is not.</summary>
public class RequestTests
{
    private static readonly TimeSpan Second = TimeSpan.FromSeconds(1);
    private static readonly MachineId Nobody = new("cm-9");
    private readonly CoreBench _bench = Healthy();

    private MachineId Leader => _bench.Leader!.Settings.Self;

    private MachineId Follower => _bench.Ids.First(id => id != Leader);

    public static TheoryData<string, string> Refusals => new()
    {
        { "drain", "Refused: there is no machine 'cm-9'. The machines are cm-1, cm-2, cm-3." },
        { "move", "Cannot move 'nothing': there is no such service. The services are default." },
        { "transfer", "Cannot hand over leadership to cm-9: no connected machine has the whole log, or another one was just told to take over. Ask again in a moment." },
        { "remove", "Cannot remove cm-9: there is no such machine. The machines are cm-1, cm-2, cm-3." },
        { "confirm-off", "holds a session, so it is on. Stop clustd there (`systemctl stop clustd`), or turn it off and wait until its session is over." },
        { "confirm-off-nobody", "Refused: no service waits until cm-9 is fenced. See `clustd status`." },
    };

    [Theory]
    [MemberData(nameof(Refusals))]
    public void What_cannot_be_done_is_refused_with_the_reason_by_the_leader_and_through_a_follower(string what, string sentence)
    {
        Request request = what switch
        {
            "drain" => new Request.Drain(Nobody, true),
            "move" => new Request.Move(new ServiceName("nothing"), null),
            "transfer" => new Request.TransferLeadership(Nobody),
            "remove" => new Request.RemoveMachine(Nobody),
            "confirm-off" => new Request.ConfirmOff(Follower),
            _ => new Request.ConfirmOff(Nobody),
        };
        var before = _bench.Leader!.Consensus.Log.LastIndex;

        foreach (var asked in (MachineId[])[Leader, Follower])
        {
            var outcome = Ask(asked, request).ShouldHaveSingleItem($"asked at {asked}");
            outcome.Done.ShouldBeFalse();
            outcome.Sentence.ShouldContain(sentence);
        }

        _bench.Leader!.Consensus.Log.LastIndex.ShouldBe(before, "nothing was decided");
    }

    [Fact]
    public void What_is_done_is_answered_when_it_is_applied_and_once()
    {
        foreach (var (asked, paused) in ((MachineId, bool)[])[(Leader, true), (Follower, false)])
        {
            Ask(asked, new Request.Pause(paused)).ShouldBe([new RequestOutcome(true, paused ? "Paused: nothing moves by itself, not even after a failure." : "No longer paused: services move as needed.")]);
            _bench.Leader!.State.Paused.ShouldBe(paused);
        }

        Ask(Follower, new Request.Drain(Follower, true)).ShouldBe([new RequestOutcome(true, $"{Follower} is drained: its services move away.")]);
        Ask(Leader, new Request.Drain(Follower, false)).ShouldBe([new RequestOutcome(true, $"{Follower} may run services again.")]);
    }

    // Wrong program: says that it was done because the entry's place in the log is decided, by another leader's entry.
    [Fact]
    public void A_leader_that_was_deposed_meanwhile_does_not_say_that_it_was_done()
    {
        var former = Leader;
        _bench.Cut(former);
        _bench.Post(former, new Input.RequestMade("lost", new Request.Pause(true)));
        _bench.RunUntil(() => _bench.Leader is { } other && other.Settings.Self != former, Second * 3);
        _bench.Post(Leader, new Input.RequestMade("other", new Request.Drain(former, true)));
        _bench.RunFor(Second);
        _bench.Heal();
        _bench.RunFor(Second);

        var outcome = Outcomes(former, "lost").ShouldHaveSingleItem();
        outcome.Done.ShouldBeFalse();
        outcome.Sentence.ShouldStartWith("Not known: this machine stopped leading before the decision was applied.");
        _bench.Leader!.State.Paused.ShouldBeFalse();
    }

    [Fact]
    public void A_leader_that_does_not_answer_is_waited_for_so_long_and_not_for_ever()
    {
        var (leader, follower) = (Leader, Follower);
        _bench.CutLink(leader, follower); // What it answers vanishes, and so does what it would have the others pass on.
        foreach (var other in _bench.Ids.Where(id => id != follower)) _bench.CutLink(other, follower);
        _bench.Post(follower, new Input.RequestMade("asked", new Request.Pause(true)));
        _bench.RunFor(Second * 12);

        var outcome = Outcomes(follower, "asked").ShouldHaveSingleItem();
        outcome.Done.ShouldBeFalse();
        outcome.Sentence.ShouldStartWith("Not known: the leader did not answer within ");
    }

    [Fact]
    public void Without_a_leader_it_is_refused_at_once()
    {
        var alone = Follower;
        foreach (var other in _bench.Ids.Where(id => id != alone)) _bench.Kill(other);

        Ask(alone, new Request.Pause(true)).ShouldHaveSingleItem().Sentence.ShouldStartWith("Refused: the cluster has no leader that this machine can reach");
    }

    [Fact]
    public void What_an_older_machine_could_not_read_is_refused_and_the_machine_named()
    {
        var bench = Healthy(level: 1);
        bench.Post(bench.Leader!.Settings.Self, new Input.RequestMade("remove", new Request.RemoveMachine(new MachineId("cm-3"))));
        bench.RunFor(Second);

        var outcome = bench.Trace.Select(step => step.Output).OfType<Output.RequestAnswered>().Single(answered => answered.Id == "remove").Outcome;
        (outcome.Done, outcome.Sentence).ShouldBe((false, "Refused: cm-1, cm-2, cm-3 run an older version, which could not read this. Upgrade them first."));
    }

    // Wrong program: keeps whatever is asked, and a leader without a majority grows without end.
    [Fact]
    public void Readers_that_no_majority_confirms_are_refused_when_there_are_too_many()
    {
        var leader = Leader;
        _bench.Cut(leader);
        for (var reader = 0; reader < 1100; reader++) _bench.Post(leader, new Input.BarrierRequested($"r{reader}"));
        _bench.Deliver();

        var refused = _bench.Trace.Where(step => step.Machine == leader).Select(step => step.Output).OfType<Output.BarrierAnswered>().ToList();
        refused.Count.ShouldBe(1100 - 1024);
        refused.ShouldAllBe(answer => answer.Index == null && answer.Sentence.StartsWith("Not confirmed: 1024 reads wait for a majority already."));
        _bench.RunFor(Second * 2);
        _bench.Trace.Select(step => step.Output).OfType<Output.BarrierAnswered>().Select(answer => answer.Id).Distinct().Count().ShouldBe(1100, "everybody is answered");
        _bench.Trace.Select(step => step.Output).OfType<Output.BarrierAnswered>().Count().ShouldBe(1100, "and once");
    }

    private List<RequestOutcome> Ask(MachineId machine, Request request)
    {
        var id = $"{machine}-{request}-{_bench.Trace.Count}";
        _bench.Post(machine, new Input.RequestMade(id, request));
        _bench.RunFor(TimeSpan.FromMilliseconds(20));
        return Outcomes(machine, id);
    }

    private List<RequestOutcome> Outcomes(MachineId machine, string id) =>
        [.. _bench.Trace.Where(step => step.Machine == machine).Select(step => step.Output).OfType<Output.RequestAnswered>().Where(answered => answered.Id == id).Select(answered => answered.Outcome)];

    private static CoreBench Healthy(int level = FeatureLevels.Own)
    {
        var bench = new CoreBench(3, level: level);
        bench.RunUntil(() => bench.Running.All(core => core.Hold.IsHeld(bench.Now)), Second * 2);
        bench.RunFor(Second);
        return bench;
    }
}
