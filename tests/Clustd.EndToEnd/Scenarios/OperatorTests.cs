using System.Diagnostics;
using Clustd.EndToEnd.Harness;
using Shouldly;
using Xunit;

namespace Clustd.EndToEnd.Scenarios;

/// <summary>What a person at a terminal does.</summary>
public class OperatorTests(OperatorTests.Cluster cluster) : Scenario(cluster), IClassFixture<OperatorTests.Cluster>
{
    [Fact]
    public async Task Drain_with_wait_returns_when_the_machine_is_empty()
    {
        var (old, drained) = (Machines.Acts.Newest()!, Machines.Master);
        var finished = await Machines.Standbys[0].RunAsync("drain", drained.Id, "--wait");
        finished.ExitCode.ShouldBe(0, finished.Error);
        (await Machines.Standbys[0].StatusAsync())!.Service().Master.ShouldNotBe(drained.Id);
        (await Machines.NextTenureAsync(old)).Machine.ShouldNotBe(drained.Id);

        var refused = await drained.RunAsync("move", "default", drained.Id);
        refused.ExitCode.ShouldBe(1);
        refused.Error.ShouldContain("is drained");
        (await drained.RunAsync("why", drained.Id)).Out.ShouldContain("and drained");
        (await drained.RunAsync("undrain", drained.Id)).ExitCode.ShouldBe(0);
        (await drained.RunAsync("drain", "no-such-machine")).ExitCode.ShouldBe(1);
        Machines.Acts.ShouldNeverOverlap();
    }

    [Fact]
    public async Task Leadership_is_handed_over_and_no_service_moves()
    {
        var old = Machines.Acts.Newest()!;
        var leader = await Machines.LeaderAsync();
        var target = Machines.All.First(machine => machine != leader);
        var finished = await Machines.All[0].RunAsync("leader", target.Id);
        finished.ExitCode.ShouldBe(0, finished.Error);
        (await Machines.All[1].RunAsync("leader")).Out.ShouldContain($"{target.Id} leads");
        (await Machines.ShouldGoOnActingAsync(TimeSpan.FromSeconds(1))).Token.ShouldBe(old.Token);
    }

    [Fact]
    public async Task Pause_is_shown_until_it_is_over()
    {
        (await Machines.All[0].RunAsync("pause")).ExitCode.ShouldBe(0);
        await Eventually.IsTrue(async () => (await Machines.All[1].RunAsync("status")).Out.Contains("`clustd unpause` ends it", StringComparison.Ordinal), "the warning");
        (await Machines.All[2].RunAsync("unpause")).Out.ShouldContain("No longer paused");
    }

    // Catches: names that are made up, and a completion that waits for, or complains about, a daemon.
    [Theory]
    [InlineData("clustd move d", "default")]
    [InlineData("clustd drain cm-", "cm-1 cm-2 cm-3")]
    [InlineData("clustd exec --service de", "default")]
    public async Task Bash_completes_names_that_the_daemon_knows(string line, string words)
    {
        var machine = Machines.All[0];
        var finished = await ClustdProgram.RunAsync(
            ["bash", "--norc", "-c", $$"""
                PATH=$(dirname "$2"):$PATH
                source <(clustd completion bash)
                COMP_LINE=$1; COMP_POINT=${#1}; read -ra COMP_WORDS <<< "$1"; COMP_CWORD=$(( ${#COMP_WORDS[@]} - 1 ))
                _clustd; echo "${COMPREPLY[*]}"
                """, "bash", line, ClustdProgram.Path],
            new Dictionary<string, string>(machine.Environment) { ["CLUSTD_CONFIG"] = machine.ConfigPath });
        finished.ExitCode.ShouldBe(0, finished.Error);
        finished.Out.ShouldBe(words + "\n");
        finished.Error.ShouldBeEmpty();
    }

    // Catches: a watch that leaves what a dead daemon said last, one that ends with an error, and one that leaves the terminal without a cursor.
    [Fact]
    public async Task Watch_draws_in_place_says_when_the_daemon_is_lost_and_ends_with_0()
    {
        Assert.SkipUnless(File.Exists("/usr/bin/script"), "script (util-linux) is not installed");
        var machine = Machines.Standbys[0];
        var screen = Path.Combine(machine.Home, "screen");
        using var script = Process.Start(ClustdProgram.StartInfo(
            ["/bin/sh", "-c", $"exec script -qefc \"stty cols 100 rows 40; exec '{ClustdProgram.Path}' status --watch --config '{machine.ConfigPath}'\" '{screen}' >/dev/null 2>&1 </dev/null"],
            new Dictionary<string, string>(machine.Environment) { ["TERM"] = "xterm-256color" }))!;
        await Eventually.IsTrue(() => Text().Contains("\e[?1049h", StringComparison.Ordinal) && Text().Contains("seen from", StringComparison.Ordinal), "the first frame");
        Text().ShouldContain("\e[?2026h\e[H");

        machine.Signal(RunningProcess.SIGKILL, Role.Daemon);
        await Eventually.IsTrue(() => Text().Contains("No daemon answers", StringComparison.Ordinal), "the loss of the daemon is shown");
        var last = Text()[Text().LastIndexOf("\e[?2026h", StringComparison.Ordinal)..];
        last.ShouldContain("leader unknown");
        last.ShouldContain("Last known");

        foreach (var watch in machine.Processes().Where(process => process.Pid != script.Id && CommandLine(process.Pid).Contains("--watch", StringComparison.Ordinal) && CommandLine(process.Pid).StartsWith(ClustdProgram.Path, StringComparison.Ordinal))) watch.Signal(2);
        await ClustdProgram.EndOf(script);
        script.ExitCode.ShouldBe(0);
        Text().ShouldContain("\e[?25h\e[?1049l");

        string Text() => File.Exists(screen) ? File.ReadAllText(screen) : "";
    }

    [Fact]
    public async Task Watch_without_a_terminal_writes_a_line_for_each_change_and_never_a_frame()
    {
        var machine = Machines.All[0];
        var path = Path.Combine(machine.Home, "lines");
        using var watch = Process.Start(ClustdProgram.StartInfo(
            ["/bin/sh", "-c", $"exec '{ClustdProgram.Path}' status --watch --config '{machine.ConfigPath}' >'{path}' 2>&1 </dev/null"], machine.Environment))!;
        await Eventually.IsTrue(() => Lines().Any(line => line.Contains("service default: running on", StringComparison.Ordinal)), "the first lines");
        var before = Lines().Count;
        await Machines.ShouldGoOnActingAsync(TimeSpan.FromSeconds(2));
        Lines().Count.ShouldBe(before, "nothing has happened");
        await Machines.MoveSomewhereAsync();
        await Eventually.IsTrue(() => Lines().Count(line => line.Contains("service default: running on", StringComparison.Ordinal)) == 2, "the move");
        new RunningProcess(watch.Id, Role.App, "").Signal(2);
        await ClustdProgram.EndOf(watch);
        watch.ExitCode.ShouldBe(0);
        string.Concat(Lines()).ShouldNotContain('\e');

        IReadOnlyList<string> Lines() => File.Exists(path) ? File.ReadAllLines(path) : [];
    }

    private static string CommandLine(int pid)
    {
        try
        {
            return File.ReadAllText($"/proc/{pid}/cmdline").Replace('\0', ' ');
        }
        catch (IOException)
        {
            return "";
        }
    }

    public sealed class Cluster : SharedCluster
    {
        protected override ClusterPlan Plan => new();
    }
}
