using Clustd.Core;
using Clustd.Core.Cluster;
using Clustd.Core.Running;
using Shouldly;
using Xunit;

namespace Clustd.Tests.Running;

/// <summary>A stop that failed, where nothing proves that it is over: what on_stop_failure makes of it.</summary>
public sealed class StuckTests
{
    private static readonly TimeSpan StretchedKill = LeaseTiming.Stretch(TimeSpan.FromMilliseconds(500));

    // Wrong program: releases what may still run without the operator's leave, or without a fence that the whole cluster knows of; or blocks against his word.
    [Theory]
    [InlineData(OnStopFailure.Block, false, false, 3, "stuck")]
    [InlineData(OnStopFailure.Block, false, true, 3, "stuck")]
    [InlineData(OnStopFailure.Block, true, false, 3, "stuck")]
    [InlineData(OnStopFailure.Block, true, true, 2, "stuck")]
    [InlineData(OnStopFailure.Block, true, true, 3, "released, may still run")]
    [InlineData(OnStopFailure.Takeover, false, false, 1, "released")]
    [InlineData(OnStopFailure.Takeover, true, true, 2, "released")]
    public void Only_takeover_and_fencing_release_what_may_still_run(OnStopFailure onStopFailure, bool fencesOnStopFailure, bool requiresFencing, int level, string outcome)
    {
        var bench = KillFailed(new ServicesBench(
            new ServiceDefinition { Name = ServicesBench.Web, OnStopFailure = onStopFailure, FencesOnStopFailure = fencesOnStopFailure, RequiresFencing = requiresFencing }, listed: ["app"], level: level));
        bench.Pass(900);

        var said = bench.Release is { } release ? release.MayStillRun ? "released, may still run" : "released" : bench.Wanted.Single() is Command.ReportStuck ? "stuck" : "?";
        said.ShouldBe(outcome);
        bench.Release?.Failed.ShouldBeTrue();
        bench.Release?.Reason.ShouldEndWith(outcome == "released" ? "on_stop_failure is takeover." : "on_stop_failure is fence.");
        bench.Phase.ShouldBe(outcome == "stuck" ? LocalPhase.Stuck : LocalPhase.Standby);
    }

    // Wrong program: lets others take over while the driver still has a lease, or before the kill has had its time; or waits for the shortest lease of several.
    [Theory]
    [InlineData(3, 1, 0, 3)]
    [InlineData(1, 3, 0, 3)]
    [InlineData(1, 2, 5, 5)]
    public void Takeover_waits_until_every_lease_and_the_limit_of_the_kill_are_over(double leaseOfApp, double leaseOfVip, double killedAt, double overAt)
    {
        var bench = Takeover("app", "vip").Standby("app", order: 1, certain: false).Standby("vip", order: 2, certain: false);
        bench.Hold(leaseOfApp).Assign(1001).Hold(leaseOfVip).Answer("app").Hold(1000).Answer("vip").Becomes(AssignmentState.Running).Pass(killedAt);
        bench.Fails("app", 1001).Answer("vip", "no").Answer("vip", "no").Answer("app", "no");

        bench.Phase.ShouldBe(LocalPhase.Demoting);
        bench.Wanted.ShouldBeEmpty("nobody is to believe that it waits for an operator");
        bench.WakesIn.ShouldBe(TimeSpan.FromSeconds(overAt - killedAt) + StretchedKill);
        bench.Pass((bench.WakesIn - TimeSpan.FromMicroseconds(1)).TotalSeconds).Wanted.ShouldBeEmpty();
        bench.Pass(0.000001).Release!.MayStillRun.ShouldBeFalse();
    }

    [Fact] // Wrong program: gives the driver that it could not stop a lease again, because the service is no longer its own.
    public void What_was_released_although_it_may_run_gets_no_lease_any_more()
    {
        var bench = KillFailed(Takeover("app")).Pass(900);
        bench.Release.ShouldNotBeNull();
        bench.Renew("app").ShouldBe(TimeSpan.Zero);
    }

    [Fact] // Wrong program: tells it again and again; or never hears that an operator has helped.
    public void A_stuck_service_is_reported_until_it_is_known_and_released_when_the_driver_has_acknowledged()
    {
        var bench = KillFailed(new ServicesBench(listed: ["app"])).Step();
        bench.Wanted.Single().ShouldBeOfType<Command.ReportStuck>().Token.ShouldBe(new Token(1001));
        bench.Becomes(AssignmentState.Stuck).Wanted.ShouldBeEmpty();
        bench.Phase.ShouldBe(LocalPhase.Stuck);
        bench.Noted.Count(kind => kind == "service-stuck").ShouldBe(1);
        bench.Renew("app").ShouldBe(TimeSpan.Zero);

        bench.Lost("app").Register("app", certain: false).Told.ShouldBe(["app:kill"]);
        bench.Answer("app").Release!.Failed.ShouldBeTrue();
    }

    [Fact] // Wrong program: waits for ever for the answer to a kill that hangs, or not as long as was granted.
    public void A_kill_that_hangs_is_stuck_when_its_limit_is_over()
    {
        var bench = new ServicesBench(listed: ["app"]).Standby("app", certain: false).Running(1001, "app");
        bench.Fails("app", 1001).Answer("app", "no").Told.ShouldBe(["app:kill"]);
        bench.Phase.ShouldBe(LocalPhase.Demoting);
        bench.WakesIn.ShouldBe(StretchedKill);
        bench.Pass((StretchedKill - TimeSpan.FromMicroseconds(1)).TotalSeconds).Phase.ShouldBe(LocalPhase.Demoting);
        bench.Pass(0.000001).Phase.ShouldBe(LocalPhase.Stuck);
        bench.Local.Report.Services.Single().Ready.ShouldBeFalse();
        bench.Answer("app").Release.ShouldNotBeNull("late, and yet its word");
    }

