using Clustd.Client;
using Clustd.Client.Protocol;
using Clustd.Client.Testing;
using Clustd.Drivers;
using Clustd.Drivers.Processes;
using Clustd.Drivers.Systemd;
using Shouldly;
using Xunit;
using static Clustd.Tests.Drivers.Scratch;

namespace Clustd.Tests.Drivers.Systemd;

/// <summary>The systemd driver with the real systemd. Looks that nobody rings for come once an hour here: what is seen at once, is seen by signal.</summary>
[Collection("processes")]
public sealed class SystemdDriverTests(RealSystemd systemd) : IClassFixture<RealSystemd>, IAsyncLifetime
{
    private static readonly StateDriverTerms Terms = new() { LookEvery = TimeSpan.FromHours(1) };

    private readonly FakeDaemon _daemon = FakeDaemon.Start();
    private readonly List<string> _log = [];
    private SystemdDriver? _driver;

    public ValueTask InitializeAsync()
    {
        Assert.SkipWhen(systemd.WhyNot is not null, systemd.WhyNot ?? "");
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
        await systemd.StopAllAsync();
    }

    [Fact] // Wrong program: starts all at once, or answers before they run.
    public async Task Units_start_in_their_order_and_stop_in_the_other()
    {
        var connection = await ConnectAsync("web.service", "worker.service");
        connection.Registration.Stop.ShouldBe(RegisterParams.StopCertain);
        await _daemon.PromoteAsync();
        (await StatesAsync("web.service", "worker.service")).ShouldBe(["active", "active"]);
        await _daemon.DemoteAsync();
        (await StatesAsync("web.service", "worker.service")).ShouldBe(["inactive", "inactive"]);
        (await File.ReadAllLinesAsync(systemd.Acts)).ShouldBe(["start web", "start worker", "stop worker", "stop web"]);
        _driver!.GuardPid.ShouldBeNull();
    }

    [Fact] // Wrong program: looks now and then only; a unit that somebody stops stays down until the next look.
    public async Task A_unit_that_somebody_stops_is_started_again_at_once_and_told()
    {
        await ConnectAsync("web.service");
        await _daemon.PromoteAsync();
        await systemd.SomebodyAsync(bus => bus.StopAsync("web.service", default));
        (await _daemon.HeardAsync(DriverMethods.Health)).Parameters.ToString().ShouldNotBeNull().ShouldContain("restart 1 of 3");
        await IsEventuallyAsync("web.service", "active");
    }

    [Fact] // Wrong program: restarts for ever what cannot stay up here, although another machine could run it.
    public async Task A_unit_that_ends_again_and_again_is_left_to_another_machine()
    {
        await ConnectAsync("crashing.service");
        await _daemon.PromoteAsync();
        (await _daemon.FailureAsync()).Reason.ShouldBe("crashing.service ended by itself (failed (exit-code)) and was restarted 3 times within 60 s already: leaving it to another machine");
    }

    [Fact] // Two masters. Wrong program: looks after the units of masters only.
    public async Task A_unit_that_somebody_starts_on_a_standby_is_stopped_at_once_and_told()
    {
        await ConnectAsync("web.service");
        await WatchedAsync();
        await systemd.SomebodyAsync(bus => bus.StartAsync("web.service", default));
        (await _daemon.HeardAsync(DriverMethods.Health)).Parameters.ToString().ShouldNotBeNull().ShouldContain("although this machine is not the master");
        await IsEventuallyAsync("web.service", "inactive", "failed"); // failed: it was killed while it started
    }

    [Fact] // Two masters. Wrong program: waits for TimeoutStopSec of the unit (100 s here), whatever the lease says.
    public async Task A_unit_that_does_not_stop_is_killed_within_the_limit()
    {
        await ConnectAsync("stubborn.service");
        await _daemon.PromoteAsync();
        int pid = RealSystemd.PidOf(await systemd.LookAsync("stubborn.service"));
        long began = Now;
        await _daemon.KillAsync();
        (Now - began).ShouldBeLessThan(5 * Second);
        IsAlive(pid).ShouldBeFalse();
    }

    [Fact] // Two masters. Wrong program: relies on a bus that answers when the lease is over.
    public async Task Without_an_answer_from_the_bus_the_processes_are_killed_all_the_same()
    {
        await ConnectAsync("web.service");
        await _daemon.PromoteAsync();
        int pid = RealSystemd.PidOf(await systemd.LookAsync("web.service"));
        Signal(systemd.BusPid, 19);
        try
        {
            // It cannot be proven: systemd may be about to start it again.
            (await _daemon.KillAsync().ShouldThrowAsync<TriggerFailedException>()).Message.ShouldContain("Cannot stop unit web.service");
            IsAlive(pid).ShouldBeFalse();
        }
        finally
        {
            Signal(systemd.BusPid, LinuxCalls.SIGCONT);
        }
    }

