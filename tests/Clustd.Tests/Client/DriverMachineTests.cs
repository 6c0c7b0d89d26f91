using Clustd.Client;
using Clustd.Client.Protocol;
using Shouldly;
using Xunit;

namespace Clustd.Tests.Client;

public class DriverMachineTests
{
    private static readonly TimeSpan Patience = ScriptedDaemon.Patience;

    [Fact]
    public async Task Registers_with_all_that_the_daemon_must_know()
    {
        await using var daemon = new ScriptedDaemon();
        var client = new DriverClient
        {
            Secret = ScriptedDaemon.Secret, Id = "bot-1", Name = "bot", Services = ["web", "mail"], Order = 3, Required = true, Stop = StopGuarantee.BestEffort,
            StopTimeout = TimeSpan.FromSeconds(3), KillTimeout = TimeSpan.FromMilliseconds(200),
        };
        await using var driver = new RecordingDriver(client, daemon.Url);
        await driver.ConnectAsync().WaitAsync(Patience);
        var register = (await daemon.NextDriverAsync()).Registration;
        register.Name.ShouldBe("bot");
        register.Id.ShouldBe("bot-1");
        register.Instance.ShouldBe(driver.Instance);
        register.Services.ShouldBe(["web", "mail"]);
        register.Order.ShouldBe(3);
        register.Required.ShouldBeTrue();
        register.Stop.ShouldBe("best-effort");
        register.StopTimeoutUs.ShouldBe(3_000_000);
        register.KillTimeoutUs.ShouldBe(200_000);
        register.ProcessId.ShouldBe(Environment.ProcessId);
        register.States.ShouldBeEmpty();
    }

    [Fact]
    public async Task Triggers_reach_user_code_one_at_a_time_in_order_and_are_answered_after_it()
    {
        await using var daemon = new ScriptedDaemon();
        await using var driver = new RecordingDriver(daemon) { Do = async (_, _) => await Task.Yield() };
        var side = await ConnectAsync(daemon, driver);
        for (var token = 1; token <= 20; token++)
        {
            (await side.TriggerAsync(true, token)).Error.ShouldBeNull();
            (await side.TriggerAsync(false, token)).Error.ShouldBeNull();
        }
        driver.Story.ShouldBe(string.Join(' ', Enumerable.Range(1, 20).Select(token => $"+{token} -{token}")));
        driver.Overlapped.ShouldBeFalse();
        driver.Calls.First().Reason.ShouldBe("the test says so");
        driver.Calls.First().Limit.ShouldBe(TimeSpan.FromSeconds(5));
    }

    // Wrong program: starts the app a second time when the daemon repeats itself after a reconnect.
    [Fact]
    public async Task A_trigger_that_was_acknowledged_is_not_carried_out_again()
    {
        await using var daemon = new ScriptedDaemon();
        await using var driver = new RecordingDriver(daemon);
        var side = await ConnectAsync(daemon, driver);
        await side.TriggerAsync(false, 4);
        await side.TriggerAsync(false, 4);
        await side.TriggerAsync(true, 5);
        (await side.TriggerAsync(true, 5)).Error.ShouldBeNull();
        driver.Story.ShouldBe("-4 +5");
    }

    [Fact]
    public async Task The_same_start_said_again_while_it_is_in_flight_is_one_call_with_two_answers()
    {
        await using var daemon = new ScriptedDaemon();
        var go = new TaskCompletionSource();
        await using var driver = new RecordingDriver(daemon) { Do = (_, _) => go.Task };
        var side = await ConnectAsync(daemon, driver);
        var first = side.TriggerAsync(true, 5);
        var second = side.TriggerAsync(true, 5);
        await Eventually.HoldsAsync(() => driver.Calls.Count == 1, () => driver.Story);
        go.SetResult();
        (await first).Error.ShouldBeNull();
        (await second).Error.ShouldBeNull();
        driver.Story.ShouldBe("+5");
    }

