using Clustd.Cli;
using Shouldly;
using Xunit;

namespace Clustd.Tests.Cli;

/// <summary>`clustd driver test`, on files of this test's own.</summary>
public sealed class DriverCommandTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("clustd-driver-test-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact] // Wrong program: tests the first driver only, or says good of a folder that is not there.
    public async Task All_drivers_are_tested_and_a_bad_one_is_an_error()
    {
        var bench = new CommandBench(width: 80);
        (await bench.RunAsync("driver", "test", "--config", File("shell: { run: ./web }, shell: { run: ./web, name: lost, cwd: /nowhere/at-all }"))).ShouldBe(ExitCodes.Refused);
        bench.Out.ShouldContain("default-shell (shell, service default, stops for certain)\n  good    shell: /bin/sh\n");
        bench.Out.ShouldContain("\n\nlost (shell");
        bench.Out.ShouldContain("  bad     cwd: '/nowhere/at-all' is no folder");
        bench.Out.Split('\n').ShouldAllBe(line => line.Length <= 80);
    }

    [Fact]
    public async Task One_driver_is_tested_by_its_name_and_a_program_can_read_it()
    {
        var bench = new CommandBench();
        (await bench.RunAsync("driver", "test", "two", "-o", "json", "--config", File("shell: { run: a, name: one, cwd: /nowhere/at-all }, shell: { start: a, name: two }"))).ShouldBe(ExitCodes.Done);
        bench.Out.ShouldStartWith("""[{"name":"two","kind":"shell","service":"default","stopsForCertain":false,"findings":[{"level":"good",""");
        bench.Out.ShouldContain("\"level\":\"doubt\",\"subject\":\"stop\"");
    }

    [Fact]
    public async Task A_name_that_is_not_there_is_answered_with_those_that_are()
    {
        var bench = new CommandBench();
        (await bench.RunAsync("driver", "test", "default-shel", "--config", File("shell: { run: a }"))).ShouldBe(ExitCodes.Usage);
        bench.Error.ShouldContain("There is no driver 'default-shel'");
        bench.Error.ShouldContain("Did you mean 'default-shell'?");
    }

    [Theory]
    [InlineData("watchdog")]
    [InlineData(null)]
    public async Task The_machines_watchdog_is_tested_too(string? name)
    {
        var path = Path.Combine(_folder, "config.yml");
        System.IO.File.WriteAllText(path, "cluster: { secret: 0123456789abcdefghijKLMNOPQRSTUV, id: a }\nserver: { bind_address: 127.0.0.1 }\nwatchdog: { device: /nowhere/watchdog }\n");
        var bench = new CommandBench(width: 80);
        (await bench.RunAsync([.. (string[])["driver", "test"], .. name is null ? [] : (string[])[name], "--config", path])).ShouldBe(ExitCodes.Refused);
        bench.Out.ShouldStartWith("watchdog (/nowhere/watchdog, 1s, of this machine)\n  bad     device: /nowhere/watchdog is not there.");
    }

    private string File(string drivers)
    {
        string path = Path.Combine(_folder, "driver.yml");
        System.IO.File.WriteAllText(path, $"{{ host: 'ws://127.0.0.1:1', secret: x, drivers: [ {drivers} ] }}");
        return path;
    }
}