    [Fact] // Wrong program: a process that KillMode=process leaves behind works on beside the next master's.
    public async Task What_a_unit_leaves_behind_is_killed()
    {
        await ConnectAsync("leaving.service");
        await _daemon.PromoteAsync();
        var cgroup = Clustd.Drivers.Holding.Cgroup.Named((await systemd.LookAsync("leaving.service")).ControlGroup)!;
        await _daemon.DemoteAsync();
        cgroup.IsEmpty.ShouldBeTrue();
    }

    [Fact] // Wrong program: restarts the unit because its guard was killed, or goes on without one.
    public async Task A_guard_that_is_killed_has_a_successor_and_the_unit_runs_on()
    {
        await ConnectAsync("web.service");
        await _daemon.PromoteAsync();
        int pid = RealSystemd.PidOf(await systemd.LookAsync("web.service")), guard = _driver!.GuardPid!.Value;
        Signal(guard, LinuxCalls.SIGKILL);
        await Eventually(() => _driver.GuardPid is { } next && next != guard, "another guard");
        RealSystemd.PidOf(await systemd.LookAsync("web.service")).ShouldBe(pid);
    }

    [Fact] // Two masters. Wrong program: a driver process that was killed and comes back waits for the daemon while the unit runs.
    public async Task A_new_driver_process_stops_what_runs_before_it_connects()
    {
        await systemd.SomebodyAsync(bus => bus.StartAsync("stubborn.service", default));
        long began = Now;
        await Make("stubborn.service").CleanAsync(TestContext.Current.CancellationToken);
        (Now - began).ShouldBeLessThan(5 * Second, "the lease of the earlier process may be over at any moment");
        (await systemd.LookAsync("stubborn.service")).IsStopped.ShouldBeTrue();
    }

    [Theory]
    [InlineData("missing.service", "There is no unit missing.service")]
    [InlineData("masked.service", "masked.service is masked")]
    [InlineData("oneshot.service", "RemainAfterExit=yes")]
    [InlineData("broken.service", "failed (exit-code)")]
    public async Task What_cannot_run_is_refused_with_the_reason(string unit, string why)
    {
        await ConnectAsync(unit);
        (await _daemon.PromoteAsync().ShouldThrowAsync<TriggerFailedException>()).Message.ShouldContain(why);
    }

    [Fact]
    public async Task Its_test_says_what_systemd_knows_and_starts_nothing()
    {
        (await FindingsAsync("web.service")).ShouldBe([(FindingLevel.Good, "systemd"), (FindingLevel.Good, "web.service")]);
        (await FindingsAsync("enabled.service")).ShouldContain((FindingLevel.Doubtful, "enabled.service"));
        (await FindingsAsync("leaving.service")).ShouldContain((FindingLevel.Doubtful, "leaving.service"));
        (await FindingsAsync("missing.service", "masked.service", "oneshot.service")).Count(each => each.Level == FindingLevel.Bad).ShouldBe(3);
        (await StatesAsync("web.service", "enabled.service")).ShouldNotContain("active");
    }

    private async Task<FakeConnection> ConnectAsync(params string[] units)
    {
        await Make(units).ConnectAsync(TestContext.Current.CancellationToken);
        return await _daemon.NextConnectionAsync();
    }

    private SystemdDriver Make(params string[] units) => _driver = new SystemdDriver(new SystemdDriverOptions { Units = units, Bus = systemd.Bus }, new DriverHost
    {
        Address = new Uri(_daemon.Url).Authority, Secret = _daemon.Options.Secret, Guard = GuardProgram, Log = (_, line) => { lock (_log) _log.Add(line); },
    }, Terms);

    // A standby watches from its first look on, which follows its first stop.
    private Task WatchedAsync() => Eventually(() => _daemon.Triggers.Any(told => told is { IsMaster: false, Acknowledged: true }), "the clean slate").ContinueWith(_ => Task.Delay(300), TaskScheduler.Default).Unwrap();

    private async Task<List<(FindingLevel Level, string Subject)>> FindingsAsync(params string[] units)
    {
        var findings = new List<(FindingLevel, string)>();
        await foreach (var finding in Make(units).TestAsync(TestContext.Current.CancellationToken)) findings.Add((finding.Level, finding.Subject));
        return findings;
    }

    private async Task<List<string>> StatesAsync(params string[] units)
    {
        var states = new List<string>();
        foreach (string unit in units) states.Add((await systemd.LookAsync(unit)).ActiveState);
        return states;
    }

    private async Task IsEventuallyAsync(string unit, params string[] states)
    {
        var deadline = DateTime.UtcNow.AddSeconds(20);
        while ((await systemd.LookAsync(unit)).ActiveState is var now && !states.Contains(now))
        {
            (DateTime.UtcNow < deadline).ShouldBeTrue($"{unit} is {now}, not {string.Join(" or ", states)}. {string.Join('\n', _log)}");
            await Task.Delay(20);
        }
    }
}
