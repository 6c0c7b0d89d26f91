using Clustd.Client;
using Clustd.Client.Testing;
using Shouldly;
using Xunit;

namespace Clustd.Tests.Client;

public class LeaseTests
{
    private readonly TaskCompletionSource hang = new(TaskCreationOptions.RunContinuationsAsynchronously);

    [Fact]
    public void The_clock_is_read_at_every_question()
    {
        long now = 1_000, end = 1_500;
        var lease = new Lease("web", 7, () => end, () => now);
        (lease.IsValid, lease.Remaining).ShouldBe((true, TimeSpan.FromMicroseconds(500)));
        now = 1_499;
        lease.IsValid.ShouldBeTrue();
        now = 1_500;
        (lease.IsValid, lease.Remaining).ShouldBe((false, TimeSpan.Zero));
    }

    // Wrong program: reads the clock first and is frozen before it looks at the end, or looks first whether it is over.
    [Fact]
    public void What_changes_while_it_is_asked_makes_the_answer_smaller()
    {
        long now = 1_000;
        Lease lease = null!;
        lease = new Lease("web", 7, () => { now = 9_000; return 1_500; }, () => now);
        lease.IsValid.ShouldBeFalse();
        lease = new Lease("web", 7, () => 1_500, () => { lease.End(); return 1_000; });
        lease.IsValid.ShouldBeFalse();
    }

    [Fact]
    public void Extremes_do_not_overflow()
    {
        new Lease("web", 7, () => long.MinValue, () => long.MaxValue).IsValid.ShouldBeFalse();
        new Lease("web", 7, () => long.MaxValue, () => 0).Remaining.ShouldBeGreaterThan(TimeSpan.FromDays(365));
    }

    [Fact]
    public async Task A_start_is_handed_its_lease_and_the_machine_has_it_too()
    {
        await using var daemon = FakeDaemon.Start();
        await using var driver = new RecordingDriver(daemon.Client, daemon.Url);
        await driver.ConnectAsync();
        driver.LeaseOf().ShouldBeNull();
        var token = await daemon.PromoteAsync();
        var lease = driver.Calls.Last().Lease.ShouldNotBeNull();
        lease.ShouldBeSameAs(driver.LeaseOf());
        lease.ShouldBeSameAs(driver.LeaseOf("default"));
        (lease.Token, lease.Service, lease.IsValid).ShouldBe((token, "default", true));
        lease.Remaining.ShouldBe(daemon.LeaseLeft);
        lease.CancellationToken.IsCancellationRequested.ShouldBeFalse();
        await daemon.DemoteAsync();
        driver.Calls.Last().Lease.ShouldBeSameAs(lease);
        driver.LeaseOf().ShouldBeNull();
        (lease.IsValid, lease.CancellationToken.IsCancellationRequested).ShouldBe((false, true));
    }

    // Wrong program: counts from when the answer was read. Time passes between the two, and the lease is shorter by it.
    [Fact]
    public async Task However_late_the_answer_is_read_the_lease_counts_from_when_it_was_asked_for()
    {
        await using var daemon = FakeDaemon.Start(new FakeDaemonOptions { Lease = TimeSpan.FromSeconds(60) });
        await using var driver = new RecordingDriver(daemon.Client, daemon.Url);
        await driver.ConnectAsync();
        await daemon.PromoteAsync();
        var renewals = daemon.Calls.Count(call => call.Method == "renew");
        using (daemon.HoldAnswers())
        {
            daemon.Advance(TimeSpan.FromMilliseconds(30));
            await daemon.HeardAsync("renew", renewals);
            daemon.Advance(TimeSpan.FromMilliseconds(300));
        }
        var lease = driver.LeaseOf()!;
        await Eventually.HoldsAsync(() => lease.Remaining >= TimeSpan.FromMilliseconds(600), () => $"{lease.Remaining} left");
        lease.Remaining.ShouldBeLessThanOrEqualTo(TimeSpan.FromMilliseconds(900));
    }

    // Wrong program: tells the worker only through the stop, which waits behind a start that never ends.
    [Fact]
    public async Task The_token_is_cancelled_when_the_lease_ends_also_during_the_start()
    {
        await using var daemon = FakeDaemon.Start();
        Lease? lease = null;
        await using var driver = new RecordingDriver(daemon.Client, daemon.Url);
        driver.Do = async (trigger, _) =>
        {
            if (trigger.IsMaster)
                await Task.Delay(Timeout.InfiniteTimeSpan, (lease = trigger.Lease).CancellationToken); // Not the trigger's token.
        };
        await driver.ConnectAsync();
        var promote = daemon.PromoteAsync();
        await Eventually.HoldsAsync(() => lease is not null, () => driver.Story);
        await daemon.LapseAsync();
        (await Should.ThrowAsync<TriggerFailedException>(promote)).Code.ShouldBe(Clustd.Client.Protocol.DriverErrorCodes.TriggerCancelled);
        lease!.IsValid.ShouldBeFalse();
        driver.Story.ShouldEndWith("+1 -1!");
    }

