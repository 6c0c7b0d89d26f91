using Clustd.EndToEnd.Harness;
using Shouldly;
using Xunit;

namespace Clustd.EndToEnd.Scenarios;

/// <summary>What an operator does on purpose: nobody waits for a lease.</summary>
public class PlannedMoveTests(PlannedMoveTests.Cluster cluster) : Scenario(cluster), IClassFixture<PlannedMoveTests.Cluster>
{
    [Fact]
    public async Task A_move_stops_here_and_starts_there()
    {
        var (old, target) = (Machines.Acts.Newest()!, Machines.Standbys[0]);
        var at = ActObserver.Now;
        var finished = await Machines.Master.RunAsync("move", "default", target.Id);

        finished.ExitCode.ShouldBe(0, finished.Error);
        var next = await Machines.NextTenureAsync(old);
        next.Machine.ShouldBe(target.Id);
        MeasuredTimes.Add($"`move` (old app to new app: {(next.FirstAt - Machines.Acts.Tenures()[^2].LastAt) / 1e3:0.0} ms)", at, Machines.Acts.Tenures()[^2], next);
        Machines.Acts.ShouldNeverOverlap();
    }

    [Fact]
    public async Task A_move_to_nowhere_is_refused_and_nothing_moves()
    {
        var old = Machines.Acts.Newest()!;
        var finished = await Machines.Master.RunAsync("move", "default", "no-such-machine");

        finished.ExitCode.ShouldBe(1);
        finished.Error.ShouldContain("no-such-machine");
        (await Machines.ShouldGoOnActingAsync(TimeSpan.Zero)).Token.ShouldBe(old.Token);
    }

    [Fact]
    public async Task SIGTERM_of_the_master_hands_over_and_ends_with_0()
    {
        var (old, master) = (Machines.Acts.Newest()!, Machines.Master);
        var at = master.Signal(RunningProcess.SIGTERM, Role.Daemon);
        var next = await Machines.NextTenureAsync(old);

        next.Machine.ShouldNotBe(master.Id);
        (await master.ExitAsync(TimeSpan.FromSeconds(15))).ShouldBe(0);
        await Eventually.IsTrue(() => master.Processes().Count == 0, "nothing of the machine is left");
        MeasuredTimes.Add($"SIGTERM (old app to new app: {(next.FirstAt - Machines.Acts.Tenures()[^2].LastAt) / 1e3:0.0} ms)", at, Machines.Acts.Tenures()[^2], next);

        await Machines.MakeHealthyAsync();
        Machines.Acts.Newest()!.Token.ShouldBe(next.Token);
        Machines.Acts.ShouldNeverOverlap();
    }

    [Fact]
    public async Task SIGTERM_of_a_standby_moves_nothing()
    {
        var (old, standby) = (Machines.Acts.Newest()!, Machines.Standbys[0]);
        standby.Signal(RunningProcess.SIGTERM, Role.Daemon);
        (await standby.ExitAsync(TimeSpan.FromSeconds(15))).ShouldBe(0);

        (await Machines.ShouldGoOnActingAsync(TimeSpan.FromSeconds(3))).Token.ShouldBe(old.Token);
        Machines.Acts.ShouldNeverOverlap();
    }

    public sealed class Cluster : SharedCluster
    {
        protected override ClusterPlan Plan => new();
    }
}
