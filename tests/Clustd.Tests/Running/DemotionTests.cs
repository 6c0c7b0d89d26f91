using Clustd.Core;
using Clustd.Core.Cluster;
using Clustd.Core.Running;
using Shouldly;
using Xunit;

namespace Clustd.Tests.Running;

/// <summary>How a service stops here: in order, within one limit for all, and at once where that fails.</summary>
public sealed class DemotionTests
{
    [Fact] // Wrong program: starts and stops drivers of the same order as they came, or stops them in the order in which they started.
    public void Drivers_of_the_same_order_start_by_name_and_stop_the_other_way_round()
    {
        var bench = new ServicesBench().Standby("b").Standby("c").Standby("a");
        bench.Assign(1001).Told.ShouldBe(["a:start"]);
        bench.Answer("a").Told.ShouldBe(["b:start"]);
        bench.Answer("b").Told.ShouldBe(["c:start"]);
        bench.Answer("c").Becomes(AssignmentState.Running);

        bench.Becomes(AssignmentState.Stopping).Told.ShouldBe(["c:stop"]);
        bench.Answer("c").Told.ShouldBe(["b:stop"]);
        bench.Answer("b").Told.ShouldBe(["a:stop"]);
        bench.Answer("a").Release!.Failed.ShouldBeFalse();
    }

    [Fact] // Wrong program: each driver has all of stop_timeout for itself, or the limit begins anew with every step.
    public void All_stops_together_have_stop_timeout()
    {
        var bench = TwoRun();
        bench.Becomes(AssignmentState.Stopping).Triggers.Single().Limit.ShouldBe(Seconds(10));
        bench.Pass(4).Answer("vip").Triggers.Single().Limit.ShouldBe(Seconds(6));
        bench.WakesIn.ShouldBe(Seconds(6));

        bench.Pass(5.999).Wanted.ShouldBeEmpty();
        bench.Pass(0.001).Wanted.Single().ShouldBeOfType<Command.AbortMove>();
        bench.Noted.Count(kind => kind == "move-aborted").ShouldBe(1);
    }

    [Fact] // Wrong program: starts a driver whose stop has not returned, or chooses for another service a machine where a stop hangs.
    public void A_move_that_is_aborted_because_a_stop_hangs_starts_again_when_that_has_returned()
    {
        var bench = TwoRun("app").Becomes(AssignmentState.Stopping);
        bench.Answer("vip").Pass(10).Told.ShouldBeEmpty();
        bench.Phase.ShouldBe(LocalPhase.Promoting);
        bench.Local.Report.Services.Single().Ready.ShouldBeFalse();

        bench.Answer("app").Told.ShouldBe(["app:start"]);
        bench.Local.Report.Services.Single().Ready.ShouldBeTrue();
        bench.Answer("app").Told.ShouldBe(["vip:start"]);
        bench.Answer("vip").Phase.ShouldBe(LocalPhase.Running);
    }

    [Fact] // Wrong program: asks for the end of the move once only, or for ever; or takes the next move for the one that was aborted.
    public void An_aborted_move_is_reported_until_it_is_known_and_the_next_one_is_another()
    {
        var bench = Running().Becomes(AssignmentState.Stopping).Answer("app", "busy");
        bench.Answer("app").Wanted.Single().ShouldBeOfType<Command.AbortMove>();
        bench.Step().Wanted.Single().ShouldBeOfType<Command.AbortMove>();
        bench.Becomes(AssignmentState.Starting).Wanted.ShouldBe([new Command.ReportRunning(ServicesBench.Web, new Token(1001))]);
        bench.Becomes(AssignmentState.Running).Wanted.ShouldBeEmpty();

        bench.Becomes(AssignmentState.Stopping).Told.ShouldBe(["app:stop"]);
        bench.Wanted.ShouldBeEmpty();
    }

    [Fact] // Wrong program: goes on to stop what is to stay.
    public void A_move_that_is_called_off_starts_again_what_has_stopped()
    {
        var bench = TwoRun().Becomes(AssignmentState.Stopping);
        bench.Becomes(AssignmentState.Running).Told.ShouldBeEmpty();
        bench.Answer("vip").Told.ShouldBe(["vip:start"]);
        bench.Answer("vip").Wanted.ShouldBeEmpty();
        bench.Phase.ShouldBe(LocalPhase.Running);
    }

    [Fact] // Wrong program: waits to tell the others until a driver answers that is not there; or releases while that one may still run.
    public void A_lost_driver_keeps_nobody_from_stopping_but_the_service_from_being_released()
    {
        var bench = new ServicesBench().Hold(1).Standby("app", order: 1).Standby("vip", order: 2).Running(1001, "app", "vip").Hold(1000);
        bench.Lost("vip").Told.ShouldBeEmpty();
        bench.Becomes(AssignmentState.Stopping).Told.ShouldBe(["app:stop"]);

        bench.Answer("app").Wanted.ShouldBeEmpty();
        bench.Phase.ShouldBe(LocalPhase.Demoting);
        bench.Pass(1.55).Wanted.ShouldBeEmpty();
        bench.Pass(0.02).Release.ShouldNotBeNull();
    }

    [Fact] // Wrong program: a newcomer learns only after the stop that it is not to run.
    public void A_driver_that_comes_while_others_stop_is_told_false_at_once()
    {
        var bench = Running().Becomes(AssignmentState.Stopping);
        bench.Register("late").Told.ShouldBe(["late:stop"]);
        bench.Answer("late").Told.ShouldBeEmpty();
        bench.Answer("app").Release.ShouldNotBeNull();
        bench.Register("later").Told.ShouldBe(["later:stop"]);
    }

