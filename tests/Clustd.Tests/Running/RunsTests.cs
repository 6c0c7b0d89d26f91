using Clustd.Core;
using Clustd.Core.Cluster;
using Clustd.Core.Running;
using Shouldly;
using Xunit;

namespace Clustd.Tests.Running;

/// <summary>When a run begins and ends, what of a former daemon it takes over, what is given back, and under which limits (rules 11 to 14).</summary>
public sealed class RunsTests
{
    [Fact] // Two masters (as in campaign 111255). Wrong program: forgets what it gave back, with the service, which it has not applied yet; then begins under that token.
    public void What_was_given_back_of_a_service_that_is_not_applied_yet_is_never_begun()
    {
        var bench = new ServicesBench();
        bench.Local.Refuse(new Command.Assign(ServicesBench.Bot, ServicesBench.Self, new SessionId(50), new Token(7), TimeSpan.FromSeconds(0.5), "chosen"), "its disk does not answer");
        bench.Step().Step().Step();
        bench.Standby("app", follows: [ServicesBench.Bot]);
        bench.Change(state => state with
        {
            LastTokens = state.LastTokens.SetItem(ServicesBench.Bot, new Token(7)),
            Services = state.Services.Add(ServicesBench.Bot, state.Services[ServicesBench.Web] with { Definition = new ServiceDefinition { Name = ServicesBench.Bot } }),
        });
        bench.Assign(7, service: ServicesBench.Bot).Told.ShouldBeEmpty();
    }

    // Rule 14. Wrong program: takes for a fresh grant what a former daemon may have begun, and starts beside it; or keeps a fresh one waiting.
    [Theory]
    [InlineData(49, AssignmentState.Running, true)] // a session that was opened after this daemon's start
    [InlineData(50, AssignmentState.Running, false)]
    [InlineData(100, AssignmentState.Running, false)]
    [InlineData(100, AssignmentState.Starting, true)] // an entry that this daemon's log did not hold when it started
    [InlineData(101, AssignmentState.Starting, false)]
    [InlineData(1_000_000, AssignmentState.Starting, false)]
    public void Only_what_was_granted_after_the_daemons_start_is_started_at_once(long stored, AssignmentState state, bool atOnce)
    {
        var bench = new ServicesBench(stored: stored).Standby("app", certain: false);
        bench.Assign(1001, state).Told.ShouldBe(atOnce ? ["app:start"] : []);
        bench.Pass(1.6).Told.ShouldBe(atOnce ? [] : ["app:start"]);
        bench.Noted.Count(kind => kind == "service-assigned").ShouldBe(1);
    }

    [Fact] // Rule 13. Wrong program: goes on when its hold is extended in the very moment in which it ends; its drivers act only before that moment, and have begun to stop.
    public void An_extension_at_the_very_end_of_the_hold_is_too_late()
    {
        var bench = new ServicesBench().Standby("app").Running(1001, "app").Hold(1).Step();
        bench.Hold(9).Pass(1).Told.ShouldBe(["app:kill"]);
    }

    [Fact] // Wrong program: what it has begun itself it takes for a former daemon's when its hold comes back, and waits once more.
    public void What_this_daemon_has_begun_begins_again_without_waiting()
    {
        var bench = new ServicesBench(stored: 100).Hold(0.2).Standby("app").Running(1001, "app").Pass(0.2);
        bench.Told.ShouldBe(["app:kill"]);
        bench.Answer("app").Hold(1000).Step().Told.ShouldBe(["app:start"]);
    }

    [Fact] // Rule 14. Wrong program: after a lapse it takes for its own what it had taken over from a former daemon, whose drivers are still not all back.
    public void What_was_taken_over_stays_a_former_daemons_after_a_lapse()
    {
        var bench = new ServicesBench(stored: 1_000_000).Hold(0.2).Standby("app", certain: false).Assign(1001).Pass(0.2).Hold(1000).Step();
        bench.Told.ShouldBeEmpty();
        bench.Pass(1.2).Told.ShouldBeEmpty();
        bench.Pass(0.2).Told.ShouldBe(["app:start"]);
    }