    // Wrong program: runs the stop beside the start, or waits for a start that nobody wants any more.
    [Fact]
    public async Task A_start_in_flight_is_cancelled_by_the_stop_which_follows_when_it_has_returned()
    {
        await using var daemon = new ScriptedDaemon();
        await using var driver = new RecordingDriver(daemon)
        {
            Do = (trigger, cancellationToken) => trigger.IsMaster ? Task.Delay(Timeout.InfiniteTimeSpan, cancellationToken) : Task.CompletedTask,
        };
        var side = await ConnectAsync(daemon, driver);
        var start = side.TriggerAsync(true, 5);
        await Eventually.HoldsAsync(() => driver.Calls.Count == 1, () => driver.Story);
        (await side.TriggerAsync(false, 5)).Error.ShouldBeNull();
        (await start).Error!.Code.ShouldBe(DriverErrorCodes.TriggerCancelled);
        driver.Story.ShouldBe("+5 -5");
        driver.Overlapped.ShouldBeFalse();
    }

    [Fact]
    public async Task Cancel_ends_the_start_that_it_names_and_no_other()
    {
        await using var daemon = new ScriptedDaemon();
        await using var driver = new RecordingDriver(daemon) { Do = (_, cancellationToken) => Task.Delay(Timeout.InfiniteTimeSpan, cancellationToken) };
        var side = await ConnectAsync(daemon, driver);
        var start = side.TriggerAsync(true, 5);
        await Eventually.HoldsAsync(() => driver.Calls.Count == 1, () => driver.Story);
        await side.CancelAsync(side.LastSequence + 7);
        (await side.CallAsync("unknown/method", EmptyResult.Instance, ProtocolJson.Default.EmptyResult)).Error!.Code.ShouldBe(DriverErrorCodes.MethodNotFound);
        start.IsCompleted.ShouldBeFalse();
        await side.CancelAsync(side.LastSequence);
        (await start).Error!.Code.ShouldBe(DriverErrorCodes.TriggerCancelled);
        driver.Do = (_, _) => Task.CompletedTask;
    }

    [Fact]
    public async Task An_exception_of_user_code_is_the_answer_and_nothing_worse()
    {
        await using var daemon = new ScriptedDaemon();
        await using var driver = new RecordingDriver(daemon) { Do = (trigger, _) => trigger.IsMaster ? throw new InvalidOperationException("the port is taken") : Task.CompletedTask };
        var side = await ConnectAsync(daemon, driver);
        var failed = (await side.TriggerAsync(true, 5)).Error!;
        failed.Code.ShouldBe(DriverErrorCodes.TriggerFailed);
        failed.Message.ShouldBe("the port is taken");
        (await side.TriggerAsync(false, 5)).Error.ShouldBeNull();
        driver.Story.ShouldBe("+5 -5");
    }

    // Wrong program: a late or replayed grant of an older session starts a second master.
    [Fact]
    public async Task A_start_with_an_older_token_is_refused()
    {
        await using var daemon = new ScriptedDaemon();
        await using var driver = new RecordingDriver(daemon);
        var side = await ConnectAsync(daemon, driver);
        await side.TriggerAsync(true, 5);
        await side.TriggerAsync(false, 5);
        (await side.TriggerAsync(true, 4)).Error!.Message.ShouldContain("older");
        driver.Story.ShouldBe("+5 -5");
    }

    // Wrong program: trusts a start by when it was read. Without a lease nobody would ever stop it.
    [Fact]
    public async Task A_start_waits_for_a_lease_and_fails_without_one()
    {
        await using var daemon = new ScriptedDaemon { Renew = renew => new RenewResult { Stamp = renew.Stamp } };
        await using var driver = new RecordingDriver(daemon);
        var side = await ConnectAsync(daemon, driver);
        (await side.TriggerAsync(true, 5, limitUs: 50_000)).Error!.Code.ShouldBe(DriverErrorCodes.NoLease);
        driver.Calls.ShouldBeEmpty();
        var start = side.TriggerAsync(true, 6);
        daemon.Renew = renew => new RenewResult { Stamp = renew.Stamp, LeftUs = 900_000 };
        (await start).Error.ShouldBeNull();
        driver.Story.ShouldBe("+6");
    }

