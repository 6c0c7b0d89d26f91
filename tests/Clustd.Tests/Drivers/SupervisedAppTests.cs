using Clustd.Client;
using Clustd.Drivers;
using Clustd.Drivers.Shell;
using Clustd.Drivers.Processes;
using Shouldly;
using Xunit;
using static Clustd.Tests.Drivers.Scratch;

namespace Clustd.Tests.Drivers;

[Collection("processes")]
public sealed class SupervisedAppTests : IDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(20);
    private readonly Scratch _scratch = new();
    private readonly List<string> _log = [];
    private readonly TaskCompletionSource<string> _failed = new();
    private SupervisedApp? _app;

    public void Dispose()
    {
        _app?.StopAsync(Stop(), default).Wait(Patience);
        _scratch.Dispose();
    }

    [Fact]
    public async Task It_starts_with_its_token_and_a_stop_is_proof()
    {
        await Start("echo $CLUSTD_TOKEN $CLUSTD_MASTER $CLUSTD_SERVICE > f; echo $$ > pid; exec sleep 100", token: 7);
        int pid = await _scratch.PidIn("pid");
        File.ReadAllText(_scratch.File("f")).ShouldBe("7 1 web\n");
        await _app!.StopAsync(Stop(), default);
        IsAlive(pid).ShouldBeFalse();
        _failed.Task.IsCompleted.ShouldBeFalse();
    }

    [Fact]
    public async Task An_app_that_ends_at_once_did_not_start_and_its_last_words_say_why()
    {
        var e = await Should.ThrowAsync<AppFailedException>(() => Start("echo port 8080 is in use >&2; exit 98"));
        e.Message.ShouldBe("'web' ended at once: exit code 98. Its last lines: port 8080 is in use");
    }

    [Fact]
    public async Task Being_told_twice_starts_once_and_a_newer_token_starts_anew()
    {
        await Start("echo $CLUSTD_TOKEN >> starts; echo $$ > pid$CLUSTD_TOKEN; exec sleep 100", token: 7);
        int first = await _scratch.PidIn("pid7");
        await _app!.StartAsync(Trigger(token: 7), default);
        IsAlive(first).ShouldBeTrue();
        await _app.StartAsync(Trigger(token: 8), default);
        await _scratch.PidIn("pid8");
        IsAlive(first).ShouldBeFalse();
        File.ReadAllText(_scratch.File("starts")).ShouldBe("7\n8\n");
    }

    [Fact]
    public async Task A_crashed_app_is_restarted_three_times_then_given_up()
    {
        await Start("echo x >> starts; sleep 0.3; exit 5");
        (await _failed.Task.WaitAsync(Patience)).ShouldStartWith("'web' ended by itself (exit code 5) and was restarted 3 times within 60 s already");
        File.ReadAllText(_scratch.File("starts")).ShouldBe("x\nx\nx\nx\n");
        await _app!.StopAsync(Stop(), default).WaitAsync(Patience);
    }

    [Fact]
    public async Task An_app_whose_guard_was_killed_is_restarted()
    {
        await Start("echo x >> starts; exec sleep 100");
        int guard = _app!.GuardPid!.Value;
        Signal(guard, LinuxCalls.SIGKILL);
        await Eventually(() => File.ReadAllText(_scratch.File("starts")) == "x\nx\n" && _app.GuardPid is { } other && other != guard, "the second start");
    }

    [Fact]
    public async Task Without_a_lease_nothing_starts()
    {
        var e = await Should.ThrowAsync<AppFailedException>(() => Start("touch ran", leaseEnd: Now));
        e.Message.ShouldStartWith("Cannot start 'web': this machine's lease is over.");
        File.Exists(_scratch.File("ran")).ShouldBeFalse();
    }

    // Catches a driver that restarts an app whose lease is over, and one that never starts it again.
    [Fact]
    public async Task An_app_that_lost_its_lease_stays_down_until_there_is_one_again()
    {
        await Start("echo x >> starts; exec sleep 100", leaseEnd: Now + Second);
        await Eventually(() => _app!.GuardPid is null, "the end of the lease");
        await Task.Delay(300); // longer than the delay before a restart
        File.ReadAllText(_scratch.File("starts")).ShouldBe("x\n");
        _app!.LeaseChanged(new LeaseEnd(Now + 100 * Second, Second / 2));
        await Eventually(() => File.ReadAllText(_scratch.File("starts")) == "x\nx\n", "the next start");
        _failed.Task.IsCompleted.ShouldBeFalse();
    }

    [Fact]
    public async Task A_cancelled_start_leaves_nothing_behind()
    {
        using var cancel = new CancellationTokenSource();
        Task start = Start("echo $$ > pid; exec sleep 100", cancellationToken: cancel.Token);
        cancel.Cancel();
        await Should.ThrowAsync<Exception>(() => start.WaitAsync(Patience));
        _app!.GuardPid.ShouldBeNull();
        await _app.StopAsync(Stop(), default).WaitAsync(Patience);
    }

    [Fact]
    public async Task Stopping_what_never_ran_is_done_at_once()
    {
        _app = Make("true");
        await _app.StopAsync(Stop(), default);
    }

    private Task Start(string script, long token = 1, long? leaseEnd = null, CancellationToken cancellationToken = default)
    {
        _app = Make(script);
        _app.LeaseChanged(new LeaseEnd(leaseEnd ?? Now + 100 * Second, Second / 2));
        return _app.StartAsync(Trigger(token), cancellationToken);
    }

    private SupervisedApp Make(string script) => new("web", GuardProgram,
        (trigger, lease) => Spec(script, lease.EndsAtUs!.Value, lease.KillTimeoutUs, cwd: _scratch.Directory) with
        {
            Environment = AppEnvironment.For(trigger, "cm-1", new Dictionary<string, string>()),
        },
        _ => { }, (_, text) => { lock (_log) _log.Add(text); },
        (reason, _) =>
        {
            _failed.TrySetResult(reason);
            return Task.CompletedTask;
        });

    private static Trigger Trigger(long token = 1) => new("web", IsMaster: true, token, "the only candidate", TimeSpan.FromSeconds(10), Kill: false);

    private static Trigger Stop() => Trigger() with { IsMaster = false, Reason = "drained" };
}
