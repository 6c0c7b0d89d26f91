using Clustd.Benchmarks.Statistics;
using FsCheck.Xunit;
using Shouldly;
using Xunit;

namespace Clustd.Tests.Benchmarks;

public sealed class StatisticsTests
{
    [Fact]
    public void The_p95_of_twenty_runs_is_the_nineteenth_and_of_one_that_one()
    {
        new Sample(Enumerable.Range(1, 20).Select(each => (double)each)).P95.ShouldBe(19);
        new Sample(Enumerable.Range(1, 100).Select(each => (double)each)).P95.ShouldBe(95);
        new Sample([7.0]).P95.ShouldBe(7);
    }

    [Fact]
    public void The_median_of_an_even_number_lies_between_the_two_in_the_middle() => new Sample([4.0, 1, 2, 9]).Median.ShouldBe(3);

    [Fact]
    public void A_share_counts_the_limit_itself() => new Sample([1.0, 2, 3, 4]).ShareUpTo(2).ShouldBe(0.5);

    [Fact]
    public void An_empty_sample_is_refused_rather_than_shown_as_zero() => Should.Throw<ArgumentException>(() => new Sample([]));

    [Fact]
    public void Two_ways_for_a_failover_to_go_are_two_humps()
    {
        var humps = Humps.Of(new Sample([1480, 1500, 1510, 4500, 4510]), gap: 250);
        humps.All.ShouldBe([new Hump(1480, 1510, 3), new Hump(4500, 4510, 2)]);
        humps.Outliers.ShouldBe(0);
    }

    [Fact]
    public void A_single_late_run_is_an_outlier_and_no_hump()
    {
        var humps = Humps.Of(new Sample([1480, 1500, 1510, 2400]), gap: 250);
        humps.All.ShouldHaveSingleItem().Count.ShouldBe(3);
        humps.Outliers.ShouldBe(1);
    }

    [Fact]
    public void Where_nothing_else_is_a_single_value_is_the_hump() => Humps.Of(new Sample([5.0]), gap: 1).All.ShouldHaveSingleItem().ShouldBe(new Hump(5, 5, 1));

    [Fact]
    public void A_histogram_leaves_out_what_is_empty_and_says_so()
    {
        var lines = Histogram.Text(new Sample([1482, 1489, 1512, 1690]), binAtLeast: 20).Split('\n', StringSplitOptions.RemoveEmptyEntries);
        lines.ShouldBe(["1480 to 1500 ms  ## 2", "1500 to 1520 ms  # 1", "     ...", "1680 to 1700 ms  # 1"]);
    }

    // Whatever is measured, every value is in exactly one bin.
    [Property]
    public bool A_histogram_loses_no_value(int[] values, byte bin)
    {
        if (values.Length == 0) return true;
        var text = Histogram.Text(new Sample(values.Select(value => value / 16.0)), binAtLeast: 1 + bin);
        return text.Split('\n').Where(line => line.Contains('#')).Sum(line => int.Parse(line.Split(' ')[^1])) == values.Length;
    }
}