    // Wrong program: stops the service because a connection broke; or, on return, forgets to say what it still runs.
    [Fact]
    public async Task A_lost_connection_stops_nothing_and_the_next_register_says_what_runs()
    {
        await using var daemon = new ScriptedDaemon { Renew = renew => new RenewResult { Stamp = renew.Stamp, LeftUs = 30_000_000 } };
        await using var driver = new RecordingDriver(daemon);
        var side = await ConnectAsync(daemon, driver);
        await side.TriggerAsync(true, 5);
        for (var i = 0; i < 3; i++)
        {
            side.Cut();
            side = await daemon.NextDriverAsync();
            side.Registration.Instance.ShouldBe(driver.Instance);
            side.Registration.States.ShouldBe([new DriverState { Service = "default", IsMaster = true, Token = 5 }]);
            (await side.TriggerAsync(true, 5)).Error.ShouldBeNull();
        }
        driver.Story.ShouldBe("+5");
        await side.TriggerAsync(false, 5);
        side.Cut();
        (await daemon.NextDriverAsync()).Registration.States.ShouldBe([new DriverState { Service = "default", IsMaster = false, Token = 5 }]);
    }

    // Wrong program: reports only what was acknowledged, so a daemon believes that a start in flight is a stopped service.
    [Fact]
    public async Task A_start_in_flight_counts_as_running_when_the_connection_is_lost()
    {
        await using var daemon = new ScriptedDaemon { Renew = renew => new RenewResult { Stamp = renew.Stamp, LeftUs = 30_000_000 } };
        var go = new TaskCompletionSource();
        await using var driver = new RecordingDriver(daemon) { Do = (trigger, _) => trigger.IsMaster ? go.Task : Task.CompletedTask };
        var side = await ConnectAsync(daemon, driver);
        await side.TriggerAsync(false, 4);
        var lost = side.TriggerAsync(true, 5);
        await Eventually.HoldsAsync(() => driver.Calls.Count == 2, () => driver.Story);
        side.Cut();
        side = await daemon.NextDriverAsync();
        await Should.ThrowAsync<IOException>(lost);
        side.Registration.States.ShouldBe([new DriverState { Service = "default", IsMaster = true, Token = 5, Unsettled = true }]);
        var again = side.TriggerAsync(true, 5);
        go.SetResult();
        (await again).Error.ShouldBeNull();
        driver.Story.ShouldBe("-4 +5");
    }

    // Wrong program (it was ours): says that it runs what has failed to start; or starts it again on top of what the failure left.
    [Fact]
    public async Task A_start_whose_failure_was_lost_with_the_connection_is_told_as_failed_on_the_next()
    {
        await using var daemon = new ScriptedDaemon { Renew = renew => new RenewResult { Stamp = renew.Stamp, LeftUs = 30_000_000 } };
        var fail = new TaskCompletionSource();
        await using var driver = new RecordingDriver(daemon) { Do = (trigger, _) => trigger.IsMaster && trigger.Token == 5 ? fail.Task : Task.CompletedTask };
        var side = await ConnectAsync(daemon, driver);
        var lost = side.TriggerAsync(true, 5);
        await Eventually.HoldsAsync(() => driver.Calls.Count == 1, () => driver.Story);
        side.Cut();
        await Should.ThrowAsync<IOException>(lost);
        fail.SetException(new InvalidOperationException("the port is taken"));
        side = await daemon.NextDriverAsync();
        side.Registration.States.ShouldBe([new DriverState { Service = "default", IsMaster = true, Token = 5, Unsettled = true }]);
        (await side.TriggerAsync(true, 5)).Error!.Message.ShouldBe("the port is taken");
        driver.Story.ShouldBe("+5");

        // After a stop it is a start like any other, and a newer grant is not held to it either.
        (await side.TriggerAsync(false, 5)).Error.ShouldBeNull();
        (await side.TriggerAsync(true, 5)).Error!.Message.ShouldBe("the port is taken");
        (await side.TriggerAsync(true, 6)).Error.ShouldBeNull();
        driver.Story.ShouldBe("+5 -5 +5 +6");
    }

