using Clustd.Client;
using Clustd.Client.Protocol;
using Clustd.Client.Testing;
using Shouldly;
using Xunit;

namespace Clustd.Tests.Client;

/// <summary>What a driver does when its lease runs out, on a clock that the test turns.</summary>
public class LeaseEndTests
{
    private static readonly TimeSpan Patience = ScriptedDaemon.Patience;
    private long now = 1_000_000;

    // Wrong program: waits for the daemon to say so; or asks politely (kill: false).
    [Fact]
    public async Task A_master_stops_by_itself_when_the_lease_is_over()
    {
        await using var daemon = new ScriptedDaemon();
        await using var driver = Driver(daemon);
        var side = await MasterAsync(daemon, driver);
        await LeaveAloneAsync(daemon, side);

        Interlocked.Exchange(ref now, driver.LeaseEnd.EndsAtUs!.Value - 1);
        await Task.Delay(60); // More than two looks of the lease thread: nothing must happen yet.
        driver.Story.ShouldBe("+5");
        Interlocked.Increment(ref now);
        await Eventually.HoldsAsync(() => driver.Story == "+5 -5!", () => driver.Story);
        driver.Calls.Last().Reason.ShouldStartWith("lease over");
        driver.Ended.ShouldBeEmpty();
    }

    [Fact]
    public async Task After_the_lease_ended_the_daemon_says_start_again_and_it_starts_again()
    {
        await using var daemon = new ScriptedDaemon();
        await using var driver = Driver(daemon);
        var side = await MasterAsync(daemon, driver);
        daemon.Renew = renew => new RenewResult { Stamp = renew.Stamp, LeftUs = 0 };
        Interlocked.Add(ref now, 30_000);
        await Eventually.HoldsAsync(() => daemon.Stopped.Count == 1, () => driver.Story);
        driver.Story.ShouldBe("+5 -5!");
        daemon.Stopped.Single().Instance.ShouldBe(driver.Instance);
        daemon.Renew = renew => new RenewResult { Stamp = renew.Stamp, LeftUs = 900_000 };
        var start = side.TriggerAsync(true, 5);
        await TurnUntilAsync(start);
        (await start).Error.ShouldBeNull();
        driver.Story.ShouldBe("+5 -5! +5");
    }

    // Wrong program: goes on although another machine may have started; or ends the process before the deadline.
    [Fact]
    public async Task A_stop_that_does_not_return_ends_the_process_just_before_the_deadline()
    {
        await using var daemon = new ScriptedDaemon();
        var hang = new TaskCompletionSource();
        await using var driver = Driver(daemon);
        driver.Do = (trigger, _) => trigger.IsMaster ? Task.CompletedTask : hang.Task;
        var side = await MasterAsync(daemon, driver);
        await LeaveAloneAsync(daemon, side);

        var end = driver.LeaseEnd.EndsAtUs!.Value;
        Interlocked.Exchange(ref now, end);
        await Eventually.HoldsAsync(() => driver.Story == "+5 -5!", () => driver.Story);
        Interlocked.Exchange(ref now, end + 449_999); // kill_timeout 500 ms, margin 50 ms.
        await Task.Delay(60);
        driver.Ended.ShouldBeEmpty();
        Interlocked.Increment(ref now);
        await Eventually.HoldsAsync(() => driver.Ended.Count == 1, () => driver.Story);
        driver.Ended.Single().ShouldContain("kill_timeout");
        hang.SetResult();
    }

    // With nothing faked on the driver's side: process, clock, signal. Wrong program: says that it ends itself, and does not.
    [Fact]
    public async Task A_real_process_whose_stop_hangs_is_gone_when_its_limit_is_over()
    {
        await using var daemon = FakeDaemon.Start();
        using var child = DeafDriverChild.Start(daemon);
        try
        {
            var said = child.StandardError.ReadToEndAsync();
            var connection = await daemon.ConnectedAsync();
            connection.Registration.Stop.ShouldBe("certain");
            var token = await daemon.PromoteAsync();
            await Should.ThrowAsync<IOException>(connection.TriggerAsync(isMaster: false, token, kill: true, limitUs: 300_000));
            await child.WaitForExitAsync().WaitAsync(Patience);
            child.ExitCode.ShouldBe(128 + 9); // SIGKILL
            // It has 5 ms for its last words, which a busy machine may not give it; what they are is seen above.
            if (await said is { Length: > 0 } words) words.ShouldContain("This process ends itself, as it promised (stop: certain)");
        }
        finally
        {
            if (!child.HasExited)
                child.Kill(); // It has not kept its promise, and is not to outlive the test.
        }
    }

