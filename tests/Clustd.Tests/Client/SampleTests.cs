using System.Diagnostics;
using Clustd.Client.Protocol;
using Shouldly;
using Xunit;

namespace Clustd.Tests.Client;

public class SampleTests
{
    [Fact]
    public async Task The_sample_driver_prints_what_it_is_told()
    {
        await using var daemon = new ScriptedDaemon();
        using var sample = Start("TestDriver", ScriptedDaemon.Secret, daemon.Url);
        try
        {
            var side = await daemon.NextDriverAsync();
            side.Registration.Name.ShouldBe("test-driver");
            side.Registration.ProcessId.ShouldBe(sample.Id);
            await side.TriggerAsync(false, 1);
            (await sample.StandardOutput.ReadLineAsync().WaitAsync(ScriptedDaemon.Patience)).ShouldBe("Master status: False");
            await side.TriggerAsync(true, 2);
            (await sample.StandardOutput.ReadLineAsync().WaitAsync(ScriptedDaemon.Patience)).ShouldBe("Master status: True");

            // Cut off for good: the stop comes from the driver itself.
            daemon.Renew = renew => new RenewResult { Stamp = renew.Stamp };
            side.Cut();
            (await sample.StandardOutput.ReadLineAsync().WaitAsync(ScriptedDaemon.Patience)).ShouldBe("Master status: False");
        }
        finally
        {
            sample.Kill();
            await sample.WaitForExitAsync();
        }
    }

    [Fact]
    public async Task The_sample_driver_says_so_when_the_secrets_differ()
    {
        await using var daemon = new ScriptedDaemon();
        using var sample = Start("TestDriver", "another secret", daemon.Url);
        (await sample.StandardError.ReadToEndAsync().WaitAsync(ScriptedDaemon.Patience)).ShouldContain("Use the same secret here as in cluster.secret there");
        await sample.WaitForExitAsync().WaitAsync(ScriptedDaemon.Patience);
        sample.ExitCode.ShouldNotBe(0);
    }

    private static Process Start(string name, params string[] arguments)
    {
        // tests/Clustd.Tests/bin/CONFIGURATION/FRAMEWORK -> samples/NAME/bin/CONFIGURATION/FRAMEWORK
        var output = new DirectoryInfo(AppContext.BaseDirectory.TrimEnd(Path.DirectorySeparatorChar));
        var root = output.Parent!.Parent!.Parent!.Parent!.Parent!.FullName;
        var assembly = Path.Combine(root, "samples", name, "bin", output.Parent.Name, output.Name, name + ".dll");
        var start = new ProcessStartInfo(Environment.GetEnvironmentVariable("DOTNET_HOST_PATH") ?? "dotnet") { RedirectStandardOutput = true, RedirectStandardError = true };
        start.ArgumentList.Add(assembly);
        foreach (var argument in arguments)
            start.ArgumentList.Add(argument);
        return Process.Start(start)!;
    }
}
