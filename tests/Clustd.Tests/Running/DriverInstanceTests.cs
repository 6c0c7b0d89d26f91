using System.Collections.Immutable;
using Clustd.Core;
using Clustd.Core.Cluster;
using Clustd.Core.Running;
using Shouldly;
using Xunit;

namespace Clustd.Tests.Running;

/// <summary>Which services a driver follows, until when it holds a lease, and when time alone proves that it is gone.</summary>
public class DriverInstanceTests
{
    private static readonly ServiceName Web = new("web"), Bot = new("bot"), Default = ServiceName.Default;
    private static readonly TimeSpan Half = TimeSpan.FromSeconds(0.5), Second = TimeSpan.FromSeconds(1), Guard = TimeSpan.FromMilliseconds(125);
    private static readonly Instant Now = new(5_000_000);

    // One that names no service, as those of 2018. Wrong program: follows what it was not meant for where there are two; or nothing at all where the only one has another name.
    [Theory]
    [InlineData("", "default")]
    [InlineData("web", "web")]
    [InlineData("web bot", null)]
    [InlineData("default", "default")]
    [InlineData("bot default web", "default")]
    public void Without_a_name_it_follows_default_or_the_only_service(string defined, string? followed)
    {
        var services = defined.Split(' ', StringSplitOptions.RemoveEmptyEntries).Select(name => new ServiceName(name)).ToList();
        var state = State([.. services]);
        foreach (var instance in (DriverInstance[])[Instance(), Instance(services: default)])
        {
            instance.FollowedIn(state).ShouldBe(followed is null ? [] : [new ServiceName(followed)]);
            foreach (var service in (ServiceName[])[Web, Bot, Default]) instance.Follows(service, state).ShouldBe(service.Value == followed, service.Value);
        }
    }

    [Fact]
    public void With_names_it_follows_these_wherever_they_are_and_no_others()
    {
        var instance = Instance(services: [Bot, Web]);
        instance.FollowedIn(State(Default)).ShouldBe([Bot, Web]);
        (instance.Follows(Web, State(Default)), instance.Follows(Default, State(Default))).ShouldBe((true, false));
    }

    // Wrong program: a driver whose terms have become too long for what is in force is not told, or every other one is sent away.
    [Fact]
    public void Terms_keep_others_when_nothing_is_later_or_unheard_of()
    {
        ImmutableArray<ServiceName> both = [Web, Bot], one = [Web];
        var terms = new DriverTerms(both, Half);
        terms.Keep(new DriverTerms(both, Half)).ShouldBeTrue();
        terms.Keep(new DriverTerms(one, Second)).ShouldBeTrue();
        terms.Keep(new DriverTerms([], Half)).ShouldBeTrue();
        terms.Keep(new DriverTerms([Bot, Web], Half)).ShouldBeTrue("the order is no matter");
        terms.Keep(new DriverTerms(both, Half - TimeSpan.FromMicroseconds(1))).ShouldBeFalse("it would be too late");
        new DriverTerms(one, Half).Keep(new DriverTerms(both, Half)).ShouldBeFalse("one of them it has not heard of");
        new DriverTerms(one, Second).Keep(new DriverTerms(one, Half)).ShouldBeFalse();
    }

    [Fact] // Wrong program: an answer that comes late takes back what an earlier one gave, and what runs by it counts as dead.
    public void What_was_given_never_moves_back_and_the_latest_of_given_and_inherited_counts()
    {
        var instance = Instance();
        instance.Gave(Now + Second);
        instance.Gave(Now);
        instance.LeaseUntil.ShouldBe(Now + Second);
        instance.Inherits(Now + Second * 3);
        instance.Inherits(Now);
        (instance.LeaseUntil, instance.GivenUntil).ShouldBe((Now + Second * 3, Now + Second));
    }

    // Its clock may be slower than ours, hence k. Wrong program: believes "less than nothing", or lets its word take back what this daemon gave.
    [Theory]
    [InlineData(0.5)]
    [InlineData(0)]
    [InlineData(-2)]
    public void Its_own_word_shortens_what_a_former_daemon_may_have_given(double says)
    {
        var left = TimeSpan.FromSeconds(Math.Max(0, says));
        var instance = Instance();
        instance.Inherits(Now + Second * 20);
        instance.Holds(TimeSpan.FromSeconds(says), Now);
        (instance.InheritedUntil, instance.SaidUntil).ShouldBe((Now + LeaseTiming.Stretch(left), Now + left));
        instance.Holds(Second * 9, Now);
        instance.InheritedUntil.ShouldBe(Now + LeaseTiming.Stretch(left), "it is not longer again");
        instance.Gave(Now + Second);
        instance.Holds(TimeSpan.Zero, Now);
        instance.LeaseUntil.ShouldBe(Now + Second);
    }

