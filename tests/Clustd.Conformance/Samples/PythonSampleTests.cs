using System.Diagnostics;
using Clustd.Conformance.Stage;
using Shouldly;
using Xunit;

namespace Clustd.Conformance.Samples;

/// <summary>What docs/writing-a-driver.md shows in Python runs.</summary>
[Trait("sdk", "python")]
public sealed class PythonSampleTests
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(40);

    [Fact]
    public async Task The_driver_in_thirty_lines_counts_while_it_is_the_master()
    {
        await using var daemon = new ScriptedDaemon();
        using var sample = await StartAsync("driver.py", daemon);
        try
        {
            var side = await daemon.NextDriverAsync(Patience);
            side.Registration["name"]!.GetValue<string>().ShouldBe("counter");
            await side.TriggerAsync(true, 42).WaitAsync(Patience);
            (await LineAsync(sample)).ShouldBe("default: start under token 42, because the suite says so");
            daemon.LeftUs = 0;
            (await LineAsync(sample)).ShouldStartWith("default: stop, because lease over");
            (await LineAsync(sample)).ShouldStartWith("default: stopped at ");
            await side.Heard.FirstAsync(message => message.Method == "stopped", "the proof", Patience);
        }
        finally
        {
            sample.Kill();
            await sample.WaitForExitAsync();
        }
    }

    [Fact]
    public async Task The_smallest_driver_says_whether_it_is_the_master()
    {
        await using var daemon = new ScriptedDaemon();
        using var sample = await StartAsync("test_driver.py", daemon);
        try
        {
            var side = await daemon.NextDriverAsync(Patience);
            await side.TriggerAsync(false, 1).WaitAsync(Patience);
            (await LineAsync(sample)).ShouldBe("Master status: False");
            await side.TriggerAsync(true, 2).WaitAsync(Patience);
            (await LineAsync(sample)).ShouldBe("Master status: True");
        }
        finally
        {
            sample.Kill();
            await sample.WaitForExitAsync();
        }
    }

    private static async Task<Process> StartAsync(string name, ScriptedDaemon daemon)
    {
        var check = Process.Start(new ProcessStartInfo("/bin/sh", ["-c", "python3 -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2> /dev/null"]))!;
        await check.WaitForExitAsync();
        if (check.ExitCode != 0)
            Assert.Skip("Python 3.10 is needed, and python3 is not that.");
        var start = new ProcessStartInfo("python3", [Path.Combine(ProcessSubject.Root, "samples", "python", name), daemon.Secret, daemon.Url]) { RedirectStandardOutput = true };
        start.Environment["PYTHONPATH"] = Path.Combine(ProcessSubject.Root, "clients", "python");
        start.Environment["PYTHONDONTWRITEBYTECODE"] = "1";
        return Process.Start(start)!;
    }

    private static async Task<string> LineAsync(Process sample) => (await sample.StandardOutput.ReadLineAsync().WaitAsync(Patience)).ShouldNotBeNull();
}
