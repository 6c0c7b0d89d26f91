using Clustd.Core;
using Clustd.Core.Cluster;
using Clustd.Core.Running;
using Shouldly;
using Xunit;

namespace Clustd.Tests.Running;

/// <summary>Local services before and after a restart with grace: who gets the long lease, and what the next daemon believes of it (rules 14 to 16).</summary>
public class RestartedDaemonTests
{
    private const long Token = 1001;
    private static readonly GraceDriver App = new(new DriverName("app"), "app-1");
    private static readonly RestartGrace Grace = new(9, TimeSpan.FromSeconds(15), [App], 90);
    private static readonly DriverServiceState[] Runs = [new(LocalBench.Web, true, new Token(Token))];

    [Fact] // Rule 16. Wrong program: whoever is connected is in order.
    public void The_grace_is_ended_only_when_the_driver_has_said_that_it_holds_the_ordinary_lease()
    {
        var bench = Back().Hold(seconds: 0.95).Assign(Token, AssignmentState.Running);
        var app = bench.Register("app", states: Runs);
        Ends(bench).ShouldBeEmpty();

        var answer = bench.RenewHolding(app, seconds: 12);
        answer.Left.ShouldBe(TimeSpan.FromSeconds(0.95));
        answer.Shortens.ShouldBeTrue("it is to take the shorter one");
        Ends(bench).ShouldBeEmpty("the answer may never arrive");

        bench.Pass(0.1).Hold(seconds: 0.95);
        bench.RenewHolding(app, seconds: 0.8).Shortens.ShouldBeFalse();
        Ends(bench).ShouldBe([9]);
        bench.Told.ShouldBeEmpty();
    }

    [Fact]
    public void A_driver_that_never_says_what_it_holds_lets_time_end_the_grace()
    {
        var bench = Back().Hold(seconds: 0.95).Assign(Token, AssignmentState.Running);
        var app = bench.Register("app", states: Runs);
        bench.Renew(app);
        bench.Pass(10).Hold(seconds: 0.95).Step();
        Ends(bench).ShouldBeEmpty();

        bench.Pass(5.5).Hold(seconds: 0.95).Step();
        Ends(bench).ShouldBe([9]);
    }

    [Fact]
    public void A_driver_that_does_not_come_back_keeps_the_grace_open()
    {
        var bench = Back().Hold(seconds: 0.95).Step();
        Ends(bench).ShouldBeEmpty();
    }

    [Fact] // P5. Wrong program: after one lease without a session it tells its drivers to stop, though the grace has hardly begun.
    public void A_daemon_that_has_no_session_yet_takes_nothing_away_while_the_grace_may_last()
    {
        var bench = Back().NotHeld();
        var app = bench.Register("app", states: Runs);

        bench.Pass(5);
        bench.Renewal(app).ShouldBeNull();
        bench.Told.ShouldBeEmpty();

        bench.Pass(11);
        bench.Renewal(app).ShouldBe(TimeSpan.Zero);
    }

    [Fact] // Rule 14. Wrong program: counts one lease, so the service could be released while its driver, not back yet, runs on.
    public void Nothing_is_released_while_a_driver_that_is_not_back_may_count_on_the_grace()
    {
        var bench = Back().Hold(seconds: 1000).Assign(Token, AssignmentState.Running).Pass(3).Becomes(AssignmentState.Stopping);
        bench.Step().Local.Wanted.OfType<Command.Release>().ShouldBeEmpty();
        bench.Phase.ShouldBe(LocalPhase.WaitingForLeaseEnd);

        bench.Pass(13).Local.Wanted.OfType<Command.Release>().ShouldNotBeEmpty();
    }

    [Fact] // And no longer: a move right after a restart does not wait for the grace
    public void A_driver_that_is_back_and_stops_is_enough_for_a_release()
    {
        var bench = Back().Hold(seconds: 1000).Assign(Token, AssignmentState.Running);
        var app = bench.Register("app", states: Runs);
        bench.Pass(2).Becomes(AssignmentState.Stopping);
        bench.Told.ShouldBe(["1:stop"]);

        bench.Answer(app).Local.Wanted.OfType<Command.Release>().ShouldNotBeEmpty();
    }