    // Wrong program: a lease that is won again revives what was granted before the lapse; its worker was told to stop.
    [Fact]
    public async Task A_lease_that_has_ended_stays_ended_and_the_next_start_has_another()
    {
        await using var daemon = FakeDaemon.Start();
        await using var driver = new RecordingDriver(daemon.Client, daemon.Url);
        driver.Do = (trigger, _) => trigger.Kill ? hang.Task : Task.CompletedTask;
        await driver.ConnectAsync();
        await daemon.PromoteAsync();
        var first = driver.LeaseOf()!;
        daemon.Lapse();
        await Eventually.HoldsAsync(() => first.CancellationToken.IsCancellationRequested, () => driver.Story);
        daemon.Grants = true;
        daemon.Advance(TimeSpan.FromMilliseconds(100));
        await Eventually.HoldsAsync(() => driver.LeaseEnd.IsValid(daemon.Clock.NowUs), () => "no new lease");
        first.IsValid.ShouldBeFalse();
        hang.SetResult();
        await daemon.PromoteAsync();
        var second = driver.LeaseOf()!;
        (second.IsValid, first.IsValid).ShouldBe((true, false));
    }

    // Work in hand may be finished while a planned stop is carried out; one that cannot wait leaves no time for that.
    [Fact]
    public async Task A_planned_stop_cancels_the_token_and_leaves_the_lease_valid_until_it_is_done()
    {
        await using var daemon = FakeDaemon.Start();
        await using var driver = new RecordingDriver(daemon.Client, daemon.Url);
        driver.Do = (trigger, _) => trigger.IsMaster || trigger.Token == 0 ? Task.CompletedTask : hang.Task;
        await driver.ConnectAsync();
        await daemon.PromoteAsync();
        var lease = driver.LeaseOf()!;
        var demote = daemon.DemoteAsync();
        await lease.CancellationToken.WhenCancelled();
        lease.IsValid.ShouldBeTrue();
        hang.SetResult();
        await demote;
        lease.IsValid.ShouldBeFalse();
    }

    [Fact]
    public async Task A_stop_that_cannot_wait_ends_the_lease_before_user_code_hears_of_it()
    {
        await using var daemon = FakeDaemon.Start();
        await using var driver = new RecordingDriver(daemon.Client, daemon.Url);
        bool? validInTheStop = null;
        driver.Do = (trigger, _) =>
        {
            if (trigger.Kill)
                validInTheStop = trigger.Lease!.IsValid;
            return Task.CompletedTask;
        };
        await driver.ConnectAsync();
        await daemon.PromoteAsync();
        await daemon.KillAsync();
        validInTheStop.ShouldBe(false);
    }

    [Fact]
    public async Task Shutting_down_cancels_the_token_before_the_stop_has_returned()
    {
        await using var daemon = FakeDaemon.Start();
        var driver = new RecordingDriver(daemon.Client, daemon.Url);
        driver.Do = (trigger, _) => trigger.IsMaster || trigger.Token == 0 ? Task.CompletedTask : hang.Task;
        await driver.ConnectAsync();
        await daemon.PromoteAsync();
        var lease = driver.LeaseOf()!;
        var disposing = driver.DisposeAsync().AsTask();
        await lease.CancellationToken.WhenCancelled();
        lease.IsValid.ShouldBeTrue();
        hang.SetResult();
        await disposing.WaitAsync(ScriptedDaemon.Patience);
        daemon.Stopped.Single().Token.ShouldBe(lease.Token);
    }

    [Fact]
    public async Task With_several_services_the_one_that_is_meant_has_to_be_named()
    {
        await using var daemon = FakeDaemon.Start();
        await using var driver = new RecordingDriver(daemon.Client with { Services = ["web", "mail"] }, daemon.Url);
        await driver.ConnectAsync();
        var web = await daemon.PromoteAsync("web");
        driver.LeaseOf()!.Token.ShouldBe(web);
        var mail = await daemon.PromoteAsync("mail");
        Should.Throw<InvalidOperationException>(() => driver.LeaseOf()).Message.ShouldContain("Name the service");
        (driver.LeaseOf("web")!.Token, driver.LeaseOf("mail")!.Token).ShouldBe((web, mail));
    }

    // Wrong program: a reader in a loop takes the lock that the lease thread needs; or sees true after it saw the end.
    [Fact]
    public async Task Readers_on_many_threads_never_see_it_valid_after_its_end_and_hold_nobody_up()
    {
        await using var daemon = FakeDaemon.Start();
        await using var driver = new RecordingDriver(daemon.Client, daemon.Url);
        await driver.ConnectAsync();
        await daemon.PromoteAsync();
        var lease = driver.LeaseOf()!;
        var wrong = 0;
        var over = false;
        var done = false;
        var readers = Enumerable.Range(0, 4).Select(_ => new Thread(() =>
        {
            while (!Volatile.Read(ref done))
            {
                var ended = Volatile.Read(ref over);
                if (lease.IsValid && ended)
                    Interlocked.Increment(ref wrong);
            }
        }) { IsBackground = true }).ToList();
        readers.ForEach(reader => reader.Start());
        await daemon.LapseAsync();
        Volatile.Write(ref over, true);
        await daemon.PromoteAsync();
        Volatile.Write(ref done, true);
        readers.ForEach(reader => reader.Join());
        wrong.ShouldBe(0);
    }
}

internal static class CancellationWaiting
{
    public static async Task WhenCancelled(this CancellationToken token)
    {
        var cancelled = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        await using var _ = token.Register(cancelled.SetResult);
        await cancelled.Task.WaitAsync(ScriptedDaemon.Patience);
    }
}
