using Clustd.Cli;
using Clustd.Config;
using Clustd.Tests.Store;
using Shouldly;
using Xunit;

namespace Clustd.Tests.Cli;

public sealed class CommandLineTests : IDisposable
{
    private readonly TemporaryDirectory _folder = new();
    private readonly CommandBench _bench = new();

    public void Dispose() => _folder.Dispose();

    // Catches: the library's own exit code 1 for a usage error, which is "refused" here.
    [Theory]
    [InlineData("statsu")]
    [InlineData("move")]
    [InlineData("move", "web", "cm-1", "cm-2")]
    [InlineData("init")]
    [InlineData("status", "--unknown")]
    [InlineData("status", "-o", "xml")]
    [InlineData("check", "--config")]
    [InlineData("demo", "--lease", "5")]
    [InlineData("events", "--since", "yesterday")]
    [InlineData("drain")]
    [InlineData("exec", "--service", "web")]
    [InlineData("exec", "--order", "first", "--", "true")]
    [InlineData("completion", "tcsh")]
    [InlineData("machine")]
    [InlineData("machine", "add")]
    public async Task A_wrong_command_line_ends_with_2_and_one_line_on_stderr(params string[] args)
    {
        (await _bench.RunAsync(args)).ShouldBe(ExitCodes.Usage);
        _bench.Out.ShouldBeEmpty();
        _bench.Error.ShouldStartWith("error: Cannot run `clustd");
        _bench.Error.TrimEnd('\n').ShouldNotContain('\n');
    }

    [Fact]
    public async Task A_misspelt_command_is_answered_with_the_nearest_one()
    {
        await _bench.RunAsync("statsu");
        _bench.Error.ShouldBe("error: Cannot run `clustd statsu`: there is no such command. Did you mean `clustd status`?\n");
    }

    [Fact]
    public async Task Without_a_command_there_is_help_and_2()
    {
        (await _bench.RunAsync()).ShouldBe(ExitCodes.Usage);
        _bench.Out.ShouldContain("clustd COMMAND");
    }

    // Catches: a first group that grows a command nobody meets first, and a hidden command that shows.
    [Fact]
    public async Task Help_shows_what_one_meets_first_and_nothing_that_is_internal()
    {
        (await _bench.RunAsync("--help")).ShouldBe(ExitCodes.Done);
        var words = _bench.Out.Split('\n').Where(line => line.StartsWith("  ", StringComparison.Ordinal)).Select(line => line.Trim().Split(' ')[0]).ToList();
        words.ShouldBe([
            "clustd", "init", "run", "status", "move", "why", "demo",
            "drivers", "driver", "exec", "check", "secret", "events", "drain", "undrain", "pause", "unpause", "restart", "stop", "machine", "leader", "completion", "version",
        ]);
        _bench.Out.ShouldNotContain("guard");
        _bench.Out.ShouldNotContain("complete ");
        _bench.Out.Split('\n').Max(line => line.Length).ShouldBeLessThanOrEqualTo(96);
    }

    [Theory]
    [InlineData("run")]
    [InlineData("status")]
    [InlineData("move", "web")]
    [InlineData("events")]
    [InlineData("drivers")]
    [InlineData("check")]
    [InlineData("why")]
    [InlineData("drain", "cm-1")]
    [InlineData("undrain", "cm-1")]
    [InlineData("pause")]
    [InlineData("unpause")]
    [InlineData("leader")]
    [InlineData("machine", "list")]
    [InlineData("machine", "add", "cm-4")]
    [InlineData("status", "--watch")]
    [InlineData("exec", "--", "true")]
    public async Task A_configuration_that_is_not_there_ends_with_2(params string[] args)
    {
        (await _bench.RunAsync([args[0], "--config", _folder.File("none.yml"), .. args[1..]])).ShouldBe(ExitCodes.Usage);
        (_bench.Error + _bench.Out).ShouldContain("does not exist");
    }

    [Theory]
    [InlineData("status")]
    [InlineData("move", "web")]
    [InlineData("events")]
    [InlineData("why", "web")]
    [InlineData("drain", "cm-1", "--wait")]
    [InlineData("undrain", "cm-1")]
    [InlineData("pause")]
    [InlineData("unpause")]
    [InlineData("leader", "cm-1")]
    [InlineData("machine", "list")]
    [InlineData("machine", "remove", "cm-1")]
    public async Task Without_a_daemon_it_ends_with_3_and_says_how_to_start_one(params string[] args)
    {
        var config = _folder.File("config.yml");
        // Port 1 of loopback: nobody listens there, and an unprivileged test cannot be surprised by another one's daemon.
        await File.WriteAllTextAsync(config, $"server: {{ bind_address: 127.0.0.1, bind_port: 1, remote_address: 'ws://127.0.0.1:1' }}\ncluster: {{ secret: {Config.ConfigTestWorld.GoodSecret}, id: cm-1, machines: [] }}\n", TestContext.Current.CancellationToken);
        (await _bench.RunAsync([.. args, "--config", config])).ShouldBe(ExitCodes.NoQuorum);
        _bench.Out.ShouldBeEmpty();
        _bench.Error.ShouldBe($"error: No daemon answers at 127.0.0.1:1: connection refused. Start it with `clustd run --config {config}`, or name its configuration with --config.\n");
    }

