using Clustd.Core;
using Clustd.Core.Cluster;
using Clustd.Core.Running;
using Shouldly;
using Xunit;

namespace Clustd.Tests.Running;

public sealed class LocalServicesTests
{
    [Fact]
    public void Without_any_driver_the_service_runs_at_once()
    {
        var bench = new LocalBench().Assign(1001);
        bench.Local.Wanted.ShouldBe([new Command.ReportRunning(LocalBench.Web, new Token(1001))]);
    }

    [Fact]
    public void A_new_driver_is_told_false_at_once()
    {
        var bench = new LocalBench();
        bench.Register("app");
        bench.Told.ShouldBe(["1:stop"]);
    }

    [Fact]
    public void Drivers_start_in_ascending_and_stop_in_descending_order_each_awaited()
    {
        var bench = new LocalBench(["app", "vip"]);
        var vip = bench.Register("vip", order: 2);
        bench.Answer(vip);
        var app = bench.Register("app", order: 1);
        bench.Answer(app);

        bench.Assign(1001).Told.ShouldBe(["2:start"]);
        bench.Answer(app).Told.ShouldBe(["1:start"]);
        bench.Local.Wanted.ShouldBeEmpty();
        bench.Answer(vip).Local.Wanted.ShouldBe([new Command.ReportRunning(LocalBench.Web, new Token(1001))]);

        bench.Becomes(AssignmentState.Running);
        bench.Becomes(AssignmentState.Stopping).Told.ShouldBe(["1:stop"]);
        bench.Answer(vip).Told.ShouldBe(["2:stop"]);
        bench.Local.Wanted.ShouldBeEmpty();
        bench.Answer(app).Local.Wanted.Single().ShouldBeOfType<Command.Release>().Failed.ShouldBeFalse();
    }

    [Fact]
    public void A_start_under_way_is_cancelled_and_false_follows_only_when_it_has_returned()
    {
        var bench = new LocalBench();
        var app = bench.Register("app");
        bench.Answer(app);
        bench.Assign(1001);
        bench.Becomes(AssignmentState.Stopping);
        bench.Outputs.OfType<Output.CancelTrigger>().Count().ShouldBe(1);
        bench.Triggers.ShouldBeEmpty();
        bench.Answer(app, "cancelled").Told.ShouldBe(["1:stop"]);
    }

    [Fact]
    public void A_required_driver_that_fails_to_start_is_stopped_before_the_failure_is_released()
    {
        var bench = new LocalBench(["app"]);
        var app = bench.Register("app");
        bench.Answer(app);
        bench.Assign(1001).Answer(app, "port in use").Told.ShouldBe(["1:stop"]);
        bench.Local.Wanted.ShouldBeEmpty();
        var release = bench.Answer(app).Local.Wanted.Single().ShouldBeOfType<Command.Release>();
        release.Failed.ShouldBeTrue();
        release.Reason.ShouldContain("port in use");
    }

    [Fact]
    public void An_experiment_that_fails_moves_nothing()
    {
        var bench = new LocalBench(["app"]);
        var app = bench.Register("app", order: 1);
        bench.Answer(app);
        var experiment = bench.Register("experiment", order: 0);
        bench.Answer(experiment);
        bench.Assign(1001).Answer(experiment, "boom").Told.ShouldBe(["1:start"]);
        bench.Answer(app).Local.Wanted.Single().ShouldBeOfType<Command.ReportRunning>();
    }

    [Fact]
    public void A_planned_stop_that_fails_aborts_the_move_and_starts_again()
    {
        var bench = new LocalBench(["app"]);
        var app = bench.RunningDriver();
        bench.Becomes(AssignmentState.Stopping);
        bench.Answer(app, "busy").Told.ShouldBe(["1:start"]);
        bench.Local.Wanted.Single().ShouldBeOfType<Command.AbortMove>().Reason.ShouldContain("busy");
    }

    [Fact]
    public void At_the_end_of_the_hold_everything_stops_at_once_and_gets_no_lease_any_more() // rule 13
    {
        var bench = new LocalBench(["app"]);
        var app = bench.RunningDriver();
        bench.Hold(seconds: 1);
        bench.Renew(app).ShouldBe(TimeSpan.FromSeconds(1));
        bench.Pass(seconds: 1).Told.ShouldBe(["1:kill"]);
        bench.Triggers.Single().Limit.ShouldBe(TimeSpan.FromMilliseconds(500));
        bench.Renew(app).ShouldBe(TimeSpan.Zero);
    }

