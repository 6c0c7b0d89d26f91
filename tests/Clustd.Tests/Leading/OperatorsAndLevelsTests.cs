using Clustd.Core;
using Clustd.Core.Cluster;
using Clustd.Core.Raft;
using Clustd.Tests.Consensus;
using Shouldly;
using Xunit;

namespace Clustd.Tests.Leading;

/// <summary>What operators ask for while machines are missing, and what older versions must not be told.</summary>
public class OperatorsAndLevelsTests
{
    private static readonly ServiceName Web = new("web");
    private static readonly TimeSpan Second = TimeSpan.FromSeconds(1);

    // Wrong program: takes the service from a machine that may still run it because another one is off; or says it is done and nothing starts.
    [Fact]
    public void An_operators_word_that_a_machine_is_off_lets_its_service_start_elsewhere()
    {
        var bench = Well(new CoreBench(3, services: [new ServiceDefinition { Name = Web, RequiresFencing = true }]));
        bench.RunUntil(() => bench.Leader!.State.Services[Web].Assignment is not null, Second * 5);
        Ask(bench, new Request.Move(Web, bench.Ids.First(id => id != bench.Leader!.Settings.Self)));
        bench.RunUntil(() => bench.Leader!.State.Services[Web].Assignment is { State: AssignmentState.Running } at && at.Machine != bench.Leader!.Settings.Self, Second * 5);
        var lost = bench.Leader!.State.Services[Web].Assignment!.Machine;
        var other = bench.Ids.First(id => id != lost && id != bench.Leader!.Settings.Self);

        bench.Kill(lost);
        bench.RunUntil(() => bench.Leader!.State.Services[Web].Unfenced is { Count: 1 }, Second * 5);
        Ask(bench, new Request.Move(Web, null)).ShouldBe(new RequestOutcome(false, $"Cannot move 'web': it has no master just now. {bench.Leader!.State.Services[Web].Reason} See `clustd status`."));
        Ask(bench, new Request.ConfirmOff(other)).Sentence.ShouldStartWith($"Refused: {other} holds a session, so it is on.");
        bench.Leader!.State.Services[Web].Unfenced.ShouldBe([lost]);

        Ask(bench, new Request.ConfirmOff(lost)).ShouldBe(new RequestOutcome(true, $"{lost} counts as fenced: an operator has confirmed that it is off. 'web' may start elsewhere."));
        bench.Leader!.State.Services[Web].Unfenced.ShouldBe(null);
    }

    [Fact]
    public void Where_there_is_nobody_to_lead_instead_it_says_so()
    {
        var bench = Well(new CoreBench(1));
        Ask(bench, new Request.TransferLeadership(null)).ShouldBe(new RequestOutcome(
            false, "Cannot hand over leadership: no connected machine has the whole log, or another one was just told to take over. Ask again in a moment."));
    }

    [Fact] // Wrong program: decides for whoever believes in a former leader, or keeps silent.
    public void Whoever_asks_a_machine_that_does_not_lead_is_told_so_at_once()
    {
        var bench = Well(new CoreBench(3));
        var followers = bench.Running.Where(core => !core.Consensus.IsLeader).Select(core => core.Settings.Self).ToList();
        bench.Post(followers[0], new Input.PeerSpoke(followers[1], new PeerMessage(bench.Leader!.State.Cluster, bench[followers[1]].Store, new PeerBody.Ask("asked", new Request.Pause(true)))));
        bench.Deliver();
        bench.Trace.Where(step => step.Machine == followers[0]).Select(step => step.Output).OfType<Output.Send>().Select(send => send.Message.Body).OfType<PeerBody.AskAnswer>().ShouldHaveSingleItem()
            .Outcome.ShouldBe(new RequestOutcome(false, $"Refused: {followers[0]} does not lead any more. Ask again in a moment."));
    }

    [Fact] // Wrong program: wakes up for the last of them, and whoever asked first waits for longer than it was told.
    public void Each_of_several_that_wait_for_a_silent_leader_is_answered_after_five_seconds()
    {
        var bench = Well(new CoreBench(3));
        var leader = bench.Leader!.Settings.Self;
        var follower = bench.Ids.First(id => id != leader);
        foreach (var other in bench.Ids.Where(id => id != follower)) bench.CutLink(other, follower);
        var began = bench.Now;
        foreach (var id in (string[])["first", "second"])
        {
            bench.Post(follower, new Input.RequestMade(id, new Request.Pause(true)));
            bench.RunFor(TimeSpan.FromMilliseconds(200));
        }

        bench.RunFor(Second * 6);
        var answered = bench.Trace.Where(step => step.Machine == follower && step.Output is Output.RequestAnswered).Select(step => (((Output.RequestAnswered)step.Output).Id, (step.At - began).TotalSeconds)).ToList();
        answered.Select(each => each.Id).ShouldBe(["first", "second"]);
        answered[0].TotalSeconds.ShouldBe(5, 0.01);
        answered[1].TotalSeconds.ShouldBe(5.2, 0.01);
    }

    // Wrong program: what one said before its cable was pulled counts for ever, and it comes back as a version that cannot read the log.
    [Fact]
    public void The_level_does_not_rise_while_a_machine_is_silent_although_it_is_connected()
    {
        var bench = Well(new CoreBench(3, level: 1));
        var (leader, silent, old) = (bench.Ids[0], bench.Ids[1], bench.Ids[2]);
        foreach (var id in (MachineId[])[leader, silent]) Upgrade(bench, id);
        if (bench.Leader!.Settings.Self != leader) Ask(bench, new Request.TransferLeadership(leader));
        bench.RunUntil(() => bench.Leader!.Settings.Self == leader, Second * 5);
        bench.RunFor(Second);

        foreach (var other in (MachineId[])[leader, old]) bench.CutLink(silent, other);
        bench.RunFor(Second * 3);
        Ask(bench, new Request.RemoveMachine(silent)).Sentence.ShouldBe("Refused: cm-3 runs an older version, which could not read this. Upgrade it first.");
        bench.Kill(old);
        Ask(bench, new Request.RemoveMachine(silent), at: leader).Sentence.ShouldBe("Refused: cm-3 is not connected, and may run an older version, which could not read this. Start it first.");
        bench.Levels[old] = FeatureLevels.Own;
        bench.Restart(old);
        bench.RunFor(Second * 3);
        bench.Leader!.State.FeatureLevel.ShouldBe(1);

        bench.Heal();
        bench.RunUntil(() => bench.Running.All(core => core.State.FeatureLevel == FeatureLevels.Own), Second * 5);
    }

    private static RequestOutcome Ask(CoreBench bench, Request request, MachineId? at = null)
    {
        var id = $"{request}-{bench.Trace.Count}";
        bench.Post(at ?? bench.Leader!.Settings.Self, new Input.RequestMade(id, request));
        bench.RunFor(TimeSpan.FromMilliseconds(20));
        return bench.Trace.Select(step => step.Output).OfType<Output.RequestAnswered>().Single(answered => answered.Id == id).Outcome;
    }

    private static void Upgrade(CoreBench bench, MachineId machine)
    {
        bench.Kill(machine);
        bench.Levels[machine] = FeatureLevels.Own;
        bench.Restart(machine);
        bench.RunFor(Second * 2);
    }

    private static CoreBench Well(CoreBench bench)
    {
        bench.RunUntil(() => bench.Running.All(core => core.Hold.IsHeld(bench.Now)), Second * 2);
        bench.RunFor(Second);
        return bench;
    }
}
