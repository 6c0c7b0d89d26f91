using Clustd.Core;
using Clustd.Core.Cluster;
using Clustd.Core.Running;
using Shouldly;
using Xunit;

namespace Clustd.Tests.Running;

/// <summary>Which drivers are taken in, on what terms, and when they must come again. Rule 12: nobody may have more time than the others wait for.</summary>
public sealed class WelcomeTests
{
    // Wrong program: takes in a driver that cannot keep what the service promises, or sends one away that just can.
    [Theory]
    [InlineData(10.0, null, null)]
    [InlineData(10.001, null, "Raise stop_timeout")]
    [InlineData(null, 0.5, null)]
    [InlineData(null, 0.501, "Raise kill_timeout")]
    [InlineData(10.0, 0.5, null)]
    [InlineData(null, null, null)]
    public void A_driver_is_refused_only_if_it_needs_longer_than_the_service_grants(double? needsToStop, double? needsToBeKilled, string? reason)
    {
        var bench = new ServicesBench();
        bench.Register("app", needsToStop: needsToStop, needsToBeKilled: needsToBeKilled);
        (bench.Outputs.OfType<Output.DriverRefused>().SingleOrDefault()?.Reason.Contains(reason ?? "")).ShouldBe(reason is null ? null : true);
        bench.Outputs.OfType<Output.DriverAccepted>().Count().ShouldBe(reason is null ? 1 : 0);
        bench.Told.ShouldBe(reason is null ? ["app:stop"] : []);
    }

    [Fact] // Wrong program: looks at one of its services only.
    public void A_driver_must_keep_the_terms_of_every_service_that_it_follows()
    {
        var bench = Two(killTimeoutOfBot: 0.2);
        bench.Register("app", needsToBeKilled: 0.3, follows: [ServicesBench.Web, ServicesBench.Bot]);
        bench.Outputs.OfType<Output.DriverRefused>().Single().Reason.ShouldContain("'bot' grants 0.2 s");
        Two(killTimeoutOfBot: 0.2).Register("app", needsToBeKilled: 0.3).Outputs.OfType<Output.DriverAccepted>().ShouldHaveSingleItem();
    }

    [Fact] // Wrong program: goes on to talk with whom it has sent away, and counts on it.
    public void Who_was_refused_is_gone()
    {
        var bench = new ServicesBench(listed: ["app"]);
        bench.Register("app", needsToStop: 60);
        bench.Local.DriverViews.ShouldBeEmpty();
        bench.Local.Report.Services.Single().Ready.ShouldBeFalse();
        bench.Renew("app").ShouldBeNull();
        bench.Outputs.OfType<Output.DriverLease>().ShouldBeEmpty("nobody is there who could hear it");
        bench.Assign(1001).Told.ShouldBeEmpty();
        bench.Lost("app").Noted.ShouldNotContain("driver-lost", "it was its daemon that closed the connection");
    }

    // Wrong program: grants the longest of its services, or what is granted to another machine; or forgets what this machine's own assignment says.
    [Theory]
    [InlineData("web", null, null, 0.5)]
    [InlineData("web bot", null, null, 0.2)]
    [InlineData("bot", null, null, 0.2)]
    [InlineData("web", 0.1, "cm-1", 0.1)]
    [InlineData("web", 0.1, "cm-2", 0.5)]
    [InlineData("web", 0.9, "cm-1", 0.5)]
    [InlineData("bot", 0.1, "cm-1", 0.2)]
    public void A_driver_is_granted_the_shortest_kill_timeout_that_may_bind_it(string follows, double? assigned, string? machine, double granted)
    {
        var bench = Two(killTimeoutOfBot: 0.2);
        if (assigned is { } killTimeout)
        {
            bench.Assign(1001, killTimeout: killTimeout, machine: new MachineId(machine!));
        }

        bench.Register("app", follows: [.. follows.Split(' ').Select(name => new ServiceName(name))]);
        bench.Outputs.OfType<Output.DriverAccepted>().Single().KillTimeout.ShouldBe(TimeSpan.FromSeconds(granted));
    }

    [Fact] // Wrong program: what still runs under the shorter limit is given the longer one, because that is what is defined now.
    public void A_driver_that_comes_back_is_held_to_what_it_still_runs()
    {
        var bench = new ServicesBench(new ServiceDefinition { Name = ServicesBench.Web, KillTimeout = TimeSpan.FromSeconds(0.2) }).Standby("app").Running(1001, "app");
        bench.Lost("app");
        bench.Set(ServicesBench.Web, service => service with { Assignment = null, Definition = service.Definition with { KillTimeout = TimeSpan.FromSeconds(3) } });
        Accepted(bench.Register("app", claims: 1001)).ShouldBe(0.2);
        bench.Told.ShouldBe(["app:kill"]);

        bench.Answer("app").Lost("app").Step();
        Accepted(bench.Register("app")).ShouldBe(3, "it has stopped: nothing binds it any more");
    }

    // Wrong program: lets a driver keep terms that have become too generous, or sends everybody away whenever anything changes.
    [Theory]
    [InlineData(0.4, true)]
    [InlineData(0.5, false)]
    [InlineData(0.6, false)]
    public void A_driver_must_come_again_only_when_its_terms_have_become_shorter(double killTimeout, bool mustComeAgain)
    {
        var bench = new ServicesBench().Standby("app");
        bench.Set(ServicesBench.Web, service => service with { Definition = service.Definition with { KillTimeout = TimeSpan.FromSeconds(killTimeout), Failback = true } });
        bench.Outputs.OfType<Output.DriverRefused>().Count().ShouldBe(mustComeAgain ? 1 : 0);
        bench.Noted.Count(kind => kind == "driver-terms").ShouldBe(mustComeAgain ? 1 : 0);
        bench.Local.DriverViews.Count.ShouldBe(mustComeAgain ? 0 : 1);
        bench.Step().Outputs.ShouldBeEmpty("once");
        (bench.Renew("app") is null).ShouldBe(mustComeAgain, "who was sent away hears nothing any more");
    }

