using System.Diagnostics;
using System.Text.Json;
using Clustd.Client.Protocol;
using Clustd.Drivers.Processes;
using Clustd.Tests.Client;
using Shouldly;
using Xunit;
using static Clustd.Tests.Drivers.Scratch;

namespace Clustd.Tests.Drivers;

/// <summary>The guard alone, without the driver's own second killer: what it does when the driver is dead or does not read.</summary>
[Collection("processes")]
public sealed class GuardByHandTests : IDisposable
{
    private readonly Scratch _scratch = new();
    private Process? _guard;

    public void Dispose()
    {
        if (_guard is { HasExited: false })
        {
            _guard.StandardInput.Close();
            if (!_guard.WaitForExit(5000)) _guard.Kill();
        }
        _guard?.Dispose();
        _scratch.Dispose();
    }

    [Fact]
    public async Task When_the_driver_dies_the_app_is_stopped_within_the_kill_timeout()
    {
        Start(Spec(_scratch.Daemonized("a") + $"; echo $$ > {_scratch.File("b")}; exec sleep 100"));
        int[] pids = [await _scratch.PidIn("a"), await _scratch.PidIn("b")];
        long closed = Now;
        _guard!.StandardInput.Close();
        await Eventually(() => pids.All(pid => !IsAlive(pid)), "the end of the app");
        (Now - closed).ShouldBeLessThan(Second / 2 + 2 * Second);
        await Eventually(() => _guard.HasExited, "the end of the guard");
    }

    [Fact]
    public async Task When_the_driver_dies_what_a_finished_script_left_behind_lives_on()
    {
        Start(Spec($"(echo $$ > {_scratch.File("a")}; while :; do echo tick; sleep 0.02; done) & sh -c 'echo $PPID' > /dev/null; sh -c 'sleep 100' & echo $! > {_scratch.File("b")}", isScript: true));
        int pid = await _scratch.PidIn("b");
        ReadUntil("done");
        _guard!.StandardInput.Close();
        await Task.Delay(1000); // long enough for a guard that kills to have killed
        IsAlive(pid).ShouldBeTrue();
        _guard.HasExited.ShouldBeFalse();
        foreach (int left in ProcessTree.Descendants(_guard.Id)) Signal(left, LinuxCalls.SIGKILL);
        await Eventually(() => _guard.HasExited, "the end of the guard");
    }

    [Fact]
    public async Task A_guard_that_was_frozen_past_the_lease_kills_when_it_thaws()
    {
        long leaseEnd = Now + 4 * Second;
        Start(Spec(_scratch.Daemonized("a") + "; exec sleep 100", leaseEnd));
        int pid = await _scratch.PidIn("a");
        Signal(_guard!.Id, 19 /* SIGSTOP */);
        await Eventually(() => Now > leaseEnd + Second, "the end of the lease");
        IsAlive(pid).ShouldBeTrue();
        long thawed = Now;
        Signal(_guard.Id, LinuxCalls.SIGCONT);
        await Eventually(() => !IsAlive(pid), "the end of the app");
        (Now - thawed).ShouldBeLessThan(2 * Second);
    }

    // Catches a guard that reads its clock before its mail: a healthy service would be killed for nothing (P5).
    [Fact]
    public async Task A_guard_that_was_frozen_while_the_lease_was_renewed_lets_the_app_run()
    {
        long leaseEnd = Now + 5 * Second; // long enough to start and freeze the guard on a busy machine
        Start(Spec($"echo $$ > {_scratch.File("a")}; exec sleep 100", leaseEnd));
        int pid = await _scratch.PidIn("a");
        Signal(_guard!.Id, 19 /* SIGSTOP */);
        _guard.StandardInput.WriteLine($"lease {leaseEnd + Second}");
        _guard.StandardInput.WriteLine($"lease {leaseEnd + 100 * Second}");
        await Eventually(() => Now > leaseEnd + Second + Second / 2, "the end of the first leases");
        Signal(_guard.Id, LinuxCalls.SIGCONT);
        await Task.Delay(300); // long enough for a guard that kills to have killed
        IsAlive(pid).ShouldBeTrue();
    }

    [Fact]
    public async Task A_driver_that_does_not_read_blocks_neither_the_app_nor_the_guard()
    {
        Start(Spec($"head -c 3000000 /dev/zero | tr '\\0' '\\n'; touch {_scratch.File("written")}; exec sleep 100"));
        await Eventually(() => File.Exists(_scratch.File("written")), "the app to get rid of its output");
        _guard!.StandardInput.WriteLine($"stop {Now + Second} moved");
        await Eventually(() => ProcessTree.Descendants(_guard.Id).Count == 0, "the end of the app");
    }

    [Fact]
    public void Terminating_a_guard_does_nothing_it_ends_when_its_driver_ends()
    {
        Start(Spec("exec sleep 100"));
        ReadUntil("started");
        foreach (int signalNumber in (int[])[LinuxCalls.SIGTERM, LinuxCalls.SIGINT, LinuxCalls.SIGHUP]) Signal(_guard!.Id, signalNumber);
        _guard!.StandardInput.WriteLine("kill");
        ReadUntil("ending killed");
        ReadUntil("exited signal 15");
        ReadUntil("stopped");
    }

    [Fact]
    public async Task When_the_driver_dies_the_guard_tells_the_daemon_once_nothing_is_left()
    {
        await using var daemon = new ScriptedDaemon();
        Start(Spec($"echo $$ > {_scratch.File("a")}; exec sleep 100") with
        {
            Report = new GuardReport { Host = daemon.Url, Secret = ScriptedDaemon.Secret, Driver = "shell-web", Instance = "i1", Service = "web", Token = 7 },
        });
        int pid = await _scratch.PidIn("a");
        _guard!.StandardInput.Close();
        await Eventually(() => !daemon.Stopped.IsEmpty, "the report");
        IsAlive(pid).ShouldBeFalse();
        daemon.Stopped.Single().ShouldBe(new StoppedParams
        {
            Name = "shell-web", Instance = "i1", Service = "web", Token = 7, Reason = "the driver process died; its guard stopped the app and saw nothing left of it",
        });
    }

    private void Start(GuardSpec spec)
    {
        _guard = Process.Start(new ProcessStartInfo(GuardProgram.File, GuardProgram.Arguments) { RedirectStandardInput = true, RedirectStandardOutput = true })!;
        _guard.StandardInput.AutoFlush = true;
        _guard.StandardInput.WriteLine(JsonSerializer.Serialize(spec, GuardSpecJson.Default.GuardSpec));
    }

    private void ReadUntil(string start)
    {
        while (_guard!.StandardOutput.ReadLine() is { } line)
            if (line.StartsWith(start, StringComparison.Ordinal)) return;
        throw new InvalidOperationException($"The guard ended without saying '{start}'.");
    }
}
