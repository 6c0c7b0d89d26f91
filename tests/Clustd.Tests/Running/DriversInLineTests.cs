using Clustd.Core;
using Clustd.Core.Cluster;
using Clustd.Core.Running;
using Shouldly;
using Xunit;

namespace Clustd.Tests.Running;

/// <summary>Several processes of one driver: which of them may be started, who has a lease, who is forgotten, and what is shown of them.</summary>
public sealed class DriversInLineTests
{
    [Fact] // Wrong program: the newest is the active one; or the next in line is passed over, or has to register again.
    public void When_the_first_is_gone_the_next_in_line_is_started()
    {
        var bench = new ServicesBench(listed: ["app"]).Standby("app", instance: "one").Standby("app", instance: "two").Standby("app", instance: "three");
        Active(bench).ShouldBe(["one"]);
        bench.Noted.Count(kind => kind == "driver-waits").ShouldBe(2);
        bench.Assign(1001).Told.ShouldBe(["one:start"]);

        bench.Answer("one", "no port").Answer("one").Lost("one");
        Active(bench).ShouldBe(["two"]);
        bench.Lost("two");
        Active(bench).ShouldBe(["three"]);
        bench.Assign(1002).Told.ShouldBe(["three:start"]);
        bench.Noted.Count(kind => kind == "driver-waits").ShouldBe(2, "once for each that waited");
    }

    [Fact] // Wrong program: the place of the one that is gone is kept for ever.
    public void A_process_that_comes_when_the_first_is_gone_is_the_active_one()
    {
        var bench = new ServicesBench().Standby("app", instance: "one").Lost("one");
        bench.Local.DriverViews.ShouldBeEmpty("it ran nothing");
        bench.Standby("app", instance: "two");
        Active(bench).ShouldBe(["two"]);
        bench.Noted.ShouldNotContain("driver-waits");
        bench.Assign(1001).Told.ShouldBe(["two:start"]);
    }

    [Fact] // Wrong program: a process that runs it, as it says, stands behind an idle one that came first, and is stopped.
    public void Who_runs_something_comes_before_who_came_first()
    {
        var bench = new ServicesBench(listed: ["app"], stored: 1_000_000).Assign(1001, AssignmentState.Running);
        bench.Standby("app", instance: "idle").Register("app", instance: "busy", claims: 1001).Told.ShouldBeEmpty();
        Active(bench).ShouldBe(["busy"]);
        bench.Phase.ShouldBe(LocalPhase.Running);
    }

    [Fact] // Wrong program: gives the place of the process that runs the service to one that came before it, and claims what is long over.
    public void Who_runs_the_service_keeps_its_place_beside_one_that_runs_what_is_over()
    {
        var bench = new ServicesBench(listed: ["app"], stored: 1_000_000).Assign(1001, AssignmentState.Running);
        bench.Standby("app", instance: "one").Register("app", instance: "two", claims: 1001);
        bench.Register("app", instance: "one", claims: 1000).Told.ShouldBe(["one:kill"]);
        Active(bench).ShouldBe(["two"]);
        bench.Answer("one").Told.ShouldBeEmpty();
        bench.Phase.ShouldBe(LocalPhase.Running);
    }

    [Fact] // Wrong program: forgets a lost driver at once, or keeps it after all that it may run is over.
    public void A_lost_driver_is_kept_for_as_long_as_it_may_run_something()
    {
        var bench = new ServicesBench().Hold(1).Standby("app", instance: "one").Running(1001, "one").Hold(1000).Lost("one");
        bench.Standby("app", instance: "two");
        bench.Pass(1.5).Told.ShouldBeEmpty();
        Active(bench).ShouldBe(["one"]);
        bench.Local.DriverViews[0].IsConnected.ShouldBeFalse();

        bench.Pass(0.1).Told.ShouldBe(["two:start"]);
        Active(bench).ShouldBe(["two"]);
        bench.Step().Local.DriverViews.ShouldHaveSingleItem().Instance.ShouldBe("two");
    }

    [Fact] // Wrong program: a lease for whoever asks.
    public void Only_the_active_process_has_a_lease()
    {
        var bench = new ServicesBench().Hold(1).Standby("app", instance: "one").Standby("app", instance: "two");
        bench.Renew("one").ShouldBe(TimeSpan.FromSeconds(1));
        bench.Renew("two").ShouldBe(TimeSpan.Zero);
        bench.NotHeld().Renew("one").ShouldBe(TimeSpan.Zero);
    }