    [Fact]
    public void A_hold_that_comes_back_starts_nothing_before_the_former_run_is_stopped() // rule 13
    {
        var bench = new LocalBench(["app"]);
        var app = bench.RunningDriver();
        bench.Hold(seconds: 1).Pass(seconds: 1);
        bench.Hold(seconds: 1).Step().Triggers.ShouldBeEmpty();
        bench.Renew(app).ShouldBe(TimeSpan.Zero);
        bench.Phase.ShouldBe(LocalPhase.WaitingForLeaseEnd);
        bench.Answer(app).Told.ShouldBe(["1:start"]);
    }

    [Fact]
    public void What_starts_again_after_the_hold_came_back_is_not_said_to_run_before_it_does()
    {
        var bench = new LocalBench(["app"]);
        var app = bench.RunningDriver();
        bench.Hold(seconds: 1).Pass(seconds: 1).Answer(app); // stopped, acknowledged; the cluster still knows it as running
        bench.Local.Wanted.ShouldBeEmpty("without a hold nobody knows whether it will be this machine's again");
        bench.Hold(seconds: 1000).Step().Told.ShouldBe(["1:start"]);
        bench.Local.Wanted.Single().ShouldBeOfType<Command.ReportStarting>().Token.ShouldBe(new Token(1001));

        bench.Becomes(AssignmentState.Starting).Local.Wanted.ShouldBeEmpty();
        bench.Answer(app).Local.Wanted.ShouldBe([new Command.ReportRunning(LocalBench.Web, new Token(1001))]);
    }

    [Fact]
    public void A_freeze_over_the_end_of_the_hold_counts_as_its_end_even_if_it_was_extended_since() // rule 13, P3
    {
        var bench = new LocalBench(["app"]);
        bench.RunningDriver();
        bench.Hold(seconds: 1).Step();
        bench.Hold(seconds: 3).Pass(seconds: 0.5).Triggers.ShouldBeEmpty(); // extended in time

        bench.Hold(seconds: 9).Pass(seconds: 3).Told.ShouldBe(["1:kill"]); // extended after it was over: the driver's own lease has run out
    }

    [Fact]
    public void A_lost_driver_counts_as_running_until_its_last_lease_and_k_times_kill_timeout_and_the_guard_are_over() // rule 15
    {
        var bench = new LocalBench(["app"]);
        bench.Hold(seconds: 1);
        var app = bench.Register("app");
        bench.Answer(app).Assign(1001).Answer(app).Becomes(AssignmentState.Running);
        var until = bench.Held.Until;
        bench.Local.Lost(app, bench.Now);
        bench.Hold(seconds: 1000).Step();
        var over = until + LeaseTiming.Stretch(TimeSpan.FromMilliseconds(500)) + LeaseTiming.GuardOf(TimeSpan.FromSeconds(1));
        bench.Pass((over - bench.Now).TotalSeconds - 0.000001).Local.Wanted.ShouldBeEmpty();
        bench.Pass(seconds: 0.000001).Local.Wanted.Single().ShouldBeOfType<Command.Release>().Failed.ShouldBeTrue();
    }

    [Fact]
    public void A_driver_that_comes_back_in_time_with_the_same_state_is_not_told_anything() // P5
    {
        var bench = new LocalBench(["app"]);
        bench.Local.Lost(bench.RunningDriver(), bench.Now);
        bench.Step();
        bench.Register("app", states: [new DriverServiceState(LocalBench.Web, true, new Token(1001))]);
        bench.Triggers.ShouldBeEmpty();
        bench.Phase.ShouldBe(LocalPhase.Running);
    }

    // Wrong program (it was ours): takes the start in flight for a running service; when that start fails, nobody ever hears of it.
    [Fact]
    public void A_driver_that_comes_back_with_its_start_in_flight_is_running_only_when_it_says_so()
    {
        var bench = new LocalBench(["app"]);
        var app = bench.Register("app");
        bench.Answer(app).Assign(1001).Told.ShouldBe(["1:start"]);
        bench.Local.Lost(app, bench.Now);

        var back = bench.Step().Register("app", states: [new DriverServiceState(LocalBench.Web, true, new Token(1001), Unsettled: true)]);

        bench.Told.ShouldBe(["2:start"]);
        bench.Phase.ShouldBe(LocalPhase.Promoting);
        bench.Local.Wanted.ShouldBeEmpty();
        bench.Answer(back, "the port is taken").Told.ShouldBe(["2:stop"]);
        bench.Answer(back).Local.Wanted.Single().ShouldBeOfType<Command.Release>().Failed.ShouldBeTrue();
    }

