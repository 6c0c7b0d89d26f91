using System.Buffers.Binary;
using Clustd.Peers;
using Microsoft.Extensions.Time.Testing;
using Shouldly;
using Xunit;

namespace Clustd.Tests.Peers;

public sealed class SendQueueTests
{
    [Fact]
    public async Task Urgent_messages_overtake_ordinary_ones_and_each_class_keeps_its_order()
    {
        var queue = new SendQueue(capacityBytes: 1 << 20);
        foreach (var (number, urgent) in new[] { (1, false), (2, false), (11, true), (3, false), (12, true) })
        {
            queue.TryAdd([(byte)number], urgent).ShouldBeTrue();
        }

        queue.Complete(drain: true);

        (await DrainAsync(queue)).ShouldBe([11, 12, 1, 2, 3]);
    }

    [Fact]
    public async Task Small_messages_travel_together_and_a_large_one_alone()
    {
        var queue = new SendQueue(capacityBytes: 1 << 20);
        queue.TryAdd([1], urgent: false);
        queue.TryAdd([2], urgent: false);
        queue.TryAdd(new byte[100_000], urgent: false);
        queue.TryAdd([3], urgent: false);
        queue.Complete(drain: true);

        var lengths = new List<int>();
        while (await queue.TakeAsync() is { } item)
        {
            lengths.Add(item.Length);
        }

        lengths.ShouldBe([10, 100_004, 5]);
    }

    [Fact]
    public void What_does_not_fit_is_not_taken_and_room_comes_back_with_sending()
    {
        var queue = new SendQueue(capacityBytes: 20);

        queue.TryAdd(new byte[16], urgent: false).ShouldBeTrue();
        queue.TryAdd([], urgent: true).ShouldBeFalse();
        queue.TakeAsync().AsTask().IsCompletedSuccessfully.ShouldBeTrue();
        queue.TryAdd(new byte[16], urgent: false).ShouldBeTrue();
    }

    [Fact]
    public async Task A_waiting_reader_wakes_for_the_first_message_and_for_the_end()
    {
        var queue = new SendQueue(capacityBytes: 1 << 20);
        var first = queue.TakeAsync().AsTask();
        first.IsCompleted.ShouldBeFalse();
        queue.TryAdd([7], urgent: false);
        queue.Flush();
        (await first.WaitAsync(TimeSpan.FromSeconds(30)))!.Value.Length.ShouldBe(5);

        var second = queue.TakeAsync().AsTask();
        queue.Complete(drain: false);
        (await second.WaitAsync(TimeSpan.FromSeconds(30))).ShouldBeNull();
    }

    // Catches: a reader that is resumed by the thread pool, which costs every heartbeat a change of threads.
    [Fact]
    public void What_waits_is_sent_on_the_thread_that_flushes()
    {
        var queue = new SendQueue(capacityBytes: 1 << 20);
        var sentBy = new List<(int Thread, int Length)>();
        var sending = SendAsync();

        // Two messages of one turn are one write.
        queue.TryAdd([1], urgent: false);
        queue.TryAdd([2], urgent: false);
        queue.Flush();
        queue.TryAdd([3], urgent: true);
        queue.Flush();
        queue.Flush();

        sentBy.ShouldBe([(Environment.CurrentManagedThreadId, 10), (Environment.CurrentManagedThreadId, 5)]);
        queue.Complete(drain: false);
        sending.IsCompletedSuccessfully.ShouldBeTrue();

        async Task SendAsync()
        {
            while (await queue.TakeAsync() is { } item)
            {
                sentBy.Add((Environment.CurrentManagedThreadId, item.Length));
                SendQueue.Return(item);
            }
        }
    }

    [Fact]
    public void The_same_thing_is_said_once_a_minute_and_strangers_cannot_make_it_say_more()
    {
        var time = new FakeTimeProvider();
        var throttle = new Throttle(time);

        throttle.MaySpeak("10.0.0.1").ShouldBeTrue();
        throttle.MaySpeak("10.0.0.1").ShouldBeFalse();
        time.Advance(TimeSpan.FromSeconds(60));
        throttle.MaySpeak("10.0.0.1").ShouldBeTrue();
        Enumerable.Range(0, 10_000).Count(number => throttle.MaySpeak($"stranger {number}")).ShouldBeLessThan(64);
    }

    private static async Task<List<int>> DrainAsync(SendQueue queue)
    {
        var seen = new List<int>();
        while (await queue.TakeAsync() is { } item)
        {
            for (var rest = item.Memory; rest.Length > 0; rest = rest[(4 + BinaryPrimitives.ReadInt32LittleEndian(rest.Span))..])
            {
                seen.Add(rest.Span[4]);
            }
        }

        return seen;
    }
}