    [Fact] // Rule 14, seed 186. Wrong program: leaves alone what it may yet take up again, and releases it after a while as if nothing ran.
    public void What_a_driver_runs_after_its_session_has_ended_is_stopped_before_it_is_released()
    {
        var bench = Back().NotHeld().Vacated(Token);
        var app = bench.Register("app", states: Runs);
        bench.Told.ShouldBe(["1:kill"]);

        bench.Local.Wanted.ShouldBeEmpty();
        bench.Answer(app).Pass(20).Local.Wanted.OfType<Command.Release>().Single().Token.ShouldBe(new Token(Token));
    }

    [Fact] // Rule 12, campaign 3030. Wrong program: reckons with the kill_timeout that is defined, and goes while a driver uses up the one that it was granted.
    public void A_daemon_that_has_not_applied_its_log_yet_reckons_with_the_longest_kill_timeout_that_its_store_tells_of()
    {
        var bench = new LocalBench(storedLastIndex: 1_000_000, formerKillTimeout: 5).NotHeld();
        bench.Pass(2);
        bench.Register("app");
        bench.Local.Leave("maintenance", bench.Now);
        bench.Step().Local.IsEmpty.ShouldBeFalse("a driver that says nothing of what it runs may run what its former daemon granted");

        var other = new LocalBench(storedLastIndex: 1_000_000).NotHeld();
        other.Pass(2);
        other.Register("app");
        other.Local.Leave("maintenance", other.Now);
        other.Step().Local.IsEmpty.ShouldBeTrue();
    }

    [Fact] // Campaign 48. Wrong program: waits for as long as a grace on which nobody counts any more, because its store did not know yet that it was ended.
    public void A_grace_that_was_ended_before_its_machine_lost_its_power_is_not_waited_for()
    {
        var bench = Back().Hold(seconds: 1000).Assign(Token, AssignmentState.Running);
        bench.Answer(bench.Register("app", instance: "app-2")); // Another process: the one that the grace names is gone with the machine.
        bench.Pass(2).Told.ShouldBeEmpty();

        bench.HasNoGrace().Told.ShouldBe(["1:start"]);
    }

    [Fact] // Rule 14, campaign 110362. Wrong program: has not applied its log, knows of no service, and says that nothing runs here.
    public void A_daemon_that_has_not_applied_its_log_yet_does_not_leave_before_all_that_was_handed_out_is_over()
    {
        var bench = new LocalBench(storedLastIndex: 1_000_000, formerKillTimeout: 3).NotHeld();
        bench.Local.Leave("maintenance", bench.Now);
        bench.Step().Local.IsEmpty.ShouldBeFalse();

        bench.Pass(3.9).Local.IsEmpty.ShouldBeFalse();
        (bench.Local.WakeAt - bench.Now).ShouldBeInRange(TimeSpan.FromSeconds(0.1), TimeSpan.FromSeconds(0.3));
        bench.Pass(0.3).Local.IsEmpty.ShouldBeTrue();
    }

    [Fact] // Rule 14, campaign 209244. Wrong program: takes an empty store for a new machine, and says that nothing runs here while a driver of the wiped one's time does.
    public void A_daemon_with_an_empty_store_that_has_met_nobody_does_not_leave_before_all_that_may_have_been_handed_out_is_over()
    {
        var bench = new LocalBench(storedLastIndex: 0).NotHeld().HasAppliedNothing();
        bench.Local.Leave("maintenance", bench.Now);
        bench.Step().Local.IsEmpty.ShouldBeFalse();

        bench.Pass(1.4).Local.IsEmpty.ShouldBeFalse();
        (bench.Local.WakeAt - bench.Now).ShouldBeInRange(TimeSpan.FromSeconds(0.05), TimeSpan.FromSeconds(0.2));
        bench.Pass(0.2).Local.IsEmpty.ShouldBeTrue();
    }

    [Fact] // Wrong program: keeps a machine of a new cluster waiting, where nothing can have run before.
    public void A_machine_of_a_cluster_that_has_just_formed_leaves_at_once()
    {
        var bench = new LocalBench(storedLastIndex: 0).NotHeld();
        bench.Local.Leave("maintenance", bench.Now);
        bench.Step().Local.IsEmpty.ShouldBeTrue();
    }

