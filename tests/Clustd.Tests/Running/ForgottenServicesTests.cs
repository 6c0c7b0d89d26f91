using Clustd.Core;
using Clustd.Core.Cluster;
using Clustd.Core.Running;
using Shouldly;
using Xunit;

namespace Clustd.Tests.Running;

/// <summary>A driver with the secret that registers under ever new names must not make the daemon slower for ever.</summary>
public sealed class ForgottenServicesTests
{
    private static readonly MachineSettings Settings = new()
    {
        Self = new MachineId("cm-1"), Address = "a:1", Addresses = ["a:1"], Lease = TimeSpan.FromSeconds(1), Incarnation = 7, Seed = 1, WallClockSeconds = 1, ChecksWhatIsOverlookedEvery = 1,
    };

    private readonly List<Output> _outputs = [];
    private Instant _now = new(5_000_000);

    [Fact]
    public void A_service_that_nobody_defines_follows_or_owes_is_forgotten()
    {
        var local = new LocalServices(Settings, _now) { StoredLastIndex = 0 };
        for (var number = 1; number <= 500; number++)
        {
            local.Registered(new DriverConnection(number), Registration($"service-{number}", $"driver-{number}"), _now);
            Step(local);
            local.Lost(new DriverConnection(number), _now);
            Step(local);
        }

        Step(local);
        local.View.Count.ShouldBeLessThan(5);
        local.DriverViews.ShouldBeEmpty();
    }

    [Fact]
    public void A_service_that_a_driver_still_follows_is_kept()
    {
        var local = new LocalServices(Settings, _now) { StoredLastIndex = 0 };
        local.Registered(new DriverConnection(1), Registration("web", "app"), _now);
        for (var steps = 0; steps < 10; steps++)
        {
            Step(local);
        }

        local.View.ShouldHaveSingleItem().Service.ShouldBe(new ServiceName("web"));
    }

    private void Step(LocalServices local)
    {
        _now += TimeSpan.FromMilliseconds(10);
        _outputs.Clear();
        local.Reconcile(ClusterState.Empty, SessionHold.None, _now, _outputs);
    }

    private static DriverRegistration Registration(string service, string driver) =>
        new() { Name = new DriverName(driver), Instance = driver, Services = [new ServiceName(service)], StopsForCertain = true };
}
