using Clustd.EndToEnd.Harness;
using Shouldly;
using Xunit;

namespace Clustd.EndToEnd.Scenarios;

/// <summary>Processes end, alone and together. Three machines on loopback with files as in 2018 and a supervised app; all times are the defaults.</summary>
public class ProcessLossTests(ProcessLossTests.Cluster cluster) : Scenario(cluster), IClassFixture<ProcessLossTests.Cluster>
{
    // Lease 1 s and kill_timeout 500 ms, and another 500 ms for the scheduling of a loaded machine.
    private static readonly TimeSpan StopsWithin = TimeSpan.FromSeconds(2);

    // Several leases: what was going to fail over has done so by then.
    private static readonly TimeSpan LongEnough = TimeSpan.FromSeconds(4);

    [Fact]
    public async Task Three_daemons_elect_one_master_and_all_name_the_same_one()
    {
        var master = Machines.Acts.Newest()!;
        foreach (var machine in Machines.All)
        {
            var status = (await machine.StatusAsync())!;
            status.Service().ShouldBe((master.Machine, master.Token, "running"));
            (await machine.RunAsync("status")).ExitCode.ShouldBe(0);
        }

        Machines.Acts.ShouldNeverOverlap();
    }

    [Fact]
    public async Task The_masters_machine_is_lost_and_another_one_takes_over_and_it_rejoins_as_a_standby()
    {
        await Machines.MoveSomewhereAsync(); // Whoever it leaves may take over at once: nobody has to cool down.
        var (old, lost) = (Machines.Acts.Newest()!, Machines.Master);
        var at = lost.KillEverything();
        var next = await Machines.NextTenureAsync(old);

        next.Machine.ShouldNotBe(lost.Id);
        MeasuredTimes.Add("all processes of the master are killed", at, Machines.Acts.Tenures()[^2], next);

        await Machines.MakeHealthyAsync();
        Machines.Acts.Newest()!.Token.ShouldBe(next.Token, "sticky: it does not move back");
        Machines.Acts.ShouldNeverOverlap();
    }

    [Fact]
    public async Task The_masters_daemon_is_killed_for_good_and_its_app_stops_by_itself_before_another_one_starts()
    {
        await Machines.MoveSomewhereAsync(); // Whoever it leaves may take over at once: nobody has to cool down.
        var (old, master) = (Machines.Acts.Newest()!, Machines.Master);
        var at = master.Signal(RunningProcess.SIGKILL, Role.Daemon);
        var next = await Machines.NextTenureAsync(old);

        next.Machine.ShouldNotBe(old.Machine);
        var ended = Machines.Acts.Tenures()[^2];
        ended.Token.ShouldBe(old.Token);
        (ended.LastAt - at).ShouldBeLessThan((long)StopsWithin.TotalMicroseconds);
        master.Has(Role.App).ShouldBeFalse();
        master.Has(Role.Drivers).ShouldBeTrue("the driver process waits for the daemon");
        MeasuredTimes.Add("the master's daemon is killed, for good", at, ended, next);

        await Machines.MakeHealthyAsync();
        Machines.Acts.ShouldNeverOverlap();
    }

    [Fact]
    public async Task The_driver_process_is_killed_and_the_guard_stops_the_app_and_the_service_moves()
    {
        await Machines.MoveSomewhereAsync(); // A token that was started once: only then is a guard's proof as good as a release.
        var (old, master) = (Machines.Acts.Newest()!, Machines.Master);
        var at = master.Signal(RunningProcess.SIGKILL, Role.Drivers);
        var next = await Machines.NextTenureAsync(old);

        next.Machine.ShouldNotBe(old.Machine);
        MeasuredTimes.Add("the master's driver process is killed", at, Machines.Acts.Tenures()[^2], next);
        await Machines.MakeHealthyAsync();
        Machines.Acts.ShouldNeverOverlap();
    }

    [Fact]
    public async Task Guard_and_driver_process_are_killed_together_and_the_app_ends_before_another_one_starts()
    {
        await Machines.MoveSomewhereAsync();
        var (old, master) = (Machines.Acts.Newest()!, Machines.Master);
        master.Signal(RunningProcess.SIGKILL, Role.Drivers, Role.Guard);

        // Here or on another machine: nobody is left who could prove anything, so it takes the driver's lease and kill_timeout.
        await Eventually.IsTrue(() => Machines.Acts.Newest()!.Pid != old.Pid, "another app acts");
        await Machines.MakeHealthyAsync();
        Machines.Acts.ShouldNeverOverlap();
    }

