using Clustd.Client;
using FsCheck;
using FsCheck.Fluent;
using FsCheck.Xunit;
using Shouldly;
using Xunit;

namespace Clustd.Tests.Client;

public class DriverLeaseTests
{
    // Wrong program: counts from when the answer was read.
    [Fact]
    public void Lease_counts_from_the_stamp_however_late_the_answer_is_read()
    {
        var lease = new DriverLease();
        lease.Sent(1_000);
        lease.Answered(1_000, leftUs: 500, now: 1_400).ShouldBeTrue();
        lease.EndsAt.ShouldBe(1_500);
        lease.IsValid(1_499).ShouldBeTrue();
        lease.IsValid(1_500).ShouldBeFalse();
    }

    [Fact]
    public void There_is_no_lease_before_the_first_answer() => new DriverLease().IsValid(long.MinValue).ShouldBeFalse();

    // Wrong program: believes any stamp, so a daemon (or a replayed answer) could date a lease into the future.
    [Fact]
    public void Answers_to_unknown_stamps_are_ignored()
    {
        var lease = new DriverLease();
        lease.Sent(1_000);
        lease.Answered(9_000, leftUs: 500, now: 1_100).ShouldBeFalse();
        lease.EndsAt.ShouldBeNull();
    }

    // Wrong program: an old "500 left" that was overtaken revives a lease that a newer answer has ended.
    [Fact]
    public void An_answer_that_was_overtaken_cannot_revive_an_ended_lease()
    {
        var lease = new DriverLease();
        lease.Sent(1_000);
        lease.Sent(1_100);
        lease.Sent(1_200);
        lease.Answered(1_000, leftUs: 500, now: 1_150);
        lease.Answered(1_200, leftUs: 0, now: 1_250).ShouldBeTrue();
        lease.IsValid(1_250).ShouldBeFalse();
        lease.Answered(1_100, leftUs: 900, now: 1_260).ShouldBeFalse();
        lease.IsValid(1_260).ShouldBeFalse();
    }

    [Fact]
    public void The_same_answer_counts_once()
    {
        var lease = new DriverLease();
        lease.Sent(1_000);
        lease.Answered(1_000, leftUs: 500, now: 1_100).ShouldBeTrue();
        lease.Answered(1_000, leftUs: 5_000, now: 1_100).ShouldBeFalse();
        lease.EndsAt.ShouldBe(1_500);
    }

    // Wrong program: a daemon that has just started and knows nothing yet ends every lease, so a restart with grace fails every service over.
    [Fact]
    public void A_daemon_that_cannot_tell_yet_leaves_the_lease_as_it_was()
    {
        var lease = new DriverLease();
        lease.Sent(1_000);
        lease.Answered(1_000, leftUs: 500, now: 1_001);
        lease.Sent(1_100);
        lease.Answered(1_100, leftUs: null, now: 1_101).ShouldBeFalse();
        lease.EndsAt.ShouldBe(1_500);
    }

    [Fact]
    public void The_end_does_not_move_back_but_for_zero()
    {
        var lease = new DriverLease();
        lease.Sent(1_000);
        lease.Answered(1_000, leftUs: 10_000, now: 1_001); // A long lease: restart with grace.
        lease.Sent(1_100);
        lease.Answered(1_100, leftUs: 500, now: 1_101).ShouldBeFalse();
        lease.EndsAt.ShouldBe(11_000);
        lease.Sent(1_200);
        lease.Answered(1_200, leftUs: 0, now: 1_210).ShouldBeTrue();
        lease.EndsAt.ShouldBe(1_210);
    }

    // Wrong program: keeps the long lease of a restart that is over, so a crash right after it costs as much as the grace.
    [Fact]
    public void A_lease_that_takes_the_place_of_a_longer_one_is_taken()
    {
        var lease = new DriverLease();
        lease.Sent(1_000);
        lease.Answered(1_000, leftUs: 10_000, now: 1_001);
        lease.LeftAt(1_100).ShouldBe(9_900);
        lease.Sent(1_100);
        lease.Answered(1_100, leftUs: 500, now: 1_101, shortens: true).ShouldBeTrue();
        lease.EndsAt.ShouldBe(1_600);
        lease.LeftAt(1_550).ShouldBe(50);
        lease.LeftAt(1_700).ShouldBe(0);
    }

    // Wrong program: an answer that was overtaken on its way shortens (or brings back) what a newer one said.
    [Fact]
    public void An_older_answer_shortens_nothing()
    {
        var lease = new DriverLease();
        lease.Sent(1_000);
        lease.Sent(1_100);
        lease.Answered(1_100, leftUs: 900, now: 1_101);
        lease.Answered(1_000, leftUs: 100, now: 1_102, shortens: true).ShouldBeFalse();
        lease.EndsAt.ShouldBe(2_000);
    }

    [Theory]
    [InlineData(long.MaxValue, true)]
    [InlineData(-1, false)]
    [InlineData(long.MinValue, false)]
    public void Absurd_remainders_do_not_overflow(long left, bool valid)
    {
        var lease = new DriverLease();
        lease.Sent(1_000);
        lease.Answered(1_000, left, now: 1_001);
        lease.IsValid(1_002).ShouldBe(valid);
    }

    [Fact]
    public void After_a_lost_connection_its_answers_are_unknown()
    {
        var lease = new DriverLease();
        lease.Sent(1_000);
        lease.ConnectionLost();
        lease.Answered(1_000, leftUs: 500, now: 1_001).ShouldBeFalse();
        lease.Sent(1_000).ShouldBeFalse();
    }

    /// <summary>Whatever is lost, repeated, reordered or delayed: the driver never believes in a lease beyond what the daemon granted, counted from the daemon's instant.</summary>
    [Property(MaxTest = 500)]
    public void The_driver_never_outlives_what_was_granted(int seed)
    {
        var random = new Random(seed);
        var lease = new DriverLease();
        var answers = new List<(long Stamp, long Left)>();
        long now = 0, granted = long.MinValue; // Same clock on both sides here: the machine's.
        for (var step = 0; step < 200; step++)
        {
            now += random.Next(1, 50);
            switch (random.Next(4))
            {
                case 0:
                    if (lease.Sent(now))
                        answers.Add((now, -1));
                    break;
                case 1 when answers.Count > 0: // The daemon answers (later than it was asked).
                    var index = random.Next(answers.Count);
                    var left = random.Next(5) == 0 ? 0 : random.Next(1, 300);
                    granted = Math.Max(granted, now + left);
                    answers[index] = (answers[index].Stamp, left);
                    break;
                case 2 when answers.Count > 0: // An answer arrives, perhaps again.
                    var answer = answers[random.Next(answers.Count)];
                    if (answer.Left >= 0)
                        lease.Answered(answer.Stamp, answer.Left, now);
                    break;
            }
            if (lease.IsValid(now))
                now.ShouldBeLessThan(granted);
        }
    }
}
