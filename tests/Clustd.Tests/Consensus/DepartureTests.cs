using Clustd.Core;
using Clustd.Core.Cluster;
using Clustd.Core.Raft;
using Shouldly;
using Xunit;

namespace Clustd.Tests.Consensus;

/// <summary>A daemon that leaves, or restarts, comes to an end whatever hangs: it waits as long as stopping may take, and not longer.</summary>
public class DepartureTests
{
    private static readonly ServiceName Elsewhere = new("zoo");
    private static readonly TimeSpan Second = TimeSpan.FromSeconds(1);

    // Wrong program: waits for the shorter of two stops, for a service of another machine, or for ever; the machine's shutdown kills it in the middle of a stop, or hangs.
    [Theory]
    [InlineData("slow", "quick")]
    [InlineData("alpha", "zulu")]
    [InlineData("zulu", "alpha")]
    public void A_driver_that_hangs_keeps_it_for_the_longest_stop_and_some_leases(string longest, string shorter)
    {
        ServiceName slow = new(longest), quick = new(shorter);
        var bench = Well(new CoreBench(3, services:
        [
            new ServiceDefinition { Name = slow, StopTimeout = Second * 10, KillTimeout = Second * 3, Prefer = [new MachineId("cm-1")] }, new ServiceDefinition { Name = quick, StopTimeout = Second * 5, Prefer = [new MachineId("cm-1")] },
            new ServiceDefinition { Name = Elsewhere, StopTimeout = Second * 60, Prefer = [new MachineId("cm-2")] },
        ]));
        var gone = bench.Ids[0];
        bench.Post(gone, new Input.DriverRegistered(new DriverConnection(1), new DriverRegistration { Name = new DriverName("app"), Instance = "1", Services = [slow, quick], Required = true }));
        bench.Deliver();
        Answer(bench, gone);
        bench.RunUntil(() => Answer(bench, gone) is var _ && bench.Leader!.State.Services[slow].Assignment is { State: AssignmentState.Running } at && at.Machine == gone, Second * 60);
        bench.RunUntil(() => Answer(bench, gone) is var _ && bench.Leader!.State.Services[Elsewhere].Assignment?.Machine != gone, Second * 60);

        var began = bench.Now;
        bench.Post(gone, new Input.GoodbyeRequested("maintenance"));
        bench.RunFor(Second * 30);

        var patience = Second * 13 + LeaseTiming.Stretch(bench.Lease) * 2 + Second;
        var (at, _, output) = bench.Trace.Where(step => step.Machine == gone && step.Output is Output.Departed).ShouldHaveSingleItem();
        (at - began).ShouldBeInRange(patience, patience + TimeSpan.FromMilliseconds(5));
        output.ShouldBeOfType<Output.Departed>();
        bench.Trace.Select(step => step.Output).OfType<Output.Noted>().Single(noted => noted.Kind == "departed").Severity.ShouldBe(Severity.Warning, "not everything is proven stopped");
    }

    [Fact] // Wrong program: waits for an answer that cannot come; or is gone before the others can have taken its session for ended.
    public void Without_a_majority_it_is_gone_after_one_lease()
    {
        var bench = Well(new CoreBench(3));
        var alone = bench.Ids.First(id => id != bench.Leader!.Settings.Self);
        foreach (var other in bench.Ids.Where(id => id != alone)) bench.Kill(other);
        bench.RunFor(Second * 3);
        var began = bench.Now;
        bench.Post(alone, new Input.GoodbyeRequested("maintenance"));
        bench.RunFor(Second * 10);
        var departed = bench.Trace.Where(step => step.Machine == alone && step.Output is Output.Departed).ShouldHaveSingleItem();
        (departed.At - began).ShouldBeInRange(bench.Lease, bench.Lease + TimeSpan.FromMilliseconds(5));
        bench[alone].State.SessionOf(alone).ShouldNotBeNull("nobody has agreed to its end");
    }

