using Clustd.Core;
using Clustd.Core.Cluster;
using Clustd.Core.Running;
using Shouldly;
using Xunit;

namespace Clustd.Tests.Running;

/// <summary>How a service starts here: driver by driver, and what one that is late, fails, gives up or must not start yet means for the others.</summary>
public sealed class PromotionTests
{
    // Wrong program: an experiment holds the service up for as long as a required driver may, or longer than start_timeout; or a required one gets no more than an experiment.
    [Theory]
    [InlineData(30, false, 5)]
    [InlineData(2, false, 2)]
    [InlineData(30, true, 30)]
    [InlineData(2, true, 2)]
    public void A_driver_that_hangs_in_its_start_has_start_timeout_and_one_that_is_not_required_five_seconds_at_most(double startTimeout, bool required, double limit)
    {
        var bench = new ServicesBench(Web(startTimeout), listed: required ? ["first"] : []).Standby("first", order: 0).Standby("second", order: 1).Assign(1001);
        bench.WakesIn.ShouldBe(TimeSpan.FromSeconds(limit));
        bench.Pass(limit - 0.001).Told.ShouldBeEmpty();
        bench.Pass(0.001).Told.ShouldBe(required ? [] : ["second:start"]);
        bench.Outputs.OfType<Output.CancelTrigger>().Count().ShouldBe(required ? 1 : 0);
        bench.Outputs.OfType<Output.Noted>().ShouldContain(note => note.Kind == (required ? "service-failed" : "driver-failed") && note.Severity == (required ? Severity.Error : Severity.Warning));
    }

    [Fact] // Wrong program: complains in every step, forgets the late one, or takes its late answer for a reason to begin anew.
    public void A_driver_that_is_not_required_is_complained_of_once_and_may_come_late()
    {
        var bench = new ServicesBench().Standby("experiment", order: 0).Standby("app", order: 1).Assign(1001).Pass(5);
        bench.Answer("app").Wanted.ShouldBe([new Command.ReportRunning(ServicesBench.Web, new Token(1001))]);
        bench.Becomes(AssignmentState.Running).Pass(60).Step();
        bench.Noted.Count(kind => kind == "driver-failed").ShouldBe(1);

        bench.Answer("experiment").Told.ShouldBeEmpty();
        bench.Noted.Count(kind => kind == "service-running").ShouldBe(1);
        bench.Becomes(AssignmentState.Stopping).Told.ShouldBe(["app:stop"]);
        bench.Answer("app").Told.ShouldBe(["experiment:stop"]);
    }

    [Fact] // Wrong program: counts the second driver's limit from the first one's start; both need long, and neither is late.
    public void The_limit_of_each_start_counts_from_its_own_turn()
    {
        var bench = new ServicesBench(Web(30), listed: ["app", "vip"]).Standby("app", order: 1).Standby("vip", order: 2).Assign(1001);
        bench.Pass(20).Answer("app").Told.ShouldBe(["vip:start"]);
        bench.Pass(29.999).Noted.ShouldNotContain("service-failed");
        bench.Pass(0.001).Noted.ShouldContain("service-failed");
        bench.Answer("vip", "cancelled").Told.ShouldBe(["vip:stop"]);
        bench.Answer("vip").Told.ShouldBe(["app:stop"]);
        bench.Answer("app").Release!.Failed.ShouldBeTrue();
    }

    [Fact] // Wrong program: a stop that took long eats up the limit of the start that follows it.
    public void After_an_aborted_move_every_driver_has_all_of_its_limit_again()
    {
        var bench = new ServicesBench(Web(30), listed: ["app"]).Standby("app").Running(1001, "app").Pass(100);
        bench.Becomes(AssignmentState.Stopping).Answer("app", "busy").Told.ShouldBe(["app:start"]);
        bench.Pass(29.999).Noted.ShouldNotContain("service-failed");
        bench.Pass(0.001).Noted.ShouldContain("service-failed");
    }

