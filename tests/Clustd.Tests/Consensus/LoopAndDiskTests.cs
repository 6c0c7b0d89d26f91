using Clustd.Core;
using Clustd.Core.Cluster;
using Clustd.Core.Raft;
using Shouldly;
using Xunit;

namespace Clustd.Tests.Consensus;

/// <summary>What a machine makes of its own lateness: of a loop that stood still, of a disk that does not answer, of more to say than fits into one message.</summary>
public class LoopAndDiskTests
{
    private static readonly ServiceName Web = new("web");
    private static readonly TimeSpan Second = TimeSpan.FromSeconds(1);

    // Rule 8. Wrong program: a leader that stood still for longer than a lease blames the others for what it did not hear, and ends their sessions: a failover for nothing.
    [Theory]
    [InlineData(0.5)]
    [InlineData(1.5)]
    [InlineData(30)]
    public void What_a_leader_did_not_hear_because_it_stood_still_ends_no_session(double seconds)
    {
        var bench = Well(new CoreBench(3));
        var leader = bench.Leader!;
        leader.State.Sessions.Count.ShouldBe(3);
        var late = bench.Now + TimeSpan.FromSeconds(seconds);

        var said = leader.Step(new Input.Tick(), late).ToList();

        said.OfType<Output.Persist>().SelectMany(persist => persist.Entries).Any(entry => entry.Command is Command.EndSession).ShouldBeFalse();
        leader.View(late).Stalls.Any(stall => stall.Machine == leader.Settings.Self).ShouldBe(seconds > 0.5, "it says so of itself");
    }

    // Campaign 111255. Wrong program: keeps a grant that it cannot begin, because its disk does not let it apply it, and the service is run by nobody.
    [Fact]
    public void What_is_granted_to_a_machine_whose_disk_does_not_answer_is_given_back()
    {
        var only = new MachineId("cm-3");
        var bench = Well(new CoreBench(3, services: [new ServiceDefinition { Name = Web, Machines = [only] }]));
        if (bench.Leader!.Settings.Self == only) Ask(bench, new Request.TransferLeadership(bench.Ids[0]));
        bench.RunUntil(() => bench.Leader!.Settings.Self != only, Second);
        Ask(bench, new Request.Drain(only, true));
        bench.RunUntil(() => bench.Leader!.State.Services[Web].Assignment is null, Second * 5);

        bench.SlowDisk(only);
        Ask(bench, new Request.Drain(only, false));
        bench.RunUntil(() => bench.Leader!.State.Services[Web].Assignment is { } granted && granted.Machine == only, Second);
        bench.RunUntil(() => bench.Leader!.State.Services[Web].Assignment is null, Second * 2);
        bench.Leader!.State.Services[Web].Reason.ShouldContain("cm-3 cannot begin it: its disk does not answer.");

        bench.AnswerDisk(only);
        bench.RunUntil(() => bench.Leader!.State.Services[Web].Assignment is { State: AssignmentState.Running }, Second * 20);
        bench.Trace.Where(step => step.Machine == only).Select(step => step.Output).OfType<Output.Noted>().Count(noted => noted.Kind == "service-assigned" && noted.Service == Web).ShouldBe(2, "not the one that was given back");
    }

    [Fact] // Wrong program: of many commands only the first is heard by the leader.
    public void A_follower_with_many_services_says_what_it_has_to_say_of_all_of_them()
    {
        var bench = new CoreBench(3, services: [.. Enumerable.Range(0, 100).Select(number => new ServiceDefinition { Name = new ServiceName($"s{number:000}"), Prefer = [new MachineId("cm-3")] })]);
        Well(bench);
        bench.RunUntil(() => bench.Leader!.State.Services.Count == 100 && bench.Leader.State.Services.Values.All(service => service.Assignment is { State: AssignmentState.Running }), Second * 10);
        bench.Leader!.State.Services.Values.ShouldAllBe(service => service.Assignment!.Machine == new MachineId("cm-3"));
        var before = bench.Leader.Consensus.Log.LastIndex;
        bench.RunFor(Second * 3);
        bench.Leader.Consensus.Log.LastIndex.ShouldBe(before, "what is said is not said again");
    }

    private static void Ask(CoreBench bench, Request request)
    {
        bench.Post(bench.Leader!.Settings.Self, new Input.RequestMade($"{request}", request));
        bench.RunFor(TimeSpan.FromMilliseconds(20));
        bench.Trace.Select(step => step.Output).OfType<Output.RequestAnswered>().Single(answered => answered.Id == $"{request}").Outcome.Done.ShouldBeTrue();
    }

    private static CoreBench Well(CoreBench bench)
    {
        bench.RunUntil(() => bench.Running.All(core => core.Hold.IsHeld(bench.Now)), Second * 2);
        bench.RunFor(Second);
        return bench;
    }
}