    // Wrong program: says "running" of what is being stopped, and when that stop is done nobody has heard of it.
    [Fact]
    public async Task A_stop_in_flight_is_unsettled_as_well()
    {
        await using var daemon = new ScriptedDaemon { Renew = renew => new RenewResult { Stamp = renew.Stamp, LeftUs = 30_000_000 } };
        var go = new TaskCompletionSource();
        await using var driver = new RecordingDriver(daemon) { Do = (trigger, _) => trigger.IsMaster ? Task.CompletedTask : go.Task };
        var side = await ConnectAsync(daemon, driver);
        await side.TriggerAsync(true, 5);
        var lost = side.TriggerAsync(false, 5);
        await Eventually.HoldsAsync(() => driver.Calls.Count == 2, () => driver.Story);
        side.Cut();
        await Should.ThrowAsync<IOException>(lost);
        side = await daemon.NextDriverAsync();
        side.Registration.States.ShouldBe([new DriverState { Service = "default", IsMaster = true, Token = 5, Unsettled = true }]);
        var again = side.TriggerAsync(true, 5);
        go.SetResult();
        (await again).Error.ShouldBeNull();
        driver.Story.ShouldBe("+5 -5 +5");
    }

    // Wrong program: a failed stop counts as a stop, and another machine starts beside what still runs.
    [Fact]
    public async Task A_failed_stop_counts_as_running()
    {
        await using var daemon = new ScriptedDaemon { Renew = renew => new RenewResult { Stamp = renew.Stamp, LeftUs = 30_000_000 } };
        var fail = true;
        await using var driver = new RecordingDriver(daemon) { Do = (trigger, _) => trigger.IsMaster || !fail ? Task.CompletedTask : throw new IOException("will not stop") };
        var side = await ConnectAsync(daemon, driver);
        await side.TriggerAsync(true, 5);
        (await side.TriggerAsync(false, 5)).Error!.Message.ShouldBe("will not stop");
        side.Cut();
        side = await daemon.NextDriverAsync();
        side.Registration.States.ShouldBe([new DriverState { Service = "default", IsMaster = true, Token = 5, Unsettled = true }]);
        fail = false;
        (await side.TriggerAsync(false, 5)).Error.ShouldBeNull();
        driver.Story.ShouldBe("+5 -5 -5");
    }

    // Wrong program: the report waits for a daemon that is away, the stop for the report, and the process is ended for it.
    [Fact]
    public async Task A_stop_may_wait_for_whoever_reports_a_failure_although_the_daemon_is_away()
    {
        var daemon = new ScriptedDaemon();
        await using var driver = new RecordingDriver(daemon);
        var report = Task.CompletedTask;
        driver.Do = (trigger, _) => trigger.IsMaster ? Task.CompletedTask : report;
        var side = await ConnectAsync(daemon, driver);
        (await side.TriggerAsync(true, 5)).Error.ShouldBeNull();
        await daemon.DisposeAsync();
        report = driver.ReportFailedAsync("default", "it exited with 1");
        await Eventually.HoldsAsync(() => driver.LeaseOf("default") is null, () => $"the stop hangs: {driver.Story}");
        driver.Story.ShouldBe("+5 -5!");
        driver.Ended.ShouldBeEmpty();
        await report.WaitAsync(Patience);
    }

