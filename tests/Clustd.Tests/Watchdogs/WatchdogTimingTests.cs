using Clustd.Core;
using Clustd.Watchdogs;
using Shouldly;
using Xunit;

namespace Clustd.Tests.Watchdogs;

/// <summary>The sums: how long a watchdog may count where lease and kill_timeout are what they are.</summary>
public sealed class WatchdogTimingTests
{
    [Theory]
    [InlineData(2, 0.5, 1)] // the defaults
    [InlineData(1, 0.5, 1)]
    [InlineData(5, 5, 7)]
    [InlineData(10, 10, 15)]
    [InlineData(0.2, 1, 1)]
    [InlineData(0.2, 0.5, 0)] // none is that fast
    [InlineData(10, 0.4, 0)] // a stop in time would be too late for the device
    [InlineData(10, 0.45, 1)]
    [InlineData(3600, 3600, 60)]
    public void The_longest_that_fits(double lease, double killTimeout, double seconds) =>
        WatchdogTiming.LongestFor(TimeSpan.FromSeconds(lease), TimeSpan.FromSeconds(killTimeout)).ShouldBe(TimeSpan.FromSeconds(seconds));

    // Wrong program: has two formulas, and refuses at run time what it accepted in the file.
    [Fact]
    public void What_fits_is_asked_both_ways_with_one_answer()
    {
        foreach (var lease in (double[])[0.1, 0.2, 0.4, 1, 2, 3.3, 5, 10, 60])
        {
            foreach (var kill in (double[])[0.01, 0.1, 0.25, 0.5, 1, 1.7, 3, 10, 60])
            {
                var (leaseTime, killTime) = (TimeSpan.FromSeconds(lease), TimeSpan.FromSeconds(kill));
                var longest = WatchdogTiming.LongestFor(leaseTime, killTime);
                if (longest >= WatchdogTiming.TimeoutMin) new WatchdogTiming(longest).KillTimeoutMin(leaseTime).ShouldBeLessThanOrEqualTo(killTime + TimeSpan.FromMicroseconds(10), $"{lease} {kill}");
                if (longest < WatchdogTiming.TimeoutMax) new WatchdogTiming(longest + TimeSpan.FromSeconds(1)).KillTimeoutMin(leaseTime).ShouldBeGreaterThan(killTime, $"{lease} {kill}");
            }
        }
    }

    // Wrong program: reckons with a feed just before the last moment.
    [Fact]
    public void What_must_be_killed_has_the_rest() => new WatchdogTiming(TimeSpan.FromSeconds(2)).Room.ShouldBe(TimeSpan.FromMilliseconds(450));

    // Wrong program: forgets that a device may be late.
    [Fact]
    public void A_feed_leaves_time_for_a_device_that_is_a_tenth_late()
    {
        var timing = new WatchdogTiming(TimeSpan.FromSeconds(2));
        var heldUntil = new Instant(10_000_000);
        timing.MayFeed(new Instant(8_300_000), heldUntil, TimeSpan.FromMilliseconds(500)).ShouldBeTrue();
        timing.MayFeed(new Instant(8_300_001), heldUntil, TimeSpan.FromMilliseconds(500)).ShouldBeFalse();
    }
}
