using Clustd.Core;
using Clustd.Core.Cluster;
using Clustd.Core.Running;
using Shouldly;
using Xunit;

namespace Clustd.Tests.Running;

/// <summary>Whose word counts for what: a driver's, its next process's, its guard's, and that of a connection that is gone.</summary>
public sealed class DriverWordsTests
{
    // Wrong program: one driver's acknowledgement takes the blame off another one, which died over its stop; time is then said to prove that it is gone.
    [Theory]
    [InlineData("vip", "two", true)]
    [InlineData("app", "app", false)]
    public void Only_the_next_process_of_a_driver_takes_back_that_its_stop_had_failed(string name, string process, bool takesItBack)
    {
        var bench = new ServicesBench(listed: ["vip"]).Hold(1).Standby("vip", certain: false, instance: "one").Standby("app").Running(1001, "app", "one").Hold(1000).Step();
        bench.Fails("one", 1001).Answer("one", "no").Answer("one", "no").Lost("one");
        if (name == "vip")
        {
            bench.Answer("app").Register("vip", certain: false, instance: process);
        }

        bench.Answer(process).Pass(2);
        (bench.Release is not null).ShouldBe(takesItBack);
        bench.Phase.ShouldBe(takesItBack ? LocalPhase.Standby : LocalPhase.Stuck);
    }

    [Fact] // Wrong program: goes by the name or by the process alone, and takes for gone what another driver runs.
    public void A_guards_proof_is_of_one_process_of_one_driver()
    {
        var bench = new LocalBench();
        var app = bench.Register("app", instance: "x");
        var vip = bench.Register("vip", instance: "x");
        bench.Answer(app).Answer(vip).Assign(1001).Answer(app).Answer(vip).Becomes(AssignmentState.Running);
        bench.Local.Lost(app, bench.Now);
        bench.Local.Lost(vip, bench.Now);
        bench.Step().NotHeld().Step();

        Proven("vip", "x").DriverViews.ShouldHaveSingleItem().Name.ShouldBe(new DriverName("app"), "what app runs is not proven gone");
        Proven("app", "y").MayRun.ShouldHaveSingleItem();
        Proven("app", "x").MayRun.ShouldBeEmpty();

        LocalServices Proven(string name, string instance)
        {
            bench.Local.Stopped(new DriverName(name), instance, LocalBench.Web, new Token(1001), "no process is left", bench.Now);
            return bench.Step().Local;
        }
    }

    [Fact] // Wrong program: ends, or complains, because of the last word of a connection that is closed.
    public void What_a_closed_connection_says_counts_for_nothing()
    {
        var bench = new ServicesBench(listed: ["app"]).Standby("app").Running(1001, "app").Lost("app");
        bench.Fails("app", 1001).Noted.ShouldNotContain("driver-failed");
        bench.Phase.ShouldBe(LocalPhase.Running);
        bench.Lost("app").Noted.Count(kind => kind == "driver-lost").ShouldBe(1);
        bench.Renew("app").ShouldBeNull();
    }

    [Fact] // Wrong program: two drivers on one connection; what the first one runs is never missed.
    public void A_connection_that_registers_as_another_driver_is_lost_to_the_first_one()
    {
        var bench = new ServicesBench(listed: ["app"]).Standby("app").Running(1001, "app");
        bench.Local.Registered(new DriverConnection(1), new DriverRegistration { Name = new DriverName("vip"), Instance = "vip-1", Services = [ServicesBench.Web], StopsForCertain = true }, bench.Now);
        bench.Step().Local.DriverViews.Select(view => (view.Name.Value, view.IsConnected)).ShouldBe([("app", false), ("vip", true)]);
        bench.Noted.ShouldContain("driver-lost");
    }

    [Fact] // Wrong program: names in its grace who is not there to take it; the next daemon waits for that one.
    public void A_restart_counts_on_connected_drivers_only()
    {
        var bench = new ServicesBench().Standby("app").Standby("vip").Running(1001, "app", "vip").Lost("app");
        bench.Local.HoldStill().ShouldBe([new GraceDriver(new DriverName("vip"), "vip-1")]);
    }

    // Wrong program: a restart waits for ever for a driver that was lost meanwhile, that has stopped, or that has nothing to do with it.
    [Theory]
    [InlineData("holds its old lease", false)]
    [InlineData("was lost", true)]
    [InlineData("has stopped", true)]
    public void A_restart_waits_for_whoever_is_to_have_the_long_lease_and_still_needs_it(string what, bool isHandedOut)
    {
        var bench = new ServicesBench().Hold(1).Standby("app").Running(1001, "app").Standby("idle", follows: [ServicesBench.Bot]);
        bench.Local.HoldStill().Length.ShouldBe(1);
        switch (what)
        {
            case "was lost":
                bench.Lost("app");
                break;
            case "has stopped":
                bench.Becomes(AssignmentState.Stopping).Answer("app");
                break;
        }

        bench.Hold(15).Step().Local.HasHandedOut(bench.Held).ShouldBe(isHandedOut);
    }

    [Fact] // Wrong program: what is listed for a service that the cluster does not know yet is told to nobody, so it is never placed here.
    public void The_report_tells_of_a_service_that_is_not_defined_yet()
    {
        var bench = new ServicesBench(listed: ["app bot"]).Step();
        bench.Local.Report.Of(ServicesBench.Bot)!.Missing.ShouldBe("app");
        bench.Register("app", follows: [ServicesBench.Bot]).Local.Report.Of(ServicesBench.Bot)!.Ready.ShouldBeTrue();
    }
}
