using System.Diagnostics;
using Clustd.Client.Testing;
using Clustd.Drivers;
using Clustd.Drivers.Ocf;
using Clustd.Drivers.Processes;
using Shouldly;
using Xunit;
using static Clustd.Tests.Drivers.Scratch;

namespace Clustd.Tests.Drivers.Ocf;

/// <summary>The OCF driver through the SDK, with the real agents of Debian's resource-agents, and with agents of the test's own for what real ones do not do on request.</summary>
[Collection("processes")]
public sealed class OcfDriverTests : IAsyncDisposable
{
    private FakeDaemon _daemon = FakeDaemon.Start();
    private readonly Scratch _scratch = new();
    private readonly List<string> _log = [];
    private OcfDriver? _driver;

    public async ValueTask DisposeAsync()
    {
        if (_driver is not null)
        {
            await _driver.DisposeAsync();
            await _driver.EndWatchAsync();
        }
        await _daemon.DisposeAsync();
        _scratch.Dispose();
    }

    [Fact]
    public async Task Dummy_is_started_watched_and_stopped()
    {
        await ConnectedAsync(Real("Dummy", ("state", _scratch.File("state"))));
        await _daemon.PromoteAsync();
        File.Exists(_scratch.File("state")).ShouldBeTrue();

        File.Delete(_scratch.File("state")); // It has crashed.
        await Eventually(() => File.Exists(_scratch.File("state")), "the agent to be started again");
        (await _daemon.HeardAsync("health")).Parameters.ToString().ShouldNotBeNull().ShouldContain("does not run any more (No process state file found)");

        await _daemon.DemoteAsync();
        File.Exists(_scratch.File("state")).ShouldBeFalse();
    }

    [Fact] // Wrong program: looks on the master alone, and what somebody starts on a standby runs twice.
    public async Task What_runs_on_a_standby_is_stopped()
    {
        await ConnectedAsync(Real("Dummy", ("state", _scratch.File("state"))));
        await (await _daemon.ConnectedAsync()).TriggerAsync(isMaster: false, token: 3);
        File.WriteAllText(_scratch.File("state"), "");
        await Eventually(() => !File.Exists(_scratch.File("state")), "the agent to be stopped");
    }

    [Fact]
    public async Task Anything_runs_a_process_and_ends_it()
    {
        await ConnectedAsync(Real("anything", ("binfile", "/bin/sleep"), ("cmdline_options", "1000"), ("pidfile", _scratch.File("pid"))));
        await _daemon.PromoteAsync();
        int pid = await _scratch.PidIn("pid");
        IsAlive(pid).ShouldBeTrue(); // The start script has long ended: what it left in the background lives on.
        Signal(pid, LinuxCalls.SIGKILL);
        // Its pid file without its process: to this agent that is a failure, and not "does not run".
        (await _daemon.HeardAsync("health")).Parameters.ToString().ShouldNotBeNull().ShouldContain("ocf:heartbeat:anything has failed: exit code 1 (OCF_ERR_GENERIC");
        int dead = pid;
        await Eventually(() => File.Exists(_scratch.File("pid")) && int.TryParse(File.ReadAllText(_scratch.File("pid")), out pid) && pid != dead, "the process to be started again");
        await _daemon.DemoteAsync();
        IsAlive(pid).ShouldBeFalse();
    }

    [Fact]
    public async Task IPaddr2_moves_an_address_inside_of_a_network_namespace()
    {
        using var network = NetworkNamespace.Make();
        await ConnectedAsync(Real("IPaddr2", ("ip", "10.98.76.5"), ("cidr_netmask", "24"), ("nic", "lo")), network.Guard);
        await _daemon.PromoteAsync();
        network.Run("ip", "-o", "address", "show", "dev", "lo").ShouldContain("10.98.76.5/24");

        network.Run("ip", "address", "del", "10.98.76.5/24", "dev", "lo");
        await Eventually(() => network.Run("ip", "-o", "address", "show", "dev", "lo").Contains("10.98.76.5/24"), "the address to come back");

        await _daemon.KillAsync(limit: TimeSpan.FromSeconds(20));
        network.Run("ip", "-o", "address", "show", "dev", "lo").ShouldNotContain("10.98.76.5");
    }

