using Clustd.Core;
using Clustd.Core.Cluster;
using Clustd.Core.Running;
using Shouldly;
using Xunit;

namespace Clustd.Tests.Running;

/// <summary>What may run here and for how long, what a machine must wait for before it says that nothing does, and when it must look again.</summary>
public sealed class WhatMayRunTests
{
    private static readonly DriverServiceState[] Claims = [new(LocalBench.Web, true, new Token(1001))];
    private static readonly TimeSpan AfterLease = LeaseTiming.Stretch(TimeSpan.FromSeconds(0.5)) + LeaseTiming.GuardOf(TimeSpan.FromSeconds(1));

    // Rule 14. Wrong program: takes for gone at once, or for alive for ever, what a former daemon gave a driver whose lease it does not know.
    [Theory]
    [InlineData(true, true, 0)]
    [InlineData(true, true, 5)]
    [InlineData(true, false, 5)]
    [InlineData(false, true, 0)]
    public void What_a_driver_has_from_a_former_daemon_is_over_with_the_longest_lease_that_it_may_have_had(bool claims, bool certain, double comesAt)
    {
        var bench = new LocalBench(storedLastIndex: 1_000_000).NotHeld().KnowsLastToken(1002);
        bench.Pass(comesAt);
        bench.Local.Lost(bench.Register("app", certain: certain, states: claims ? Claims : []), bench.Now);
        bench.Step();

        var over = Math.Max(LeaseTiming.Stretch(TimeSpan.FromSeconds(1)).TotalSeconds, comesAt) - comesAt + AfterLease.TotalSeconds;
        bench.Pass(over - 0.001).Local.MayRun.ShouldHaveSingleItem();
        bench.Pass(0.002).Local.MayRun.ShouldBeEmpty();
    }

    [Fact] // Wrong program: tells a driver to shorten a lease that it does not have: it says itself that it runs nothing.
    public void Who_runs_nothing_and_is_not_named_by_a_grace_has_nothing_of_a_former_daemon()
    {
        var bench = new LocalBench(storedLastIndex: 1_000_000).Hold(0.2);
        Shortens(bench, bench.Register("app", certain: false, states: [new DriverServiceState(LocalBench.Web, false, new Token(1001))])).ShouldBeFalse();
    }

    // Rule 16. Wrong program: takes the driver that a grace names for any other, because it runs nothing just now: it may still hold the long lease, and start under it.
    [Theory]
    [InlineData("app", true)]
    [InlineData("other", false)]
    public void Who_is_named_by_a_grace_may_hold_it(string name, bool shortens)
    {
        var bench = new LocalBench(storedLastIndex: 1_000_000, graces: [new RestartGrace(9, TimeSpan.FromSeconds(15), [new GraceDriver(new DriverName("app"), "app-1")], 90)]).Hold(2);
        Shortens(bench, bench.Register(name, certain: false)).ShouldBe(shortens);
    }

    // Rule 14. Wrong program: a driver that says nothing is asked for too short a time, because its store or what is defined tells of more than the other.
    [Theory]
    [InlineData(0.5, 5, 1_000_000)]
    [InlineData(5, 0.5, 1_000_000)]
    [InlineData(5, 0.5, 100)]
    public void A_driver_that_says_nothing_may_run_what_the_longest_kill_timeout_allows(double defined, double former, long stored)
    {
        var bench = new ServicesBench(new ServiceDefinition { Name = ServicesBench.Web, KillTimeout = TimeSpan.FromSeconds(defined) }, stored: stored, former: [(ServicesBench.Web, former)]).NotHeld();
        bench.Pass(4).Register("app").Told.ShouldBe(["app:kill"]);
        bench.Local.MayRun.ShouldHaveSingleItem().KillTimeout.ShouldBe(TimeSpan.FromSeconds(5));
        bench.Answer("app").Lost("app").Pass(3).Register("app").Told.ShouldBe(["app:stop"], "by now nothing can be left");
        bench.Local.MayRun.ShouldBeEmpty();
    }

    [Fact] // Rule 12. Wrong program: tells the watchdog what was defined before, or what is defined, and not what was granted.
    public void What_may_run_is_told_with_the_limit_that_was_granted()
    {
        var bench = new ServicesBench().Assign(1001, killTimeout: 0.3);
        bench.Register("app").Local.MayRun.ShouldBe([(ServicesBench.Web, TimeSpan.FromSeconds(0.3))]);
        bench.NotHeld().Local.MayRun.ShouldBe([(ServicesBench.Web, TimeSpan.FromSeconds(0.3))]);
    }

    [Fact] // Wrong program: remembers the limit of a time when nothing ran.
    public void What_a_driver_claims_is_told_with_the_limit_that_is_defined_now()
    {
        var bench = new ServicesBench().NotHeld();
        bench.Set(ServicesBench.Web, service => service with { Definition = service.Definition with { KillTimeout = TimeSpan.FromSeconds(3) } });
        bench.Register("app", claims: 1001).Local.MayRun.ShouldBe([(ServicesBench.Web, TimeSpan.FromSeconds(3))]);
        new ServicesBench().Register("app", claims: 1001).Local.MayRun.ShouldBe([(ServicesBench.Web, TimeSpan.FromSeconds(0.5))], "also in the first step of all");
    }

