using Clustd.EndToEnd.Harness;
using Shouldly;
using Xunit;

namespace Clustd.EndToEnd.Scenarios;

/// <summary>`clustd exec`: a command that runs on the master only, and is stopped for certain.</summary>
public class ExecTests(ExecTests.Cluster cluster) : Scenario(cluster), IClassFixture<ExecTests.Cluster>
{
    // A whole family: the command, a child in a session of its own whose parent is gone, and one that ignores TERM. Each acts as what it is: one app.
    private static readonly string Family = $"trap '' TERM; (setsid sh -c 'trap \"\" TERM; echo grandchild $$; sleep 1000 & wait' &); echo child; exec bash {ClusterPlan.ActsScript}";

    [Theory]
    [InlineData("exit 0", 0)]
    [InlineData("exit 42", 42)]
    [InlineData("kill -9 $$", 137)]
    public async Task Its_exit_code_is_that_of_the_command(string script, int code)
    {
        using var exec = ExecProcess.Start(await MasterOfJobAsync(), "", "--service", "job", "--", "sh", "-c", script);
        (await exec.ExitAsync()).ShouldBe(code, exec.Error);
    }

    [Fact]
    public async Task The_command_has_its_streams_its_words_and_what_it_needs_to_know()
    {
        var machine = await MasterOfJobAsync();
        using var exec = ExecProcess.Start(
            machine, "a line from stdin\n", "--service", "job", "--", "sh", "-c", "cat; echo to stderr >&2; echo $CLUSTD_SERVICE $CLUSTD_MASTER $CLUSTD_MACHINE; echo $CLUSTD_TOKEN; echo \"$1\"", "sh", "@two words --service -h");
        (await exec.ExitAsync()).ShouldBe(0, exec.Error);
        var lines = exec.Out.Split('\n');
        lines[0].ShouldBe("a line from stdin");
        lines[1].ShouldBe($"job 1 {machine.Id}");
        long.Parse(lines[2], System.Globalization.CultureInfo.InvariantCulture).ShouldBe((await machine.StatusAsync())!.Service("job").Token!.Value);
        lines[3].ShouldBe("@two words --service -h");
        exec.Error.ShouldContain("to stderr");
    }

    [Theory]
    [InlineData(127, "no such program", "--service", "job", "--", "no-such-program")]
    [InlineData(126, "Permission denied", "--service", "job", "--", "/etc/passwd")]
    [InlineData(1, "the cluster has no such service", "--service", "jib", "--", "true")]
    public async Task What_cannot_run_ends_with_a_code_of_its_own_and_says_why(int code, string said, params string[] arguments)
    {
        var machine = await MasterOfJobAsync();
        using var exec = ExecProcess.Start(machine, "", arguments);
        (await exec.ExitAsync()).ShouldBe(code);
        exec.Error.ShouldContain(said);
        exec.Error.ShouldNotContain("   at "); // a stack trace is nothing for whoever runs commands
        (await machine.StatusAsync())!.Service("jib").State.ShouldBe("none");
    }

    // Catches: an exec that only kills its own child, or that trusts the command to hear TERM; and one that ends, instead of waiting to become master again.
    [Fact]
    public async Task When_the_lease_is_lost_the_whole_family_is_dead_before_another_one_starts()
    {
        var (master, other) = await MasterAndOtherOfJobAsync();
        using var first = ExecProcess.Start(master, "", "--service", "job", "--", "sh", "-c", Family);
        var old = await ActsOfJobAsync(master);
        await Eventually.IsTrue(() => first.Out.Contains("grandchild", StringComparison.Ordinal), "the grandchild");
        using var second = ExecProcess.Start(other, "", "--service", "job", "--", "sh", "-c", Family);
        await second.Says("waiting to become the master of 'job'");

        master.Signal(RunningProcess.SIGSTOP, Role.Daemon);
        var next = await Eventually.Gives(() => Machines.Acts.Newest("job") is { } newest && newest.Token > old.Token ? newest : null, "the other exec's command");

        next.Machine.ShouldBe(other.Id);
        IsAlive(Grandchild(first)).ShouldBeFalse("it was told to hold on to life, and nothing but KILL ends it");
        first.IsRunning.ShouldBeTrue("it waits to become master again");
        Machines.Acts.ShouldNeverOverlap();

        master.Signal(RunningProcess.SIGCONT, Role.Daemon);
        await EndAsync(first, second);
    }

    // Catches: a command that outlives its exec, which a second exec would then run beside it.
    [Fact]
    public async Task After_SIGKILL_of_exec_nothing_of_the_command_is_left()
    {
        var master = await MasterOfJobAsync();
        using var exec = ExecProcess.Start(master, "", "--service", "job", "--", "sh", "-c", Family);
        await ActsOfJobAsync(master);
        await Eventually.IsTrue(() => exec.Out.Contains("grandchild", StringComparison.Ordinal), "the grandchild");
        IsAlive(Grandchild(exec)).ShouldBeTrue();

        exec.Signal(RunningProcess.SIGKILL);
        await Eventually.IsTrue(() => !IsAlive(Grandchild(exec)), "the grandchild is dead", TimeSpan.FromSeconds(5));
        var last = Machines.Acts.Newest("job")!.LastAt;
        using var again = ExecProcess.Start(master, "", "--service", "job", "--", "true");
        (await again.ExitAsync()).ShouldBe(0, again.Error);
        Machines.Acts.Newest("job")!.LastAt.ShouldBeLessThan(last + 2_000_000, "nobody acts any more");
        Machines.Acts.ShouldNeverOverlap();
    }

