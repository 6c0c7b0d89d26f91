using Clustd.Client;
using Shouldly;
using Xunit;

namespace Clustd.Tests.Client;

public class LeaseWatchTests
{
    private readonly LeaseWatch watch = new();

    public LeaseWatchTests() => watch.Connected(leaseUs: 600, renewEveryUs: 100, killTimeoutUs: 50, now: 1_000);

    [Fact]
    public void Renews_at_once_when_connected_and_then_at_the_daemons_pace()
    {
        watch.Due(1_000).ShouldBe(LeaseDue.Renew);
        watch.Lease.Answered(1_000, 600, 1_010);
        watch.Due(1_050).ShouldBe(LeaseDue.Nothing);
        watch.NextAt().ShouldBe(1_100);
        watch.Due(1_100).ShouldBe(LeaseDue.Renew);
    }

    // Wrong program: waits its full turn although the lease ends before it, and the daemon has long had a longer one to give.
    [Fact]
    public void A_lease_that_is_running_out_is_renewed_more_often()
    {
        watch.Due(1_000);
        watch.Lease.Answered(1_000, 190, 1_010);
        watch.NextAt().ShouldBe(1_012);
        watch.Due(1_012).ShouldBe(LeaseDue.Renew);
        watch.Lease.Answered(1_012, 600, 1_015);
        watch.NextAt().ShouldBe(1_112);
    }

    // Wrong program: counts three renewals, of a quarter of a lease each: every standby asks eight times as often whenever an answer is slow.
    [Theory]
    [InlineData(200, 1_100)]
    [InlineData(199, 1_012)]
    public void Running_out_means_less_than_two_renewals(long left, long next)
    {
        watch.Due(1_000);
        watch.Lease.Answered(1_000, left, 1_010);
        watch.NextAt().ShouldBe(next);
    }

    // Wrong program: says "over" at every wake-up, so one lost lease stops the service again and again.
    [Fact]
    public void The_end_of_the_lease_is_said_once_and_on_time()
    {
        watch.Due(1_000);
        watch.Lease.Answered(1_000, 250, 1_010);
        watch.Disconnected();
        watch.NextAt().ShouldBe(1_250);
        watch.Due(1_249).ShouldBe(LeaseDue.Nothing);
        watch.Due(1_250).ShouldBe(LeaseDue.Over);
        watch.Due(1_251).ShouldBe(LeaseDue.Nothing);
        watch.NextAt().ShouldBe(long.MaxValue);
    }

    [Fact]
    public void Every_lease_that_ends_is_said()
    {
        watch.Due(1_000);
        watch.Lease.Answered(1_000, 50, 1_010);
        watch.Due(1_050).ShouldBe(LeaseDue.Over);
        watch.Due(1_100).ShouldBe(LeaseDue.Renew);
        watch.Lease.Answered(1_100, 50, 1_110);
        watch.Due(1_150).ShouldBe(LeaseDue.Over);
    }

    [Fact]
    public void Being_told_that_there_is_no_lease_is_its_end()
    {
        watch.Due(1_000);
        watch.Lease.Answered(1_000, 600, 1_010);
        watch.Due(1_100);
        watch.Lease.Answered(1_100, 0, 1_120);
        watch.Due(1_120).ShouldBe(LeaseDue.Over);
    }

    // Wrong program: checks the lease only after it has renewed, so a thawed process first acts and then stops.
    [Fact]
    public void A_process_that_thaws_after_the_end_learns_it_before_anything_else()
    {
        watch.Due(1_000);
        watch.Lease.Answered(1_000, 600, 1_010);
        watch.Due(90_000).HasFlag(LeaseDue.Over).ShouldBeTrue();
    }

    [Fact]
    public void A_daemon_that_does_not_answer_is_given_up_after_half_a_lease()
    {
        watch.Due(1_000);
        watch.Due(1_100);
        watch.Due(1_299).ShouldBe(LeaseDue.Renew);
        watch.Due(1_300).ShouldBe(LeaseDue.Reconnect);
    }

    [Fact]
    public void A_lost_connection_ends_no_lease_and_renews_nothing()
    {
        watch.Due(1_000);
        watch.Lease.Answered(1_000, 600, 1_010);
        watch.Disconnected();
        watch.Due(1_500).ShouldBe(LeaseDue.Nothing);
        watch.Lease.IsValid(1_500).ShouldBeTrue();
    }

    // Rule 12. Wrong program: takes the longer limit of a new definition for what was granted under the old one, and stops too late.
    [Fact]
    public void While_a_lease_lasts_its_kill_timeout_only_gets_shorter()
    {
        watch.Due(1_000);
        watch.Lease.Answered(1_000, 250, 1_010);
        watch.Disconnected();

        watch.Connected(leaseUs: 600, renewEveryUs: 100, killTimeoutUs: 2_000, now: 1_100);
        watch.KillTimeoutUs.ShouldBe(50);
        watch.Connected(leaseUs: 600, renewEveryUs: 100, killTimeoutUs: 20, now: 1_110);
        watch.KillTimeoutUs.ShouldBe(20);

        watch.Due(1_300).HasFlag(LeaseDue.Over).ShouldBeTrue();
        watch.Connected(leaseUs: 600, renewEveryUs: 100, killTimeoutUs: 2_000, now: 1_400);
        watch.KillTimeoutUs.ShouldBe(2_000);
    }
}
