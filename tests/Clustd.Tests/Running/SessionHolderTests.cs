using System.Collections.Immutable;
using Clustd.Core;
using Clustd.Core.Cluster;
using Clustd.Core.Raft;
using Clustd.Core.Running;
using Shouldly;
using Xunit;

namespace Clustd.Tests.Running;

/// <summary>The holder's side of the lease (rules 3, 7, 12 and 16): until when this machine may act, by its own clock.</summary>
public class SessionHolderTests
{
    private const ulong Incarnation = 7;
    private static readonly MachineId Self = new("cm-1");
    private static readonly StoreId Store = new("store-1");
    private static readonly SessionId Own = new(50);
    private static readonly TimeSpan Lease = TimeSpan.FromSeconds(1), Guard = LeaseTiming.GuardOf(Lease);
    private readonly SessionHolder _holder = new(Self, Store, Incarnation, PlantedBug.None);
    private Instant _now = new(5_000_000);

    // Wrong program: an echo to a former daemon, to nobody's stamp, of another session or another length of the lease prolongs the hold.
    [Theory]
    [InlineData("incarnation")]
    [InlineData("future")]
    [InlineData("session")]
    [InlineData("lease")]
    [InlineData("store")]
    public void Only_the_echo_of_a_stamp_of_ours_counts(string wrong)
    {
        var state = State(appliedIndex: 60, store: wrong == "store" ? new StoreId("wiped") : Store);
        var stamp = _holder.Stamp(state, _now);
        var echo = Echo(stamp);
        var wrongOne = wrong switch
        {
            "incarnation" => echo with { Incarnation = Incarnation - 1 },
            "future" => echo with { At = _now + TimeSpan.FromMicroseconds(1) },
            "session" => echo with { Session = new SessionId(51) },
            "lease" => echo with { Lease = Lease * 2 },
            _ => echo,
        };

        _holder.Echoed(wrongOne, state).ShouldBeFalse();
        _holder.Hold.ShouldBe(SessionHold.None);
        _holder.Echoed(echo, State(appliedIndex: 60)).ShouldBeTrue("the right one counts");
    }

    // Wrong program: counts from when the echo came; or an echo that was overtaken by a newer one shortens the hold.
    [Fact]
    public void The_hold_counts_from_the_stamp_and_is_only_prolonged()
    {
        var state = State(appliedIndex: 60);
        var first = _holder.Stamp(state, _now);
        _now += TimeSpan.FromMilliseconds(100);
        var second = _holder.Stamp(state, _now);
        _now += TimeSpan.FromMilliseconds(100);

        _holder.Echoed(Echo(second), state).ShouldBeTrue();
        _holder.Hold.Until.ShouldBe(second.At + Lease - Guard);
        _holder.Echoed(Echo(second), state).ShouldBeFalse("the same again is no news");
        _holder.Echoed(Echo(first), state).ShouldBeFalse();
        _holder.Hold.Until.ShouldBe(second.At + Lease - Guard);
        _holder.Hold.Session.ShouldBe(Own);
    }

    // Wrong program: holds what it may not hold yet (a release by its former daemon is still on its way through the log), or forgets the echo.
    [Fact]
    public void An_echo_waits_until_what_it_counts_on_is_applied()
    {
        var state = State(appliedIndex: 60);
        var echo = Echo(_holder.Stamp(state, _now)) with { Index = 62 };
        _holder.Echoed(echo, state).ShouldBeFalse();
        _holder.StateApplied(State(appliedIndex: 61), _now);
        _holder.Hold.ShouldBe(SessionHold.None);
        _holder.StateApplied(State(appliedIndex: 62), _now);
        _holder.Hold.Until.ShouldBe(echo.At + Lease - Guard);
    }