    // Wrong program: stops what an earlier daemon had begun to start, or calls it running.
    [Fact]
    public void A_restarted_daemon_adopts_a_start_in_flight_and_waits_for_its_end() // rule 14, P5
    {
        var bench = new LocalBench(["app"], storedLastIndex: 1_000_000).Hold(seconds: -1).Assign(1001);
        var app = bench.Register("app", states: [new DriverServiceState(LocalBench.Web, true, new Token(1001), Unsettled: true)]);
        bench.Triggers.ShouldBeEmpty();

        bench.Pass(seconds: 0.5).Hold(seconds: 1).Step().Told.ShouldBe(["1:start"]);
        bench.Phase.ShouldBe(LocalPhase.Promoting);
        bench.Answer(app).Phase.ShouldBe(LocalPhase.Running);
    }

    // Wrong program: "not running yet" is taken for "nothing there", and the service is given away beside what is half started.
    [Fact]
    public void What_may_be_half_started_is_stopped_before_its_service_is_released()
    {
        var bench = new LocalBench(["app"]);
        var app = bench.Register("app");
        bench.Answer(app).Assign(1001);
        bench.Local.Lost(app, bench.Now);
        var back = bench.Step().Register("app", states: [new DriverServiceState(LocalBench.Web, true, new Token(1001), Unsettled: true)]);
        bench.Becomes(AssignmentState.Stopping);
        bench.Outputs.OfType<Output.CancelTrigger>().Count().ShouldBe(1);
        bench.Local.Wanted.ShouldBeEmpty();
        bench.Answer(back, "cancelled").Told.ShouldBe(["2:stop"]);
        bench.Local.Wanted.ShouldBeEmpty();
        bench.Answer(back).Local.Wanted.Single().ShouldBeOfType<Command.Release>();
    }

    [Fact]
    public void A_planned_stop_in_flight_when_the_connection_is_lost_stays_a_planned_stop()
    {
        var bench = new LocalBench(["app"]);
        var app = bench.RunningDriver();
        bench.Becomes(AssignmentState.Stopping).Told.ShouldBe(["1:stop"]);
        bench.Local.Lost(app, bench.Now);
        var back = bench.Step().Register("app", states: [new DriverServiceState(LocalBench.Web, true, new Token(1001), Unsettled: true)]);
        bench.Told.ShouldBe(["2:stop"]);
        bench.Answer(back).Local.Wanted.Single().ShouldBeOfType<Command.Release>().Failed.ShouldBeFalse();
    }

    [Fact]
    public void The_guards_proof_of_a_dead_driver_releases_at_once()
    {
        var bench = new LocalBench(["app"]);
        bench.Local.Lost(bench.RunningDriver(), bench.Now);
        bench.Step().Local.Wanted.ShouldBeEmpty();
        bench.Local.Stopped(new DriverName("app"), "app-1", LocalBench.Web, new Token(1001), "pipe closed", bench.Now);
        bench.Step().Local.Wanted.Single().ShouldBeOfType<Command.Release>().Failed.ShouldBeTrue();
    }

    [Fact]
    public void A_late_proof_of_an_earlier_start_under_the_same_token_proves_nothing()
    {
        var bench = new LocalBench(["app"]);
        var app = bench.RunningDriver();
        bench.Hold(seconds: 1).Pass(seconds: 1).Answer(app); // killed, acknowledged
        bench.Hold(seconds: 1000).Step().Told.ShouldBe(["1:start"]);
        bench.Answer(app);
        bench.Local.Lost(app, bench.Now);
        bench.Local.Stopped(new DriverName("app"), "app-1", LocalBench.Web, new Token(1001), "the first run", bench.Now);
        bench.Step().Local.Wanted.ShouldBeEmpty();
    }

