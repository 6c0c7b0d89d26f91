using Clustd.Core;
using Shouldly;
using Xunit;

namespace Clustd.Tests.Loop;

/// <summary>Turns are made by hand here, on the test's own thread: no waiting, no chance.</summary>
public sealed class MachineLoopTests
{
    [Fact]
    public async Task Inputs_are_taken_in_the_order_they_were_posted_and_the_tick_after_all_of_them()
    {
        await using var bench = new LoopBench();
        bench.WakeAt = bench.Now - TimeSpan.FromSeconds(1); // long due, as after a stall
        bench.Loop.Post(new Input.PeerConnected(new MachineId("b")));
        bench.Loop.Post(LoopBench.PeerMessage(1));
        bench.Loop.Post(new Input.Persisted(1));

        bench.Loop.Turn();

        bench.Steps.Select(s => s.Input.GetType().Name).ShouldBe(["PeerConnected", "PeerSpoke", "Persisted", "Tick"]);
        bench.Loop.Punctuality.Lateness.Maximum.ShouldBe(TimeSpan.FromSeconds(1));
    }

    [Fact]
    public async Task There_is_no_tick_before_its_time()
    {
        await using var bench = new LoopBench();
        bench.WakeAt = bench.Now + TimeSpan.FromMicroseconds(1);
        bench.Loop.Turn();
        bench.Steps.ShouldBeEmpty();
        bench.Loop.TimeToSleep().ShouldBe(TimeSpan.FromMicroseconds(1));

        bench.Now = bench.WakeAt;
        bench.Loop.Turn();
        bench.Steps.ShouldHaveSingleItem().ShouldBe((new Input.Tick(), bench.Now));
    }

    /// <summary>Rule 2. The wrong program reads the clock once per turn, or just before it takes an input.</summary>
    [Fact]
    public async Task The_clock_is_read_after_the_input_has_left_the_inbox()
    {
        await using var bench = new LoopBench();
        bench.PostPeerMessages(MachineLoop.InboxCapacity);
        var roomWhenRead = new List<bool>();
        bench.OnClock = () =>
        {
            // A full inbox takes one more message only if one has left it.
            roomWhenRead.Add(bench.Loop.Post(LoopBench.PeerMessage(0)));
            return bench.Now += TimeSpan.FromMicroseconds(1);
        };

        bench.Loop.Turn();

        roomWhenRead.Take(MachineLoop.InboxCapacity).ShouldAllBe(hadRoom => hadRoom);
        bench.Steps.Select(s => s.Now).Distinct().Count().ShouldBe(bench.Steps.Count);
    }

    [Fact]
    public async Task A_flood_cannot_put_the_tick_off_for_ever_and_is_not_slept_over()
    {
        await using var bench = new LoopBench();
        bench.WakeAt = bench.Now;
        bench.OnStep = input =>
        {
            bench.Loop.Post(LoopBench.PeerMessage(0)); // each that is taken brings another one
            return [];
        };
        bench.PostPeerMessages(10);

        bench.Loop.Turn();

        bench.Steps.Count.ShouldBe(MachineLoop.InboxCapacity + 1);
        bench.Steps.Last().Input.ShouldBeOfType<Input.Tick>();
        bench.WakeAt = Instant.Never;
        bench.Loop.TimeToSleep().ShouldBe(TimeSpan.Zero);
    }

    [Fact]
    public async Task On_a_full_inbox_peers_messages_are_dropped_and_counted_and_nothing_else_is()
    {
        await using var bench = new LoopBench();
        bench.PostPeerMessages(MachineLoop.InboxCapacity);

        bench.Loop.Post(LoopBench.PeerMessage(0)).ShouldBeFalse();
        bench.Loop.Post(new Input.Persisted(7)).ShouldBeTrue();
        bench.Loop.Post(new Input.DriverLost(new DriverConnection(3))).ShouldBeTrue();
        bench.Loop.Post(new Input.PeerLost(new MachineId("b"))).ShouldBeTrue();

        bench.Loop.Turn();
        bench.Loop.Turn();
        bench.Steps.Skip(MachineLoop.InboxCapacity).Select(s => s.Input.GetType().Name).ShouldBe(["Persisted", "DriverLost", "PeerLost"]);
        bench.Loop.Punctuality.PeerMessagesDropped.ShouldBe(1);
    }

    [Fact]
    public async Task Outputs_are_performed_in_order_before_the_next_input_is_taken()
    {
        await using var bench = new LoopBench();
        var performedBefore = new List<int>();
        var reused = new List<Output>(); // like the core's own list: valid until the next step
        bench.OnStep = input =>
        {
            performedBefore.Add(bench.Performed.Count);
            reused.Clear();
            reused.AddRange([new Output.Disconnect(new MachineId("b"), $"{input}"), new Output.Departed()]);
            return reused;
        };
        bench.Loop.Post(new Input.Persisted(1));
        bench.Loop.Post(new Input.Persisted(2));

        bench.Loop.Turn();

        performedBefore.ShouldBe([0, 2]);
        bench.Performed.Select(o => o.GetType().Name).ShouldBe(["Disconnect", "Departed", "Disconnect", "Departed"]);
    }

    [Fact]
    public async Task Nothing_to_do_ever_is_slept_a_second_at_a_time_for_the_watchdogs_sake()
    {
        await using var bench = new LoopBench();
        bench.Loop.TimeToSleep().ShouldBe(TimeSpan.FromSeconds(1));
    }

    // Wrong program: sleeps a second in any case, so a watchdog of one second is the end of every idle daemon.
    [Fact]
    public async Task A_watchdog_that_wants_more_turns_gets_them()
    {
        await using var bench = new LoopBench(turnEvery: 0.25);
        bench.Loop.TimeToSleep().ShouldBe(TimeSpan.FromSeconds(0.25));
    }

    [Fact]
    public async Task An_inspection_sees_the_core_between_two_inputs_and_its_mistakes_are_its_own()
    {
        await using var bench = new LoopBench();
        bench.Loop.Post(new Input.Persisted(1));
        var seen = bench.Loop.InspectAsync((core, now) => (core.Settings.Self, now, bench.Steps.Count));
        var failing = bench.Loop.InspectAsync<int>((_, _) => throw new InvalidOperationException("The reader is wrong."));
        bench.Loop.Post(new Input.Persisted(2));

        bench.Loop.Turn();

        (await seen).ShouldBe((new MachineId("a"), bench.Now, 1));
        await Should.ThrowAsync<InvalidOperationException>(failing);
        bench.Steps.Count.ShouldBe(2);
    }

    [Fact]
    public void Every_kind_of_output_has_its_performer()
    {
        var performed = new List<Output>();
        var router = new OutputRouter
        {
            Send = performed.Add,
            Disconnect = performed.Add,
            Persist = performed.Add,
            StoreRefused = performed.Add,
            DriverAccepted = performed.Add,
            DriverRefused = performed.Add,
            Trigger = performed.Add,
            CancelTrigger = performed.Add,
            DriverLease = performed.Add,
            RequestAnswered = performed.Add,
            BarrierAnswered = performed.Add,
            Noted = performed.Add,
            Departed = performed.Add,
            ReadyToRestart = performed.Add,
        };
        var kinds = typeof(Output).GetNestedTypes().Where(t => t.IsSubclassOf(typeof(Output))).ToList();

        foreach (var kind in kinds)
        {
            router.Perform((Output)System.Runtime.CompilerServices.RuntimeHelpers.GetUninitializedObject(kind));
        }

        performed.Select(o => o.GetType()).ShouldBe(kinds);
    }
}