    // Rule 14. Wrong program: leaves while a driver of a service that it has not heard of yet may run on; or stays although it knows by now, or has held a session.
    [Theory]
    [InlineData(1_000_000, false, 10)]
    [InlineData(101, false, 10)]
    [InlineData(100, false, 0.5)]
    [InlineData(1_000_000, true, 0.5)]
    public void A_machine_that_leaves_waits_for_the_longest_limit_of_what_it_may_not_know_of(long stored, bool hasHeld, double killTimeout)
    {
        var bench = new ServicesBench(stored: stored, former: [(ServicesBench.Bot, 10), (ServicesBench.Web, 0.5)]);
        _ = hasHeld ? bench.Step().NotHeld() : bench.NotHeld();
        bench.Leave();
        var over = LeaseTiming.Stretch(TimeSpan.FromSeconds(1)) + LeaseTiming.Stretch(TimeSpan.FromSeconds(killTimeout));
        bench.Pass(over.TotalSeconds - 0.001).Local.IsEmpty.ShouldBeFalse();
        bench.Pass(0.001).Local.IsEmpty.ShouldBeTrue();
        bench.Local.WakeAt.ShouldBe(Instant.Never, "it knows by now: nothing is to be waited for");
    }

    [Fact] // Campaign 209244. Wrong program: reckons with the default, or with the shortest that its file names.
    public void A_machine_with_an_empty_store_reckons_with_the_longest_limit_of_its_file()
    {
        var bench = new ServicesBench(proposal: [Limit(ServicesBench.Bot, 10), Limit(ServicesBench.Web, 1)]).NotHeld();
        bench.Change(_ => ClusterState.Empty);
        bench.Local.Joined();
        bench.Leave().Pass(10).Local.IsEmpty.ShouldBeFalse();
        bench.Pass(1.3).Local.IsEmpty.ShouldBeTrue();
        static ServiceDefinition Limit(ServiceName name, double seconds) => new() { Name = name, KillTimeout = TimeSpan.FromSeconds(seconds) };
    }

    [Fact] // Rule 14. Wrong program: a machine whose disk was wiped takes itself for new also when a living cluster takes it in.
    public void A_machine_that_joins_does_not_know_what_ran_on_it()
    {
        var bench = new ServicesBench().Step();
        bench.Local.AreEmpty.ShouldBeTrue();
        bench.Local.Joined();
        bench.Step().Local.AreEmpty.ShouldBeFalse();
        bench.Pass(1.6).Local.AreEmpty.ShouldBeTrue();
    }

    [Fact] // Rule 12. Wrong program: goes by its own file although the cluster agreed on a longer lease.
    public void After_its_start_a_daemon_waits_for_the_clusters_lease_if_that_is_longer_than_its_files()
    {
        var bench = new ServicesBench(stored: 1_000_000).Change(state => state with { Lease = TimeSpan.FromSeconds(5) }).Standby("app", certain: false).Assign(1001);
        bench.Pass(5.5).Told.ShouldBeEmpty();
        bench.Pass(0.2).Told.ShouldBe(["app:start"]);
    }

    [Fact] // Rule 16. Wrong program: waits for the grace although the driver has said that it holds nothing any more; or never looks again.
    public void What_a_driver_says_that_it_holds_ends_the_wait_for_it()
    {
        var bench = new ServicesBench(stored: 1_000_000, graces: [new RestartGrace(9, TimeSpan.FromSeconds(15), [new GraceDriver(new DriverName("app"), "app-1")], 90)]).NotHeld();
        bench.Change(state => state with { LastTokens = state.LastTokens.SetItem(ServicesBench.Web, new Token(1002)) });
        bench.Register("app", claims: 1001).Told.ShouldBe(["app:kill"]);
        bench.WakesIn.ShouldBeGreaterThan(TimeSpan.FromSeconds(10));
        bench.Renew("app", holds: 0);
        bench.WakesIn.ShouldBe(AfterLease);
        bench.Pass(AfterLease.TotalSeconds).Local.MayRun.ShouldBeEmpty();
    }

    // Rule 13. Wrong program: sleeps over the end of its hold; or is woken for a hold under which nothing runs.
    [Theory]
    [InlineData("")]
    [InlineData("web")]
    [InlineData("bot")]
    [InlineData("bot web")]
    public void The_end_of_the_hold_is_a_moment_to_look_at_as_long_as_anything_is_begun(string begun)
    {
        var bench = new ServicesBench(bot: new ServiceDefinition { Name = ServicesBench.Bot }).Pass(10).Hold(3).Step();
        foreach (var name in begun.Split(' ', StringSplitOptions.RemoveEmptyEntries))
        {
            bench.Assign(1001, service: new ServiceName(name));
        }

        bench.Local.WakeAt.ShouldBe(begun.Length > 0 ? bench.Held.Until : Instant.Never);
        bench.NotHeld().Local.WakeAt.ShouldBe(Instant.Never);
    }

    private static bool Shortens(LocalBench bench, DriverConnection connection)
    {
        bench.Renewal(connection);
        return bench.Outputs.OfType<Output.DriverLease>().Single().Shortens;
    }
}