    [Fact] // Wrong program: waits for an agent for ever.
    public async Task An_agent_that_takes_too_long_is_killed_with_its_children()
    {
        await ConnectedAsync(Real("Delay", ("startdelay", "1000"), ("stopdelay", "0"), ("mondelay", "0")));
        var connection = await _daemon.ConnectedAsync();
        var clock = Stopwatch.StartNew();
        var answer = await connection.TriggerAsync(isMaster: true, token: 7, limitUs: 3_000_000);
        clock.Elapsed.ShouldBeLessThan(TimeSpan.FromSeconds(4));
        answer.Error.ShouldNotBeNull().Message.ShouldContain("it was killed with all that it started");
    }

    [Fact]
    public async Task A_hanging_stop_is_killed_with_what_has_left_its_session()
    {
        await ConnectedAsync(Own("start", "touch $OCF_RESKEY_state"));
        await _daemon.PromoteAsync();
        Write("stop", $"{_scratch.Daemonized("child")}; sleep 1000");
        var answer = await (await _daemon.ConnectedAsync()).TriggerAsync(isMaster: false, token: 1, limitUs: 3_000_000);
        answer.Error.ShouldNotBeNull().Message.ShouldContain("ocf:test:Thing: stop failed: no end within");
        IsAlive(await _scratch.PidIn("child")).ShouldBeFalse();
        Write("stop", "rm -f $OCF_RESKEY_state; exit 0");
    }

    [Theory]
    [InlineData("start", "echo 'ocf-exit-reason:the disk is missing' >&2; exit 5", "start failed: exit code 5 (OCF_ERR_INSTALLED, what it needs is not installed): the disk is missing. See what it says")]
    [InlineData("start", "echo oops; exit 1", "start failed: exit code 1 (OCF_ERR_GENERIC, it failed): oops.")]
    [InlineData("start", "exit 0", "It says that it has started, and its monitor says otherwise")]
    [InlineData("start", "kill -9 $$", "start failed: killed by signal 9.")]
    public async Task A_failed_start_is_told_with_the_name_of_its_code(string action, string script, string told)
    {
        await ConnectedAsync(Own(action, script));
        (await _daemon.PromoteAsync().ShouldThrowAsync<TriggerFailedException>()).Message.ShouldContain(told);
    }

    [Fact] // Two masters. Wrong program: believes a stop whose own monitor contradicts it.
    public async Task A_stop_that_has_stopped_nothing_is_no_stop()
    {
        await ConnectedAsync(Own("stop", "exit 0"));
        await _daemon.PromoteAsync();
        (await _daemon.DemoteAsync().ShouldThrowAsync<TriggerFailedException>()).Message.ShouldContain("It says that it has stopped, and its monitor says otherwise");
        Write("stop", "rm -f $OCF_RESKEY_state; exit 0");
    }

    [Fact] // Wrong program: starts on top of what has failed, though it may still be half there; or only tells.
    public async Task What_has_failed_is_stopped_and_started_again()
    {
        await ConnectedAsync(Own("monitor", "test -e $OCF_RESKEY_state.sick && exit 1; test -e $OCF_RESKEY_state || exit 7"));
        Write("stop", "rm -f $OCF_RESKEY_state $OCF_RESKEY_state.sick; exit 0");
        await _daemon.PromoteAsync();
        File.Delete(_scratch.File("state.calls"));
        File.WriteAllText(_scratch.File("state.sick"), "");
        (await _daemon.HeardAsync("health")).Parameters.ToString().ShouldNotBeNull().ShouldContain("ocf:test:Thing has failed: exit code 1");
        await Eventually(() => Calls().Count(call => call == "start") == 1, "the agent to be started again");
        Calls().Where(call => call != "monitor").ShouldBe(["stop", "start"]);
        (await _daemon.HeardAsync("health", after: 1)).Parameters.ToString().ShouldNotBeNull().ShouldContain("true");
    }

