using System.Diagnostics;
using Clustd.Core;
using Shouldly;
using Xunit;

namespace Clustd.Tests.Loop;

/// <summary>Turns on the thread that has received something, beside the loop's own. Threads of tests are the pool's, so each test makes others.</summary>
public sealed class TurnHereTests
{
    private static readonly TimeSpan Deadline = TimeSpan.FromSeconds(30);

    [Fact]
    public async Task What_was_posted_is_decided_before_the_call_returns_and_on_the_calling_thread()
    {
        await using var bench = new LoopBench { OnClock = () => MachineClock.Now };
        var decidedOn = 0;
        bench.OnStep = _ =>
        {
            decidedOn = Environment.CurrentManagedThreadId;
            return [];
        };
        bench.Loop.Start();
        Eventually(() => Interlocked.Read(ref bench.TurnsCompleted) > 0);
        await Task.Delay(100, TestContext.Current.CancellationToken); // It sleeps by now, for most of a second.

        OnThread(() =>
        {
            bench.Loop.PostQuietly(new Input.Persisted(1));
            bench.Loop.PostQuietly(new Input.Persisted(2));
            bench.Steps.ShouldBeEmpty();
            bench.Loop.TurnHere();
            bench.Steps.Count.ShouldBe(2);
            decidedOn.ShouldBe(Environment.CurrentManagedThreadId);
        });
    }

    // Catches: two turns at a time, a message that waits for somebody who does not come, and one that is taken twice.
    [Fact]
    public async Task Turns_of_many_threads_never_overlap_and_nothing_is_lost()
    {
        await using var bench = new LoopBench { OnClock = () => MachineClock.Now };
        var (inside, overlaps, total) = (0, 0, 0);
        bench.OnStep = _ =>
        {
            overlaps += Interlocked.Increment(ref inside) == 1 ? 0 : 1;
            total++; // not interlocked: that is the point
            Thread.Yield(); // Gives another one the chance to be here at the same time.
            Interlocked.Decrement(ref inside);
            return [];
        };
        bench.Loop.Start();
        var posting = Task.Run(
            () =>
            {
                for (var i = 0; i < 5_000; i++)
                {
                    bench.Loop.Post(new Input.Persisted(i));
                }
            },
            TestContext.Current.CancellationToken);
        var threads = Enumerable.Range(0, 4).Select(_ => Started(() =>
        {
            for (var i = 0; i < 5_000; i++)
            {
                bench.Loop.PostQuietly(new Input.Persisted(i));
                bench.Loop.TurnHere();
            }
        })).ToList();
        await posting;
        threads.ForEach(thread => thread.Join());

        Eventually(() => bench.Steps.Count == 25_000);
        (overlaps, total).ShouldBe((0, 25_000));
    }

    // Catches: a loop that sleeps until it would have woken before, although what was decided meanwhile is due sooner.
    [Fact]
    public async Task What_a_turn_elsewhere_makes_due_sooner_wakes_the_loop_in_time()
    {
        await using var bench = new LoopBench { OnClock = () => MachineClock.Now };
        bench.Loop.Start();
        Eventually(() => Interlocked.Read(ref bench.TurnsCompleted) > 0);
        for (var i = 1; i <= 20; i++)
        {
            var due = Instant.Never;
            bench.OnStep = input =>
            {
                bench.WakeAt = due = input is Input.Tick ? Instant.Never : MachineClock.Now + TimeSpan.FromMilliseconds(10);
                return [];
            };
            OnThread(() =>
            {
                bench.Loop.PostQuietly(new Input.Persisted(i));
                bench.Loop.TurnHere();
            });

            // The wrong program sleeps its second out: twenty of them are far longer than this.
            var waited = Stopwatch.StartNew();
            Eventually(() => bench.Steps.Last().Input is Input.Tick);
            waited.Elapsed.ShouldBeLessThan(TimeSpan.FromMilliseconds(900));
        }
    }

