using Shouldly;
using Xunit;

namespace Clustd.Tests.Loop;

public sealed class RecentDurationsTests
{
    [Fact]
    public void A_summary_is_of_the_last_minute_only()
    {
        var recent = new RecentDurations();
        recent.Add(TimeSpan.FromSeconds(2), At(0));
        for (var second = 1; second <= 100; second++) recent.Add(TimeSpan.FromMilliseconds(second), At(second));

        var summary = recent.Summarize(At(100));
        summary.Count.ShouldBe(61); // 40 s to 100 s, both ends included
        summary.Maximum.ShouldBe(TimeSpan.FromMilliseconds(100));
        summary.Percentile99.ShouldBe(TimeSpan.FromMilliseconds(100));
        recent.Summarize(At(200)).ShouldBe(new RecentSummary(0, TimeSpan.Zero, TimeSpan.Zero));
    }

    // Catches: a percentile that one stall in a hundred spoils.
    [Fact]
    public void One_stall_in_a_thousand_is_the_maximum_and_not_the_percentile()
    {
        var recent = new RecentDurations();
        for (var i = 0; i < 1000; i++) recent.Add(i == 500 ? TimeSpan.FromSeconds(1) : TimeSpan.FromMicroseconds(80), At(10));
        recent.Summarize(At(11)).ShouldBe(new RecentSummary(1000, TimeSpan.FromMicroseconds(80), TimeSpan.FromSeconds(1)));
    }

    [Fact]
    public void Of_more_than_fits_the_newest_are_kept()
    {
        var recent = new RecentDurations();
        for (var i = 0; i < 20_000; i++) recent.Add(TimeSpan.FromMicroseconds(i), At(1));
        recent.Summarize(At(1)).ShouldBe(new RecentSummary(8192, TimeSpan.FromMicroseconds(19_918), TimeSpan.FromMicroseconds(19_999)));
    }

    // The clock counts milliseconds since boot in 32 bits here.
    [Fact]
    public void After_49_days_of_uptime_nothing_changes()
    {
        var recent = new RecentDurations();
        var wrap = TimeSpan.FromMilliseconds(uint.MaxValue);
        recent.Add(TimeSpan.FromMilliseconds(7), wrap - TimeSpan.FromSeconds(1));
        recent.Summarize(wrap + TimeSpan.FromSeconds(1)).Maximum.ShouldBe(TimeSpan.FromMilliseconds(7));
    }

    private static TimeSpan At(int seconds) => TimeSpan.FromSeconds(seconds);
}