    [Fact]
    public void Once_a_release_was_asked_for_nothing_starts_under_its_token_again() // rule 11: it may be applied at any time
    {
        var bench = new LocalBench(["app"]);
        var app = bench.RunningDriver();
        bench.Becomes(AssignmentState.Stopping).Answer(app).Local.Wanted.Single().ShouldBeOfType<Command.Release>();
        bench.Becomes(AssignmentState.Running).Triggers.ShouldBeEmpty(); // a late AbortMove of an earlier move
        bench.Hold(seconds: 1).Step().Pass(seconds: 2);
        bench.Hold(seconds: 1000).Step().Triggers.ShouldBeEmpty();
        bench.Local.Wanted.Single().ShouldBeOfType<Command.Release>();
    }

    [Fact]
    public void A_second_instance_waits_until_the_first_is_proven_stopped()
    {
        var bench = new LocalBench(["app"]);
        var first = bench.RunningDriver();
        var second = bench.Register("app", instance: "app-2");
        bench.Told.ShouldBe(["2:stop"]);
        bench.Answer(second).Triggers.ShouldBeEmpty();
        bench.Renew(second).ShouldBe(TimeSpan.Zero);
        bench.Local.Lost(first, bench.Now);
        bench.Step().Triggers.ShouldBeEmpty();
        bench.Pass(seconds: 1002).Triggers.ShouldBeEmpty(); // the hold is over as well
        bench.Hold(seconds: 10).Step().Told.ShouldBe(["2:start"]);
    }

    [Fact]
    public void After_its_start_a_daemon_releases_nothing_because_no_driver_is_there() // rule 14
    {
        var bench = new LocalBench(storedLastIndex: 1_000_000).Assign(1001, AssignmentState.Running);
        bench.Becomes(AssignmentState.Stopping).Local.Wanted.ShouldBeEmpty();
        bench.Pass(seconds: 1.5).Local.Wanted.ShouldBeEmpty();
        bench.Pass(seconds: 0.04).Local.Wanted.Single().ShouldBeOfType<Command.Release>();
    }

    [Fact]
    public void After_its_start_a_daemon_lets_carry_on_whoever_runs_the_token_and_starts_nobody_else() // rule 14, P5
    {
        var bench = new LocalBench(["app"], storedLastIndex: 1_000_000).Assign(1001, AssignmentState.Running);
        var fresh = bench.Register("app", instance: "app-2");
        bench.Answer(fresh).Triggers.ShouldBeEmpty();
        bench.Register("app", states: [new DriverServiceState(LocalBench.Web, true, new Token(1001))]);
        bench.Triggers.ShouldBeEmpty();
        bench.Phase.ShouldBe(LocalPhase.Running);
        bench.Pass(seconds: 2).Triggers.ShouldBeEmpty();
    }

    [Fact]
    public void A_restarted_daemon_without_a_hold_yet_neither_stops_what_runs_nor_takes_its_lease_away() // P5; seen first by the end-to-end tests
    {
        var bench = new LocalBench(["app"], storedLastIndex: 1_000_000).Hold(seconds: -1).Assign(1001, AssignmentState.Running);
        var app = bench.Register("app", states: [new DriverServiceState(LocalBench.Web, true, new Token(1001))]);
        bench.Triggers.ShouldBeEmpty();
        bench.Renewal(app).ShouldBeNull();

        bench.Pass(seconds: 0.5).Hold(seconds: 1).Step().Triggers.ShouldBeEmpty();
        bench.Phase.ShouldBe(LocalPhase.Running);
        bench.Renewal(app).ShouldBe(TimeSpan.FromSeconds(1));
    }

    [Fact]
    public void A_restarted_daemon_that_gets_no_hold_within_the_former_lease_stops_what_runs()
    {
        var bench = new LocalBench(["app"], storedLastIndex: 1_000_000).Hold(seconds: -1).Assign(1001, AssignmentState.Running);
        var app = bench.Register("app", states: [new DriverServiceState(LocalBench.Web, true, new Token(1001))]);
        bench.Pass(seconds: 1.1).Told.ShouldBe(["1:kill"]);
        bench.Renewal(app).ShouldBe(TimeSpan.Zero);
    }

    [Fact]
    public void A_restarted_daemon_stops_at_once_what_claims_an_older_token_than_its_log_knows()
    {
        var bench = new LocalBench(["app"], storedLastIndex: 1_000_000).Hold(seconds: -1);
        bench.KnowsLastToken(1002).Register("app", states: [new DriverServiceState(LocalBench.Web, true, new Token(1001))]);
        bench.Told.ShouldBe(["1:kill"]);
    }

