using System.Collections.Immutable;
using Clustd.Core;
using Clustd.Core.Cluster;
using Clustd.Core.Leading;
using Clustd.Core.Raft;
using Shouldly;
using Xunit;

namespace Clustd.Tests.Leading;

/// <summary>Rule 9, and the sums of the lease, to the microsecond: an error of one is an overlap of one.</summary>
public sealed class VoterAgesTests
{
    private static readonly SessionId First = new(3);
    private static readonly SessionId Second = new(5);
    private static readonly Instant Started = new(1_000_000);
    private static readonly Instant Now = new(9_000_000);

    private readonly VoterAges _ages = new(Started);

    [Fact]
    public void A_voter_says_its_own_start_for_what_it_never_heard_of() =>
        _ages.ForVote(Now).ToArray().ShouldBe([new SessionAge(SessionId.None, 8_000_000)]);

    [Fact]
    public void A_voter_says_how_long_ago_each_stamp_came_by_its_own_clock()
    {
        _ages.Received([new SessionAge(Second, 40), new SessionAge(First, 0)], Now);

        _ages.ForVote(Now + Us(10)).ToArray().ShouldBe([new SessionAge(SessionId.None, 8_000_010), new SessionAge(First, 10), new SessionAge(Second, 50)]);
    }

    [Fact] // An Append that was overtaken says less: it must not make a session look older.
    public void What_is_remembered_never_becomes_older()
    {
        _ages.Received([new SessionAge(First, 10)], Now);
        _ages.Received([new SessionAge(First, 500)], Now + Us(5));

        _ages.ForVote(Now)[1].ShouldBe(new SessionAge(First, 10));
    }

    [Fact]
    public void A_newer_stamp_takes_the_place_of_an_older_one()
    {
        _ages.Received([new SessionAge(First, 500)], Now);
        _ages.Received([new SessionAge(First, 10)], Now);

        _ages.ForVote(Now)[1].ShouldBe(new SessionAge(First, 10));
    }

    [Fact]
    public void Only_a_session_that_is_applied_and_not_alive_is_forgotten()
    {
        var (ended, alive, unknown) = (new SessionId(3), new SessionId(5), new SessionId(8));
        foreach (var session in (SessionId[])[ended, alive, unknown]) _ages.Remember(session, Now);
        var state = ClusterState.Empty with
        {
            AppliedIndex = 7,
            Sessions = ImmutableSortedDictionary<SessionId, Session>.Empty.Add(alive, new Session(alive, new MachineId("cm-1"), new StoreId("s"), TimeSpan.FromSeconds(1))),
        };

        _ages.ForgetEnded(state);

        _ages.ForVote(Now).Select(age => age.Session).ShouldBe([SessionId.None, alive, unknown]);
    }

    [Fact]
    public void The_session_at_the_last_applied_entry_counts_as_applied()
    {
        _ages.Remember(First, Now);

        _ages.ForgetEnded(ClusterState.Empty with { AppliedIndex = First.Value });

        _ages.ForVote(Now).Length.ShouldBe(1);
    }

    [Theory]
    [InlineData(0, 9_000_000)]
    [InlineData(1, 8_999_999)]
    [InlineData(-1, 9_000_000)]
    [InlineData(long.MinValue, 9_000_000)]
    [InlineData(3_162_240_000_000_000, 9_000_000 - 3_162_240_000_000_000)] // a century
    [InlineData(long.MaxValue, 9_000_000 - 3_162_240_000_000_000)]
    public void An_age_is_believed_between_nothing_and_a_century(long age, long instant) => VoterAges.InstantOf(age, Now).ShouldBe(new Instant(instant));

    [Theory]
    [InlineData(8_999_999, 1)]
    [InlineData(9_000_000, 0)]
    [InlineData(9_000_001, 0)]
    public void An_age_is_never_below_zero(long instant, long age) => VoterAges.AgeOf(new Instant(instant), Now).ShouldBe(age);

    [Theory]
    [InlineData(0, 0)]
    [InlineData(1, 2)] // 1.0203, up
    [InlineData(9_999, 10_202)] // 10,201.98, up
    [InlineData(10_000, 10_203)]
    [InlineData(10_001, 10_205)] // 10,204.02, up
    [InlineData(1_000_000, 1_020_300)]
    public void A_wait_is_stretched_and_rounded_up(long duration, long wait) => LeaseTiming.Stretch(Us(duration)).ShouldBe(Us(wait));

    [Fact]
    public void A_fraction_of_a_microsecond_is_waited_for_as_a_whole_one() => LeaseTiming.Stretch(TimeSpan.FromTicks(10_000 * 10 - 1)).ShouldBe(Us(10_203));

    [Theory]
    [InlineData(200, 25)]
    [InlineData(392, 49)]
    [InlineData(400, 50)]
    [InlineData(1_000, 50)]
    public void The_guard_is_an_eighth_of_a_short_lease_and_50_ms_of_any_other(int lease, int guard)
    {
        LeaseTiming.GuardOf(TimeSpan.FromMilliseconds(lease)).ShouldBe(TimeSpan.FromMilliseconds(guard));
        LeaseTiming.HeldUntil(Now, TimeSpan.FromMilliseconds(lease)).ShouldBe(Now + TimeSpan.FromMilliseconds(lease - guard));
    }

    [Fact]
    public void Heartbeats_and_elections_are_shares_of_the_lease()
    {
        var timing = new LeaseTiming(TimeSpan.FromSeconds(1));

        timing.Lease.ShouldBe(TimeSpan.FromSeconds(1));
        timing.Heartbeat.ShouldBe(TimeSpan.FromMilliseconds(50));
        timing.ElectionMinimum.ShouldBe(TimeSpan.FromMilliseconds(150));
        timing.ElectionMaximum.ShouldBe(TimeSpan.FromMilliseconds(250));
        timing.Guard.ShouldBe(TimeSpan.FromMilliseconds(50));
        timing.RankStagger.ShouldBe(TimeSpan.FromMilliseconds(15));
    }

    private static TimeSpan Us(long microseconds) => TimeSpan.FromMicroseconds(microseconds);
}