    [Fact]
    public async Task A_failure_is_reported_with_the_token_of_what_failed_and_never_for_what_has_stopped()
    {
        await using var daemon = new ScriptedDaemon();
        await using var driver = new RecordingDriver(daemon);
        var side = await ConnectAsync(daemon, driver);
        await side.TriggerAsync(true, 5);
        await driver.ReportFailedAsync("default", "it exited with 1").WaitAsync(Patience);
        daemon.Failed.ShouldBe([new FailedParams { Service = "default", Token = 5, Reason = "it exited with 1" }]);
        await side.TriggerAsync(false, 5);
        await driver.ReportFailedAsync("default", "too late").WaitAsync(Patience);
        daemon.Failed.Count.ShouldBe(1);
        await driver.ReportHealthAsync("default", true, "fine").WaitAsync(Patience);
        await driver.ReportEventAsync(DriverLogLevel.Warning, "something").WaitAsync(Patience);
        daemon.Methods.ShouldContain("health");
        daemon.Methods.ShouldContain("event");
    }

    [Fact]
    public async Task Disposing_stops_what_runs_says_so_and_closes_properly()
    {
        await using var daemon = new ScriptedDaemon();
        var driver = new RecordingDriver(daemon);
        var side = await ConnectAsync(daemon, driver);
        await side.TriggerAsync(true, 5);
        await driver.DisposeAsync().AsTask().WaitAsync(Patience);
        driver.Story.ShouldBe("+5 -5");
        daemon.Stopped.Single().Token.ShouldBe(5);
        (await side.Closed.WaitAsync(Patience)).Status.ShouldBe(System.Net.WebSockets.WebSocketCloseStatus.NormalClosure);
    }

    [Fact]
    public async Task Run_stays_until_it_is_cancelled_and_then_stops_what_runs()
    {
        await using var daemon = new ScriptedDaemon();
        var driver = new RecordingDriver(daemon);
        using var cancel = new CancellationTokenSource();
        var run = driver.RunAsync(cancel.Token);
        var side = await daemon.NextDriverAsync();
        await side.TriggerAsync(true, 5);
        run.IsCompleted.ShouldBeFalse();
        await cancel.CancelAsync();
        await run.WaitAsync(Patience);
        driver.Story.ShouldBe("+5 -5");
    }

    [Fact]
    public async Task A_disposed_driver_neither_goes_on_connecting_nor_connects_again()
    {
        var driver = new RecordingDriver(new DriverClient { Secret = ScriptedDaemon.Secret }, "127.0.0.1:1");
        var connecting = driver.ConnectAsync();
        await driver.DisposeAsync().AsTask().WaitAsync(Patience);
        (await Should.ThrowAsync<DriverRefusedException>(connecting.WaitAsync(Patience))).Message.ShouldContain("shut down");
        await Should.ThrowAsync<ObjectDisposedException>(driver.ConnectAsync());
    }

    // Wrong program: triggers of two services wait for each other, so one that hangs keeps the other from stopping.
    [Fact]
    public async Task Services_do_not_wait_for_each_other()
    {
        await using var daemon = new ScriptedDaemon();
        daemon.Terms = daemon.Terms with { Services = ["web", "mail"] };
        var hang = new TaskCompletionSource();
        await using var driver = new RecordingDriver(daemon) { Do = (trigger, _) => trigger.Service == "web" ? hang.Task : Task.CompletedTask };
        var side = await ConnectAsync(daemon, driver);
        var web = side.TriggerAsync(true, 5, "web");
        (await side.TriggerAsync(true, 6, "mail")).Error.ShouldBeNull();
        web.IsCompleted.ShouldBeFalse();
        hang.SetResult();
        (await web).Error.ShouldBeNull();
    }

    private static async Task<DaemonSide> ConnectAsync(ScriptedDaemon daemon, RecordingDriver driver)
    {
        await driver.ConnectAsync().WaitAsync(Patience);
        return await daemon.NextDriverAsync();
    }
}