    [Fact] // Wrong program: tells a driver a lease of less than nothing, because the machine holds its session by its grace only.
    public void The_ordinary_lease_ends_at_nothing_while_the_grace_lasts()
    {
        var bench = new LocalBench();
        bench.RunningDriver();
        bench.Local.HoldStill();
        var late = bench.Register("late");
        bench.HoldLong(seconds: 15, ordinary: 0.9).Pass(1).Renew(late).ShouldBe(TimeSpan.Zero);
    }

    [Fact] // Rule 15. Wrong program: forgets the longer lease that it gave before; the driver may not have heard of the shorter one.
    public void A_lease_that_was_given_counts_although_a_shorter_one_was_given_later()
    {
        var bench = new ServicesBench(listed: ["app"]).Hold(5).Standby("app").Running(1001, "app");
        bench.Renew("app").ShouldBe(TimeSpan.FromSeconds(5));
        bench.Hold(2).Renew("app").ShouldBe(TimeSpan.FromSeconds(2));
        bench.Lost("app").Hold(1000).Step().Pass(5.5).Wanted.ShouldBeEmpty();
        bench.Pass(0.1).Release.ShouldNotBeNull();
    }

    [Fact] // Rule 15. Wrong program: counts only what it gave at the start, and takes for dead who has renewed since.
    public void A_lease_that_was_renewed_is_what_a_lost_driver_is_waited_for()
    {
        var bench = new ServicesBench(listed: ["app"]).Hold(1).Standby("app").Running(1001, "app").Hold(3);
        bench.Renew("app").ShouldBe(TimeSpan.FromSeconds(3));
        bench.Lost("app").Hold(1000).Step().Pass(3.5).Wanted.ShouldBeEmpty();
        bench.Pass(0.1).Release.ShouldNotBeNull();
    }

    // Wrong program: shows as dispensable what the file or any service names, or as required what follows by accident.
    [Theory]
    [InlineData("app", "", true)]
    [InlineData("vip app", "", true)]
    [InlineData("", "app", true)]
    [InlineData("vip", "vip", false)]
    [InlineData("", "", false)]
    public void Required_is_shown_for_what_the_file_or_a_service_names(string listed, string defined, bool isRequired)
    {
        var bench = new ServicesBench(new ServiceDefinition { Name = ServicesBench.Web, Drivers = defined.Length > 0 ? [new DriverName(defined)] : [] }, new ServiceDefinition { Name = ServicesBench.Bot },
            listed.Split(' ', StringSplitOptions.RemoveEmptyEntries));
        bench.Standby("app").Local.DriverViews.Single().IsRequired.ShouldBe(isRequired);
    }

    [Fact] // Wrong program: shows an error that is over, or hides one behind a service that is well.
    public void The_last_error_of_any_service_is_shown_until_it_is_over()
    {
        var both = new[] { ServicesBench.Bot, ServicesBench.Web };
        var bench = new ServicesBench(bot: new ServiceDefinition { Name = ServicesBench.Bot }, listed: ["app"]).Standby("app", follows: both, certain: false).Assign(1001);
        bench.Answer("app", "no port").Local.DriverViews.Single().LastError.ShouldBe("no port");
        bench.Answer("app");

        var view = bench.Local.DriverViews.Single();
        (view.Instance, view.IsConnected, view.IsActive, view.StopsForCertain, view.LastError).ShouldBe(("app-1", true, true, false, null));
        view.Services.ShouldBe(both);
    }

    [Fact] // Wrong program: one process has two connections; what comes over the old one counts, or its end stops what runs.
    public void A_process_that_connects_again_takes_the_place_of_its_own_connection()
    {
        var bench = new ServicesBench(listed: ["app"]).Standby("app").Running(1001, "app");
        bench.Register("app", claims: 1001).Told.ShouldBeEmpty();
        bench.Local.DriverViews.ShouldHaveSingleItem().IsConnected.ShouldBeTrue();
        bench.Local.Lost(new DriverConnection(1), bench.Now);
        bench.Step().Local.DriverViews.Single().IsConnected.ShouldBeTrue();
        bench.Phase.ShouldBe(LocalPhase.Running);
        bench.Noted.Count(kind => kind == "driver-lost").ShouldBe(1);
    }

    private static IEnumerable<string> Active(ServicesBench bench) => bench.Local.DriverViews.Where(view => view.IsActive).Select(view => view.Instance);
}
