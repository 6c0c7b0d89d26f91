using Clustd.Client;
using Clustd.Drivers;
using Clustd.Drivers.Shell;
using Clustd.Drivers.Processes;
using Shouldly;
using Xunit;
using static Clustd.Tests.Drivers.Scratch;

namespace Clustd.Tests.Drivers;

[Collection("processes")]
public sealed class ScriptPairTests : IDisposable
{
    private readonly Scratch _scratch = new();
    private readonly List<string> _log = [];

    public void Dispose() => _scratch.Dispose();

    [Fact]
    public async Task Scripts_get_what_they_need_to_know_and_nothing_that_is_not_theirs()
    {
        Environment.SetEnvironmentVariable("CLUSTD_SECRET", "sesame");
        Environment.SetEnvironmentVariable("NOTIFY_SOCKET", "/run/systemd/notify");
        try
        {
            var scripts = Make(start: "env > env", stop: null);
            await scripts.StartAsync(Trigger(), default);
        }
        finally
        {
            Environment.SetEnvironmentVariable("CLUSTD_SECRET", null);
            Environment.SetEnvironmentVariable("NOTIFY_SOCKET", null);
        }
        string[] env = File.ReadAllLines(_scratch.File("env"));
        foreach (string line in (string[])["CLUSTD_SERVICE=bot", "CLUSTD_MASTER=1", "CLUSTD_TOKEN=7", "CLUSTD_REASON=the only candidate", "CLUSTD_MACHINE=cm-1", "MY_VAR=2"])
            env.ShouldContain(line);
        env.ShouldNotContain(line => line.Contains("sesame") || line.StartsWith("NOTIFY_SOCKET"));
    }

    [Fact]
    public async Task A_process_that_has_just_started_runs_stop_before_its_first_start_only()
    {
        var scripts = Make(start: "echo start $CLUSTD_TOKEN >> log", stop: "echo stop >> log");
        await scripts.StartAsync(Trigger(), default);
        await scripts.StartAsync(Trigger(), default); // told twice: a reconnect
        await scripts.StopAsync(Trigger(isMaster: false), default);
        await scripts.StartAsync(Trigger(token: 8), default);
        File.ReadAllLines(_scratch.File("log")).ShouldBe(["stop", "start 7", "stop", "start 8"]);
    }

    [Fact]
    public async Task A_stop_script_that_fails_when_nothing_runs_does_not_prevent_the_first_start()
    {
        var scripts = Make(start: "touch started", stop: "echo no pid file; exit 1");
        await scripts.StartAsync(Trigger(), default);
        File.Exists(_scratch.File("started")).ShouldBeTrue();
        _log.ShouldContain(line => line.Contains("Stop script of 'bot' failed: exit code 1"));
    }

    [Fact]
    public async Task The_exit_code_decides_and_the_last_lines_explain()
    {
        var scripts = Make(start: "echo cannot bind; exit 4", stop: null);
        (await Should.ThrowAsync<AppFailedException>(() => scripts.StartAsync(Trigger(), default))).Message
            .ShouldBe("Start script of 'bot' failed: exit code 4. Its last lines: cannot bind");
    }

    [Fact]
    public async Task A_hanging_stop_script_is_killed_with_all_that_it_started()
    {
        var scripts = Make(start: null, stop: _scratch.Daemonized("a") + "; while :; do sleep 1; done");
        long begun = Now;
        var stop = scripts.StopAsync(Trigger(isMaster: false, limit: TimeSpan.FromSeconds(2)), default);
        int pid = await _scratch.PidIn("a");
        (await Should.ThrowAsync<AppFailedException>(() => stop)).Message
            .ShouldStartWith("Stop script of 'bot' did not end within 2 s: it was killed with all that it started.");
        (Now - begun).ShouldBeLessThan(4 * Second);
        IsAlive(pid).ShouldBeFalse();
    }

    [Fact]
    public async Task A_cancelled_start_kills_the_script()
    {
        using var cancel = new CancellationTokenSource();
        var scripts = Make(start: _scratch.Daemonized("a") + "; sleep 100", stop: null);
        var start = scripts.StartAsync(Trigger(), cancel.Token);
        int pid = await _scratch.PidIn("a");
        cancel.Cancel();
        await Should.ThrowAsync<OperationCanceledException>(() => start);
        IsAlive(pid).ShouldBeFalse();
    }

    private ScriptPair Make(string? start, string? stop) => new("bot", start, stop, GuardProgram,
        (trigger, script) => Spec(script, isScript: true, cwd: _scratch.Directory) with
        {
            Environment = AppEnvironment.For(trigger, "cm-1", new Dictionary<string, string> { ["MY_VAR"] = "2" }),
        },
        _ => { }, (_, text) => _log.Add(text));

    private static Trigger Trigger(bool isMaster = true, long token = 7, TimeSpan? limit = null) =>
        new("bot", isMaster, token, "the only candidate", limit ?? TimeSpan.FromSeconds(10), Kill: false);
}
