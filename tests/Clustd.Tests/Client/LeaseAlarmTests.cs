using System.Diagnostics;
using Clustd.Client.Running;
using Shouldly;
using Xunit;

namespace Clustd.Tests.Client;

/// <summary>A real timer of the kernel: the bounds are one-sided where a busy machine could be late.</summary>
public sealed class LeaseAlarmTests
{
    private const long HalfAnHourUs = 1_800_000_000;

    [Fact]
    public void It_wakes_when_the_time_is_up_and_not_before()
    {
        using var alarm = new LeaseAlarm();
        var since = Stopwatch.GetTimestamp();
        alarm.Sleep(20_000);
        Stopwatch.GetElapsedTime(since).ShouldBeGreaterThanOrEqualTo(TimeSpan.FromMilliseconds(20));
    }

    // Catches: a ring between the look and the sleep that is lost, and with it the news of a lease.
    [Fact]
    public void A_ring_before_the_sleep_ends_it_and_only_that_one()
    {
        using var alarm = new LeaseAlarm();
        alarm.Ring();
        alarm.Ring();
        alarm.Sleep(HalfAnHourUs);

        var since = Stopwatch.GetTimestamp();
        alarm.Sleep(20_000);
        Stopwatch.GetElapsedTime(since).ShouldBeGreaterThanOrEqualTo(TimeSpan.FromMilliseconds(20));
    }

    [Fact]
    public void A_ring_from_elsewhere_ends_a_sleep()
    {
        using var alarm = new LeaseAlarm();
        var ringing = new Thread(alarm.Ring);
        ringing.Start();
        alarm.Sleep(HalfAnHourUs);
        ringing.Join();
    }

    [Fact]
    public void After_its_end_it_rings_for_nobody()
    {
        var alarm = new LeaseAlarm();
        alarm.Dispose();
        alarm.Ring();
        alarm.CountsSleep.ShouldBeTrue();
    }
}