    [Fact] // Rule 14. Wrong program: waits for the rest of a grace although the only driver that could hold it has said that it runs nothing.
    public void When_the_last_driver_of_a_grace_is_back_nobody_waits_for_that_any_more()
    {
        var bench = new ServicesBench(stored: 1_000_000, graces: [new RestartGrace(9, TimeSpan.FromSeconds(15), [new GraceDriver(new DriverName("app"), "app-1")], 90)]);
        bench.Standby("other", certain: false).Assign(1001).Pass(5).Told.ShouldBeEmpty();
        bench.Register("app", certain: false, follows: [ServicesBench.Bot]).Told.ShouldBe(["other:start", "app:stop bot"], ignoreOrder: true);
    }

    [Fact] // Rule 14. Wrong program: forgets a service of which a former daemon's driver may still run something, because nobody defines it and nobody follows it.
    public void A_service_that_nobody_defines_is_not_forgotten_before_all_of_a_former_daemon_is_over()
    {
        var bench = new ServicesBench(stored: 1_000_000).Standby("app", certain: false, follows: [ServicesBench.Bot]).Lost("app");
        bench.Pass(1.4).Local.View.Select(view => view.Service).ShouldBe([ServicesBench.Bot, ServicesBench.Web]);
        bench.Pass(0.2).Local.View.Select(view => view.Service).ShouldBe([ServicesBench.Web]);
    }

    [Fact] // Rule 12. Wrong program: goes by what is defined now; the others do not wait for so long.
    public void A_kill_has_the_limit_that_was_granted()
    {
        var bench = new ServicesBench().Standby("app").Running(1001, "app");
        bench.Set(ServicesBench.Web, service => service with { Definition = service.Definition with { KillTimeout = TimeSpan.FromSeconds(3) } });
        bench.NotHeld().Triggers.Single().Limit.ShouldBe(TimeSpan.FromSeconds(0.5));
        bench.Triggers.Single().Reason.ShouldContain("the lease of this machine is over");
        bench.Phase.ShouldBe(LocalPhase.Demoting);
        bench.Answer("app").Phase.ShouldBe(LocalPhase.Standby);
    }

    // Rule 12. Wrong program: reckons with what this daemon has applied, while its own store tells of more; or for ever with what was, although all of it is applied.
    [Theory]
    [InlineData(1_000_000, 5)]
    [InlineData(101, 5)]
    [InlineData(100, 0.5)]
    [InlineData(50, 0.5)]
    public void What_only_the_driver_tells_of_is_bounded_by_what_the_store_may_still_tell(long stored, double limit)
    {
        var bench = new LocalBench(storedLastIndex: stored, formerKillTimeout: 5).NotHeld().KnowsLastToken(1002);
        bench.Register("app", states: [new DriverServiceState(LocalBench.Web, true, new Token(1001))]);
        bench.Triggers.Single().Limit.ShouldBe(TimeSpan.FromSeconds(limit));
    }

    [Fact] // Rule 11. Wrong program: has the others wait for a time that the machine itself knows to be needless; or takes it for a failure.
    public void What_has_stopped_here_is_released_at_once_although_its_session_has_ended()
    {
        var bench = Vacated(new ServicesBench().Standby("app").Running(1001, "app").NotHeld(), ServicesBench.Self);
        bench.Wanted.ShouldBeEmpty();
        bench.Answer("app").Release.ShouldNotBeNull().ShouldSatisfyAllConditions(release => release.Token.ShouldBe(new Token(1001)), release => release.Failed.ShouldBeFalse());
    }

    [Fact] // Rule 11. Wrong program: speaks for a machine that it knows nothing of.
    public void What_another_machine_ran_is_not_released_by_this_one() =>
        Vacated(new ServicesBench().Standby("app"), new MachineId("cm-2")).Pass(10).Wanted.ShouldBeEmpty();