    [Fact] // Wrong program: restarts what has given up, in the same run and for ever; or moves the service because of it.
    public void What_a_driver_that_is_not_required_gave_up_is_stopped_and_not_started_again()
    {
        var bench = new ServicesBench(listed: ["app"]).Standby("app").Standby("experiment").Running(1001, "app", "experiment");
        bench.Fails("experiment", 1001).Told.ShouldBe(["experiment:stop"]);
        bench.Triggers.Single().Limit.ShouldBe(TimeSpan.FromSeconds(10));
        bench.Answer("experiment").Told.ShouldBeEmpty();
        bench.Pass(60).Told.ShouldBeEmpty();
        bench.Phase.ShouldBe(LocalPhase.Running);
        bench.Wanted.ShouldBeEmpty();
    }

    [Fact] // Wrong program: a late word on what ran before, or that of a driver that has not been told to start yet, ends what runs now.
    public void A_failure_counts_only_for_what_the_driver_runs_now()
    {
        var bench = new ServicesBench(listed: ["app", "vip"]).Standby("app", order: 1).Standby("vip", order: 2).Assign(1001).Fails("vip", 1001);
        bench.Phase.ShouldBe(LocalPhase.Promoting);
        bench.Answer("app").Told.ShouldBe(["vip:start"]);
        bench.Answer("vip").Becomes(AssignmentState.Running);
        bench.Fails("app", 1000).Fails("app", 1002).Phase.ShouldBe(LocalPhase.Running);
        bench.Fails("app", 1001).Phase.ShouldBe(LocalPhase.Demoting);
    }

    [Fact] // Wrong program: only a start of the service starts drivers.
    public void A_driver_that_comes_to_a_running_service_is_started_and_the_others_are_left_alone()
    {
        var bench = new ServicesBench(listed: ["app"]).Standby("app").Running(1001, "app");
        bench.Register("late").Told.ShouldBe(["late:start"]);
        bench.Phase.ShouldBe(LocalPhase.Running);
        bench.Local.View.Single().Reason.ShouldContain("late is starting");
        bench.Noted.Count(kind => kind == "driver-told").ShouldBe(2);
        bench.Answer("late", "no port").Told.ShouldBeEmpty();
        bench.Phase.ShouldBe(LocalPhase.Running);
        bench.Lost("late").Register("late").Told.ShouldBe(["late:start"], "a new connection is a new attempt");
    }

    // Rule 13. Wrong program: starts a driver over what it has not stopped, because the time for that is over; or lets an experiment that does not answer hold up the service.
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_driver_that_still_owes_a_stop_is_not_started_however_much_time_has_passed(bool required)
    {
        var bench = new ServicesBench(listed: required ? ["app"] : []).Hold(1).Standby("app", order: 0).Standby("vip", order: 1).Running(1001, "app", "vip");
        bench.Pass(1).Told.ShouldBe(["app:kill", "vip:kill"], ignoreOrder: true);
        bench.Answer("vip").Pass(5).Hold(1000).Step();

        bench.Told.ShouldBe(required ? [] : ["vip:start"]);
        bench.Phase.ShouldBe(LocalPhase.Promoting);
        bench.Answer("app").Told.ShouldBe(["app:start"]);
    }

    [Fact] // Wrong program: runs two processes of one driver at once, of two services.
    public void A_driver_is_not_started_while_another_process_of_it_may_run_anything()
    {
        var both = new[] { ServicesBench.Bot, ServicesBench.Web };
        var bench = new ServicesBench(bot: new ServiceDefinition { Name = ServicesBench.Bot }, listed: ["app"]).Standby("app", instance: "one", follows: both);
        bench.Assign(2001, service: ServicesBench.Bot).Answer("one", service: ServicesBench.Bot);
        bench.Register("app", instance: "two", follows: both, claims: 2000, claimed: ServicesBench.Bot).Told.ShouldBe(["two:kill bot", "two:stop"], ignoreOrder: true);

        bench.Answer("two").Assign(1001).Told.ShouldBeEmpty();
        bench.Phase.ShouldBe(LocalPhase.Promoting);
        bench.Answer("two", service: ServicesBench.Bot).Told.ShouldBe(["one:start"]);
    }

