using System.Diagnostics;
using System.Text.Json;
using Clustd.Client.Protocol;
using Clustd.Client.Testing;
using Clustd.Drivers;
using Clustd.Drivers.Docker;
using Clustd.Drivers.Holding;
using Clustd.Drivers.Processes;
using Shouldly;
using Xunit;
using static Clustd.Tests.Drivers.Scratch;

namespace Clustd.Tests.Drivers.Docker;

/// <summary>The docker driver with the real Podman. Looks that nobody rings for come once an hour here: what is seen at once, is seen by an event.</summary>
[Collection("processes")]
public sealed class DockerDriverTests(RealPodman podman) : IClassFixture<RealPodman>, IAsyncLifetime
{
    private static readonly StateDriverTerms Terms = new() { LookEvery = TimeSpan.FromHours(1) };

    private readonly FakeDaemon _daemon = FakeDaemon.Start();
    private readonly List<string> _log = [];
    private DockerDriver? _driver;

    public ValueTask InitializeAsync()
    {
        Assert.SkipWhen(podman.WhyNot is not null, podman.WhyNot ?? "");
        return ValueTask.CompletedTask;
    }

    public async ValueTask DisposeAsync()
    {
        if (_driver is not null)
        {
            await _driver.DisposeAsync();
            await _driver.EndWatchAsync();
        }
        await _daemon.DisposeAsync();
    }

    [Fact]
    public async Task A_container_runs_while_this_machine_is_the_master()
    {
        await podman.CreateAsync("web", "/bin/sh", "-c", "trap 'exit 0' TERM; while :; do sleep 0.1; done");
        var connection = await ConnectAsync("web");
        connection.Registration.Stop.ShouldBe(RegisterParams.StopCertain);
        await _daemon.PromoteAsync();
        (await podman.LookAsync("web")).State.Running.ShouldBeTrue();
        var cgroup = await podman.CgroupAsync("web");
        await _daemon.DemoteAsync();
        (await podman.LookAsync("web")).IsStopped.ShouldBeTrue();
        cgroup.IsEmpty.ShouldBeTrue();
        _driver!.GuardPid.ShouldBeNull();
    }

    [Fact] // Wrong program: looks now and then only; a container that somebody stops stays down until the next look.
    public async Task One_that_somebody_stops_is_started_again_at_once_and_told()
    {
        await MasterAsync("web");
        await podman.SomebodyAsync(engine => engine.StopAsync("web", TimeSpan.Zero, default));
        (await _daemon.HeardAsync(DriverMethods.Health)).Parameters.ToString().ShouldNotBeNull().ShouldContain("restart 1 of 3");
        await IsEventuallyAsync("web", state => state.State.Running);
    }

    [Fact] // Two masters. Wrong program: looks after the containers of masters only.
    public async Task One_that_somebody_starts_on_a_standby_is_stopped_at_once()
    {
        await podman.CreateAsync("web", "/bin/sleep", "1000");
        await ConnectAsync("web");
        await Eventually(() => _daemon.Triggers.Any(told => told is { IsMaster: false, Acknowledged: true }), "the clean slate");
        await Task.Delay(500); // until the events are listened to
        await podman.SomebodyAsync(engine => engine.StartAsync("web", default));
        (await _daemon.HeardAsync(DriverMethods.Health)).Parameters.ToString().ShouldNotBeNull().ShouldContain("although this machine is not the master");
        await IsEventuallyAsync("web", state => state.IsStopped);
    }

    [Fact] // Two masters. Wrong program: gives a container that ignores TERM the engine's ten seconds, whatever the lease says.
    public async Task One_that_does_not_stop_is_killed_within_the_kill_timeout()
    {
        await podman.CreateAsync("web", "/bin/sh", "-c", "trap '' TERM; while :; do sleep 1; done");
        await ConnectAsync("web");
        await _daemon.PromoteAsync();
        var cgroup = await podman.CgroupAsync("web");
        long began = Now, gone = 0;
        var seen = Task.Run(async () =>
        {
            await Eventually(() => cgroup.IsEmpty, "the end of the container");
            gone = Now;
        });
        await _daemon.KillAsync();
        await seen;
        (gone - began).ShouldBeLessThan(3 * Second);
    }

    [Fact] // Two masters. Wrong program: relies on an engine that answers when the lease is over.
    public async Task Without_an_answer_from_the_engine_it_is_killed_all_the_same()
    {
        await MasterAsync("web");
        var cgroup = await podman.CgroupAsync("web");
        Signal(podman.Pid, 19);
        try
        {
            (await _daemon.KillAsync().ShouldThrowAsync<TriggerFailedException>()).Message.ShouldContain("Cannot stop container web");
            cgroup.IsEmpty.ShouldBeTrue();
        }
        finally
        {
            Signal(podman.Pid, LinuxCalls.SIGCONT);
        }
    }