    // Wrong program: a machine that leaves without a session keeps its services until that is dead; or gives up what it may get again.
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Without_a_hold_only_who_leaves_gives_up_what_is_still_assigned(bool leaves)
    {
        var bench = new ServicesBench().Standby("app").Running(1001, "app").NotHeld();
        _ = leaves ? bench.Leave() : bench.Step();
        bench.Local.IsEmpty.ShouldBeFalse();
        bench.Answer("app");
        (bench.Release is { } release && release.Token == new Token(1001) && !release.Failed).ShouldBe(leaves);
        bench.Local.IsEmpty.ShouldBe(leaves);
    }

    [Fact] // Wrong program: complains in every attempt of the leader; or knows only services that it has met before.
    public void What_is_given_back_is_given_back_once_and_for_any_service()
    {
        var bench = new ServicesBench();
        bench.Local.Refuse(new Command.Assign(ServicesBench.Bot, ServicesBench.Self, new SessionId(50), new Token(5), TimeSpan.FromSeconds(0.5), "chosen"), "its disk does not answer");
        bench.Step().Release!.Token.ShouldBe(new Token(5), "of a service that was never seen here");
        bench.Standby("app", follows: [ServicesBench.Bot]);
        foreach (var token in (long[])[7, 7, 6, 8])
        {
            bench.Local.Refuse(new Command.Assign(ServicesBench.Bot, ServicesBench.Self, new SessionId(50), new Token(token), TimeSpan.FromSeconds(0.5), "chosen"), "its disk does not answer");
            bench.Step();
        }

        bench.Noted.Count(kind => kind == "service-refused").ShouldBe(3);
        bench.Release!.ShouldBe(new Command.Release(ServicesBench.Bot, new Token(8), "its disk does not answer", false));
    }

    [Fact] // P5. Wrong program: a service whose newest token is known all at once runs on under an older one until it is looked at for another reason.
    public void What_may_yet_be_adopted_is_stopped_as_soon_as_a_newer_token_is_known()
    {
        var bench = new ServicesBench(stored: 1_000_000).NotHeld();
        bench.Register("app", claims: 1001).Told.ShouldBeEmpty();
        bench.Change(state => state with { LastTokens = state.LastTokens.SetItem(ServicesBench.Web, new Token(1002)) }).Told.ShouldBe(["app:kill"]);
    }

    [Fact] // Wrong program: goes on with a service that nobody defines any more, or forgets it with its drivers running.
    public void A_service_that_is_not_defined_any_more_ends_here()
    {
        var bench = new ServicesBench(bot: new ServiceDefinition { Name = ServicesBench.Bot }).Standby("app").Assign(1001).Assign(2001, service: ServicesBench.Bot).Answer("app");
        bench.Wanted.Count.ShouldBe(2);
        bench.Change(state => state with { Services = state.Services.Remove(ServicesBench.Bot) }).Wanted.ShouldBe([new Command.ReportRunning(ServicesBench.Web, new Token(1001))]);
        bench.Change(state => state with { Services = state.Services.Remove(ServicesBench.Web) }).Told.ShouldBe(["app:kill"]);
        bench.Wanted.ShouldBeEmpty();
        bench.Local.AreEmpty.ShouldBeFalse();
        bench.Answer("app").Local.AreEmpty.ShouldBeTrue();
    }

    [Fact] // Wrong program: looks only at services that the driver follows.
    public void What_a_driver_claims_of_a_service_that_it_does_not_follow_is_stopped()
    {
        var bench = new ServicesBench().Step();
        bench.Register("app", claims: 5, claimed: ServicesBench.Bot).Told.ShouldBe(["app:stop", "app:kill bot"], ignoreOrder: true);
        bench.Local.AreEmpty.ShouldBeFalse();
        bench.Answer("app", service: ServicesBench.Bot).Local.AreEmpty.ShouldBeTrue();
    }

    private static ServicesBench Vacated(ServicesBench bench, MachineId machine) => bench.Change(state => state with
    {
        LastTokens = state.LastTokens.SetItem(ServicesBench.Web, new Token(1001)),
        Services = state.Services.SetItem(
            ServicesBench.Web, state.Services[ServicesBench.Web] with { Assignment = null, Vacated = new Vacated(machine, new Token(1001), TimeSpan.FromSeconds(0.5), 200) }),
    });
}
