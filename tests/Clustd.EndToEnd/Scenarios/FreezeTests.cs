using Clustd.EndToEnd.Harness;
using Shouldly;
using Xunit;

namespace Clustd.EndToEnd.Scenarios;

/// <summary>Processes are frozen (SIGSTOP) and thaw. P3: their clock ran on, so they find out before they do anything else.</summary>
public class FreezeTests(FreezeTests.Cluster cluster) : Scenario(cluster), IClassFixture<FreezeTests.Cluster>
{
    [Fact]
    public async Task A_frozen_machine_that_thaws_stops_at_once_and_nothing_with_its_old_token_is_accepted()
    {
        var (old, master) = (Machines.Acts.Newest()!, Machines.Master);
        var at = master.Signal(RunningProcess.SIGSTOP);
        var next = await Machines.NextTenureAsync(old);
        next.Machine.ShouldNotBe(master.Id);
        MeasuredTimes.Add("all of the master's processes are frozen", at, Machines.Acts.Tenures()[^2], next);
        await Machines.ShouldGoOnActingAsync(TimeSpan.FromMicroseconds(at + 10_000_000 - ActObserver.Now));

        var thawedAt = master.Thaw();
        await Eventually.IsTrue(() => !master.Has(Role.App), "the thawed app is dead");

        // The killer was frozen too: the app may act until it runs. The resource refuses all of it, because it checks the token.
        await Machines.MakeHealthyAsync();
        Machines.Acts.Newest()!.Token.ShouldBe(next.Token);
        Machines.Acts.Refused.ShouldAllBe(act => act.Token == old.Token && act.Machine == master.Id && act.At - thawedAt < 100_000, Machines.Acts.Story());
        MeasuredTimes.Add("it thaws after 10 s (new app runs on)", thawedAt, Machines.Acts.Refused is [.., var last] ? old with { LastAt = last.At } : null, null);
        Machines.Acts.ForgetRefused();
        Machines.Acts.ShouldNeverOverlap();
    }

    [Fact]
    public async Task A_frozen_daemon_leaves_its_app_to_the_guard_which_stops_it_before_another_one_starts()
    {
        var (old, master) = (Machines.Acts.Newest()!, Machines.Master);
        var at = master.Signal(RunningProcess.SIGSTOP, Role.Daemon);
        var next = await Machines.NextTenureAsync(old);

        next.Machine.ShouldNotBe(master.Id);
        MeasuredTimes.Add("the master's daemon is frozen", at, Machines.Acts.Tenures()[^2], next);
        master.Signal(RunningProcess.SIGCONT, Role.Daemon);
        await Machines.MakeHealthyAsync();
        Machines.Acts.Newest()!.Token.ShouldBe(next.Token);
        Machines.Acts.ShouldNeverOverlap();
    }

    [Fact]
    public async Task A_frozen_driver_process_leaves_its_app_to_the_guard_too()
    {
        var (old, master) = (Machines.Acts.Newest()!, Machines.Master);
        var at = master.Signal(RunningProcess.SIGSTOP, Role.Drivers);
        await Eventually.IsTrue(() => !master.Has(Role.App), "the guard has stopped the app at the end of the driver's lease");
        MeasuredTimes.Add("the master's driver process is frozen", at, Machines.Acts.Newest(), null);
        Machines.Acts.Newest()!.Token.ShouldBe(old.Token);

        master.Signal(RunningProcess.SIGCONT, Role.Drivers);
        await Machines.MakeHealthyAsync();
        Machines.Acts.ShouldNeverOverlap();
    }

    public sealed class Cluster : SharedCluster
    {
        protected override ClusterPlan Plan => new();
    }
}
