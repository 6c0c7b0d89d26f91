using Clustd.EndToEnd.Harness;
using Shouldly;
using Xunit;

namespace Clustd.EndToEnd.Scenarios;

/// <summary>`clustd restart` and `clustd stop`, at the default lease of 1 s: what runs outlives its daemon by far, or stops with it, as asked.</summary>
public class RestartTests(RestartTests.Cluster cluster) : Scenario(cluster), IClassFixture<RestartTests.Cluster>
{
    [Fact]
    public async Task All_daemons_restart_one_after_the_other_and_no_driver_is_told_anything_and_a_crash_after_that_costs_a_lease()
    {
        await Machines.MoveSomewhereAsync(); // Whoever it leaves may take over at once: nobody has to cool down.
        await using var counting = await CountingAsync();
        var old = Machines.Acts.Newest()!;
        var told = counting.Drivers.Select(driver => driver.Triggers).ToList();
        told.ShouldAllBe(count => count > 0);
        var since = await LastEventAsync();

        foreach (var machine in Machines.All)
        {
            var drivers = machine.Processes().Single(process => process.Role == Role.Drivers);
            var finished = await machine.RunAsync("restart");
            finished.ExitCode.ShouldBe(0, finished.Error);
            finished.Out.ShouldContain("its drivers go on for up to 15 s");
            finished.Out.ShouldContain("Start it again: `clustd run");
            (await machine.ExitAsync()).ShouldBe(75, "start me again");
            // Twice the lease: without the grace all would be over by now.
            await Task.Delay(TimeSpan.FromSeconds(2));
            machine.Start();
            await Machines.MakeHealthyAsync();
            machine.Processes().Single(process => process.Role == Role.Drivers).Pid.ShouldBe(drivers.Pid, "the new daemon adopts the driver process");
        }

        foreach (var machine in Machines.All)
        {
            await Eventually.IsTrue(async () => await machine.StatusAsync() is { } status && !status.Warnings.Contains("restarting"), "no restart is open");
        }

        var now = await Machines.ShouldGoOnActingAsync(TimeSpan.FromSeconds(1));
        (now.Token, now.Machine, now.Pid).ShouldBe((old.Token, old.Machine, old.Pid));
        counting.Drivers.Select(driver => driver.Triggers).ShouldBe(told);
        (await KindsAsync(since)).ShouldAllBe(kind => kind == "restart-announced" || kind == "restart-ended" || kind == "leader-elected");

        var at = Machines.Master.KillEverything();
        var next = await Machines.NextTenureAsync(old);
        MeasuredTimes.Add("the master's machine is lost, soon after its restart", at, Machines.Acts.Tenures()[^2], next);
        (next.FirstAt - at).ShouldBeLessThan(8_000_000, "the grace of 15 s is over"); // Some 1.5 s; the rest is for a loaded machine.
        Machines.Acts.ShouldNeverOverlap();
    }

    [Fact]
    public async Task Stop_hands_over_and_leaves_nothing_behind()
    {
        var (old, master) = (Machines.Acts.Newest()!, Machines.Master);

        var finished = await master.RunAsync("stop");

        finished.ExitCode.ShouldBe(0, finished.Error);
        (await master.ExitAsync()).ShouldBe(0);
        await Eventually.IsTrue(() => master.Processes().Count == 0, "no process of the machine is left");
        (await Machines.NextTenureAsync(old)).Machine.ShouldNotBe(old.Machine);
        Machines.Acts.ShouldNeverOverlap();
    }

    [Theory]
    [InlineData("echo '4711 web.service restart running'", "A restart: systemd's job for web.service is restart.", true)]
    [InlineData("echo '4711 web.service stop running'", "A stop: systemd's job for web.service is stop.", false)]
    [InlineData("echo 'Failed to connect to bus' >&2; exit 1", "It is not known whether this is a restart: `systemctl list-jobs` failed: Failed to connect to bus. So it is taken for a stop.", false)]
    public async Task Stop_auto_asks_systemd_whether_it_is_a_restart(string systemctl, string says, bool isRestart)
    {
        var (old, master) = (Machines.Acts.Newest()!, Machines.Master);
        var finished = await WithSystemctlAsync(systemctl, path => master.RunAsync("stop", "--auto", "--unit", "web"), master);

        finished.ExitCode.ShouldBe(0, finished.Error);
        finished.Out.ShouldContain(says);
        (await master.ExitAsync()).ShouldBe(isRestart ? 75 : 0);
        if (isRestart)
        {
            master.Has(Role.App).ShouldBeTrue("it goes on");
            master.Start();
            await Machines.MakeHealthyAsync();
            (Machines.Acts.Newest()!.Token, Machines.Acts.Newest()!.Pid).ShouldBe((old.Token, old.Pid));
        }
        else
        {
            (await Machines.NextTenureAsync(old)).Machine.ShouldNotBe(old.Machine);
        }

        Machines.Acts.ShouldNeverOverlap();
    }

    [Fact]
    public async Task Stop_auto_of_a_daemon_that_has_ended_by_itself_is_no_failure()
    {
        var machine = Machines.Standbys[0];
        machine.KillEverything();

        var finished = await WithSystemctlAsync("true", _ => machine.RunAsync("stop", "--auto"), machine);

        finished.ExitCode.ShouldBe(0, finished.Error);
        finished.Out.ShouldContain("Nothing to stop.");
    }

    private static async Task<Finished> WithSystemctlAsync(string script, Func<string, Task<Finished>> run, Machine machine)
    {
        var directory = Path.Combine(machine.Home, "bin");
        Directory.CreateDirectory(directory);
        var path = Path.Combine(directory, "systemctl");
        File.WriteAllText(path, $"#!/bin/sh\n{script}\n");
        File.SetUnixFileMode(path, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        machine.Environment["PATH"] = $"{directory}:{System.Environment.GetEnvironmentVariable("PATH")}";
        try
        {
            return await run(path);
        }
        finally
        {
            machine.Environment.Remove("PATH");
        }
    }

    private async Task<Counting> CountingAsync()
    {
        var drivers = Machines.All.Select(machine => new CountingDriver("counts", $"ws://{machine.Address}:{machine.Port}", ClusterPlan.GoodSecret)).ToList();
        foreach (var driver in drivers) await driver.ConnectAsync(CancellationToken.None);
        foreach (var driver in drivers) await Eventually.IsTrue(() => driver.Triggers > 0, "every driver is told its state");
        await Machines.MakeHealthyAsync();
        return new Counting(drivers);
    }

    private async Task<long> LastEventAsync() => (await Machines.Master.EventsAsync(0))[^1].Index;

    private async Task<IReadOnlyList<string>> KindsAsync(long since) => [.. (await Machines.Master.EventsAsync(since)).Select(each => each.Kind)];

    private sealed class Counting(IReadOnlyList<CountingDriver> drivers) : IAsyncDisposable
    {
        public IReadOnlyList<CountingDriver> Drivers => drivers;

        public async ValueTask DisposeAsync()
        {
            foreach (var driver in drivers) await driver.DisposeAsync();
        }
    }

    public sealed class Cluster : SharedCluster
    {
        protected override ClusterPlan Plan => new();
    }
}
