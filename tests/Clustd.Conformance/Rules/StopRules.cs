using System.Text.Json.Nodes;
using Clustd.Conformance.Stage;
using Shouldly;
using Xunit;

namespace Clustd.Conformance.Rules;

/// <summary>docs/protocol.md, 3: when the lease is over; and how a driver leaves.</summary>
public abstract class StopRules(string subject) : Rules(subject)
{
    private const int KilledBySigkill = 137;

    // Wrong program: waits for its daemon to tell it.
    [Fact]
    public async Task It_stops_by_itself_when_the_lease_is_over_and_says_so_when_it_is_back()
    {
        await using var scene = await StartAsync(daemon => daemon.LeftUs = 3 * Second);
        var side = await scene.RunningAsync(9);
        scene.Daemon.TurnsAway = true;
        var last = side.Calls("renew").Last();
        side.Cut();
        var stop = await scene.BeginsAsync(false);
        (stop.Is("kill"), stop.Number("token")).ShouldBe((true, 9));
        (stop.AtUs - last.AtUs).ShouldBeGreaterThan(2 * Second, "a lost connection is not a stop");
        await scene.EndsAsync(false);
        scene.Daemon.TurnsAway = false;
        var again = await scene.NextDriverAsync();
        (again.StateOf()?["isMaster"]?.GetValue<bool>() ?? false).ShouldBeFalse();
        await scene.Acknowledged(again.TriggerAsync(true, 10));
    }

    [Fact]
    public async Task A_start_in_flight_when_the_lease_ends_is_cancelled_and_stopped()
    {
        await using var scene = await StartAsync();
        var side = await scene.NextDriverAsync();
        await scene.BehaveAsync(true, holds: true);
        var start = side.TriggerAsync(true, 9);
        await scene.BeginsAsync(true);
        scene.Daemon.LeftUs = 0;
        await scene.CancelledAsync(true);
        await scene.Refused(start, -32002);
        (await scene.BeginsAsync(false)).Number("token").ShouldBe(9);
        await scene.HeardAsync(side, "stopped");
    }

    // Wrong program: has no watchdog, and hopes for the stop to return.
    [Fact]
    public async Task Certain_means_that_it_ends_its_own_process_if_the_stop_does_not_return()
    {
        await using var scene = await StartAsync(daemon => daemon.KillTimeoutUs = 2 * Second);
        await scene.RunningAsync();
        await scene.BehaveAsync(false, holds: true, ignores: true);
        scene.Daemon.LeftUs = 0;
        var stop = await scene.BeginsAsync(false);
        (await scene.InTime(scene.Subject.Ended, "the process to end itself")).ShouldBe(KilledBySigkill);
        (Message.NowUs - stop.AtUs).ShouldBeLessThan(7 * Second, "2 s after the end of the lease; what is more is this machine's load");
    }

    [Fact]
    public async Task Certain_means_that_a_failed_stop_ends_its_process_as_well()
    {
        await using var scene = await StartAsync(daemon => daemon.KillTimeoutUs = 2 * Second);
        await scene.RunningAsync();
        await scene.BehaveAsync(false, fails: "it hangs on");
        scene.Daemon.LeftUs = 0;
        (await scene.InTime(scene.Subject.Ended, "the process to end itself")).ShouldBe(KilledBySigkill);
    }

    // Wrong program: its watchdog needs the very runtime that is blocked.
    [Fact]
    public async Task Certain_means_also_while_its_whole_runtime_is_blocked()
    {
        await using var scene = await StartAsync(daemon => (daemon.LeftUs, daemon.KillTimeoutUs) = (4 * Second, 2 * Second));
        await scene.RunningAsync();
        await scene.BehaveAsync(false, holds: true, ignores: true);
        await scene.DoAsync("freeze", new JsonObject { ["ms"] = 60_000 });
        scene.Daemon.OnRenew = _ => null;
        var since = Message.NowUs;
        (await scene.InTime(scene.Subject.Ended, "the process to end itself")).ShouldBe(KilledBySigkill);
        (Message.NowUs - since).ShouldBeLessThan(16 * Second, "6 s after its last renewal; what is more is this machine's load");
    }

    [Fact]
    public async Task A_stop_that_cannot_wait_has_the_time_that_it_was_given_and_no_more()
    {
        await using var scene = await StartAsync();
        var side = await scene.RunningAsync();
        await scene.BehaveAsync(false, blocksMs: 60_000);
        _ = side.TriggerAsync(false, 7, kill: true, limitUs: 2 * Second).ContinueWith(answer => answer.Exception, TaskScheduler.Default);
        (await scene.InTime(scene.Subject.Ended, "the process to end itself")).ShouldBe(KilledBySigkill);
    }