    // Wrong program: a new lease, won while the stop still hangs, calls off a deadline that the cluster has counted on.
    [Fact]
    public async Task A_new_lease_does_not_call_off_the_deadline()
    {
        await using var daemon = new ScriptedDaemon();
        var hang = new TaskCompletionSource();
        await using var driver = Driver(daemon);
        driver.Do = (trigger, _) => trigger.IsMaster ? Task.CompletedTask : hang.Task;
        var side = await MasterAsync(daemon, driver);
        await LeaveAloneAsync(daemon, side);
        var end = driver.LeaseEnd.EndsAtUs!.Value;
        Interlocked.Exchange(ref now, end);
        await Eventually.HoldsAsync(() => driver.Story == "+5 -5!", () => driver.Story);

        daemon.Renew = renew => new RenewResult { Stamp = renew.Stamp, LeftUs = 900_000 };
        Interlocked.Add(ref now, 300_000);
        await Eventually.HoldsAsync(() => driver.LeaseEnd.EndsAtUs > end, () => "no new lease");
        Interlocked.Exchange(ref now, end + 450_000);
        await Eventually.HoldsAsync(() => driver.Ended.Count == 1, () => driver.Story);
        hang.SetResult();
    }

    [Theory]
    [InlineData(StopGuarantee.BestEffort, "best-effort")] // Opting out is said: nobody counts on it.
    [InlineData(StopGuarantee.CertainByGuard, "certain")]
    public async Task A_process_that_is_not_to_end_itself_is_not_ended(StopGuarantee stop, string registeredAs)
    {
        await using var daemon = new ScriptedDaemon();
        var hang = new TaskCompletionSource();
        await using var driver = Driver(daemon, client => client with { Stop = stop });
        driver.Do = (trigger, _) => trigger.IsMaster ? Task.CompletedTask : hang.Task;
        var side = await MasterAsync(daemon, driver);
        side.Registration.Stop.ShouldBe(registeredAs);
        await LeaveAloneAsync(daemon, side);
        Interlocked.Add(ref now, 60_000_000);
        await Eventually.HoldsAsync(() => driver.Lines.Any(line => line.Contains("has not stopped in time", StringComparison.Ordinal)), () => string.Join('\n', driver.Lines));
        driver.Ended.ShouldBeEmpty();
        hang.SetResult();
    }

    [Fact]
    public async Task A_start_in_flight_is_cancelled_when_the_lease_ends_and_the_stop_follows()
    {
        await using var daemon = new ScriptedDaemon();
        await using var driver = Driver(daemon);
        driver.Do = (trigger, cancellationToken) => trigger.IsMaster ? Task.Delay(Timeout.InfiniteTimeSpan, cancellationToken) : Task.CompletedTask;
        await driver.ConnectAsync().WaitAsync(Patience);
        var side = await daemon.NextDriverAsync();
        await Eventually.HoldsAsync(() => driver.LeaseEnd.EndsAtUs is not null, () => "no lease");
        var start = side.TriggerAsync(true, 5);
        await Eventually.HoldsAsync(() => driver.Calls.Count == 1, () => driver.Story);
        await LeaveAloneAsync(daemon, side);
        await Should.ThrowAsync<IOException>(start);
        Interlocked.Exchange(ref now, driver.LeaseEnd.EndsAtUs!.Value);
        await Eventually.HoldsAsync(() => driver.Story == "+5 -5!", () => driver.Story);
    }

    // Wrong program: a planned stop that takes its ten seconds keeps doing so after the lease is over.
    [Fact]
    public async Task A_planned_stop_in_flight_becomes_one_that_cannot_wait()
    {
        await using var daemon = new ScriptedDaemon();
        await using var driver = Driver(daemon);
        driver.Do = (trigger, cancellationToken) => trigger.IsMaster || trigger.Kill ? Task.CompletedTask : Task.Delay(Timeout.InfiniteTimeSpan, cancellationToken);
        var side = await MasterAsync(daemon, driver);
        var planned = side.TriggerAsync(false, 5);
        await Eventually.HoldsAsync(() => driver.Calls.Count == 2, () => driver.Story);
        (await side.TriggerAsync(false, 5, kill: true)).Error.ShouldBeNull();
        (await planned).Error!.Code.ShouldBe(DriverErrorCodes.TriggerCancelled);
        driver.Story.ShouldBe("+5 -5 -5!");
    }