    [Fact] // Wrong program: the one that is second in line is started beside the first, or does not learn that it is not to run.
    public void A_second_process_of_a_driver_is_told_false_and_waits()
    {
        var bench = new ServicesBench().Standby("app", instance: "one").Running(1001, "one");
        bench.Register("app", instance: "two").Told.ShouldBe(["two:stop"]);
        bench.Answer("two").Told.ShouldBeEmpty();
        bench.Phase.ShouldBe(LocalPhase.Running);
    }

    [Fact] // Wrong program: a newcomer is started beside what of an earlier run is being stopped, or is told nothing until that is over.
    public void A_driver_that_comes_while_an_earlier_run_stops_is_told_false_and_started_afterwards()
    {
        var bench = new ServicesBench().Hold(1).Standby("app").Running(1001, "app").Pass(1).Hold(1000).Step();
        bench.Phase.ShouldBe(LocalPhase.WaitingForLeaseEnd);
        bench.Register("late").Told.ShouldBe(["late:stop"]);
        bench.Answer("late").Told.ShouldBeEmpty();
        bench.Answer("app").Told.ShouldBe(["app:start"]);
        bench.Answer("app").Told.ShouldBe(["late:start"]);
    }

    [Fact] // Wrong program: begins something on its last way, so that a driver runs whom the next daemon does not know of; or stops what runs.
    public void A_daemon_that_restarts_starts_no_further_driver_and_stops_none()
    {
        var bench = new ServicesBench().Standby("app", order: 1).Standby("vip", order: 2).Assign(1001);
        bench.Local.HoldStill();
        bench.Step().Told.ShouldBeEmpty();
        bench.Answer("app").Told.ShouldBeEmpty();
        bench.Phase.ShouldBe(LocalPhase.Promoting);
        bench.Pass(60).Told.ShouldBeEmpty();
        bench.Leave().Told.ShouldBe(["app:stop"], "a goodbye is stronger");
    }

    [Fact] // Wrong program: stops what runs because a machine is to be fenced that ran it before.
    public void What_runs_goes_on_when_a_machine_is_found_unfenced_later()
    {
        var bench = new ServicesBench().Standby("app").Running(1001, "app");
        bench.Set(ServicesBench.Web, service => service with { Definition = service.Definition with { RequiresFencing = true }, Unfenced = [new MachineId("cm-2")] });
        bench.Pass(100).Told.ShouldBeEmpty();
        bench.Phase.ShouldBe(LocalPhase.Running);
    }

    [Fact] // Wrong program: starts the drivers of a service that was given to another session of this machine, or to another machine.
    public void Only_what_was_granted_to_this_machine_and_the_session_it_holds_is_begun()
    {
        var bench = new ServicesBench().Standby("app");
        bench.Assign(1001, machine: new MachineId("cm-2")).Told.ShouldBeEmpty();
        bench.Set(ServicesBench.Web, service => service with
        {
            Assignment = new Assignment(ServicesBench.Self, new SessionId(49), new Token(1002), TimeSpan.FromSeconds(0.5), AssignmentState.Starting, null, "chosen", 101),
        }).Told.ShouldBeEmpty();
        bench.Phase.ShouldBe(LocalPhase.Standby);
        bench.Assign(1003).Told.ShouldBe(["app:start"]);
    }

    [Fact] // Rule 14. Wrong program: tells a newcomer nothing before time has proven that no other process of it runs; it may have something to tidy up.
    public void After_a_restart_a_newcomer_is_told_false_at_once_and_started_when_all_may_be_over()
    {
        var bench = new ServicesBench(stored: 1_000_000).Assign(1001);
        bench.Register("app", certain: false).Told.ShouldBe(["app:stop"], "and not to kill what it says nothing of");
        bench.Answer("app").Told.ShouldBeEmpty();
        bench.Pass(1.5).Told.ShouldBeEmpty();
        bench.Pass(0.1).Told.ShouldBe(["app:start"]);
    }

    private static ServiceDefinition Web(double startTimeout) => new() { Name = ServicesBench.Web, StartTimeout = TimeSpan.FromSeconds(startTimeout) };
}
