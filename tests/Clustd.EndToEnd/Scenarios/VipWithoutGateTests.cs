using Clustd.EndToEnd.Harness;
using Shouldly;
using Xunit;

namespace Clustd.EndToEnd.Scenarios;

/// <summary>A kernel without nftables: guard and driver process end the addresses in time, and when both are killed at once, the kernel's whole seconds do, by the limit that is documented.</summary>
public class VipWithoutGateTests(VipWithoutGateTests.Cluster cluster) : VipScenario(cluster), IClassFixture<VipWithoutGateTests.Cluster>
{
    // A lease of 1 s is rounded up to a second, and the kernel is up to 1.25 s late.
    private const long DocumentedUs = 1_000_000 + 2_250_000;

    [Theory(Skip = WhySkipped, SkipWhen = nameof(HasNoNamespaces))]
    [InlineData(Role.Daemon)]
    [InlineData(Role.Drivers)]
    public async Task Whoever_is_left_takes_them_away_in_time(Role role)
    {
        var (master, since) = (await HeldByMasterAsync(), ActObserver.Now);
        var at = master.Signal(RunningProcess.SIGKILL, role);
        await TakenFromAsync(master);
        await ShouldBeSilentAsync(master, at + GoneWithinUs);
        await ShouldNeverOverlapAsync(since);
    }

    [Fact(Skip = WhySkipped, SkipWhen = nameof(HasNoNamespaces))] // Wrong program: an address without an end, which stays until somebody comes.
    public async Task When_nobody_is_left_the_kernel_takes_them_away_some_seconds_late()
    {
        var master = await HeldByMasterAsync();
        var at = master.KillAtOnce(Role.Daemon, Role.Drivers, Role.AddressGuard);
        await Eventually.IsTrue(() => ActObserver.Now > at + DocumentedUs + 1_000_000, "the limit has passed");
        await ShouldBeSilentAsync(master, at + DocumentedUs);
        master.Log.ShouldContain("The lease is too short for the kernel's whole seconds");
    }

    public sealed class Cluster : VipCluster
    {
        protected override string Keys => ", kernel_gate: false";
    }
}
