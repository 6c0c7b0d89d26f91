using System.Collections.Immutable;
using Clustd.Core;
using Clustd.Core.Cluster;
using Clustd.Core.Leading;
using Clustd.Core.Raft;
using Shouldly;
using Xunit;

namespace Clustd.Tests.Leading;

/// <summary>The leader's side of the lease argument to the microsecond: what a round confirms, what a new leader inherits, when a session is over.</summary>
public sealed class SessionsTests
{
    private static readonly SessionId Id = new(7);
    private static readonly TimeSpan Lease = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan Stretched = TimeSpan.FromMicroseconds(1_020_300);
    private static readonly Session Session = new(Id, new MachineId("cm-1"), new StoreId("s"), Lease);
    private static readonly Instant Now = new(50_000_000);

    private readonly Sessions _sessions = new(PlantedBug.None);

    [Fact] // Rule 4
    public void A_stamp_is_confirmed_by_a_round_that_began_after_it_came_and_by_none_before()
    {
        _sessions.StampReceived(Stamp(100), round: 5, lastIndex: 3, Now);

        _sessions.TakeConfirmed(Id, 4).ShouldBeNull();
        _sessions.TakeConfirmed(Id, 5).ShouldBe((new Instant(100), 1UL, 3L));
    }

    [Fact]
    public void A_confirmed_stamp_is_told_once()
    {
        _sessions.StampReceived(Stamp(100), 5, 3, Now);
        _sessions.TakeConfirmed(Id, 5);

        _sessions.TakeConfirmed(Id, 9).ShouldBeNull();
    }

    [Fact]
    public void Of_several_stamps_that_a_round_confirms_the_newest_is_told_and_later_ones_wait()
    {
        _sessions.StampReceived(Stamp(100), 5, 3, Now);
        _sessions.StampReceived(Stamp(300), 6, 3, Now);
        _sessions.StampReceived(Stamp(200), 6, 3, Now); // overtaken on the wire
        _sessions.StampReceived(Stamp(400), 7, 3, Now);

        _sessions.TakeConfirmed(Id, 6)!.Value.At.ShouldBe(new Instant(300));
        _sessions.TakeConfirmed(Id, 6).ShouldBeNull();
        _sessions.TakeConfirmed(Id, 7)!.Value.At.ShouldBe(new Instant(400));
    }

    [Fact] // An older stamp that waits for a later round must not hide the newer one before it.
    public void The_newest_is_the_newest_of_all_that_the_round_confirms()
    {
        _sessions.StampReceived(Stamp(300), 5, 3, Now);
        _sessions.StampReceived(Stamp(200), 6, 3, Now);

        _sessions.TakeConfirmed(Id, 6)!.Value.At.ShouldBe(new Instant(300));
    }

    [Fact] // Rule 3
    public void Stamps_of_a_former_incarnation_are_forgotten_with_the_first_of_the_next()
    {
        _sessions.StampReceived(Stamp(9_000), 5, 3, Now);
        _sessions.StampReceived(Stamp(1, incarnation: 2), 6, 8, Now);

        _sessions.TakeConfirmed(Id, 5).ShouldBeNull();
        _sessions.TakeConfirmed(Id, 6).ShouldBe((new Instant(1), 2UL, 8L));
        _sessions.IsPresentIncarnation(Id, 1).ShouldBeFalse();
        _sessions.IsPresentIncarnation(Id, 2).ShouldBeTrue();
        _sessions.IsPresentIncarnation(new SessionId(8), 2).ShouldBeFalse();
    }

    [Fact]
    public void What_an_incarnation_must_have_applied_is_where_the_log_ended_when_it_was_first_heard()
    {
        _sessions.StampReceived(Stamp(100), 5, lastIndex: 3, Now);
        _sessions.StampReceived(Stamp(200), 6, lastIndex: 90, Now);

        _sessions.TakeConfirmed(Id, 6)!.Value.Index.ShouldBe(3);
    }

    [Fact]
    public void A_session_nobody_heard_of_has_nothing_to_confirm() => _sessions.TakeConfirmed(Id, 99).ShouldBeNull();

    [Fact] // Rule 9: the latest instant over the voters, each for itself.
    public void A_new_leader_counts_from_the_latest_that_any_voter_knows()
    {
        _sessions.Elected([Voter(Now, (Id, 900)), Voter(Now - Us(100), (Id, 300)), Voter(Now, (Id, 700))], Now);

        _sessions.LastKnown(Session, Instant.Origin).ShouldBe(Now - Us(400));
    }

    [Fact] // Rule 9: what a voter does not list, it knows no more of than its own start.
    public void For_what_a_voter_does_not_list_its_word_for_all_others_counts()
    {
        _sessions.Elected([Voter(Now, (SessionId.None, 250)), Voter(Now, (SessionId.None, 10_000), (Id, 9_000))], Now);

        _sessions.LastKnown(Session, Instant.Origin).ShouldBe(Now - Us(250));
    }

