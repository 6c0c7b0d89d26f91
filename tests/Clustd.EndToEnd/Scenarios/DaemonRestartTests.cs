using Clustd.EndToEnd.Harness;
using Shouldly;
using Xunit;

namespace Clustd.EndToEnd.Scenarios;

/// <summary>A daemon that is back within its lease: as if nothing had happened. The lease is long, because a start takes a second or two here.</summary>
public class DaemonRestartTests(DaemonRestartTests.Cluster cluster) : Scenario(cluster), IClassFixture<DaemonRestartTests.Cluster>
{
    [Fact]
    public async Task The_masters_daemon_is_killed_and_back_within_the_lease_and_the_app_never_notices()
    {
        var (old, master) = (Machines.Acts.Newest()!, Machines.Master);
        var drivers = master.Processes().Single(process => process.Role == Role.Drivers);

        master.Signal(RunningProcess.SIGKILL, Role.Daemon);
        await Eventually.IsTrue(() => !master.IsDaemonRunning, "the daemon is dead");
        master.Start();
        await Machines.MakeHealthyAsync();
        // Longer than the lease: had it not been taken up again, it would be over.
        var now = await Machines.ShouldGoOnActingAsync(TimeSpan.FromSeconds(15));

        (now.Token, now.Machine, now.Pid).ShouldBe((old.Token, old.Machine, old.Pid));
        master.Processes().Single(process => process.Role == Role.Drivers).Pid.ShouldBe(drivers.Pid, "the new daemon adopts the driver process");
        Machines.Acts.ShouldNeverOverlap();
    }

    public sealed class Cluster : SharedCluster
    {
        protected override ClusterPlan Plan => new() { ClusterLines = "  lease: 10s" };
    }
}