    [Fact] // Wrong program: a stop and a start for what they cannot mend.
    public async Task What_a_restart_cannot_mend_is_told_and_then_moves_the_service()
    {
        await ConnectedAsync(Own("monitor", "test -e $OCF_RESKEY_state.sick && exit 5; test -e $OCF_RESKEY_state || exit 7"));
        await _daemon.PromoteAsync();
        File.Delete(_scratch.File("state.calls"));
        File.WriteAllText(_scratch.File("state.sick"), "");
        (await _daemon.FailureAsync()).Reason.ShouldContain("monitor failed: exit code 5 (OCF_ERR_INSTALLED");
        Calls().Distinct().ShouldBe(["monitor"]);
        File.Delete(_scratch.File("state.sick"));
    }

    [Fact] // Wrong program: takes over what it does not hold, so that it outlives the lease.
    public async Task What_runs_already_when_this_process_starts_it_is_stopped_first()
    {
        await ConnectedAsync(Own("start", "touch $OCF_RESKEY_state"), tellsStateAtOnce: false);
        File.WriteAllText(_scratch.File("state"), "");
        await _daemon.PromoteAsync();
        Calls().ShouldBe(["monitor", "stop", "monitor", "start", "monitor"]);
    }

    [Fact] // Two masters. Wrong program: leaves the processes to the agent's stop, which hangs.
    public async Task At_the_end_of_the_lease_its_processes_are_gone_whatever_the_agent_does()
    {
        await ConnectedAsync(Own("start", $"{_scratch.Daemonized("app")}; while [ ! -s {_scratch.File("app")} ]; do sleep 0.02; done; touch $OCF_RESKEY_state"));
        await _daemon.PromoteAsync();
        int pid = await _scratch.PidIn("app");
        await Eventually(() => Calls().Count(call => call == "monitor") > 5, "some looks"); // The lease is renewed meanwhile.
        IsAlive(pid).ShouldBeTrue();
        Write("stop", "sleep 1000");
        _daemon.Grants = false;
        var clock = Stopwatch.StartNew();
        await Eventually(() => !IsAlive(pid), "the process to be killed");
        clock.Elapsed.ShouldBeLessThan(TimeSpan.FromSeconds(4)); // 0.9 s of lease and 0.5 s to kill, and what a loaded machine takes.
        Write("stop", "rm -f $OCF_RESKEY_state; exit 0");
    }

    [Fact] // Wrong program: believes that what the agent has stopped is all that it has started.
    public async Task What_a_stop_leaves_running_is_killed()
    {
        await ConnectedAsync(Own("start", $"{_scratch.Daemonized("app")}; touch $OCF_RESKEY_state"));
        await _daemon.PromoteAsync();
        int pid = await _scratch.PidIn("app");
        var clock = Stopwatch.StartNew();
        await _daemon.DemoteAsync();
        IsAlive(pid).ShouldBeFalse();
        clock.Elapsed.ShouldBeLessThan(TimeSpan.FromSeconds(10)); // The agent has had its time: the limit of 30 s is not for this.
    }

    [Fact]
    public async Task What_a_failed_start_leaves_running_is_killed()
    {
        await ConnectedAsync(Own("start", $"{_scratch.Daemonized("app")}; while [ ! -s {_scratch.File("app")} ]; do sleep 0.02; done; exit 1"));
        await _daemon.PromoteAsync().ShouldThrowAsync<TriggerFailedException>();
        int pid = await _scratch.PidIn("app");
        await Eventually(() => !IsAlive(pid), "the process to be killed");
    }

    [Fact]
    public async Task Its_processes_live_on_if_the_file_says_so()
    {
        await ConnectedAsync(Own("start", $"{_scratch.Daemonized("app")}; touch $OCF_RESKEY_state") with { HoldsProcesses = false });
        await _daemon.PromoteAsync();
        int pid = await _scratch.PidIn("app");
        await _daemon.DemoteAsync();
        IsAlive(pid).ShouldBeTrue();
        Signal(pid, LinuxCalls.SIGKILL);
    }