    [Fact]
    public async Task Best_effort_means_that_it_goes_on()
    {
        await using var scene = await StartAsync(daemon => daemon.KillTimeoutUs = Second, null, ("CLUSTD_STOP", "best-effort"));
        var side = await scene.RunningAsync();
        await scene.BehaveAsync(false, holds: true, ignores: true);
        scene.Daemon.LeftUs = 0;
        var stop = await scene.BeginsAsync(false);
        await Task.Delay(TimeSpan.FromSeconds(2.5));
        scene.Subject.Ended.IsCompleted.ShouldBeFalse();
        await scene.ReleaseAsync();
        (await scene.HeardAsync(side, "stopped")).Params["token"]!.GetValue<long>().ShouldBe(stop.Number("token")!.Value);
    }

    [Fact]
    public async Task A_stop_that_returns_in_time_ends_no_process()
    {
        await using var scene = await StartAsync(daemon => daemon.KillTimeoutUs = 3 * Second);
        var side = await scene.RunningAsync();
        scene.Daemon.LeftUs = 0;
        await scene.HeardAsync(side, "stopped");
        await Task.Delay(TimeSpan.FromSeconds(4));
        scene.Subject.Ended.IsCompleted.ShouldBeFalse();
        scene.Daemon.LeftUs = 20 * Second;
        await scene.Acknowledged(side.TriggerAsync(true, 8));
    }

    // Wrong program: a new lease won while the stop hangs calls the deadline off, and the other machine starts beside it.
    [Fact]
    public async Task A_new_lease_does_not_call_the_deadline_off()
    {
        await using var scene = await StartAsync(daemon => daemon.KillTimeoutUs = 3 * Second);
        await scene.RunningAsync();
        await scene.BehaveAsync(false, holds: true, ignores: true);
        scene.Daemon.LeftUs = 0;
        await scene.BeginsAsync(false);
        scene.Daemon.LeftUs = 60 * Second;
        (await scene.InTime(scene.Subject.Ended, "the process to end itself")).ShouldBe(KilledBySigkill);
    }

    // Wrong program: believes the longer limit that it was told last, while others count on the shorter one.
    [Fact]
    public async Task While_a_lease_lasts_the_shortest_limit_binds()
    {
        await using var scene = await StartAsync(daemon => daemon.KillTimeoutUs = 2 * Second);
        var side = await scene.RunningAsync();
        scene.Daemon.KillTimeoutUs = 600 * Second;
        await side.CloseAsync(1001, "the terms have changed");
        await scene.NextDriverAsync();
        await scene.BehaveAsync(false, holds: true, ignores: true);
        scene.Daemon.LeftUs = 0;
        (await scene.InTime(scene.Subject.Ended, "the process to end itself")).ShouldBe(KilledBySigkill);
    }

    [Fact]
    public async Task Tighter_terms_bind_from_when_they_were_said()
    {
        await using var scene = await StartAsync(daemon => daemon.KillTimeoutUs = 600 * Second);
        var side = await scene.RunningAsync();
        scene.Daemon.KillTimeoutUs = 2 * Second;
        await side.CloseAsync(1001, "the terms have changed");
        var again = await scene.NextDriverAsync();
        again.Tells()["isMaster"]!.GetValue<bool>().ShouldBeTrue("what runs goes on");
        await scene.BehaveAsync(false, holds: true, ignores: true);
        scene.Daemon.LeftUs = 0;
        (await scene.InTime(scene.Subject.Ended, "the process to end itself")).ShouldBe(KilledBySigkill);
        scene.Begun(false).ShouldBe(1);
    }

    [Fact]
    public async Task Closing_stops_what_runs_and_tells()
    {
        await using var scene = await StartAsync();
        var side = await scene.RunningAsync(9);
        await scene.BehaveAsync(false, holds: true);
        await scene.DoAsync("close");
        await scene.BeginsAsync(false);
        var late = await scene.Answer(side.TriggerAsync(true, 10));
        late.ErrorCode.ShouldBe(-32005);
        side.Calls("stopped").ShouldBeEmpty("it still runs");
        await scene.ReleaseAsync();
        var proof = await scene.HeardAsync(side, "stopped");
        (proof.Params["service"]!.GetValue<string>(), proof.Params["token"]!.GetValue<long>()).ShouldBe(("default", 9));
        await scene.Said.FirstAsync(said => said.Event == "closed", "the SDK's close to return", scene.Patience);
        await scene.InTime(side.Closed, "the driver to hang up");
        (await scene.InTime(scene.Subject.Ended, "the process to end")).ShouldBe(0);
        scene.Begun(true).ShouldBe(1);
    }
}
