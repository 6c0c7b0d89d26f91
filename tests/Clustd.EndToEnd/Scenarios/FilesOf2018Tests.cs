using System.Diagnostics;
using Clustd.EndToEnd.Harness;
using Shouldly;
using Xunit;

namespace Clustd.EndToEnd.Scenarios;

/// <summary>Files as they were written in 2018, and the smallest driver there is: all of it still works.</summary>
public class FilesOf2018Tests
{
    // Scripts, as in 2018: the app goes into the background, and its pid into a file.
    private const string Scripts = """
        script:
          start: 'setsid bash "$E2E_SCRIPT" & echo $! > "$E2E_MACHINE/app.pid"'
          stop: 'test ! -f "$E2E_MACHINE/app.pid" || { pid=$(cat "$E2E_MACHINE/app.pid"); kill -9 $pid 2>/dev/null; while [ -d /proc/$pid ] && ! grep -q "^State:.Z" /proc/$pid/status 2>/dev/null; do sleep 0.005; done; rm -f "$E2E_MACHINE/app.pid"; }'
        """;

    [Fact]
    public async Task Three_daemons_and_three_driver_files_elect_one_master_and_hand_over()
    {
        // The daemons' files list no drivers: those have files and processes of their own.
        await using var machines = Machines.Prepare(new ClusterPlan { Rest = "" });
        try
        {
            var drivers = machines.All.ToDictionary(machine => machine, StartWithDriverFile);
            await machines.MakeHealthyAsync();
            var (old, master) = (machines.Acts.Newest()!, machines.Master);

            master.Signal(RunningProcess.SIGTERM, Role.Daemon);
            var next = await machines.NextTenureAsync(old);
            next.Machine.ShouldNotBe(master.Id);
            (await master.ExitAsync()).ShouldBe(0);
            machines.Acts.ShouldNeverOverlap();

            // The driver process waits for its daemon; its own goodbye runs the stop script.
            await machines.MakeHealthyAsync();
            machines.Master.Signal(RunningProcess.SIGTERM, Role.Drivers);
            await drivers[machines.Master].WaitForExitAsync().WaitAsync(Eventually.Patience);
            drivers[machines.Master].ExitCode.ShouldBe(0);
            (await machines.NextTenureAsync(next)).Machine.ShouldNotBe(next.Machine);
            machines.Acts.ShouldNeverOverlap();
        }
        catch
        {
            TestContext.Current.TestOutputHelper?.WriteLine(machines.Logs());
            throw;
        }
    }

    [Fact]
    public async Task The_sample_driver_is_told_that_it_is_the_master()
    {
        await using var machines = Machines.Prepare(new ClusterPlan { Count = 1, Rest = "" });
        machines.All[0].Start();
        var output = new DirectoryInfo(AppContext.BaseDirectory.TrimEnd(Path.DirectorySeparatorChar));
        var root = output.Parent!.Parent!.Parent!.Parent!.Parent!.FullName;
        var sample = Path.Combine(root, "samples", "TestDriver", "bin", output.Parent.Name, output.Name, "TestDriver.dll");
        var start = ClustdProgram.StartInfo(
            [Environment.GetEnvironmentVariable("DOTNET_HOST_PATH") ?? "dotnet", sample, ClusterPlan.GoodSecret, $"ws://127.0.0.1:{machines.All[0].Port}"], machines.All[0].Environment);
        start.RedirectStandardOutput = true;
        using var driver = Process.Start(start)!;

        // A standby or a machine that holds no session yet is told so first: a clean slate.
        string? line;
        do line = await driver.StandardOutput.ReadLineAsync().WaitAsync(Eventually.Patience);
        while (line == "Master status: False");
        line.ShouldBe("Master status: True");

        machines.All[0].Signal(RunningProcess.SIGTERM, Role.Daemon);
        (await driver.StandardOutput.ReadLineAsync().WaitAsync(Eventually.Patience)).ShouldBe("Master status: False");
        (await machines.All[0].ExitAsync()).ShouldBe(0);
        driver.Kill();
    }

    private static Process StartWithDriverFile(Machine machine)
    {
        var file = Path.Combine(machine.Home, "driver.yml");
        File.WriteAllText(file, $"host: ws://127.0.0.1:{machine.Port}\nsecret: '{ClusterPlan.GoodSecret}'\n{Scripts}\n");
        var environment = new Dictionary<string, string>(machine.Environment)
        {
            ["E2E_SCRIPT"] = ClusterPlan.ActsScript,
            ["E2E_LOG"] = Path.Combine(machine.Home, "drivers.log"),
            ["STATE_DIRECTORY"] = Path.Combine(machine.Home, "drivers"),
        };
        return Process.Start(ClustdProgram.StartInfo(
            ["/bin/sh", "-c", "exec \"$@\" >>\"$E2E_LOG\" 2>&1 </dev/null", "sh", ClustdProgram.Path, "drivers", "--config", file], environment))!;
    }
}