    [Fact] // Wrong program: calls for an operator although the driver is certain to be gone when its lease is over.
    public void A_driver_that_stops_for_certain_is_never_stuck()
    {
        var bench = new ServicesBench(listed: ["app"]).Hold(1).Standby("app").Running(1001, "app").Hold(1000);
        bench.Fails("app", 1001).Answer("app", "no").Answer("app", "no").Pass(0.9).Phase.ShouldBe(LocalPhase.Demoting);
        bench.Wanted.ShouldBeEmpty();
        bench.Pass(0.7).Release!.Failed.ShouldBeTrue();
    }

    // Rule 15. Wrong program: a best-effort driver that is lost is stuck for ever, although nothing has failed; or is taken for gone although its stop had failed.
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_lost_driver_is_over_by_time_unless_its_stop_had_failed(bool failed)
    {
        var bench = new ServicesBench(listed: ["app"]).Hold(1).Standby("app", certain: false).Running(1001, "app").Hold(1000).Fails("app", 1001);
        _ = failed ? bench.Answer("app", "no").Answer("app", "no").Lost("app") : bench.Lost("app");
        bench.Pass(2).Phase.ShouldBe(failed ? LocalPhase.Stuck : LocalPhase.Standby);
        bench.Wanted.Single().ShouldBeOfType(failed ? typeof(Command.ReportStuck) : typeof(Command.Release));
    }

    // Wrong program: says nothing where the hold is gone as well; says it again and again; or says it where the operator wants no one to wait.
    [Theory]
    [InlineData(OnStopFailure.Block, AssignmentState.Running, true)]
    [InlineData(OnStopFailure.Block, AssignmentState.Stuck, false)]
    [InlineData(OnStopFailure.Takeover, AssignmentState.Running, false)]
    public void Without_a_hold_what_is_stuck_is_reported_as_well(OnStopFailure onStopFailure, AssignmentState known, bool isReported)
    {
        var bench = new ServicesBench(new ServiceDefinition { Name = ServicesBench.Web, OnStopFailure = onStopFailure }).Standby("app", certain: false).Running(1001, "app").NotHeld();
        bench.Told.ShouldBe(["app:kill"]);
        bench.Wanted.ShouldBeEmpty();
        bench.Becomes(known).Answer("app", "no").Phase.ShouldBe(LocalPhase.Stuck);
        bench.Wanted.OfType<Command.ReportStuck>().Any().ShouldBe(isReported);
        bench.Release.ShouldBeNull();
    }

    [Fact] // Wrong program: begins the service beside what is left of an earlier run, or stops what runs of this one in good order and takes its time.
    public void What_is_stuck_of_an_earlier_run_ends_the_next_one_at_once()
    {
        var bench = new ServicesBench(listed: ["vip"]).Standby("vip").Running(1001, "vip");
        bench.Register("app", certain: false, claims: 1000).Told.ShouldBe(["app:kill"]);
        bench.Answer("app", "no").Told.ShouldBe(["vip:kill"]);
        bench.Answer("vip").Wanted.Single().ShouldBeOfType<Command.ReportStuck>().Token.ShouldBe(new Token(1001));
        bench.Lost("app").Register("app", certain: false).Answer("app").Release!.Failed.ShouldBeTrue();
    }

    [Fact] // Rule 14. Wrong program: a restart of the daemon makes good what a driver could not stop; or one driver speaks for all.
    public void After_a_restart_what_was_stuck_waits_for_every_required_driver_to_acknowledge()
    {
        var bench = new ServicesBench(new ServiceDefinition { Name = ServicesBench.Web, Drivers = [new DriverName("vip")] }, listed: ["app"], stored: 1_000_000).Assign(1001, AssignmentState.Stuck);
        bench.Phase.ShouldBe(LocalPhase.WaitingForLeaseEnd);
        bench.Pass(2).Phase.ShouldBe(LocalPhase.Stuck);
        bench.Standby("other", certain: false).Wanted.ShouldBeEmpty("nobody requires it");
        bench.Register("app", certain: false).Told.ShouldBe(["app:stop"]);
        bench.Wanted.ShouldBeEmpty("it has not answered yet");
        bench.Answer("app").Wanted.ShouldBeEmpty();
        bench.Standby("vip", certain: false).Release!.Failed.ShouldBeTrue();
    }

    private static ServicesBench Takeover(params string[] listed) => new(new ServiceDefinition { Name = ServicesBench.Web, OnStopFailure = OnStopFailure.Takeover }, listed: listed);

    /// <summary>Its best-effort driver could neither stop it nor kill it, and nobody knows more.</summary>
    private static ServicesBench KillFailed(ServicesBench bench)
    {
        bench.Hold(1).Standby("app", certain: false).Running(1001, "app").Hold(1000).Fails("app", 1001).Told.ShouldBe(["app:stop"]);
        bench.Answer("app", "no").Told.ShouldBe(["app:kill"]);
        return bench.Answer("app", "no");
    }
}