    [Fact]
    public async Task SIGTERM_lets_the_command_clean_up_and_its_code_is_passed_on()
    {
        using var exec = ExecProcess.Start(await MasterOfJobAsync(), "", "--service", "job", "--", "sh", "-c", "trap 'echo cleaned; exit 9' TERM; echo ready; while :; do sleep 0.05; done");
        await Eventually.IsTrue(() => exec.Out.Contains("ready", StringComparison.Ordinal), "the command");
        exec.Signal(RunningProcess.SIGTERM);
        (await exec.ExitAsync()).ShouldBe(9, exec.Error);
        exec.Out.ShouldBe("ready\ncleaned\n");
    }

    [Fact]
    public async Task SIGTERM_while_it_waits_ends_it_as_a_signal_does()
    {
        var (_, other) = await MasterAndOtherOfJobAsync();
        using var keeps = ExecProcess.Start(await MasterOfJobAsync(), "", "--service", "job", "--", "sleep", "1000");
        await keeps.Says("starts");
        using var waits = ExecProcess.Start(other, "", "--service", "job", "--", "touch", Path.Combine(other.Home, "ran"));
        await waits.Says("waiting to become the master of 'job'");
        waits.Signal(RunningProcess.SIGTERM);
        (await waits.ExitAsync()).ShouldBe(143, waits.Error);
        File.Exists(Path.Combine(other.Home, "ran")).ShouldBeFalse();
        await EndAsync(keeps);
    }

    // Catches: a job that is failed over for ever, and a waiting exec that is never told that the one before it has ended.
    [Fact]
    public async Task Those_that_wait_get_their_turn_once_each()
    {
        await MasterOfJobAsync();
        var done = Path.Combine(Machines.Home, "done");
        List<ExecProcess> all = [.. Machines.All.Select(machine => ExecProcess.Start(machine, "", "--service", "job", "--", "sh", "-c", $"sleep 0.2; echo $CLUSTD_MACHINE >> {done}"))];
        foreach (var exec in all) (await exec.ExitAsync()).ShouldBe(0, exec.Error);
        File.ReadAllLines(done).Order(StringComparer.Ordinal).ShouldBe(["cm-1", "cm-2", "cm-3"]);
        all.ForEach(exec => exec.Dispose());
        Machines.Acts.ShouldNeverOverlap();
    }

    [Fact]
    public async Task With_once_a_lost_mastership_is_the_end_and_says_so()
    {
        var (master, other) = await MasterAndOtherOfJobAsync();
        using var exec = ExecProcess.Start(master, "", "--service", "job", "--once", "--", "sleep", "1000");
        await exec.Says("starts");
        using var next = ExecProcess.Start(other, "", "--service", "job", "--", "sleep", "1000");
        await next.Says("waiting to become the master of 'job'");
        await Eventually.IsTrue(async () => (await master.RunAsync("move", "job", other.Id)).ExitCode == 0, "the move");
        (await exec.ExitAsync()).ShouldBe(75, exec.Error);
        exec.Error.ShouldContain("the mastership of 'job' is lost");
        await EndAsync(next);
    }

    private static async Task EndAsync(params ExecProcess[] all)
    {
        foreach (var exec in all) exec.Signal(RunningProcess.SIGTERM);
        foreach (var exec in all) await exec.ExitAsync();
    }

    private async Task<Machine> MasterOfJobAsync() => (await MasterAndOtherOfJobAsync()).Master;

    private async Task<(Machine Master, Machine Other)> MasterAndOtherOfJobAsync()
    {
        var master = await Eventually.Gives(
            async () => await Machines.All[0].StatusAsync() is { IsKnown: true } status && status.Service("job") is { State: "running", Master: { } id } && status.Alive.Contains(id) ? Machines[id] : null,
            "a master of job");
        return (master, Machines.All.First(machine => machine != master));
    }

    private Task<Tenure> ActsOfJobAsync(Machine machine) => Eventually.Gives(() => Machines.Acts.Newest("job") is { } newest && newest.Machine == machine.Id && newest.LastAt > ActObserver.Now - 200_000 ? newest : null, "the command acts");

    private static int Grandchild(ExecProcess exec) => int.Parse(exec.Out.Split('\n').Single(line => line.StartsWith("grandchild ", StringComparison.Ordinal))["grandchild ".Length..], System.Globalization.CultureInfo.InvariantCulture);

    private static bool IsAlive(int pid)
    {
        try
        {
            return !File.ReadAllText($"/proc/{pid}/stat").Contains(") Z ", StringComparison.Ordinal);
        }
        catch (IOException)
        {
            return false;
        }
    }

    public sealed class Cluster : SharedCluster
    {
        protected override ClusterPlan Plan => new() { Rest = "services: { default: {}, job: {} }\n" + ClusterPlan.SupervisedApp };
    }
}
