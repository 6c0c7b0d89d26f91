using System.Diagnostics;
using System.Text.Json;
using Clustd.EndToEnd.Harness;
using Shouldly;
using Xunit;

namespace Clustd.EndToEnd.Scenarios;

/// <summary>The tarball of `./clustd publish`, as a user meets it: unpacked, installed, run with nothing of this build around it.</summary>
public sealed class ReleaseTests : IDisposable
{
    private static readonly string[] NothingElse = ["/usr/bin/env", "-i", "PATH=/usr/bin:/bin"];

    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("clustd-release-");

    private string Prefix => Path.Combine(_folder.FullName, "prefix");

    private string Installed => Path.Combine(Prefix, "bin", "clustd");

    // Catches: a file that the tarball lacks, a library that only this machine has, an install script that cannot be run twice.
    [Fact]
    public async Task The_tarball_installs_and_its_program_forms_a_cluster_of_one()
    {
        var release = await UnpackAsync();
        await InstallAsync(release);
        (await InstallAsync(release)).Out.ShouldContain("is installed"); // An update is the same command.
        var version = await RunAsync(Installed, "version");
        version.ExitCode.ShouldBe(0, version.Error);

        var port = Machines.FreePorts(1)[0];
        var config = Path.Combine(_folder.FullName, "config.yml");
        await File.WriteAllTextAsync(config, $$"""
            server: { bind_address: 127.0.0.1, bind_port: {{port}}, remote_address: 'ws://127.0.0.1:{{port}}', data_dir: {{_folder.FullName}}/data }
            cluster: { id: alone, secret: '{{ClusterPlan.GoodSecret}}', machines: ['ws://127.0.0.1:{{port}}'] }
            """);
        using var daemon = Process.Start(ClustdProgram.StartInfo(
            ["/bin/sh", "-c", "exec \"$@\" >\"$0\" 2>&1 </dev/null", Path.Combine(_folder.FullName, "log"), .. NothingElse, Installed, "run", "--config", config],
            new Dictionary<string, string>()))!;
        try
        {
            await Eventually.IsTrue(
                async () => await RunAsync(Installed, "status", "--config", config, "-o", "json") is { ExitCode: 0 } status && LeaderOf(status.Out) == "alone",
                "the machine leads itself");
        }
        finally
        {
            new RunningProcess(daemon.Id, Role.Daemon, "").Signal(RunningProcess.SIGTERM);
        }

        await daemon.WaitForExitAsync().WaitAsync(Eventually.Patience);
        daemon.ExitCode.ShouldBe(0, await File.ReadAllTextAsync(Path.Combine(_folder.FullName, "log")));
    }

    [Fact]
    public async Task The_units_name_what_was_installed_and_nothing_is_left_to_fill_in()
    {
        var release = await UnpackAsync();
        var units = Path.Combine(_folder.FullName, "units");
        (await RunAsync(Path.Combine(release, "install.sh"), "--prefix", Prefix, "--units", units, "--config", "/etc/clustd/here.yml")).ExitCode.ShouldBe(0);
        var daemon = await File.ReadAllTextAsync(Path.Combine(units, "clustd.service"));
        daemon.ShouldContain($"ExecStart={Prefix}/lib/clustd/clustd run --no-drivers --config /etc/clustd/here.yml");
        daemon.ShouldContain("Type=notify");
        (daemon + await File.ReadAllTextAsync(Path.Combine(units, "clustd-drivers.service"))).ShouldNotContain("@");
        File.Exists(Path.Combine(Prefix, "lib", "clustd", "clustd")).ShouldBeTrue();
    }

    // Catches: the home of whoever built it, in what everybody downloads.
    [Fact]
    public async Task The_program_does_not_say_where_it_was_built()
    {
        var release = await UnpackAsync();
        var source = new DirectoryInfo(AppContext.BaseDirectory.TrimEnd('/')).Parent!.Parent!.Parent!.Parent!.Parent!.FullName;
        (await RunAsync("/bin/grep", "-c", "-a", "-F", $"{source}/", Path.Combine(release, "clustd"))).Out.Trim().ShouldBe("0");
    }

    public void Dispose() => _folder.Delete(recursive: true);

    private static string? LeaderOf(string status) => JsonDocument.Parse(status).RootElement.GetProperty("leader").GetString();

    private static Task<Finished> RunAsync(params string[] command) => ClustdProgram.RunAsync([.. NothingElse, .. command]);

    private async Task<string> UnpackAsync()
    {
        var tarball = Environment.GetEnvironmentVariable("CLUSTD_TARBALL");
        Assert.SkipUnless(File.Exists(tarball), "There is no tarball: `./test` makes one with `./clustd publish`, which needs a native toolchain.");
        (await RunAsync("/bin/tar", "-xzf", tarball!, "-C", _folder.FullName)).ExitCode.ShouldBe(0);
        return Directory.GetDirectories(_folder.FullName, "clustd-*").ShouldHaveSingleItem();
    }

    private async Task<Finished> InstallAsync(string release)
    {
        var finished = await RunAsync(Path.Combine(release, "install.sh"), "--prefix", Prefix, "--no-units");
        finished.ExitCode.ShouldBe(0, finished.Error);
        return finished;
    }
}