    [Fact]
    public async Task A_thread_of_the_pool_takes_no_turn_but_wakes_the_loop()
    {
        await using var bench = new LoopBench { OnClock = () => MachineClock.Now };
        var isPool = false;
        bench.OnStep = _ =>
        {
            isPool |= Thread.CurrentThread.IsThreadPoolThread;
            return [];
        };
        bench.Loop.Start();
        await Task.Run(
            () =>
            {
                for (var i = 0; i < 50; i++)
                {
                    bench.Loop.PostQuietly(new Input.Persisted(i));
                    bench.Loop.TurnHere();
                    var decided = i + 1;
                    Eventually(() => bench.Steps.Count == decided);
                }
            },
            TestContext.Current.CancellationToken);

        isPool.ShouldBeFalse();
    }

    [Fact]
    public async Task Nothing_is_decided_before_the_loop_starts_nor_after_it_has_ended()
    {
        var bench = new LoopBench { OnClock = () => MachineClock.Now };
        OnThread(() =>
        {
            bench.Loop.PostQuietly(new Input.Persisted(1));
            bench.Loop.TurnHere();
        });
        bench.Steps.ShouldBeEmpty();

        bench.Loop.Start();
        Eventually(() => bench.Steps.Count == 1);
        await bench.DisposeAsync();

        OnThread(() =>
        {
            bench.Loop.PostQuietly(new Input.Persisted(2)).ShouldBeFalse();
            bench.Loop.TurnHere();
        });
        bench.Steps.Count.ShouldBe(1);
    }

    [Fact]
    public async Task A_broken_invariant_in_a_turn_elsewhere_ends_the_loop_as_well()
    {
        await using var bench = new LoopBench { OnClock = () => MachineClock.Now };
        bench.OnStep = _ => throw new UnreachableException("Two masters.");
        bench.Loop.Start();
        Eventually(() => Interlocked.Read(ref bench.TurnsCompleted) > 0);
        OnThread(() =>
        {
            bench.Loop.PostQuietly(new Input.Persisted(1));
            bench.Loop.TurnHere();
        });

        Eventually(() => !bench.Crashes.IsEmpty);
        bench.Crashes.ShouldHaveSingleItem().Message.ShouldBe("Two masters.");
        bench.Loop.Post(new Input.Persisted(2)).ShouldBeFalse();
        await Should.ThrowAsync<TaskCanceledException>(bench.Loop.InspectAsync((_, _) => 1));
    }

    /// <summary>What a step does to the loop while it runs must not begin another one.</summary>
    [Fact]
    public async Task A_turn_within_a_turn_is_none()
    {
        await using var bench = new LoopBench { OnClock = () => MachineClock.Now };
        var depth = 0;
        var deepest = 0;
        bench.OnStep = input =>
        {
            deepest = Math.Max(deepest, ++depth);
            if (input is Input.Persisted { Sequence: < 3 } persisted)
            {
                bench.Loop.PostQuietly(new Input.Persisted(persisted.Sequence + 1));
                bench.Loop.TurnHere();
            }

            depth--;
            return [];
        };
        bench.Loop.Start();
        OnThread(() =>
        {
            bench.Loop.PostQuietly(new Input.Persisted(1));
            bench.Loop.TurnHere();
        });

        Eventually(() => bench.Steps.Count == 3);
        deepest.ShouldBe(1);
    }

    private static void Eventually(Func<bool> condition) => SpinWait.SpinUntil(condition, Deadline).ShouldBeTrue();

    private static Thread Started(Action action)
    {
        var thread = new Thread(() => action());
        thread.Start();
        return thread;
    }

    private static void OnThread(Action action)
    {
        Exception? failure = null;
        Started(() =>
        {
            try
            {
                action();
            }
            catch (Exception e)
            {
                failure = e;
            }
        }).Join();
        if (failure is not null)
        {
            throw failure;
        }
    }
}