    // Wrong program: tells several to take over, and the vote splits; or leaves while it still leads, and everybody waits for an election.
    [Theory]
    [InlineData(3)]
    [InlineData(5)]
    public void A_leader_hands_over_to_one_and_is_gone_when_that_one_leads(int machines)
    {
        var bench = Well(new CoreBench(machines));
        var former = bench.Leader!.Settings.Self;
        bench.Trace.Clear();
        bench.Post(former, new Input.GoodbyeRequested("maintenance"));
        bench.RunUntil(() => bench.Trace.Any(step => step.Output is Output.Departed), Second);
        bench.Leader!.Settings.Self.ShouldNotBe(former);
        bench[former].Consensus.IsLeader.ShouldBeFalse();
        bench.Trace.Select(step => step.Output).OfType<Output.Send>().Where(send => send.Message.Body is PeerBody.TakeOver).Select(send => send.To).Distinct().ShouldHaveSingleItem();
        bench.Leader.State.SessionOf(former).ShouldBeNull();
        bench.RunFor(Second * 5);
        bench.Trace.Count(step => step.Output is Output.Departed).ShouldBe(1);
    }

    // Wrong program: says that a restart was granted, or nothing at all, and whoever asked starts it again at his leisure.
    [Theory]
    [InlineData("cut", "restarts without a grace: no majority agreed to it within 1 s.")]
    [InlineData("no hold", "restarts without a grace: it holds no session just now")]
    public void A_restart_that_nobody_grants_is_said_and_goes_on(string why, string sentence)
    {
        var bench = Well(new CoreBench(3));
        var restarts = bench.Ids.First(id => id != bench.Leader!.Settings.Self);
        bench.Cut(restarts);
        if (why == "no hold") bench.RunFor(Second * 3);
        var began = bench.Now;
        bench.Post(restarts, new Input.RestartRequested("upgrade", "asked"));
        bench.RunFor(Second * 5);

        var answered = bench.Trace.Where(step => step.Output is Output.RequestAnswered { Id: "asked" }).ShouldHaveSingleItem();
        ((Output.RequestAnswered)answered.Output).Outcome.Done.ShouldBeTrue("it restarts");
        ((Output.RequestAnswered)answered.Output).Outcome.Sentence.ShouldContain(sentence);
        bench.Trace.Select(step => step.Output).OfType<Output.Noted>().Single(noted => noted.Kind == "restart-without-grace").Severity.ShouldBe(Severity.Warning);
        var ready = bench.Trace.Where(step => step.Output is Output.ReadyToRestart).ShouldHaveSingleItem();
        (ready.At - began).ShouldBeInRange(why == "cut" ? bench.Lease : TimeSpan.Zero, (why == "cut" ? bench.Lease : TimeSpan.Zero) + TimeSpan.FromMilliseconds(5));
        ready.Output.ShouldBe(new Output.ReadyToRestart(false));
    }

    [Fact] // Wrong program: the second one that asks waits for ever; a goodbye in the middle of a restart leaves the one who asked without an answer.
    public void Who_asks_for_a_restart_twice_or_is_overruled_by_a_goodbye_is_told_so()
    {
        var bench = Well(new CoreBench(3));
        var restarts = bench.Ids.First(id => id != bench.Leader!.Settings.Self);
        bench.Cut(restarts);
        foreach (var id in (string[])["first", "second"]) bench.Post(restarts, new Input.RestartRequested("upgrade", id));
        bench.Deliver();
        Outcome("second").ShouldBe(new RequestOutcome(false, $"{restarts} restarts already. Start it again as soon as its daemon has ended."));
        bench.Post(restarts, new Input.GoodbyeRequested("maintenance"));
        bench.RunFor(Second * 5);
        Outcome("first").ShouldBe(new RequestOutcome(false, $"{restarts} does not restart: it was told to leave instead."));
        bench.Trace.Any(step => step.Output is Output.ReadyToRestart).ShouldBeFalse();
        bench.Trace.Any(step => step.Machine == restarts && step.Output is Output.Departed).ShouldBeTrue();

        RequestOutcome Outcome(string id) => bench.Trace.Select(step => step.Output).OfType<Output.RequestAnswered>().Single(answered => answered.Id == id).Outcome;
    }

    /// <summary>Acknowledges what the driver was told, until it is told to stop what it runs.</summary>
    private static bool Answer(CoreBench bench, MachineId machine)
    {
        foreach (var call in bench.Trace.Where(step => step.Machine == machine).Select(step => step.Output).OfType<Output.Trigger>().Select(trigger => trigger.Call).ToList())
            bench.Post(machine, new Input.DriverAnswered(new DriverConnection(1), call.Service, call.Sequence, null));
        bench.Deliver();
        return true;
    }

    private static CoreBench Well(CoreBench bench)
    {
        bench.RunUntil(() => bench.Running.All(core => core.Hold.IsHeld(bench.Now)), Second * 2);
        bench.RunFor(Second);
        return bench;
    }
}