    [Fact] // Two masters. Wrong program: the container outlives its driver process.
    public async Task When_the_driver_dies_its_guard_stops_the_container()
    {
        await podman.CreateAsync("web", "/bin/sh", "-c", "trap '' TERM; while :; do sleep 1; done");
        await podman.SomebodyAsync(engine => engine.StartAsync("web", default));
        var cgroup = await podman.CgroupAsync("web");
        using var guard = Process.Start(new ProcessStartInfo(GuardProgram.File, GuardProgram.Arguments) { RedirectStandardInput = true, RedirectStandardOutput = true })!;
        var spec = new GuardSpec { Command = [], Environment = [], KillTimeoutMicros = Second / 2, LeaseEnd = Now + 60 * Second, Holds = new HoldSpec { What = "web", Container = "web", Socket = podman.Socket } };
        await guard.StandardInput.WriteAsync(JsonSerializer.Serialize(spec, GuardSpecJson.Default.GuardSpec) + $"\nhold {cgroup.Directory}\n");
        await guard.StandardInput.FlushAsync(TestContext.Current.CancellationToken);
        (await guard.StandardOutput.ReadLineAsync(TestContext.Current.CancellationToken)).ShouldBe($"started {guard.Id}");
        cgroup.IsEmpty.ShouldBeFalse();

        guard.StandardInput.Close();
        (await guard.StandardOutput.ReadToEndAsync(TestContext.Current.CancellationToken)).ShouldEndWith("stopped\n");
        cgroup.IsEmpty.ShouldBeTrue();
        (await podman.LookAsync("web")).IsStopped.ShouldBeTrue();
    }

    [Fact] // Two masters. Wrong program: a driver process that was killed and comes back waits for the daemon while the container runs.
    public async Task A_new_driver_process_stops_what_runs_before_it_connects()
    {
        await podman.CreateAsync("web", "/bin/sleep", "1000"); // which takes no notice of TERM as the first process of a container
        await podman.SomebodyAsync(engine => engine.StartAsync("web", default));
        long began = Now;
        await Make("web").CleanAsync(TestContext.Current.CancellationToken);
        (Now - began).ShouldBeLessThan(5 * Second, "the lease of the earlier process may be over at any moment");
        (await podman.LookAsync("web")).IsStopped.ShouldBeTrue();
    }

    [Fact]
    public async Task What_cannot_run_on_the_master_only_is_refused_with_the_reason()
    {
        await podman.CreateAsync("always", "always", false, "/bin/sleep", "1000");
        await podman.CreateAsync("once", "no", true, "/bin/sleep", "1000");
        await podman.CreateAsync("ends", "/bin/sh", "-c", "exit 7");
        (await FailedAsync("missing")).ShouldContain("There is no container missing");
        (await FailedAsync("always")).ShouldContain("docker update --restart=no always");
        (await FailedAsync("once")).ShouldContain("--rm");
        (await FailedAsync("ends")).ShouldContain("ends ended at once: it is exited with 7");
    }

    [Fact]
    public async Task Its_test_says_what_the_engine_knows_and_starts_nothing()
    {
        await podman.CreateAsync("web", "/bin/sleep", "1000");
        var findings = new List<DriverFinding>();
        await foreach (var finding in Make("web").TestAsync(TestContext.Current.CancellationToken)) findings.Add(finding);
        findings.Select(each => (each.Level, each.Subject)).ShouldBe([(FindingLevel.Good, "engine"), (FindingLevel.Good, "web")]);
        (await podman.LookAsync("web")).State.Running.ShouldBeFalse();
    }

    private async Task MasterAsync(string container)
    {
        await podman.CreateAsync(container, "/bin/sleep", "1000");
        await ConnectAsync(container);
        await _daemon.PromoteAsync();
        await Task.Delay(300); // until the events are listened to
    }

    private async Task<string> FailedAsync(string container)
    {
        await using var daemon = FakeDaemon.Start();
        await using var driver = Make(container, daemon);
        await driver.ConnectAsync(TestContext.Current.CancellationToken);
        string message = (await daemon.PromoteAsync().ShouldThrowAsync<TriggerFailedException>()).Message;
        await driver.DisposeAsync();
        await driver.EndWatchAsync();
        _driver = null;
        return message;
    }

    private async Task<FakeConnection> ConnectAsync(string container)
    {
        await Make(container).ConnectAsync(TestContext.Current.CancellationToken);
        return await _daemon.NextConnectionAsync();
    }

    private DockerDriver Make(string container, FakeDaemon? daemon = null) => _driver = new DockerDriver(new DockerDriverOptions { Container = container, Socket = podman.Socket }, new DriverHost
    {
        Address = new Uri((daemon ?? _daemon).Url).Authority, Secret = _daemon.Options.Secret, Guard = GuardProgram, Log = (_, line) => { lock (_log) _log.Add(line); },
    }, Terms);

    private async Task IsEventuallyAsync(string container, Func<ContainerState, bool> isSo)
    {
        var deadline = DateTime.UtcNow.AddSeconds(20);
        while (await podman.LookAsync(container) is var state && !isSo(state))
        {
            (DateTime.UtcNow < deadline).ShouldBeTrue($"{container} is {state.Words}. {string.Join('\n', _log)}");
            await Task.Delay(20);
        }
    }
}