    [Fact] // Wrong program: waits for the next look.
    public async Task That_its_processes_have_ended_is_seen_at_once()
    {
        await ConnectedAsync(Own("start", $"setsid sh -c 'echo $$ > {_scratch.File("app")}; exec sleep 1000' & touch $OCF_RESKEY_state") with { MonitorEvery = TimeSpan.FromHours(1) });
        Write("monitor", $"test -e $OCF_RESKEY_state || exit 7; kill -0 $(cat {_scratch.File("app")}) || exit 7");
        await _daemon.PromoteAsync();
        int first = await _scratch.PidIn("app");
        Signal(first, LinuxCalls.SIGKILL);
        await Eventually(() => int.TryParse(File.ReadAllText(_scratch.File("app")), out int pid) && pid != first && IsAlive(pid), "the process to be started again");
    }

    [Fact]
    public async Task Something_that_crashes_again_and_again_is_left_to_another_machine()
    {
        await ConnectedAsync(Own("start", "touch $OCF_RESKEY_state; (sleep 0.4; rm -f $OCF_RESKEY_state) & exit 0"));
        await _daemon.PromoteAsync();
        (await _daemon.FailureAsync()).Reason.ShouldContain("was restarted 3 times within 60 s already");
    }

    [Fact]
    public async Task An_agent_gets_what_Pacemaker_would_give_it()
    {
        await ConnectedAsync(Own("start", "env > $OCF_RESKEY_state.env; touch $OCF_RESKEY_state"));
        await _daemon.PromoteAsync();
        string[] env = File.ReadAllLines(_scratch.File("state.env"));
        foreach (string line in (string[])
            [
                $"OCF_ROOT={_scratch.File("ocf")}", "OCF_RA_VERSION_MAJOR=1", "OCF_RESOURCE_INSTANCE=thing", "OCF_RESOURCE_TYPE=Thing", "OCF_RESOURCE_PROVIDER=test",
                $"OCF_RESKEY_state={_scratch.File("state")}", "OCF_RESKEY_CRM_meta_name=start", "OCF_RESKEY_CRM_meta_interval=0", "CLUSTD_MASTER=1", "CLUSTD_MACHINE=fake-1",
            ])
            env.ShouldContain(line);
        env.ShouldContain(line => line.StartsWith("PATH=") && line.Contains("/usr/sbin"));
    }

    [Fact]
    public async Task Wrong_parameters_start_nothing()
    {
        await ConnectedAsync(Real("Dummy", ("stat", "x")));
        (await _daemon.PromoteAsync().ShouldThrowAsync<TriggerFailedException>()).Message
            .ShouldBe("Parameter 'stat' is none of ocf:heartbeat:Dummy: its meta-data does not name it. Did you mean 'state'?");
    }

    [Fact]
    public async Task A_test_finds_out_without_starting_anything()
    {
        var good = await FindAsync(Real("Dummy", ("state", _scratch.File("state"))));
        good.ShouldAllBe(finding => finding.Level == FindingLevel.Good);
        good.ShouldContain(finding => finding.Subject == "timeouts" && finding.Text.StartsWith("the agent asks for 20 s to start and 20 s to stop"));
        good[^1].Text.ShouldBe("it does not run here now");
        File.Exists(_scratch.File("state")).ShouldBeFalse();

        (await FindAsync(Real("IPaddr2"))).ShouldContain(finding => finding.Level == FindingLevel.Bad && finding.Text.StartsWith("Parameter 'ip' is missing"));
        (await FindAsync(Real("Dummy", ("state", "/nowhere/state")))).ShouldContain(finding => finding.Level == FindingLevel.Bad && finding.Subject == "validate-all" && finding.Text.Contains("OCF_ERR_ARGS"));
        var away = Own("start", "") with { Agent = new OcfAgentName("test", "Away") };
        (await FindAsync(away)).ShouldContain(finding => finding.Level == FindingLevel.Bad && finding.Text.Contains("there is no "));
    }

    [Fact]
    public void Secrets_are_not_printed()
    {
        var options = Own("start", "") with { Parameters = new Dictionary<string, string> { ["password"] = "sesame" } };
        options.ToString().ShouldNotContain("sesame");
        options.Unprinted.ShouldContain("password=sesame");
    }

    private async Task ConnectedAsync(OcfDriverOptions options, GuardCommand? guard = null, bool tellsStateAtOnce = true)
    {
        if (!tellsStateAtOnce)
        {
            await _daemon.DisposeAsync();
            _daemon = FakeDaemon.Start(new FakeDaemonOptions { TellsStateAtOnce = false });
        }
        _driver = new OcfDriver(options, Host(guard));
        await _driver.ConnectAsync(TestContext.Current.CancellationToken);
    }