    [Fact]
    public async Task Init_writes_a_file_that_only_its_owner_reads_and_that_check_finds_valid()
    {
        var config = _folder.File("config.yml");
        (await _bench.RunAsync("init", "10.0.0.1", "10.0.0.2", "10.0.0.3", "--config", config)).ShouldBe(ExitCodes.Done);
        File.GetUnixFileMode(config).ShouldBe(UnixFileMode.UserRead | UnixFileMode.UserWrite);
        _bench.Out.ShouldContain("clustd check");
        _bench.Out.ShouldContain("3 machines tolerate 1 failure.");

        var check = new CommandBench();
        CheckCommand.Check(config, Config.ConfigTestWorld.Machine(), check.Terminal).ShouldBe(ExitCodes.Done);
        check.Out.ShouldContain("is valid: machine node-1 at 10.0.0.1:3001, 3 machines");
    }

    // Catches: an init that replaces the secret of a running cluster.
    [Fact]
    public async Task Init_does_not_overwrite_unless_told_to()
    {
        var config = _folder.File("config.yml");
        await File.WriteAllTextAsync(config, "precious", TestContext.Current.CancellationToken);
        (await _bench.RunAsync("init", "10.0.0.1", "--config", config)).ShouldBe(ExitCodes.Refused);
        (await File.ReadAllTextAsync(config, TestContext.Current.CancellationToken)).ShouldBe("precious");
        _bench.Error.ShouldContain("--force");

        (await _bench.RunAsync("init", "10.0.0.1", "--force", "--config", config)).ShouldBe(ExitCodes.Done);
        File.GetUnixFileMode(config).ShouldBe(UnixFileMode.UserRead | UnixFileMode.UserWrite);
        Directory.GetFiles(_folder.Path).ShouldBe([config]);
    }

    [Fact]
    public async Task Init_with_addresses_that_form_no_cluster_ends_with_2_and_writes_nothing()
    {
        (await _bench.RunAsync("init", "10.0.0.1", "10.0.0.1", "--config", _folder.File("config.yml"))).ShouldBe(ExitCodes.Usage);
        _bench.Error.ShouldContain("given twice");
        Directory.GetFiles(_folder.Path).ShouldBeEmpty();
    }

    // Catches: a driver file of 2018 that is called an invalid daemon's file.
    [Fact]
    public async Task Check_takes_driver_files_too()
    {
        var file = _folder.File("driver.yml");
        await File.WriteAllTextAsync(file, $"host: 127.0.0.1:3001\nsecret: {Config.ConfigTestWorld.GoodSecret}\nscript: {{ start: ./a, stop: ./b }}\n", TestContext.Current.CancellationToken);
        (await _bench.RunAsync("check", "--config", file)).ShouldBe(ExitCodes.Done);
        _bench.Out.ShouldContain("1 driver for the daemon at 127.0.0.1:3001");
    }

    [Fact]
    public async Task Check_of_an_invalid_file_ends_with_2_and_shows_all_errors()
    {
        var file = _folder.File("config.yml");
        await File.WriteAllTextAsync(file, "cluster: { secrte: x, lease: soon }\n", TestContext.Current.CancellationToken);
        (await _bench.RunAsync("check", "--config", file)).ShouldBe(ExitCodes.Usage);
        _bench.Out.ShouldContain("secrte");
        _bench.Out.ShouldContain("lease");
    }

    [Fact]
    public async Task A_secret_is_another_one_each_time_and_strong_enough()
    {
        await _bench.RunAsync("secret");
        await _bench.RunAsync("secret");
        var secrets = _bench.Out.Split('\n', StringSplitOptions.RemoveEmptyEntries);
        secrets.Distinct().Count().ShouldBe(2);
        SecretStrength.Bits(secrets[0]).ShouldBeGreaterThan(SecretStrength.BitsMin);
    }

    [Fact]
    public async Task Version_speaks_json()
    {
        (await _bench.RunAsync("version", "-o", "json")).ShouldBe(ExitCodes.Done);
        System.Text.Json.JsonDocument.Parse(_bench.Out).RootElement.GetProperty("version").GetString().ShouldBe(ProductVersion.Text);
    }
}
