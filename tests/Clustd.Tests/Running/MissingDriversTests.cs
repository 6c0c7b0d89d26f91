using Clustd.Core;
using Clustd.Core.Cluster;
using Clustd.Core.Running;
using Shouldly;
using Xunit;

namespace Clustd.Tests.Running;

/// <summary>A required driver that is not there: how long it is waited for, and what it means that it does not come.</summary>
public sealed class MissingDriversTests
{
    private static readonly ServiceDefinition WithVip = new() { Name = ServicesBench.Web, Drivers = [new DriverName("vip")] };

    // Wrong program: runs without what the file or the service names; gives up before start_timeout, or never.
    [Fact] // Wrong program: whatever is lost in a run that was adopted after a restart of the daemon, however much later, is "the daemon was away", and no failure.
    public void A_driver_that_is_lost_long_after_it_was_back_from_a_restart_is_a_failure()
    {
        var bench = new ServicesBench(listed: ["app"], stored: 1_000_000).Hold(10_000).Assign(1001, AssignmentState.Running);
        bench.Register("app", claims: 1001).Phase.ShouldBe(LocalPhase.Running);
        bench.Pass(5000).Phase.ShouldBe(LocalPhase.Running);
        bench.Lost("app").Pass(1000);
        bench.Release.ShouldNotBeNull();
        bench.Release!.Reason.ShouldNotContain("the daemon was away");
        bench.Release!.Failed.ShouldBeTrue();
    }

    [Theory]
    [InlineData("app")]
    [InlineData("vip")]
    public void A_service_waits_for_every_required_driver_until_start_timeout(string missing)
    {
        var bench = new ServicesBench(WithVip, listed: ["app"]);
        bench.Standby(missing == "app" ? "vip" : "app").Assign(1001).Answer(missing == "app" ? "vip" : "app");
        bench.Wanted.ShouldBeEmpty();
        bench.Local.View.Single().Reason.ShouldContain($"waits for driver {missing}");
        bench.WakesIn.ShouldBe(TimeSpan.FromSeconds(30));
        bench.Pass(29.999).Told.ShouldBeEmpty();
        bench.Pass(0.001).Told.ShouldBe([missing == "app" ? "vip:stop" : "app:stop"]);
        bench.Answer(missing == "app" ? "vip" : "app").Release!.Failed.ShouldBeTrue();
    }

    [Fact]
    public void A_driver_that_comes_in_time_is_started()
    {
        var bench = new ServicesBench(WithVip).Assign(1001).Pass(29);
        bench.Register("vip").Told.ShouldBe(["vip:start"]);
        bench.Answer("vip").Wanted.Single().ShouldBeOfType<Command.ReportRunning>();
    }

    [Fact] // Wrong program: takes a driver of that name for one that serves this service.
    public void A_driver_that_follows_another_service_is_missing_here()
    {
        var bench = new ServicesBench(WithVip, bot: new ServiceDefinition { Name = ServicesBench.Bot }).Standby("vip", follows: [ServicesBench.Bot]).Assign(1001);
        bench.Phase.ShouldBe(LocalPhase.Promoting);
        bench.Pass(30).Release!.Failed.ShouldBeTrue();
    }

    [Fact] // Wrong program: a change of the file or of the definition stops what runs well without.
    public void A_driver_that_is_required_only_since_the_service_runs_moves_nothing()
    {
        var bench = new ServicesBench().Standby("app").Running(1001, "app");
        bench.Set(ServicesBench.Web, service => service with { Definition = WithVip });
        bench.Pass(100).Told.ShouldBeEmpty();
        bench.Phase.ShouldBe(LocalPhase.Running);
        bench.Local.Report.Services.Single().Missing.ShouldBe("vip");
    }

