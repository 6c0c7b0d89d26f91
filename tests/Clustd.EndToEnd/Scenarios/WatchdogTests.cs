using System.Diagnostics;
using System.Globalization;
using Clustd.EndToEnd.Harness;
using Shouldly;
using Xunit;

namespace Clustd.EndToEnd.Scenarios;

/// <summary>Who waits for the decisions of one machine: systemd's watchdog, at a real socket, and the machine's own. That one is a file, made to answer like a device (watchdog.c): a real one would reset us.</summary>
public sealed class WatchdogTests : IDisposable
{
    private static readonly TimeSpan Timeout = TimeSpan.FromSeconds(1);

    private readonly ServiceManager _manager = new();

    // Wrong program: the loop sleeps a second when there is nothing to do, and systemd ends an idle daemon.
    [Fact]
    public async Task Systemd_is_fed_at_half_the_interval_at_least_also_by_a_machine_that_waits_for_others()
    {
        await using var machines = Machines.Prepare(new ClusterPlan { Count = 2, Rest = "" });
        var machine = Watched(machines);
        machine.Start();
        await Eventually.IsTrue(() => _manager.Fed.Count >= 20, "twenty feeds");
        var fed = _manager.Fed;
        var gaps = fed.Skip(1).Zip(fed, (later, earlier) => TimeSpan.FromMicroseconds(later - earlier)).Order().ToList();
        gaps[gaps.Count / 2].ShouldBeLessThan(Timeout / 2);
        gaps[^1].ShouldBeLessThan(Timeout);
        _manager.Heard[0].Text.ShouldNotBe("WATCHDOG=1");
    }

    [Fact]
    public async Task A_frozen_daemon_feeds_nothing_and_one_that_thaws_does()
    {
        await using var machines = Machines.Prepare(new ClusterPlan { Count = 1 });
        var machine = Watched(machines);
        machine.Start();
        await Eventually.IsTrue(() => _manager.Fed.Count >= 4, "feeds");
        machine.Signal(RunningProcess.SIGSTOP, Role.Daemon);
        await ShouldNotBeFedAsync();
        machine.Signal(RunningProcess.SIGCONT, Role.Daemon);
        await ShouldBeFedAsync();
    }

    // Wrong program: a timer feeds, and the process lives although nothing decides in it any more.
    [Fact]
    public async Task A_daemon_whose_loop_stands_still_feeds_nothing_although_the_rest_of_it_lives()
    {
        await using var machines = Machines.Prepare(new ClusterPlan { Count = 1 });
        var machine = Watched(machines);
        machine.Start();
        await Eventually.IsTrue(() => _manager.Fed.Count >= 4, "feeds");
        using (await StoppedThread.OfAsync(machine.Processes().Single(process => process.Role == Role.Daemon).Pid, "machine loop"))
        {
            await ShouldNotBeFedAsync();
            using var client = new HttpClient { Timeout = TimeSpan.FromSeconds(10) };
            using var answer = await client.GetAsync($"http://127.0.0.1:{machine.Port}/livez"); // Whatever it says: the rest of the process answers.
        }

        await ShouldBeFedAsync();
    }

    [Fact]
    public async Task A_device_that_is_not_there_is_refused_with_what_to_do()
    {
        await using var machines = Machines.Prepare(new ClusterPlan { Count = 1, Rest = ClusterPlan.SupervisedApp + "watchdog: { device: /nowhere/watchdog }\n" });
        var finished = await machines.All[0].RunAsync("run");
        finished.ExitCode.ShouldBe(1);
        finished.Error.ShouldContain("Cannot open the watchdog /nowhere/watchdog: there is no such device. Load its driver, `modprobe softdog` if this machine has no hardware for it, correct 'watchdog.device', or remove 'watchdog'.");
        finished.Error.ShouldNotContain("   at ");
    }

    [Fact]
    public async Task The_machines_own_is_armed_fed_and_stopped_when_the_daemon_leaves_in_order()
    {
        await using var machines = await WithDeviceAsync();
        var machine = machines.All[0];
        machine.Log.ShouldContain("is armed: it resets this machine 1.0 s after the last decision");
        machine.Log.ShouldContain("The last reset of this machine came from its watchdog");
        await Eventually.IsTrue(() => Told(machine).Count(line => line.What == "feed") > 20, "feeds");
        Told(machine).Take(2).Select(line => (line.What, line.Number)).ShouldBe([("open", 1), ("timeout", 1)]);
        (await machine.RunAsync("status")).Out.ShouldContain("(Watchdog of the tests) resets this machine 1 s after its last decision");

        (await machine.RunAsync("stop")).ExitCode.ShouldBe(0);
        Told(machine).TakeLast(2).Select(line => line.What).ShouldBe(["V", "close"]);
    }