    // Rule 14. Wrong program: looks only at what it has started itself, and releases while a driver runs what was granted before.
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void What_a_driver_claims_of_an_earlier_run_must_have_stopped_before_the_release(bool kill)
    {
        var bench = new ServicesBench(listed: ["vip"]).Standby("vip").Running(1001, "vip");
        bench.Register("app", claims: 1000).Told.ShouldBe(["app:kill"]);
        bench.Phase.ShouldBe(LocalPhase.WaitingForLeaseEnd);
        bench.Fails("vip", 1001).Told.ShouldBe(["vip:stop"]);
        if (kill)
        {
            bench.Answer("vip", "busy").Told.ShouldBe(["vip:kill"]);
        }

        bench.Answer("vip").Wanted.ShouldBeEmpty();
        bench.Phase.ShouldBe(LocalPhase.Demoting);
        bench.Answer("app").Release!.Failed.ShouldBeTrue();
    }

    [Fact] // Wrong program: keeps the order although the limit is over; or tells a driver the next thing before it has answered.
    public void When_a_stop_hangs_after_a_failure_all_others_are_killed_at_once()
    {
        var bench = new ServicesBench(listed: ["app"]).Standby("app", order: 1).Standby("dns", order: 2).Standby("vip", order: 3).Running(1001, "app", "dns", "vip");
        bench.Fails("app", 1001).Told.ShouldBe(["vip:stop"]);
        bench.Pass(9.999).Told.ShouldBeEmpty();
        bench.Pass(0.001).Told.ShouldBe(["app:kill", "dns:kill"], ignoreOrder: true);
        bench.Triggers.ShouldAllBe(call => call.Limit == Seconds(0.5));
        bench.Outputs.OfType<Output.Noted>().Single(note => note.Kind == "service-killed").Severity.ShouldBe(Severity.Warning);

        bench.Answer("app").Answer("dns").Wanted.ShouldBeEmpty();
        bench.Answer("vip").Release!.Failed.ShouldBeTrue();
        bench.Noted.Count(kind => kind == "service-killed").ShouldBe(1);
    }

    [Fact] // Wrong program: starves a driver that still has work to do in good order; or lets one live that is to be gone at once.
    public void Who_stops_in_good_order_keeps_its_lease_and_who_is_killed_loses_it()
    {
        var bench = TwoRun("app").Fails("app", 1001);
        bench.Renew("app").ShouldBe(Seconds(1000));
        bench.Answer("vip", "busy").Told.ShouldBe(["app:kill", "vip:kill"], ignoreOrder: true);
        bench.Renew("app").ShouldBe(TimeSpan.Zero);
        bench.Answer("app").Renew("app").ShouldBe(Seconds(1000), "it has nothing to lose any more");
    }

    [Fact] // Wrong program: gives the stop that is under way all of its time again when its reason changes; or forgets the failure and comes back at once.
    public void What_fails_while_it_is_moved_is_a_failure_and_keeps_its_limit()
    {
        var bench = TwoRun("app").Becomes(AssignmentState.Stopping).Pass(6).Fails("app", 1001);
        bench.Told.ShouldBeEmpty();
        bench.Pass(3.999).Told.ShouldBeEmpty();
        bench.Pass(0.001).Told.ShouldBe(["app:kill"]);
        bench.Answer("app").Answer("vip").Release!.Failed.ShouldBeTrue();
    }

    // Wrong program: holds against a service what broke when the whole machine was on its way down; or forgets a failure because the machine leaves as well.
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_goodbye_is_no_failure_unless_that_came_first(bool failedBefore)
    {
        var bench = TwoRun("app");
        _ = failedBefore ? bench.Fails("app", 1001).Leave() : bench.Leave().Fails("app", 1001);
        bench.Answer("vip").Answer("app").Release!.Failed.ShouldBe(failedBefore);
    }

    [Fact] // Wrong program: the move goes on, and its stop that fails starts the service again on a machine that leaves.
    public void A_goodbye_during_a_move_does_not_start_again()
    {
        var bench = Running().Becomes(AssignmentState.Stopping).Leave();
        bench.Answer("app", "busy").Told.ShouldBe(["app:kill"]);
        bench.Answer("app").Release!.Failed.ShouldBeFalse();
        bench.Local.IsEmpty.ShouldBeTrue();
    }

    [Fact] // Wrong program: says in every step that it has stopped; or no longer asks for a release that was lost on its way.
    public void A_release_is_asked_for_until_it_is_known_and_told_once()
    {
        var bench = Running().Becomes(AssignmentState.Stopping).Answer("app");
        var release = bench.Release.ShouldNotBeNull();
        bench.Pass(10).Register("late").Answer("late").Release.ShouldBe(release);
        bench.Phase.ShouldBe(LocalPhase.Standby);
        bench.NotHeld().Release.ShouldBe(release, "also when the session is not held any more");
        bench.Noted.Count(kind => kind == "service-stopped").ShouldBe(1);
        bench.Set(ServicesBench.Web, service => service with { Assignment = null }).Wanted.ShouldBeEmpty();
    }

    private static TimeSpan Seconds(double seconds) => TimeSpan.FromSeconds(seconds);

    private static ServicesBench Running() => new ServicesBench().Standby("app").Running(1001, "app");

    private static ServicesBench TwoRun(params string[] listed) =>
        new ServicesBench(listed: listed).Standby("app", order: 1).Standby("vip", order: 2).Running(1001, "app", "vip");
}