    [Fact] // Wrong program: a session that has ended is held by the clock; or the one after it begins with what the former one held.
    public void A_session_that_has_ended_is_not_held_whatever_the_clock_says()
    {
        var state = State(appliedIndex: 60);
        _holder.Echoed(Echo(_holder.Stamp(state, _now)), state).ShouldBeTrue();
        _holder.StateApplied(State(appliedIndex: 61), _now);
        _holder.Hold.IsHeld(_now).ShouldBeTrue();
        _holder.StateApplied(ClusterState.Empty with { AppliedIndex = 62 }, _now);
        _holder.Hold.ShouldBe(SessionHold.None);

        var next = State(appliedIndex: 70, session: new SessionId(69));
        _holder.StateApplied(next, _now);
        _holder.Hold.ShouldBe(SessionHold.None);
        _holder.Echoed(Echo(_holder.Stamp(next, _now)) with { Session = new SessionId(69) }, next).ShouldBeTrue();
        _holder.Hold.Session.ShouldBe(new SessionId(69));
    }

    // Wrong program: a daemon whose disk is gone keeps a session alive that it can do nothing with; or gives up one that it holds.
    [Fact]
    public void With_a_stalled_disk_it_stamps_only_what_it_holds()
    {
        var state = State(appliedIndex: 60);
        _holder.Stamp(state, _now).Session.ShouldBe(Own);
        _holder.Stamp(ClusterState.Empty, _now).Session.ShouldBe(SessionId.None, "it has none and asks for one");
        _holder.IsDiskStalled = true;
        _holder.Stamp(state, _now).Session.ShouldBe(SessionId.None);
        _holder.Echoed(Echo(new Stamp(Own, Incarnation, _now)), state).ShouldBeTrue();
        _holder.Stamp(state, _now).Session.ShouldBe(Own);
        _holder.Stamp(state, _now + Lease).Session.ShouldBe(SessionId.None, "its hold has lapsed");
    }

    // Rule 16. Wrong program: counts the grace from when it was applied, or takes one that came after the ordinary lease was over.
    [Theory]
    [InlineData(0.5, true)]
    [InlineData(0.95, false)]
    public void A_grace_of_its_own_counts_from_when_it_was_asked_for_and_not_after_the_lease(double appliedAfter, bool counts)
    {
        var state = State(appliedIndex: 60);
        _holder.Echoed(Echo(_holder.Stamp(state, _now)), state).ShouldBeTrue();
        var (asked, ordinary) = (_now, _holder.Hold.Until);
        _holder.AskGrace(Own, 9, asked);
        _now += TimeSpan.FromSeconds(appliedAfter);
        _holder.StateApplied(State(appliedIndex: 61, grace: new RestartGrace(8, TimeSpan.FromSeconds(60), [], 61)), _now);
        _holder.HasGrace.ShouldBeFalse("that one is somebody else's");
        _holder.StateApplied(State(appliedIndex: 62, grace: new RestartGrace(9, TimeSpan.FromSeconds(15), [], 62)), _now);

        _holder.HasGrace.ShouldBe(counts);
        _holder.Hold.Until.ShouldBe(counts ? asked + TimeSpan.FromSeconds(15) - Guard : ordinary);
        _holder.Hold.OrdinaryUntil.ShouldBe(ordinary);
    }

    [Fact] // Wrong program: a grace that is shorter than the lease shortens the hold.
    public void A_grace_shorter_than_what_is_held_anyway_changes_nothing()
    {
        var state = State(appliedIndex: 60);
        _holder.Echoed(Echo(_holder.Stamp(state, _now)), state).ShouldBeTrue();
        var ordinary = _holder.Hold;
        _holder.AskGrace(Own, 9, _now);
        _holder.StateApplied(State(appliedIndex: 61, grace: new RestartGrace(9, TimeSpan.FromSeconds(0.5), [], 61)), _now);
        _holder.Hold.ShouldBe(ordinary);
    }

    private static PeerBody.Echo Echo(Stamp stamp) => new(new Term(1), Own, stamp.Incarnation, stamp.At, Lease, 60);

    private static ClusterState State(long appliedIndex, StoreId? store = null, SessionId? session = null, RestartGrace? grace = null)
    {
        var id = session ?? Own;
        var graces = ImmutableSortedDictionary<long, RestartGrace>.Empty;
        return ClusterState.Empty with
        {
            AppliedIndex = appliedIndex,
            Sessions = ImmutableSortedDictionary<SessionId, Session>.Empty.Add(id, new Session(id, Self, store ?? Store, Lease) { Graces = grace is null ? graces : graces.Add(grace.Id, grace) }),
        };
    }
}