    [Fact]
    public void A_voter_that_says_nothing_at_all_may_have_heard_the_session_just_now()
    {
        _sessions.Elected([Voter(Now, (SessionId.None, 10_000)), new VoterMemory([], Now - Us(5))], Now);

        _sessions.LastKnown(Session, Instant.Origin).ShouldBe(Now - Us(5));
    }

    [Fact]
    public void What_the_leader_heard_or_opened_itself_counts_when_it_is_later()
    {
        _sessions.Elected([Voter(Now, (Id, 900))], Now);
        _sessions.LastKnown(Session, Now - Us(100)).ShouldBe(Now - Us(100));

        _sessions.StampReceived(Stamp(1), 1, 1, Now + Us(50));
        _sessions.LastKnown(Session, Now - Us(100)).ShouldBe(Now + Us(50));
    }

    [Fact] // Rule 9
    public void A_leader_that_is_elected_again_uses_nothing_of_its_earlier_terms()
    {
        _sessions.Elected([Voter(Now, (Id, 900))], Now);
        _sessions.StampReceived(Stamp(100), 1, 1, Now + Us(50));

        _sessions.Elected([Voter(Now + Us(60), (Id, 5_000))], Now + Us(60));

        _sessions.LastKnown(Session, Instant.Origin).ShouldBe(Now + Us(60) - Us(5_000));
        _sessions.TakeConfirmed(Id, 99).ShouldBeNull();
        _sessions.LedFor(Now + Us(100)).ShouldBe(Us(40));
    }

    [Fact]
    public void A_deposed_leader_knows_nothing_any_more()
    {
        _sessions.Elected([Voter(Now, (Id, 900))], Now);
        _sessions.StampReceived(Stamp(100), 1, 1, Now);

        _sessions.Deposed();

        _sessions.LastKnown(Session, Instant.Origin).ShouldBe(Instant.Origin);
        _sessions.TakeConfirmed(Id, 99).ShouldBeNull();
    }

    [Fact] // Rule 10
    public void A_session_ends_k_times_the_lease_after_the_newest_stamp()
    {
        _sessions.StampReceived(Stamp(100), 1, 1, Now);

        _sessions.EndsAt(Session, Instant.Origin, _ => Instant.Origin).ShouldBe(Now + Stretched);
    }

    [Fact] // Rule 8
    public void What_the_leader_was_stalled_is_added_until_it_hears_the_session_again()
    {
        _sessions.StampReceived(Stamp(100), 1, 1, Now);
        _sessions.ExtendBy(Us(30), [Id]);
        _sessions.ExtendBy(Us(12), [Id]);
        _sessions.EndsAt(Session, Instant.Origin, _ => Instant.Origin).ShouldBe(Now + Stretched + Us(42));

        _sessions.StampReceived(Stamp(200), 2, 1, Now + Us(50));
        _sessions.EndsAt(Session, Instant.Origin, _ => Instant.Origin).ShouldBe(Now + Us(50) + Stretched);
    }

    [Fact] // Rules 10 and 16
    public void A_grace_counts_from_when_it_was_applied_and_the_longest_of_all_counts()
    {
        _sessions.StampReceived(Stamp(100), 1, 1, Now);
        var session = Session with { Graces = ImmutableSortedDictionary<long, RestartGrace>.Empty.Add(1, Grace(1, seconds: 15, index: 40)).Add(2, Grace(2, seconds: 2, index: 41)) };

        _sessions.EndsAt(session, Instant.Origin, index => Now + Us(index)).ShouldBe(Now + Us(40) + TimeSpan.FromMicroseconds(15_304_500));
        _sessions.EndsAt(session, Instant.Origin, _ => Instant.Origin).ShouldBe(Now + Stretched);
    }

    [Fact]
    public void A_session_that_is_forgotten_is_as_if_it_had_never_been_heard()
    {
        _sessions.StampReceived(Stamp(100), 1, 1, Now);
        _sessions.Forget(Id);

        _sessions.TakeConfirmed(Id, 9).ShouldBeNull();
        _sessions.LastKnown(Session, Instant.Origin).ShouldBe(Instant.Origin);
    }

    [Fact]
    public void Rounds_list_the_age_of_every_session()
    {
        _sessions.StampReceived(Stamp(100), 1, 1, Now);
        var other = Session with { Id = new SessionId(9) };
        var state = ClusterState.Empty with { Sessions = ImmutableSortedDictionary<SessionId, Session>.Empty.Add(Id, Session).Add(other.Id, other) };

        _sessions.Ages(state.SessionList, _ => Now - Us(8), Now + Us(20)).ToArray().ShouldBe([new SessionAge(Id, 20), new SessionAge(other.Id, 28)]);
    }

    private static TimeSpan Us(long microseconds) => TimeSpan.FromMicroseconds(microseconds);

    private static Stamp Stamp(long at, ulong incarnation = 1) => new(Id, incarnation, new Instant(at));

    private static VoterMemory Voter(Instant heard, params (SessionId Session, long Age)[] ages) => new([.. ages.Select(age => new SessionAge(age.Session, age.Age))], heard);

    private static RestartGrace Grace(long id, int seconds, long index) => new(id, TimeSpan.FromSeconds(seconds), [], index);
}