    [Fact]
    public async Task The_app_is_killed_and_restarted_here_three_times_and_the_fourth_time_it_moves()
    {
        // An app that is killed while it is still being started, after the story before, has failed to start: that is another story.
        await Eventually.IsTrue(async () => Machines.Acts.Newest()!.Pid == (await Machines.ShouldGoOnActingAsync(TimeSpan.FromSeconds(1))).Pid, "an app that stays");
        var (old, master) = (Machines.Acts.Newest()!, Machines.Master);
        for (var kill = 1; kill <= 3; kill++)
        {
            var pid = Machines.Acts.Newest()!.Pid;
            master.Signal(RunningProcess.SIGKILL, Role.App);
            await Eventually.IsTrue(() => Machines.Acts.Newest()!.Pid != pid, $"the app is back after kill {kill}");
            Machines.Acts.Newest()!.Token.ShouldBe(old.Token, "restarted here, under the same token");
        }

        var at = master.Signal(RunningProcess.SIGKILL, Role.App);
        var next = await Machines.NextTenureAsync(old);
        next.Machine.ShouldNotBe(old.Machine);
        MeasuredTimes.Add("the app is killed for the 4th time within 60 s", at, Machines.Acts.Tenures()[^2], next);
        Machines.Acts.ShouldNeverOverlap();
    }

    [Fact]
    public async Task The_leader_is_lost_and_is_not_the_master_and_nothing_fails_over()
    {
        var leader = Machines.Standbys[0];
        await Machines.LeadAsync(leader);
        var old = Machines.Acts.Newest()!;

        leader.KillEverything();
        var now = await Machines.ShouldGoOnActingAsync(LongEnough);

        (now.Token, now.Pid).ShouldBe((old.Token, old.Pid));
        (await Machines.LeaderAsync()).ShouldNotBeNull().ShouldNotBe(leader);
        Machines.Acts.ShouldNeverOverlap();
    }

    [Fact]
    public async Task Leader_and_master_are_lost_together_and_it_costs_no_more_than_one()
    {
        await Machines.MoveSomewhereAsync(); // Whoever it leaves may take over at once: nobody has to cool down.
        var (old, lost) = (Machines.Acts.Newest()!, Machines.Master);
        await Machines.LeadAsync(lost);
        old = Machines.Acts.Newest()!;
        lost = Machines.Master;

        var at = lost.KillEverything();
        var next = await Machines.NextTenureAsync(old);

        next.Machine.ShouldNotBe(lost.Id);
        MeasuredTimes.Add("leader and master, on one machine, are killed", at, Machines.Acts.Tenures()[^2], next);
        Machines.Acts.ShouldNeverOverlap();
    }

    [Fact]
    public async Task Two_of_three_are_lost_and_all_stops_and_status_says_so_and_it_comes_back()
    {
        var (old, master) = (Machines.Acts.Newest()!, Machines.Master);
        var lost = Machines.Standbys;
        var at = ActObserver.Now;
        foreach (var machine in lost) machine.KillEverything();

        await Eventually.IsTrue(() => !master.Has(Role.App), "the app is stopped");
        var ended = Machines.Acts.Newest()!;
        ended.Token.ShouldBe(old.Token, "there is no majority that could have granted another one");
        (ended.LastAt - at).ShouldBeLessThan((long)StopsWithin.TotalMicroseconds);
        MeasuredTimes.Add("two of three machines are killed", at, ended, null);

        var finished = await Eventually.Gives(
            async () => await master.RunAsync("status", "-o", "json") is { ExitCode: 3 } said ? said : null, "`status` ends with 3");
        finished.Error.ShouldContain("No quorum");
        (await master.StatusAsync())!.Service().Master.ShouldBe("unknown", "never the last value dressed as the present one");

        await Machines.MakeHealthyAsync();
        (await master.RunAsync("status")).ExitCode.ShouldBe(0);
        // Maybe under the same token: nobody was there to end the session, so the machine may take it up again.
        Machines.Acts.Newest()!.Token.ShouldBeGreaterThanOrEqualTo(old.Token);
        Machines.Acts.ShouldNeverOverlap();
    }

    public sealed class Cluster : SharedCluster
    {
        protected override ClusterPlan Plan => new();
    }
}