    [Fact]
    public void A_goodbye_kills_what_does_not_stop_and_is_empty_only_when_all_is_proven()
    {
        var bench = new LocalBench(["app"]);
        var app = bench.RunningDriver();
        bench.Local.Leave("SIGTERM", bench.Now);
        bench.Step().Told.ShouldBe(["1:stop"]);
        bench.Answer(app, "no").Told.ShouldBe(["1:kill"]);
        bench.Local.IsEmpty.ShouldBeFalse();
        bench.Answer(app).Local.IsEmpty.ShouldBeTrue();
        bench.Local.Wanted.Single().ShouldBeOfType<Command.Release>();
        bench.Local.Report.Leaving.ShouldBeTrue();
    }

    [Fact]
    public void A_best_effort_driver_that_cannot_be_killed_leaves_the_service_stuck()
    {
        var bench = new LocalBench(["app"]);
        var app = bench.RunningDriver(certain: false);
        bench.Local.Failed(app, LocalBench.Web, new Token(1001), "crashed", bench.Now);
        bench.Step().Answer(app, "no").Answer(app, "no");
        bench.Local.Wanted.Single().ShouldBeOfType<Command.ReportStuck>();
        bench.Pass(seconds: 5000).Local.Wanted.OfType<Command.Release>().ShouldBeEmpty();
    }

    [Fact]
    public void A_driver_that_needs_longer_than_the_service_grants_is_refused_with_the_way_out()
    {
        var bench = new LocalBench();
        bench.Register("slow", needsToStop: TimeSpan.FromSeconds(60));
        bench.Outputs.OfType<Output.DriverRefused>().Single().Reason.ShouldContain("Raise stop_timeout");
    }

    [Fact]
    public void The_report_gets_a_new_version_whenever_its_content_changes_and_only_then()
    {
        var bench = new LocalBench(["app"]).Step();
        var before = bench.Local.Report;
        before.Services.Single().Missing.ShouldBe("app");
        bench.Pass(seconds: 1).Local.Report.Version.ShouldBe(before.Version);
        bench.Register("app");
        bench.Local.Report.Version.ShouldBeGreaterThan(before.Version);
        bench.Local.Report.Services.Single().Ready.ShouldBeTrue();
    }

    [Fact] // Rule 12. Wrong program: the driver was granted 0.5 s when it registered and keeps them, while the others wait 0.2 s only.
    public void A_driver_that_was_granted_a_longer_kill_timeout_must_come_again_before_it_starts_anything()
    {
        var bench = new LocalBench();
        bench.Answer(bench.Register("app"));

        bench.Defined(killTimeout: 0.2).Outputs.OfType<Output.DriverRefused>().Count().ShouldBe(1);
        bench.Assign(1001).Told.ShouldBeEmpty();
        bench.Register("app");

        bench.Outputs.OfType<Output.DriverAccepted>().Single().KillTimeout.ShouldBe(TimeSpan.FromSeconds(0.2));
    }

    [Fact] // Rule 12: what was granted with the assignment binds, whatever is defined meanwhile
    public void A_driver_that_comes_to_a_running_service_is_held_to_the_kill_timeout_of_its_assignment()
    {
        var bench = new LocalBench().Assign(1001).Defined(killTimeout: 2);

        bench.Register("app");

        bench.Outputs.OfType<Output.DriverAccepted>().Single().KillTimeout.ShouldBe(TimeSpan.FromSeconds(0.5));
    }

    [Fact] // Rule 14. Wrong program: takes the aborted move for a fresh grant, so a driver that has not come back yet runs beside a new one.
    public void An_aborted_move_of_what_an_earlier_daemon_ran_is_no_fresh_grant()
    {
        var bench = new LocalBench(storedLastIndex: 100);
        bench.Resumes(1001);
        var app = bench.Register("app", instance: "app-2");

        bench.Answer(app).Told.ShouldBeEmpty();
        bench.Pass(1.6).Told.ShouldBe(["1:start"]);
    }

    [Fact] // Rule 14, with the lease of the session (rule 12), not the one in this machine's file
    public void After_its_start_a_daemon_waits_for_the_lease_that_its_session_was_opened_with()
    {
        var bench = new LocalBench(storedLastIndex: 1000, sessionLease: 10).Assign(1001);
        var app = bench.Register("app");
        bench.Answer(app);

        bench.Pass(1.6).Told.ShouldBeEmpty();
        bench.Pass(10).Told.ShouldBe(["1:start"]);
    }
}