    [Fact]
    public async Task A_kill_of_the_daemon_has_a_deadline_too()
    {
        await using var daemon = new ScriptedDaemon();
        var hang = new TaskCompletionSource();
        await using var driver = Driver(daemon);
        driver.Do = (trigger, _) => trigger.IsMaster ? Task.CompletedTask : hang.Task;
        var side = await MasterAsync(daemon, driver);
        var killed = side.TriggerAsync(false, 5, kill: true, limitUs: 100_000);
        await Eventually.HoldsAsync(() => driver.Calls.Count == 2, () => driver.Story);
        driver.Ended.ShouldBeEmpty();
        Interlocked.Add(ref now, 90_000);
        await Eventually.HoldsAsync(() => driver.Ended.Count == 1, () => driver.Story);
        hang.SetResult();
        (await killed).Error.ShouldBeNull();
    }

    // Wrong program: takes a standby through its stop script whenever the daemon restarts.
    [Fact]
    public async Task A_standby_does_nothing_when_the_lease_ends()
    {
        await using var daemon = new ScriptedDaemon();
        await using var driver = Driver(daemon);
        await driver.ConnectAsync().WaitAsync(Patience);
        var side = await daemon.NextDriverAsync();
        await side.TriggerAsync(false, 4);
        await Eventually.HoldsAsync(() => driver.LeaseEnd.EndsAtUs is not null, () => "no lease");
        await LeaveAloneAsync(daemon, side);
        Interlocked.Add(ref now, 60_000_000);
        await Eventually.HoldsAsync(() => driver.Lines.Any(line => line.StartsWith("The lease is over", StringComparison.Ordinal)), () => string.Join('\n', driver.Lines));
        driver.Story.ShouldBe("-4");
    }

    // Wrong program: waits for ever on a daemon that is stopped but whose kernel keeps the connection open.
    [Fact]
    public async Task A_daemon_that_is_silent_is_left_and_another_connection_made()
    {
        await using var daemon = new ScriptedDaemon();
        await using var driver = Driver(daemon);
        var side = await MasterAsync(daemon, driver);
        daemon.Renew = _ => null;
        Interlocked.Add(ref now, 20_000);
        await Eventually.HoldsAsync(() => daemon.Methods.Last() == "renew", () => "no renewal");
        var next = daemon.NextDriverAsync();
        while (!next.IsCompleted)
        {
            Interlocked.Add(ref now, 20_000);
            await Task.Delay(5);
        }
        (await next).Registration.States.Single().Token.ShouldBe(5);
    }

    // Wrong program: a driver that was disposed while its stop failed takes its lease thread with it, and nobody ends what still runs.
    [Fact]
    public async Task Disposing_with_a_stop_that_fails_leaves_the_lease_and_the_deadline_in_force()
    {
        await using var daemon = new ScriptedDaemon();
        var driver = Driver(daemon);
        driver.Do = (trigger, _) => trigger.IsMaster ? Task.CompletedTask : throw new IOException("will not stop");
        await MasterAsync(daemon, driver);
        await driver.DisposeAsync().AsTask().WaitAsync(Patience);
        driver.Story.ShouldBe("+5 -5");
        daemon.Stopped.ShouldBeEmpty();
        Interlocked.Exchange(ref now, driver.LeaseEnd.EndsAtUs!.Value);
        await Eventually.HoldsAsync(() => driver.Story == "+5 -5 -5!", () => driver.Story);
        Interlocked.Add(ref now, 450_000);
        await Eventually.HoldsAsync(() => driver.Ended.Count == 1, () => driver.Story);
    }

    private RecordingDriver Driver(ScriptedDaemon daemon, Func<DriverClient, DriverClient>? change = null)
    {
        var client = new DriverClient { Secret = ScriptedDaemon.Secret, Id = "recorder", StopTimeout = TimeSpan.FromSeconds(5) };
        return new RecordingDriver(change is null ? client : change(client), daemon.Url) { Clock = () => Interlocked.Read(ref now) };
    }

    private static async Task<DaemonSide> MasterAsync(ScriptedDaemon daemon, RecordingDriver driver)
    {
        await driver.ConnectAsync().WaitAsync(Patience);
        var side = await daemon.NextDriverAsync();
        (await side.TriggerAsync(true, 5)).Error.ShouldBeNull();
        return side;
    }

    /// <summary>The daemon is cut off, and one that comes back knows of no session: what was granted is all there is.</summary>
    private static async Task LeaveAloneAsync(ScriptedDaemon daemon, DaemonSide side)
    {
        daemon.Renew = renew => new RenewResult { Stamp = renew.Stamp };
        side.Cut();
        await daemon.NextDriverAsync();
    }

    private async Task TurnUntilAsync(Task task)
    {
        while (!task.IsCompleted)
        {
            Interlocked.Add(ref now, 5_000);
            await Task.Delay(5);
        }
    }
}