    [Fact] // Campaign 67. Wrong program: keeps from everybody what it cannot begin.
    public void What_was_granted_and_cannot_be_applied_here_is_given_back_and_never_begun()
    {
        var bench = new LocalBench(["app"]);
        var app = bench.Register("app");
        bench.Answer(app);
        bench.Local.Refuse(new Command.Assign(LocalBench.Web, LocalBench.Self, new SessionId(50), new Token(Token), TimeSpan.FromMilliseconds(500), "chosen"), "its disk does not answer");
        bench.Step().Local.Wanted.ShouldBe([new Command.Release(LocalBench.Web, new Token(Token), "its disk does not answer", false)]);

        bench.KnowsLastToken(Token).Assign(Token); // The disk has answered meanwhile.
        bench.Told.ShouldBeEmpty();
        bench.Local.Wanted.OfType<Command.Release>().Single().Token.ShouldBe(new Token(Token));
        bench.Released().Local.Wanted.ShouldBeEmpty();
    }

    [Fact] // Campaign 111255. Wrong program: remembers only the last one that it gave back, and begins the one before when it is applied here at last.
    public void None_of_those_that_were_given_back_is_ever_begun()
    {
        var bench = new LocalBench(["app"]);
        bench.Answer(bench.Register("app"));
        foreach (var token in (long[])[Token, Token + 1, Token])
        {
            bench.Local.Refuse(new Command.Assign(LocalBench.Web, LocalBench.Self, new SessionId(50), new Token(token), TimeSpan.FromMilliseconds(500), "chosen"), "its disk does not answer");
        }

        bench.KnowsLastToken(Token).Assign(Token);
        bench.Told.ShouldBeEmpty();
        bench.Local.Wanted.OfType<Command.Release>().Single().Token.ShouldBe(new Token(Token + 1), "the one before is given back already, or this one could not have been granted");

        bench.KnowsLastToken(Token + 1).Assign(Token + 1);
        bench.Told.ShouldBeEmpty();
        bench.Local.Wanted.OfType<Command.Release>().Single().Token.ShouldBe(new Token(Token + 1));
    }

    [Fact] // Wrong program: everybody gets the long lease, also whom the grace does not name and the next daemon does not know of.
    public void Only_the_drivers_that_the_grace_names_get_more_than_the_ordinary_lease()
    {
        var bench = new LocalBench();
        var app = bench.RunningDriver();
        bench.Local.HoldStill().ShouldBe([App]);
        var late = bench.Register("late");

        bench.HoldLong(seconds: 15, ordinary: 0.9);
        bench.Renew(app).ShouldBe(TimeSpan.FromSeconds(15));
        bench.Renew(late).ShouldBe(TimeSpan.FromSeconds(0.9));
    }

    [Fact]
    public void A_driver_has_the_long_lease_when_it_says_so_itself()
    {
        var bench = new LocalBench().Hold(seconds: 0.95);
        var app = bench.RunningDriver();
        bench.Local.HoldStill();
        bench.RenewHolding(app, seconds: 0.9);
        bench.HoldLong(seconds: 15, ordinary: 0.9);
        bench.Local.HasHandedOut(bench.Held).ShouldBeFalse();

        bench.RenewHolding(app, seconds: 0.9);
        bench.Local.HasHandedOut(bench.Held).ShouldBeFalse("the answer may still be on its way");

        bench.RenewHolding(app, seconds: 14.9);
        bench.Local.HasHandedOut(bench.Held).ShouldBeTrue();
    }

    [Fact]
    public void A_daemon_that_restarts_begins_nothing()
    {
        var bench = new LocalBench();
        var app = bench.Register("app");
        bench.Answer(app);
        bench.Local.HoldStill().ShouldBeEmpty("it runs nothing");

        bench.Assign(Token);
        bench.Told.ShouldBeEmpty();
        bench.Step().Local.Report.Leaving.ShouldBeTrue("nobody is to choose it now");
    }

    /// <summary>A daemon that is back from a restart: its log names one driver that may count on 15 s.</summary>
    private static LocalBench Back() => new(["app"], storedLastIndex: 200, graces: [Grace]);

    private static IEnumerable<long> Ends(LocalBench bench) => bench.Local.GraceEnd is Command.EndGrace end ? [end.Id] : [];
}
