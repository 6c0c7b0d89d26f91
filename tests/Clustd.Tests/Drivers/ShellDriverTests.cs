using Clustd.Client;
using Clustd.Client.Protocol;
using Clustd.Drivers;
using Clustd.Drivers.Shell;
using Clustd.Tests.Client;
using Shouldly;
using Xunit;
using static Clustd.Tests.Drivers.Scratch;

namespace Clustd.Tests.Drivers;

/// <summary>The shell driver and the driver process, through the SDK, against a scripted daemon.</summary>
[Collection("processes")]
public sealed class ShellDriverTests : IDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(20);
    private readonly Scratch _scratch = new();
    private readonly List<string> _log = [];

    public void Dispose() => _scratch.Dispose();

    [Fact]
    public async Task A_run_driver_registers_as_certain_and_obeys()
    {
        await using var daemon = Daemon();
        await using var driver = new ShellDriver(Options("web") with { Run = "echo hello; echo $$ > pid; exec sleep 100" }, Host(daemon));
        await driver.ConnectAsync();
        var side = await daemon.NextDriverAsync();
        (side.Registration.Name, side.Registration.Stop, side.Registration.Required).ShouldBe(("shell-web", RegisterParams.StopCertain, true));

        (await side.TriggerAsync(isMaster: false, token: 0, service: "web")).Error.ShouldBeNull();
        (await side.TriggerAsync(isMaster: true, token: 7, service: "web")).Error.ShouldBeNull();
        int pid = await _scratch.PidIn("pid");
        await Eventually(() => Logged("web| hello"), "the app's output in the log");
        await Task.Delay(1500); // longer than the lease: renewals must reach the guard
        IsAlive(pid).ShouldBeTrue();

        (await side.TriggerAsync(isMaster: false, token: 7, service: "web")).Error.ShouldBeNull();
        IsAlive(pid).ShouldBeFalse();
    }

    [Fact]
    public async Task When_the_lease_is_renewed_no_more_the_app_is_gone_in_time()
    {
        await using var daemon = Daemon();
        await using var driver = new ShellDriver(Options("web") with { Run = $"{_scratch.Daemonized("a")}; exec sleep 100" }, Host(daemon));
        await driver.ConnectAsync();
        var side = await daemon.NextDriverAsync();
        (await side.TriggerAsync(isMaster: true, token: 7, service: "web")).Error.ShouldBeNull();
        int pid = await _scratch.PidIn("a");
        daemon.Renew = _ => null;
        long last = Now;
        await Eventually(() => !IsAlive(pid), "the end of the app");
        (Now - last).ShouldBeLessThan(900_000 + 500_000 + 2 * Second);
    }

    // Wrong program: kills by what the service grants, however little its own file asks for.
    [Fact]
    public async Task An_app_that_ignores_TERM_is_killed_after_what_the_driver_needs_of_a_longer_kill_timeout()
    {
        await using var daemon = new ScriptedDaemon { Terms = new() { Machine = "cm-1", LeaseUs = 1_000_000, RenewEveryUs = 20_000, KillTimeoutUs = 10_000_000, Services = ["web"] } };
        await using var driver = new ShellDriver(Options("web") with { Run = "trap '' TERM; echo $$ > pid; while :; do sleep 0.02; done", KillTimeout = TimeSpan.FromMilliseconds(300) }, Host(daemon));
        await driver.ConnectAsync();
        var side = await daemon.NextDriverAsync();
        (await side.TriggerAsync(isMaster: true, token: 7, service: "web")).Error.ShouldBeNull();
        int pid = await _scratch.PidIn("pid");
        daemon.Renew = _ => null;
        long last = Now;
        await Eventually(() => !IsAlive(pid), "the end of the app");
        (Now - last).ShouldBeLessThan(900_000 + 300_000 + 2 * Second);
    }

    [Fact]
    public async Task A_start_that_fails_is_answered_with_the_reason_and_the_last_words()
    {
        await using var daemon = Daemon();
        await using var driver = new ShellDriver(Options("web") with { Run = "echo port in use; exit 98" }, Host(daemon));
        await driver.ConnectAsync();
        var side = await daemon.NextDriverAsync();
        var answer = await side.TriggerAsync(isMaster: true, token: 7, service: "web");
        answer.Error!.Message.ShouldContain("'web' ended at once: exit code 98. Its last lines: port in use");
    }

    [Fact]
    public async Task An_app_that_keeps_crashing_is_reported_to_the_daemon()
    {
        await using var daemon = Daemon();
        await using var driver = new ShellDriver(Options("web") with { Run = "sleep 0.2; exit 5" }, Host(daemon));
        await driver.ConnectAsync();
        var side = await daemon.NextDriverAsync();
        (await side.TriggerAsync(isMaster: true, token: 7, service: "web")).Error.ShouldBeNull();
        await Eventually(() => !daemon.Failed.IsEmpty, "the report");
        daemon.Failed.Single().ShouldBe(new FailedParams
        {
            Service = "web", Token = 7,
            Reason = "'web' ended by itself (exit code 5) and was restarted 3 times within 60 s already: leaving it to another machine",
        });
        (await side.TriggerAsync(isMaster: false, token: 7, service: "web")).Error.ShouldBeNull();
    }

    [Fact]
    public async Task Scripts_are_best_effort_and_run_stop_on_the_first_false()
    {
        await using var daemon = Daemon();
        await using var driver = new ShellDriver(Options("bot") with { Start = "echo start >> log", Stop = "echo stop >> log" }, Host(daemon));
        await driver.ConnectAsync();
        var side = await daemon.NextDriverAsync();
        side.Registration.Stop.ShouldBe(RegisterParams.StopBestEffort);
        await side.TriggerAsync(isMaster: false, token: 0, service: "bot");
        await side.TriggerAsync(isMaster: true, token: 7, service: "bot");
        await side.TriggerAsync(isMaster: false, token: 7, service: "bot");
        File.ReadAllLines(_scratch.File("log")).ShouldBe(["stop", "start", "stop"]);
    }

    [Fact]
    public async Task The_driver_process_stops_its_drivers_in_descending_order_and_a_second_one_is_refused()
    {
        await using var daemon = Daemon();
        DriverOptions[] drivers =
        [
            Options("web") with { Name = "second", Order = 2, Run = Until("second") },
            Options("web") with { Name = "first", Order = 1, Run = Until("first") },
        ];
        using var stop = new CancellationTokenSource();
        var running = new DriverProcess(Host(daemon), _scratch.File("data"), drivers).RunAsync(stop.Token);
        DaemonSide[] sides = [await daemon.NextDriverAsync(), await daemon.NextDriverAsync()];
        foreach (var side in sides) (await side.TriggerAsync(isMaster: true, token: 7, service: "web")).Error.ShouldBeNull();

        DriverLock.HolderOf(_scratch.File("data")).ShouldBe(Environment.ProcessId);
        (await new DriverProcess(Host(daemon), _scratch.File("data"), []).RunAsync(default)).ShouldBe(1);
        Logged($"Cannot start the drivers: process {Environment.ProcessId} runs them already").ShouldBeTrue();

        await stop.CancelAsync();
        (await running.WaitAsync(Patience)).ShouldBe(0);
        File.Exists(_scratch.File("log")).ShouldBeTrue(string.Join("\n", _log));
        File.ReadAllLines(_scratch.File("log")).ShouldBe(["second", "first"]);
        daemon.Stopped.Count.ShouldBe(2);
        (Logged("web| bye from first") && Logged("web| bye from second")).ShouldBeTrue();
        DriverLock.HolderOf(_scratch.File("data")).ShouldBeNull();
    }

    [Theory]
    [InlineData(null, null, "has nothing to run")]
    [InlineData("./web", "./start.sh", "has both `run` and `start` or `stop`")]
    [InlineData(" ", null, "`run` is empty")]
    public void Options_that_do_not_fit_together_say_so(string? run, string? start, string error) =>
        new ShellDriverOptions { Run = run, Start = start }.Validate().ShouldHaveSingleItem().ShouldContain(error);

    private static ScriptedDaemon Daemon() =>
        new() { Terms = new() { Machine = "cm-1", LeaseUs = 1_000_000, RenewEveryUs = 20_000, KillTimeoutUs = 500_000, Services = ["web", "bot"] } };

    private static string Until(string name) => $"trap 'echo {name} >> log; echo bye from {name}; exit 0' TERM; while :; do sleep 0.02; done";

    private ShellDriverOptions Options(string service) => new() { Service = service, WorkingDirectory = _scratch.Directory };

    private DriverHost Host(ScriptedDaemon daemon) => new()
    {
        Address = daemon.Url, Secret = ScriptedDaemon.Secret, Guard = GuardProgram,
        Log = (_, text) => { lock (_log) _log.Add(text); },
    };

    private bool Logged(string text)
    {
        lock (_log) return _log.Exists(line => line.Contains(text));
    }
}