    // Wrong program: a driver that is lost takes the service along although nobody requires it; or is required, and nobody notices.
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_running_service_is_given_up_for_a_lost_driver_only_if_that_is_required(bool required)
    {
        var bench = new ServicesBench(listed: required ? ["app"] : []).Hold(1).Standby("app").Running(1001, "app").Hold(1000).Lost("app");
        bench.Pass(1.5).Phase.ShouldBe(LocalPhase.Running);
        bench.Pass(0.1).Phase.ShouldBe(required ? LocalPhase.Standby : LocalPhase.Running);
        (bench.Release?.Failed).ShouldBe(required ? true : null);
        (bench.Release?.Reason.Contains("was lost and did not come back")).ShouldBe(required ? true : null);
    }

    [Fact] // Wrong program: takes the time after its own start, which bounds what former daemons gave, for a bound of what it gave itself.
    public void A_driver_that_is_lost_soon_after_the_daemons_start_is_not_awaited_any_longer()
    {
        var bench = new ServicesBench(listed: ["app"]).Hold(0.2).Standby("app").Running(1001, "app").Hold(1000).Step().Lost("app");
        bench.Pass(0.7).Wanted.ShouldBeEmpty();
        bench.Pass(0.1).Release!.Failed.ShouldBeTrue();
    }

    [Fact] // Wrong program: notices the loss only when the driver that is starting just now has answered.
    public void A_lost_driver_is_given_up_in_time_also_while_another_one_starts()
    {
        var bench = new ServicesBench(listed: ["app"]).Hold(1).Standby("app").Running(1001, "app").Hold(1000).Step().Lost("app");
        bench.Register("late").Told.ShouldBe(["late:start"]);
        bench.Pass(1.6).Outputs.OfType<Output.CancelTrigger>().ShouldHaveSingleItem();
        bench.Phase.ShouldBe(LocalPhase.Demoting);
    }

    [Fact] // Wrong program: a second process that waits makes the first one count as missing, and the service is never said to run.
    public void One_process_of_a_required_driver_is_enough()
    {
        var bench = new ServicesBench(listed: ["app"]).Standby("app", instance: "one").Standby("app", instance: "two").Assign(1001);
        bench.Answer("one").Wanted.Single().ShouldBeOfType<Command.ReportRunning>();
    }

    [Fact] // Wrong program: gives up after start_timeout although what the driver has begun may still be alive: it could not release it then, either.
    public void A_driver_that_was_lost_in_its_start_may_come_back_until_its_lease_is_over()
    {
        var bench = new ServicesBench(listed: ["app"]).Hold(100).Standby("app").Assign(1001).Hold(1000).Lost("app");
        bench.Pass(99).Phase.ShouldBe(LocalPhase.Promoting);
        bench.Local.View.Single().Reason.ShouldContain("driver app was lost");
        bench.Noted.ShouldNotContain("service-failed");
        bench.Pass(2).Release!.Failed.ShouldBeTrue();
    }

    // Rule 14. Wrong program: holds against the service that its daemon was away for too long; or waits for start_timeout, though it ran without its driver all the time.
    [Theory]
    [InlineData(AssignmentState.Running, 1.6, false, "the daemon was away")]
    [InlineData(AssignmentState.Starting, 31.6, true, "did not connect")]
    public void After_a_restart_a_driver_is_awaited_until_all_that_it_may_hold_is_over(AssignmentState state, double overAfter, bool isFailure, string why)
    {
        var bench = new ServicesBench(listed: ["app"], stored: 1_000_000).Assign(1001, state);
        bench.Pass(overAfter - 0.1).Wanted.ShouldBeEmpty();
        bench.Pass(0.1).Release!.Failed.ShouldBe(isFailure);
        bench.Release!.Reason.ShouldContain(why);
    }

    [Fact] // Wrong program: a service that runs on over a restart of the daemon, or one that was being started, is told to be what it is not.
    public void After_a_restart_what_ran_is_running_and_what_was_being_started_is_not()
    {
        new ServicesBench(listed: ["app"], stored: 1_000_000).Assign(1001, AssignmentState.Running).Phase.ShouldBe(LocalPhase.Running);
        new ServicesBench(listed: ["app"], stored: 1_000_000).Assign(1001).Phase.ShouldBe(LocalPhase.Promoting);
    }
}
