using System.Diagnostics;
using Clustd.Core;
using Shouldly;
using Xunit;

namespace Clustd.Tests.Loop;

/// <summary>The same loop on its own thread and on the machine's clock. Deadlines are generous: they end a test that hangs.</summary>
public sealed class MachineLoopThreadTests
{
    private static readonly TimeSpan Deadline = TimeSpan.FromSeconds(30);

    [Fact]
    public async Task Wakes_by_itself_when_the_core_wants_to()
    {
        await using var bench = new LoopBench { OnClock = () => MachineClock.Now };
        var due = MachineClock.Now + TimeSpan.FromMilliseconds(50);
        bench.WakeAt = due;
        bench.OnStep = _ =>
        {
            bench.WakeAt = Instant.Never;
            return [];
        };

        bench.Loop.Start();

        Eventually(() => bench.Steps.Count == 1);
        bench.Steps.First().Now.ShouldBeGreaterThanOrEqualTo(due);
    }

    [Fact]
    public async Task An_input_wakes_a_sleeping_loop()
    {
        await using var bench = new LoopBench { OnClock = () => MachineClock.Now };
        bench.Loop.Start();
        for (var i = 1; i <= 200; i++)
        {
            // The wrong program sleeps its second out now and then: 200 of them are past any deadline.
            bench.Loop.Post(new Input.Persisted(i));
            Eventually(() => bench.Steps.Count == i);
        }
    }

    [Fact]
    public async Task All_decisions_are_made_on_one_thread()
    {
        await using var bench = new LoopBench { OnClock = () => MachineClock.Now };
        var threads = new HashSet<int>();
        var total = 0;
        bench.OnStep = _ =>
        {
            threads.Add(Environment.CurrentManagedThreadId);
            total++; // not interlocked: that is the point
            return [];
        };
        bench.Loop.Start();
        await Task.WhenAll(Enumerable.Range(0, 8).Select(_ => Task.Run(() =>
        {
            for (var i = 0; i < 5_000; i++)
            {
                bench.Loop.Post(new Input.Persisted(i)).ShouldBeTrue();
            }
        })));

        Eventually(() => bench.Steps.Count == 40_000);

        (await bench.Loop.InspectAsync((_, _) => (Environment.CurrentManagedThreadId, total))).ShouldBe((threads.ShouldHaveSingleItem(), 40_000));
    }

    /// <summary>The wrong program catches the exception, logs it and decides on from a state that nobody understands.</summary>
    [Fact]
    public async Task A_broken_invariant_crashes_and_nothing_is_decided_or_performed_after_it()
    {
        await using var bench = new LoopBench { OnClock = () => MachineClock.Now };
        bench.OnStep = input => input is Input.Persisted { Sequence: 2 } ? throw new UnreachableException("Two masters.") : [new Output.Departed()];
        bench.Loop.Post(new Input.Persisted(1));
        bench.Loop.Post(new Input.Persisted(2));
        bench.Loop.Post(new Input.Persisted(3));
        var unanswered = bench.Loop.InspectAsync((_, _) => 1);

        bench.Loop.Start();

        await Should.ThrowAsync<TaskCanceledException>(unanswered);
        bench.Crashes.ShouldHaveSingleItem().Message.ShouldBe("Two masters.");
        bench.Steps.Count.ShouldBe(2);
        bench.Performed.Count.ShouldBe(1);
        bench.Loop.Post(new Input.Persisted(4)).ShouldBeFalse();
        await Should.ThrowAsync<TaskCanceledException>(bench.Loop.InspectAsync((_, _) => 1));
    }

    [Fact]
    public async Task The_watchdog_hears_of_every_turn_even_of_idle_ones()
    {
        await using var bench = new LoopBench { OnClock = () => MachineClock.Now };
        bench.Loop.Start();
        Eventually(() => Interlocked.Read(ref bench.TurnsCompleted) >= 2);
    }

    [Fact]
    public async Task A_loop_that_never_started_ends_too()
    {
        var bench = new LoopBench();
        var unanswered = bench.Loop.InspectAsync((_, _) => 1);
        await bench.DisposeAsync();
        await Should.ThrowAsync<TaskCanceledException>(unanswered);
    }

    [Fact]
    public void The_clock_runs_forward_and_the_boot_has_a_name()
    {
        var before = MachineClock.Now;
        SpinWait.SpinUntil(() => MachineClock.Now > before, Deadline).ShouldBeTrue();
        MachineClock.BootId.ShouldMatch("^[0-9a-f-]{36}$");
    }

    private static void Eventually(Func<bool> condition) => SpinWait.SpinUntil(condition, Deadline).ShouldBeTrue();
}