    // Wrong program: writes the letter in advance, or whenever it can.
    [Fact]
    public async Task The_machines_own_is_left_armed_by_a_daemon_that_is_killed_or_frozen()
    {
        await using var machines = await WithDeviceAsync();
        var machine = machines.All[0];
        machine.Signal(RunningProcess.SIGSTOP, Role.Daemon);
        await Task.Delay(100);
        var before = Told(machine).Count;
        await Task.Delay(Timeout * 1.5);
        Told(machine).Count.ShouldBe(before);
        machine.Signal(RunningProcess.SIGKILL, Role.Daemon);
        await machine.ExitAsync();
        Told(machine).ShouldNotContain(line => line.What == "V");
    }

    // Wrong program: a restart on purpose has the machine reset, or leaves nothing that ends what goes on if no daemon comes back.
    [Fact]
    public async Task A_restart_gives_the_machines_own_the_time_of_the_grace_and_leaves_it_armed()
    {
        await using var machines = await WithDeviceAsync();
        var machine = machines.All[0];
        (await machine.RunAsync("restart")).ExitCode.ShouldBe(0);
        (await machine.ExitAsync()).ShouldBe(75);
        Told(machine).ShouldNotContain(line => line.What == "V");
        var last = Told(machine).TakeLast(3).ToList();
        last.Select(line => line.What).ShouldBe(["timeout", "feed", "close"]);
        last[0].Number.ShouldBeInRange(11, 14); // of a grace of 15 s and a kill_timeout of 0.5 s, less a tenth

        machine.Start();
        await machines.MakeHealthyAsync();
        var again = Told(machine).SkipWhile(line => line.What != "close").Skip(1).ToList();
        again.Take(2).Select(line => (line.What, line.Number)).ShouldBe([("open", 1), ("timeout", 1)]);
        (await machine.RunAsync("stop")).ExitCode.ShouldBe(0);
    }

    public void Dispose() => _manager.Dispose();

    private Machine Watched(Machines machines)
    {
        var machine = machines.All[0];
        machine.DaemonEnvironment["NOTIFY_SOCKET"] = _manager.Path;
        machine.DaemonEnvironment["WATCHDOG_USEC"] = Timeout.TotalMicroseconds.ToString("0", CultureInfo.InvariantCulture);
        return machine;
    }

    private async Task ShouldNotBeFedAsync()
    {
        await Task.Delay(200); // What was said before is still on its way.
        var before = _manager.Fed.Count;
        await Task.Delay(Timeout * 2);
        _manager.Fed.Count.ShouldBe(before);
    }

    private Task ShouldBeFedAsync()
    {
        var before = _manager.Fed.Count;
        return Eventually.IsTrue(() => _manager.Fed.Count > before + 2, "it is fed again");
    }

    private static async Task<Machines> WithDeviceAsync()
    {
        var machines = Machines.Prepare(new ClusterPlan { Count = 1 });
        var machine = machines.All[0];
        try
        {
            var library = Path.Combine(machine.Home, "watchdog.so");
            using (var compiler = StartCompiler(library))
            {
                if (compiler is null) Assert.Skip("There is no gcc that could make the device of this test.");
                await compiler.WaitForExitAsync();
                compiler.ExitCode.ShouldBe(0);
            }

            File.WriteAllText(Device(machine), "");
            machine.EditFile(file => file + $"watchdog: {{ device: '{Device(machine)}' }}\n");
            machine.DaemonEnvironment["LD_PRELOAD"] = library;
            machine.DaemonEnvironment["E2E_WATCHDOG"] = Device(machine);
            await machines.MakeHealthyAsync();
            return machines;
        }
        catch (Exception)
        {
            TestContext.Current.TestOutputHelper?.WriteLine(machines.Logs());
            await machines.DisposeAsync();
            throw;
        }
    }

    private static Process? StartCompiler(string library)
    {
        try
        {
            return Process.Start(new ProcessStartInfo("gcc", ["-shared", "-fPIC", "-O1", "-o", library, Path.Combine(AppContext.BaseDirectory, "watchdog.c"), "-ldl"]));
        }
        catch (System.ComponentModel.Win32Exception)
        {
            return null;
        }
    }

    private static string Device(Machine machine) => Path.Combine(machine.Home, "watchdog");

    private static List<(string What, int Number, long At)> Told(Machine machine) =>
    [
        .. File.ReadAllLines(Device(machine)).Select(line => line.Split(' ')).Where(words => words.Length == 3)
            .Select(words => (words[0], int.Parse(words[1], CultureInfo.InvariantCulture), long.Parse(words[2], CultureInfo.InvariantCulture))),
    ];
}
