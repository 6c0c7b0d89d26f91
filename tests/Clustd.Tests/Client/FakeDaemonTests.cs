using Clustd.Client;
using Clustd.Client.Protocol;
using Clustd.Client.Testing;
using Shouldly;
using Xunit;

namespace Clustd.Tests.Client;

/// <summary>The fake daemon as a user of the SDK meets it.</summary>
public class FakeDaemonTests
{
    [Fact]
    public async Task Tells_whoever_comes_its_state_and_promotes_and_demotes_when_told()
    {
        await using var daemon = FakeDaemon.Start();
        await using var driver = await ConnectAsync(daemon);
        await daemon.PromoteAsync();
        await daemon.DemoteAsync();
        driver.Story.ShouldBe("-0 +1 -1");
        daemon.Triggers.ShouldAllBe(told => told.Acknowledged);
        daemon.Calls.Select(call => call.Method).Take(3).ShouldBe(["hello", "authenticate", "register"]);
    }

    [Fact]
    public async Task An_error_of_the_driver_is_an_exception_of_the_verb()
    {
        await using var daemon = FakeDaemon.Start();
        await using var driver = await ConnectAsync(daemon);
        driver.Do = (trigger, _) => trigger.IsMaster ? throw new InvalidOperationException("the port is taken") : Task.CompletedTask;
        var failed = await Should.ThrowAsync<TriggerFailedException>(daemon.PromoteAsync());
        (failed.Code, failed.Message).ShouldBe((DriverErrorCodes.TriggerFailed, "the port is taken"));
        daemon.Triggers[^1].Error.ShouldBe("the port is taken");
    }

    [Fact]
    public async Task Without_the_test_s_doing_no_time_passes_and_no_lease_ends()
    {
        await using var daemon = FakeDaemon.Start();
        await using var driver = await ConnectAsync(daemon);
        await daemon.PromoteAsync();
        var before = driver.LeaseOf()!.Remaining;
        driver.LeaseOf()!.Remaining.ShouldBe(before);
        daemon.Advance(TimeSpan.FromMilliseconds(10)); // Less than a renewal.
        driver.LeaseOf()!.Remaining.ShouldBe(before - TimeSpan.FromMilliseconds(10));
    }

    [Fact]
    public async Task A_lease_that_lapses_stops_the_driver_also_when_its_connection_is_gone()
    {
        await using var daemon = FakeDaemon.Start();
        await using var driver = await ConnectAsync(daemon);
        await daemon.NextConnectionAsync();
        await daemon.PromoteAsync();
        daemon.DropConnection();
        await daemon.LapseAsync();
        driver.Story.ShouldBe("-0 +1 -1!");
        await daemon.NextConnectionAsync();
        await daemon.PromoteAsync();
        driver.Story.ShouldEndWith("+2");
    }

    [Fact]
    public async Task A_connection_that_is_dropped_comes_back_and_what_runs_goes_on()
    {
        await using var daemon = FakeDaemon.Start();
        await using var driver = await ConnectAsync(daemon);
        await daemon.NextConnectionAsync();
        var token = await daemon.PromoteAsync();
        daemon.DropConnection();
        var back = await daemon.NextConnectionAsync();
        back.Registration.States.ShouldBe([new DriverState { Service = "default", IsMaster = true, Token = token }]);
        await daemon.DemoteAsync();
        driver.Story.ShouldBe("-0 +1 -1");
    }

    // The verb is what the test waits for: a connection that breaks in the middle is the driver's business, not the test's.
    [Fact]
    public async Task A_verb_outlives_the_connection_that_it_began_on()
    {
        await using var daemon = FakeDaemon.Start();
        var go = new TaskCompletionSource();
        await using var driver = await ConnectAsync(daemon);
        await daemon.NextConnectionAsync();
        driver.Do = (trigger, _) => trigger.IsMaster ? go.Task : Task.CompletedTask;
        var promote = daemon.PromoteAsync();
        await Eventually.HoldsAsync(() => driver.Story == "-0 +1", () => driver.Story);
        daemon.DropConnection();
        await daemon.NextConnectionAsync();
        go.SetResult();
        (await promote).ShouldBe(1);
        driver.Story.ShouldBe("-0 +1");
    }

    [Fact]
    public async Task A_driver_can_be_refused_and_says_so()
    {
        await using var daemon = FakeDaemon.Start();
        daemon.Refusal = "Cannot register: no service 'x'. Name another.";
        await using var driver = new RecordingDriver(daemon.Client, daemon.Url);
        (await Should.ThrowAsync<DriverRefusedException>(driver.ConnectAsync())).Message.ShouldBe(daemon.Refusal);
    }

    [Fact]
    public async Task Answers_that_are_held_come_later_and_in_order()
    {
        await using var daemon = FakeDaemon.Start();
        await using var driver = await ConnectAsync(daemon);
        await daemon.PromoteAsync();
        Task report;
        using (daemon.HoldAnswers())
        {
            report = driver.ReportHealthAsync("default", true, "fine");
            await daemon.HeardAsync(DriverMethods.Health);
            report.IsCompleted.ShouldBeFalse();
        }
        await report.WaitAsync(ScriptedDaemon.Patience);
    }

    [Fact]
    public async Task What_is_waited_for_in_vain_is_said_with_what_was_heard()
    {
        await using var daemon = FakeDaemon.Start(new FakeDaemonOptions { Patience = TimeSpan.FromMilliseconds(1) });
        (await Should.ThrowAsync<TimeoutException>(daemon.FailureAsync())).Message.ShouldContain("for the driver to report a failure. Heard from drivers so far: nothing.");
    }

    [Fact]
    public void The_clock_fires_timers_in_their_order_while_it_is_moved()
    {
        var clock = new FakeClock();
        var fired = new List<string>();
        using var late = clock.CreateTimer(_ => fired.Add("late"), null, TimeSpan.FromSeconds(5), Timeout.InfiniteTimeSpan);
        using var every = clock.CreateTimer(_ => fired.Add("every"), null, TimeSpan.FromSeconds(2), TimeSpan.FromSeconds(2));
        using var never = clock.CreateTimer(_ => fired.Add("never"), null, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
        clock.Advance(TimeSpan.FromSeconds(1));
        fired.ShouldBeEmpty();
        clock.Advance(TimeSpan.FromSeconds(5));
        fired.ShouldBe(["every", "every", "late", "every"]);
        every.Dispose();
        clock.Advance(TimeSpan.FromSeconds(60));
        fired.Count.ShouldBe(4);
    }

    private static async Task<RecordingDriver> ConnectAsync(FakeDaemon daemon)
    {
        var driver = new RecordingDriver(daemon.Client, daemon.Url);
        await driver.ConnectAsync();
        return driver;
    }
}
