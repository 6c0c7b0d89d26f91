using Clustd.Client.Protocol;
using Clustd.Client.Testing;
using Clustd.Drivers;
using Clustd.Drivers.Fencing;
using Shouldly;
using Xunit;

namespace Clustd.Tests.Drivers;

/// <summary>The fence driver with the dummy agent of Debian's fence-agents, and with agents of the test that misbehave.</summary>
public sealed class FenceDriverTests : IAsyncDisposable
{
    private const string Dummy = "/usr/sbin/fence_dummy";

    private readonly FakeDaemon _daemon = FakeDaemon.Start();
    private readonly string _folder = Directory.CreateTempSubdirectory("clustd-fence-").FullName;
    private readonly List<string> _log = [];
    private FenceDriver? _driver;

    public async ValueTask DisposeAsync()
    {
        if (_driver is not null)
        {
            await _driver.DisposeAsync();
            await _driver.EndWatchAsync();
        }
        await _daemon.DisposeAsync();
        Directory.Delete(_folder, recursive: true);
    }

    [Fact]
    public async Task A_real_agent_turns_the_machine_off_and_is_asked_whether_it_is()
    {
        Assert.SkipUnless(File.Exists(Dummy), "fence_dummy is not there: install fence-agents");
        string status = Path.Combine(_folder, "status");
        await File.WriteAllTextAsync(status, "on", TestContext.Current.CancellationToken);
        var connection = await ConnectAsync(new FenceDriverOptions { Machine = "cm-2", Agent = "fence_dummy", Arguments = new Dictionary<string, string> { ["type"] = "file", ["status_file"] = status } });

        (await connection.TriggerAsync(true, 7, takesOverFrom: ["cm-3"])).Error.ShouldBeNull();
        (await File.ReadAllTextAsync(status, TestContext.Current.CancellationToken)).Trim().ShouldBe("on", "it is another machine that was lost");
        (await connection.TriggerAsync(false, 7)).Error.ShouldBeNull();

        (await connection.TriggerAsync(true, 8, takesOverFrom: ["cm-2", "cm-3"])).Error.ShouldBeNull();
        (await File.ReadAllTextAsync(status, TestContext.Current.CancellationToken)).Trim().ShouldBe("off");
    }

    [Fact] // Wrong program: takes exit code 0 of `off` for the machine being off.
    public async Task An_agent_that_only_says_so_is_not_believed()
    {
        var connection = await ConnectAsync(Scripted("case $action in off) exit 0;; status) echo still on; exit 0;; esac"));
        var answer = await connection.TriggerAsync(true, 7, limitUs: 1_500_000, takesOverFrom: ["cm-2"]);
        answer.Error.ShouldNotBeNull().Message.ShouldContain("still on");
        answer.Error!.Message.ShouldContain("clustd machine confirm-off cm-2");
        Calls().Count(call => call == "off").ShouldBeGreaterThanOrEqualTo(2, "it is tried again while there is time");
    }

    [Fact] // Wrong program: a password in the list of processes, in the log or in an error.
    public async Task A_password_reaches_the_agent_by_its_input_only()
    {
        var connection = await ConnectAsync(Scripted("""echo "password was $password" >&2; echo "$*" >> "$0.arguments"; exit 3""") with { Password = "hunter2-hunter2" });
        var answer = await connection.TriggerAsync(true, 7, limitUs: 500_000, takesOverFrom: ["cm-2"]);
        answer.Error.ShouldNotBeNull().Message.ShouldContain("password was (hidden)");
        _log.ShouldAllBe(line => !line.Contains("hunter2"));
        (await File.ReadAllTextAsync(Path.Combine(_folder, "agent.arguments"), TestContext.Current.CancellationToken)).Trim().ShouldBeEmpty();
        Scripted("exit 0").ToString().ShouldNotContain("hunter2");
    }

    [Fact] // Wrong program: an agent that hangs holds up the stop, or is left behind.
    public async Task An_agent_that_hangs_is_killed_at_the_limit()
    {
        var connection = await ConnectAsync(Scripted("""echo $$ > "$0.pid"; sleep 1000"""));
        (await connection.TriggerAsync(true, 7, limitUs: 1_000_000, takesOverFrom: ["cm-2"])).Error.ShouldNotBeNull();
        int pid = int.Parse((await File.ReadAllTextAsync(Path.Combine(_folder, "agent.pid"), TestContext.Current.CancellationToken)).Trim(), System.Globalization.CultureInfo.InvariantCulture);
        await EventuallyGoneAsync(pid);
    }

    [Fact]
    public async Task Its_test_says_what_the_device_says_and_turns_nothing_off()
    {
        var findings = new List<DriverFinding>();
        await foreach (var finding in Make(Scripted("case $action in monitor) exit 0;; status) exit 2;; *) exit 1;; esac")).TestAsync(TestContext.Current.CancellationToken)) findings.Add(finding);
        findings.Select(finding => (finding.Level, finding.Subject)).ShouldBe([(FindingLevel.Good, "agent"), (FindingLevel.Good, "device"), (FindingLevel.Good, "power of cm-2")]);
        Calls().ShouldBe(["monitor", "status"]);
    }

    private async Task<FakeConnection> ConnectAsync(FenceDriverOptions options)
    {
        await Make(options).ConnectAsync(TestContext.Current.CancellationToken);
        var connection = await _daemon.NextConnectionAsync();
        (await _daemon.HeardAsync(DriverMethods.Register)).Parameters.ToString().ShouldNotBeNull().ShouldContain("\"fences\":[\"cm-2\"]");
        return connection;
    }

    private FenceDriver Make(FenceDriverOptions options) => _driver = new FenceDriver(options, new DriverHost
    {
        Address = new Uri(_daemon.Url).Authority, Secret = _daemon.Options.Secret, Log = (_, line) => { lock (_log) _log.Add(line); },
    });

    private FenceDriverOptions Scripted(string script)
    {
        string path = Path.Combine(_folder, "agent");
        File.WriteAllText(path, $"""
            #!/bin/bash
            while IFS='=' read -r key value; do declare "$key=$value"; done
            echo "$action" >> "$0.calls"
            {script}
            """);
        File.SetUnixFileMode(path, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        return new FenceDriverOptions { Machine = "cm-2", Agent = path };
    }

    private string[] Calls() => File.ReadAllLines(Path.Combine(_folder, "agent.calls"));

    private static async Task EventuallyGoneAsync(int pid)
    {
        var deadline = DateTime.UtcNow.AddSeconds(30);
        while (Directory.Exists($"/proc/{pid}") && !File.ReadAllText($"/proc/{pid}/stat").Contains(") Z "))
        {
            (DateTime.UtcNow < deadline).ShouldBeTrue($"process {pid} of the agent is still there");
            await Task.Delay(20, TestContext.Current.CancellationToken);
        }
    }
}