    private async Task<List<DriverFinding>> FindAsync(OcfDriverOptions options)
    {
        await using var driver = new OcfDriver(options, Host(null));
        return await driver.TestAsync(default).ToListAsync();
    }

    private DriverHost Host(GuardCommand? guard) => new()
    {
        Address = new Uri(_daemon.Url).Authority, Secret = _daemon.Options.Secret, Guard = guard ?? GuardProgram,
        Log = (_, text) => { lock (_log) _log.Add(text); },
    };

    private static OcfDriverOptions Real(string agent, params (string Name, string Value)[] parameters)
    {
        Assert.SkipUnless(File.Exists($"/usr/lib/ocf/resource.d/heartbeat/{agent}"), "the package resource-agents is not installed");
        Assert.SkipUnless(Environment.IsPrivilegedProcess, "agents need root");
        return new() { Agent = new("heartbeat", agent), Parameters = parameters.ToDictionary(each => each.Name, each => each.Value), MonitorEvery = TimeSpan.FromMilliseconds(500), Name = "thing" };
    }

    // An agent that is well, but for one action.
    private OcfDriverOptions Own(string action, string script)
    {
        string folder = _scratch.File("ocf/resource.d/test");
        Directory.CreateDirectory(folder);
        string file = Path.Combine(folder, "Thing");
        File.WriteAllText(file, $$"""
            #!/bin/sh
            echo $1 >> {{_scratch.File("state.calls")}}
            test -e {{folder}}/$1.sh && . {{folder}}/$1.sh
            case $1 in
                start) touch $OCF_RESKEY_state ;;
                stop) rm -f $OCF_RESKEY_state ;;
                monitor) test -e $OCF_RESKEY_state || exit 7 ;;
                meta-data) echo '<resource-agent name="Thing"><parameters><parameter name="state" required="1"/></parameters></resource-agent>' ;;
                *) exit 3 ;;
            esac
            """);
        File.SetUnixFileMode(file, (UnixFileMode)0x1ED); // 0755
        Write(action, script);
        return new()
        {
            Agent = new("test", "Thing"), Root = _scratch.File("ocf"), Name = "thing", MonitorEvery = TimeSpan.FromMilliseconds(300),
            Parameters = new Dictionary<string, string> { ["state"] = _scratch.File("state") },
        };
    }

    // The actions that were called, but meta-data.
    private string[] Calls() => File.Exists(_scratch.File("state.calls")) ? [.. File.ReadAllLines(_scratch.File("state.calls")).Where(call => call != "meta-data")] : [];

    private void Write(string action, string script) => File.WriteAllText(_scratch.File($"ocf/resource.d/test/{action}.sh"), script + "\n");

    private sealed class NetworkNamespace : IDisposable
    {
        private readonly string _name = $"clustd-ocf-{Environment.ProcessId}";

        /// <summary>A guard that lives in the namespace, and with it all that it starts.</summary>
        public GuardCommand Guard => new("/usr/bin/env", ["ip", "netns", "exec", _name, GuardProgram.File, "guard"]);

        public static NetworkNamespace Make()
        {
            Assert.SkipUnless(Environment.IsPrivilegedProcess, "only root may make a network namespace");
            var made = new NetworkNamespace();
            Assert.SkipUnless(Start("ip", "netns", "add", made._name).Code == 0, "network namespaces are not permitted here, or there is no `ip`");
            made.Run("ip", "link", "set", "lo", "up");
            return made;
        }

        public string Run(params string[] command) => Start(["ip", "netns", "exec", _name, .. command]).Output;

        public void Dispose() => Start("ip", "netns", "delete", _name);

        private static (int Code, string Output) Start(params string[] command)
        {
            using var process = Process.Start(new ProcessStartInfo("/usr/bin/env", command) { RedirectStandardOutput = true, UseShellExecute = false })!;
            string output = process.StandardOutput.ReadToEnd();
            process.WaitForExit();
            return (process.ExitCode, output);
        }
    }
}
