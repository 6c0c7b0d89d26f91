using Clustd.Core;
using Clustd.Core.Cluster;
using Shouldly;
using Xunit;

namespace Clustd.Tests.Running;

/// <summary>What a watchdog is told: what may run here, and until when.</summary>
public sealed class RunningHereTests
{
    private static readonly TimeSpan KillTimeout = TimeSpan.FromMilliseconds(500);

    [Fact]
    public void It_is_what_drivers_may_run_with_what_was_granted()
    {
        var bench = new LocalBench();
        bench.Local.MayRun.ShouldBeEmpty();
        bench.RunningDriver();
        bench.Defined(killTimeout: 30); // Rule 12: it does not bind what runs.
        bench.Local.MayRun.ShouldBe([(LocalBench.Web, KillTimeout)]);
        bench.Local.HeldUntil.ShouldBe(bench.Held.Until);
        bench.Local.AreEmpty.ShouldBeFalse();
    }

    // Wrong program: forgets what was told to stop, or until when the lease was, as soon as the lease is over.
    [Fact]
    public void After_the_lease_it_is_what_nobody_has_seen_stopped()
    {
        var bench = new LocalBench();
        var driver = bench.RunningDriver();
        bench.Hold(seconds: 0.9).Step();
        var heldUntil = bench.Held.Until;
        bench.Pass(1).NotHeld().Defined(killTimeout: 30).Step();
        bench.Local.MayRun.ShouldBe([(LocalBench.Web, KillTimeout)]);
        bench.Local.HeldUntil.ShouldBe(heldUntil);
        bench.Answer(driver);
        bench.Local.MayRun.ShouldBeEmpty();
        bench.Local.AreEmpty.ShouldBeTrue();
    }

    // Wrong program: takes a start that is still under way for nothing.
    [Fact]
    public void A_start_that_is_under_way_counts()
    {
        var bench = new LocalBench();
        var driver = bench.Register("app");
        bench.Answer(driver);
        bench.Assign(1001);
        bench.Local.MayRun.ShouldBe([(LocalBench.Web, KillTimeout)]);
    }

    // Wrong program: begins to starve the watchdog of every standby whose daemon was just started.
    [Fact]
    public void What_a_former_daemon_may_have_left_is_not_named_before_a_driver_tells_of_it_and_yet_not_nothing()
    {
        var bench = new LocalBench(storedLastIndex: 60).NotHeld();
        bench.Step();
        bench.Local.MayRun.ShouldBeEmpty();
        bench.Local.AreEmpty.ShouldBeFalse();
        bench.Register("app", states: [new DriverServiceState(LocalBench.Web, true, new Token(1001))]);
        bench.Local.MayRun.ShouldBe([(LocalBench.Web, KillTimeout)]);
        (bench.Local.HeldUntil - bench.Now).ShouldBe(LeaseTiming.Stretch(TimeSpan.FromSeconds(1)));
    }
}