    [Fact] // Wrong program: looks at what is defined only; the entry that grants may be older than what is defined now.
    public void A_driver_must_come_again_when_this_machine_is_granted_less_than_is_defined()
    {
        var bench = new ServicesBench().Standby("app");
        bench.Assign(1001, killTimeout: 0.3).Outputs.OfType<Output.DriverRefused>().ShouldHaveSingleItem();
        bench.Told.ShouldBeEmpty();
        Accepted(bench.Register("app")).ShouldBe(0.3);
        bench.Told.ShouldBe(["app:start"]);
    }

    [Fact] // Wrong program: stops what runs because its driver must come again, or starts it anew.
    public void What_runs_goes_on_while_its_driver_comes_again()
    {
        var bench = new ServicesBench(listed: ["app"]).Standby("app").Running(1001, "app");
        bench.Set(ServicesBench.Web, service => service with { Definition = service.Definition with { KillTimeout = TimeSpan.FromSeconds(0.3) } });
        bench.Outputs.OfType<Output.DriverRefused>().ShouldHaveSingleItem();
        bench.Phase.ShouldBe(LocalPhase.Running);
        bench.Register("app", claims: 1001).Told.ShouldBeEmpty();
        bench.Phase.ShouldBe(LocalPhase.Running);
    }

    // Wrong program: a driver that names no service follows all of them, or still follows what it did when another one is defined.
    [Fact]
    public void A_driver_without_services_comes_again_when_it_follows_another_one()
    {
        var bench = new ServicesBench();
        bench.Register("app", follows: []).Told.ShouldBe(["app:stop"]);
        bench.Outputs.OfType<Output.DriverAccepted>().Single().Services.ShouldBe([ServicesBench.Web]);

        bench.Change(state => state with
        {
            Services = state.Services.Add(ServiceName.Default, state.Services[ServicesBench.Web] with { Definition = new ServiceDefinition { Name = ServiceName.Default } }),
        });
        bench.Outputs.OfType<Output.DriverRefused>().ShouldHaveSingleItem();
        bench.Register("app", follows: []).Outputs.OfType<Output.DriverAccepted>().Single().Services.ShouldBe([ServiceName.Default]);
    }

    [Fact] // Wrong program: two reasons to come again cancel each other out.
    public void A_driver_must_come_again_when_both_of_its_services_grant_less()
    {
        var both = new[] { ServicesBench.Bot, ServicesBench.Web };
        var bench = Two(killTimeoutOfBot: 0.5).Standby("app", follows: both);
        bench.Change(state => state with
        {
            Services = state.Services.SetItems(both.Select(name => KeyValuePair.Create(
                name, state.Services[name] with { Definition = state.Services[name].Definition with { KillTimeout = TimeSpan.FromSeconds(0.3) } }))),
        });
        bench.Outputs.OfType<Output.DriverRefused>().ShouldHaveSingleItem();
    }

    [Fact] // Wrong program: counts the services, and does not see that the only one is another.
    public void A_driver_without_services_comes_again_when_the_only_one_is_replaced()
    {
        var bench = new ServicesBench();
        bench.Register("app", follows: []).Answer("app");
        bench.Change(state => state with
        {
            Services = state.Services.Remove(ServicesBench.Web).Add(ServicesBench.Bot, state.Services[ServicesBench.Web] with { Definition = new ServiceDefinition { Name = ServicesBench.Bot } }),
        });
        bench.Outputs.OfType<Output.DriverRefused>().ShouldHaveSingleItem();
    }

    [Fact] // Wrong program: the daemon ends, or takes any service for the driver's, because it names none and there is no `default`.
    public void A_driver_without_services_follows_none_of_several()
    {
        var bench = Two(killTimeoutOfBot: 0.2);
        Accepted(bench.Register("app", follows: [])).ShouldBe(0.5);
        bench.Outputs.OfType<Output.DriverAccepted>().Single().Services.ShouldBeEmpty();
        bench.Told.ShouldBeEmpty();
    }

    // Wrong program: before the cluster has agreed on a service, its driver is held to the default although this machine's file says what the service is to be.
    [Theory]
    [InlineData("bot", 0.2)]
    [InlineData("other", 0.5)]
    [InlineData("web", 0.5)]
    public void What_this_machines_file_says_counts_until_something_is_agreed(string service, double granted)
    {
        var bench = new ServicesBench(proposal: [Short(ServicesBench.Bot), Short(ServicesBench.Web)]);
        Accepted(bench.Register("app", follows: [new ServiceName(service)])).ShouldBe(granted);
        static ServiceDefinition Short(ServiceName name) => new() { Name = name, KillTimeout = TimeSpan.FromSeconds(0.2) };
    }

    private static double Accepted(ServicesBench bench) => bench.Outputs.OfType<Output.DriverAccepted>().Single().KillTimeout.TotalSeconds;

    private static ServicesBench Two(double killTimeoutOfBot) => new(bot: new ServiceDefinition { Name = ServicesBench.Bot, KillTimeout = TimeSpan.FromSeconds(killTimeoutOfBot) });
}
