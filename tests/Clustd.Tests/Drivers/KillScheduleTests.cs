using Clustd.Guard;
using FsCheck.Xunit;
using Shouldly;
using Xunit;

namespace Clustd.Tests.Drivers;

public sealed class KillScheduleTests
{
    private const long Second = 1_000_000, KillTimeout = 500_000, LeaseEnd = 10 * Second;

    private readonly KillSchedule _schedule = new(KillTimeout, LeaseEnd);

    [Fact]
    public void Nothing_happens_while_the_lease_lives()
    {
        _schedule.Step(LeaseEnd - 1).ShouldBe(KillStep.None);
        _schedule.NextStepAt.ShouldBe(LeaseEnd);
        _schedule.IsEnding.ShouldBeFalse();
    }

    [Fact]
    public void Term_comes_at_the_end_of_the_lease_and_kill_a_margin_before_everything_must_be_seen_gone()
    {
        _schedule.Step(LeaseEnd).ShouldBe(KillStep.Terminate);
        _schedule.Reason.ShouldBe("the lease is over");
        _schedule.NextStepAt.ShouldBe(LeaseEnd + KillTimeout - 100_000);
        _schedule.Step(LeaseEnd + KillTimeout - 100_001).ShouldBe(KillStep.None);
        _schedule.Step(LeaseEnd + KillTimeout - 100_000).ShouldBe(KillStep.Kill);
        _schedule.Step(LeaseEnd + KillTimeout).ShouldBe(KillStep.Kill);
    }

    [Fact]
    public void Who_was_frozen_past_the_lease_kills_at_once() => _schedule.Step(LeaseEnd + 150_000).ShouldBe(KillStep.Kill);

    [Fact]
    public void A_lease_that_arrived_during_the_freeze_counts()
    {
        _schedule.Renew(LeaseEnd + 5 * Second);
        _schedule.Step(LeaseEnd + 2 * Second).ShouldBe(KillStep.None);
    }

    [Fact]
    public void A_lease_that_arrives_after_the_end_was_seen_does_not_bring_the_app_back()
    {
        _schedule.Step(LeaseEnd).ShouldBe(KillStep.Terminate);
        _schedule.Renew(LeaseEnd + 5 * Second);
        _schedule.Step(LeaseEnd + KillTimeout - 100_000).ShouldBe(KillStep.Kill);
    }

    [Fact]
    public void A_lease_that_the_daemon_takes_back_ends_now()
    {
        _schedule.Renew(Second);
        _schedule.Step(Second).ShouldBe(KillStep.Terminate);
    }

    [Fact]
    public void A_planned_stop_is_cut_short_by_the_end_of_the_lease()
    {
        _schedule.End(now: 9 * Second, limit: 19 * Second, "moved");
        _schedule.Step(9 * Second).ShouldBe(KillStep.Terminate);
        _schedule.NextStepAt.ShouldBe(LeaseEnd);
        _schedule.Step(LeaseEnd).ShouldBe(KillStep.None); // TERM was sent once already
        _schedule.Step(LeaseEnd + KillTimeout - 100_000).ShouldBe(KillStep.Kill);
        _schedule.Reason.ShouldBe("moved");
    }

    [Fact]
    public void A_stop_without_any_time_left_kills_at_once()
    {
        _schedule.End(now: Second, limit: Second, "moved");
        _schedule.Step(Second).ShouldBe(KillStep.Kill);
    }

    // Catches: a stop order that postpones the KILL that the lease demands, an overflow with an endless lease, a NextStepAt that sleeps past the KILL.
    [Property]
    public bool Whoever_sleeps_until_NextStepAt_has_killed_by_lease_end_plus_kill_timeout_whatever_was_ordered(uint stopAt, uint limit, bool isEndless)
    {
        long lease = isEndless ? long.MaxValue : LeaseEnd;
        var schedule = new KillSchedule(KillTimeout, lease);
        long order = stopAt % (12 * Second), due = isEndless ? order + limit : Math.Min(LeaseEnd + KillTimeout, order + limit);
        bool ordered = false;
        for (long now = 0; now <= due;)
        {
            if (!ordered && now >= order)
            {
                schedule.End(now, now + limit, "moved");
                ordered = true;
            }
            if (schedule.Step(now) == KillStep.Kill) return true;
            long next = Math.Min(schedule.NextStepAt, ordered ? long.MaxValue : order);
            if (next <= now && next != order) return false; // it would spin
            now = Math.Max(next, now + 1);
        }
        return false;
    }

    [Theory]
    [InlineData("lease 123", "Lease { End = 123 }")]
    [InlineData("stop 55 the machine is drained", "Stop { Limit = 55, Reason = the machine is drained }")]
    [InlineData("stop 55", "Stop { Limit = 55, Reason = stopped }")]
    [InlineData("kill", "Kill { }")]
    [InlineData("lease soon", null)]
    [InlineData("dance 1", null)]
    [InlineData("", null)]
    public void An_order_is_a_word_and_what_belongs_to_it(string line, string? order) => GuardOrder.Parse(line)?.ToString().ShouldBe(order);
}