    // Rules 13 and 15. Wrong program: takes the kill_timeout of today for what was started under a longer one; or believes in time where a stop has failed.
    [Theory]
    [InlineData(true, true, false, true)]
    [InlineData(true, false, true, true)]
    [InlineData(false, true, false, false)]
    [InlineData(false, false, false, true)]
    [InlineData(false, false, true, false)]
    public void Time_alone_proves_it_gone_where_killing_is_certain_or_its_connection_is_lost(bool certain, bool connected, bool stopFailed, bool proves)
    {
        var instance = Instance(certain: certain);
        instance.Connection = connected ? new DriverConnection(1) : null;
        var calls = instance.CallsOf(Web);
        calls.Told(new CallUnderWay(1, true, new Token(5), Now, Second, false), 1, Second * 4);
        calls.StopFailed = stopFailed;
        instance.GraceAfterLease(calls, Half, Guard).ShouldBe(proves ? LeaseTiming.Stretch(Second * 4) + Guard : null);
        calls = instance.CallsOf(Bot);
        calls.Claimed(isMaster: true, new Token(6), unsettled: false);
        calls.StopFailed = stopFailed;
        instance.GraceAfterLease(calls, Half, Guard).ShouldBe(proves ? LeaseTiming.Stretch(Half) + Guard : null, "nobody knows by which it was started");
        instance.Owing.ShouldBe(2);
    }

    // Wrong program: of two services of one driver the later one hides the earlier, or each look adds one more, and the lease renewed meanwhile is not seen.
    [Fact]
    public void The_earliest_of_several_deadlines_counts_and_follows_the_lease()
    {
        DriverInstance one = Instance(), other = Instance();
        one.Gave(Now + Second);
        other.Gave(Now + Second * 2);
        var deadlines = new Deadlines();
        deadlines.Earliest.ShouldBe(Instant.Never);
        deadlines.Meet(Now + Second * 60);
        deadlines.Meet(Now + Second * 90);
        deadlines.Earliest.ShouldBe(Now + Second * 60);
        foreach (var grace in (TimeSpan[])[Second * 4, Second * 3, Second * 5]) deadlines.MeetAfterLease(one, grace);
        deadlines.Earliest.ShouldBe(Now + Second * 4);
        deadlines.MeetAfterLease(other, Second);
        deadlines.Earliest.ShouldBe(Now + Second * 3);
        one.Gave(Now + Second * 9);
        other.Gave(Now + Second * 12);
        deadlines.Earliest.ShouldBe(Now + Second * 12);
        deadlines.Clear();
        deadlines.Earliest.ShouldBe(Instant.Never);
    }

    [Fact] // Wrong program: a stop begins anew with each reason, and its limit with it; or a run that failed once has failed for ever.
    public void A_run_keeps_the_limit_of_its_stop_and_tells_only_the_failure_that_ended_it()
    {
        var run = new LocalRun(1, new Assignment(new MachineId("cm-1"), new SessionId(2), new Token(5), Half, AssignmentState.Running, null, "", 1), inherited: false, adoptsRunning: true, Now);
        run.AbortedIndex.ShouldBeLessThan(0, "an index that no entry has");
        run.Stop(RunIntent.StopForMove, "moves", Now + Second);
        (run.IsRunning, run.FailureReason, run.StopSince).ShouldBe((false, null, Now + Second));
        run.Stop(RunIntent.StopAfterFailure, "crashed", Now + Second * 2);
        run.Stop(RunIntent.StopForGoodbye, "leaves", Now + Second * 3);
        (run.StopSince, run.StopReason, run.FailureReason).ShouldBe((Now + Second, "leaves", "crashed"));
        run.Kill(Now + Second * 4);
        run.Kill(Now + Second * 5);
        run.KillSince.ShouldBe(Now + Second * 4);
        run.Abort(sinceIndex: 12, "hangs", Now + Second * 6);
        (run.Intent, run.AbortedIndex, run.PromoteSince, run.IsRunning).ShouldBe((RunIntent.Run, 12, Now + Second * 6, false));
        run.Stop(RunIntent.StopForMove, "moves again", Now + Second * 7);
        run.StopSince.ShouldBe(Now + Second * 7);
    }

    private static DriverInstance Instance(ImmutableArray<ServiceName>? services = null, bool certain = true) =>
        new(new DriverRegistration { Name = new DriverName("app"), Instance = "1", Services = services ?? [], StopsForCertain = certain }, arrival: 1);

    private static ClusterState State(params ServiceName[] services) => ClusterState.Empty with
    {
        Services = services.ToImmutableSortedDictionary(
            name => name, name => new ServiceState(new ServiceDefinition { Name = name }, null, null, ImmutableSortedDictionary<MachineId, FailureRecord>.Empty, false)),
    };
}
