using System.Diagnostics;
using Clustd.Client;
using Shouldly;
using Xunit;

namespace Clustd.Tests.Client;

public class DriverClockTests
{
    // Wrong program: computes the time asleep from two reads in the wrong order, so that being preempted between them makes the clock jump ahead and back.
    [Fact]
    public void The_clock_never_goes_back_whoever_reads_it()
    {
        var last = 0L;
        var backwards = 0L;
        var threads = Enumerable.Range(0, 4).Select(_ => new Thread(() =>
        {
            for (var i = 0; i < 100_000; i++)
            {
                var seen = Interlocked.Read(ref last);
                var now = DriverClock.NowUs;
                if (now < seen)
                    Interlocked.Increment(ref backwards);
                Interlocked.CompareExchange(ref last, now, seen);
            }
        })).ToList();
        threads.ForEach(thread => thread.Start());
        threads.ForEach(thread => thread.Join());
        backwards.ShouldBe(0);
    }

    [Fact]
    public void The_clock_counts_microseconds()
    {
        var clock = DriverClock.NowUs;
        var watch = Stopwatch.StartNew();
        while (watch.ElapsedMilliseconds < 50)
        {
            // Busy: what is compared is two clocks, not the scheduler.
        }
        var microseconds = DriverClock.NowUs - clock;
        microseconds.ShouldBeGreaterThanOrEqualTo(49_500); // 1 % is what the lease argument allows.
        microseconds.ShouldBeLessThan(10_000_000);
    }
}
