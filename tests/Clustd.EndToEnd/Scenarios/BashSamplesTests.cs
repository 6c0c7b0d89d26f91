using System.Diagnostics;
using Clustd.EndToEnd.Harness;
using Shouldly;
using Xunit;

namespace Clustd.EndToEnd.Scenarios;

/// <summary>The samples in bash, which stand on nothing but `clustd exec`, as the documents show them.</summary>
public class BashSamplesTests(BashSamplesTests.Cluster cluster) : Scenario(cluster), IClassFixture<BashSamplesTests.Cluster>
{
    [Fact]
    public async Task The_driver_in_thirty_lines_counts_on_the_master_and_nowhere_else()
    {
        var (master, other) = await MasterAndOtherAsync();
        using var first = new Sample(master, "bash/driver.sh", "job");
        await first.Says("job: start under token ");
        using var second = new Sample(other, "bash/driver.sh", "job", "--name", "bash-driver");
        await Eventually.IsTrue(async () => (await other.StatusAsync())?.HasDriver("bash-driver") == true, "the other driver is connected");
        second.Out.ShouldBeEmpty();

        await Eventually.IsTrue(async () => (await master.RunAsync("move", "job", other.Id)).ExitCode == 0, "the move");
        await second.Says("job: start under token ");
        first.Out.ShouldContain("job: stopped at ");
        first.Out.ShouldNotContain("job: stopped at 0\n");
    }

    // Wrong program: asks who is master and starts by itself: a move in between runs the job twice.
    [Fact]
    public async Task A_job_of_every_machine_s_crontab_runs_on_the_master_only()
    {
        var (master, _) = await MasterAndOtherAsync();
        var done = Path.Combine(Machines.Home, "rounds");
        foreach (var machine in Machines.All)
        {
            using var sample = new Sample(machine, "recipes/cron-job/on-master", "job", "sh", "-c", $"echo $CLUSTD_MACHINE $0 >> {done}", "two words");
            (await sample.ExitAsync()).ShouldBe(0);
        }
        File.ReadAllLines(done).ShouldBe([$"{master.Id} two words"]);
    }

    [Fact]
    public async Task Rounds_go_on_where_the_master_goes()
    {
        var (master, other) = await MasterAndOtherAsync();
        var (done, state) = (Path.Combine(Machines.Home, "every"), Path.Combine(Machines.Home, "state"));
        using var first = new Sample(master, "recipes/cron-job/every", "1", state, "job", "sh", "-c", $"echo $CLUSTD_MACHINE $CLUSTD_TOKEN >> {done}");
        using var second = new Sample(other, "recipes/cron-job/every", "1", state, "job", "sh", "-c", $"echo $CLUSTD_MACHINE $CLUSTD_TOKEN >> {done}");
        await Eventually.IsTrue(() => Rounds(done).Count(round => round.StartsWith(master.Id + " ", StringComparison.Ordinal)) >= 2, "two rounds on the master");
        await Eventually.IsTrue(async () => (await master.RunAsync("move", "job", other.Id)).ExitCode == 0, "the move");
        await Eventually.IsTrue(() => Rounds(done).Count(round => round.StartsWith(other.Id + " ", StringComparison.Ordinal)) >= 2, "two rounds on the other one");
        Rounds(done).Select(round => long.Parse(round.Split(' ')[1], System.Globalization.CultureInfo.InvariantCulture)).ShouldBeInOrder();

        // A master of yesterday, that comes late, finds a newer token in the file.
        File.WriteAllText(state, "0 9007199254740991\n");
        await second.Says("a newer master (token 9007199254740991) has been here");
        (await second.ExitAsync()).ShouldBe(1);
    }

    private static string[] Rounds(string path) => File.Exists(path) ? File.ReadAllLines(path) : [];

    private async Task<(Machine Master, Machine Other)> MasterAndOtherAsync()
    {
        var master = await Eventually.Gives(
            async () => await Machines.All[0].StatusAsync() is { IsKnown: true } status && status.Service("job") is { State: "running", Master: { } id } && status.Alive.Contains(id) ? Machines[id] : null,
            "a master of job");
        return (master, Machines.All.First(machine => machine != master));
    }

    /// <summary>A sample as a process of a machine, with `clustd` in its PATH.</summary>
    private sealed class Sample : IDisposable
    {
        private readonly Process _process;
        private readonly List<string> _lines = [];

        public Sample(Machine machine, string path, params string[] arguments)
        {
            // tests/Clustd.EndToEnd/bin/CONFIGURATION/FRAMEWORK -> samples
            var samples = Path.GetFullPath(Path.Combine(AppContext.BaseDirectory, "../../../../../samples"));
            var start = ClustdProgram.StartInfo([Path.Combine(samples, path), .. arguments], new Dictionary<string, string>(machine.Environment)
            {
                ["CLUSTD_CONFIG"] = machine.ConfigPath, ["CLUSTD_API"] = $"http://{machine.Address}:{machine.Port}", ["PATH"] = $"{Path.GetDirectoryName(ClustdProgram.Path)}:{Environment.GetEnvironmentVariable("PATH")}",
            });
            (start.RedirectStandardOutput, start.RedirectStandardError) = (true, true);
            _process = Process.Start(start)!;
            _process.OutputDataReceived += (_, line) => Add(line.Data);
            _process.ErrorDataReceived += (_, line) => Add(line.Data);
            _process.BeginOutputReadLine();
            _process.BeginErrorReadLine();
        }

        /// <summary>What the script itself has said; what exec says begins with its own name.</summary>
        public string Out
        {
            get { lock (_lines) return string.Concat(_lines.Where(line => !line.StartsWith("clustd", StringComparison.Ordinal)).Select(line => line + "\n")); }
        }

        public Task Says(string words) => Eventually.IsTrue(() => Out.Contains(words, StringComparison.Ordinal), $"the sample says '{words}'");

        public async Task<int> ExitAsync()
        {
            await ClustdProgram.EndOf(_process);
            return _process.ExitCode;
        }

        public void Dispose()
        {
            if (!_process.HasExited)
            {
                new RunningProcess(_process.Id, Role.App, "").Signal(RunningProcess.SIGTERM);
                _process.WaitForExit(TimeSpan.FromSeconds(30));
            }
            _process.Dispose();
        }

        private void Add(string? line)
        {
            lock (_lines)
            {
                if (line is not null)
                    _lines.Add(line);
            }
        }
    }

    public sealed class Cluster : SharedCluster
    {
        protected override ClusterPlan Plan => new() { Rest = "services: { default: {}, job: {} }\n" + ClusterPlan.SupervisedApp };
    }
}
