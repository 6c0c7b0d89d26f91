using Clustd.Conformance.Stage;
using Shouldly;
using Xunit;

namespace Clustd.Conformance.Rules;

/// <summary>docs/protocol.md, 4: `trigger` and `cancel`.</summary>
public abstract class TriggerRules(string subject) : Rules(subject)
{
    // Wrong program: answers when the start was begun.
    [Fact]
    public async Task A_start_is_answered_when_it_has_happened()
    {
        await using var scene = await StartAsync();
        var side = await scene.NextDriverAsync();
        await scene.BehaveAsync(true, holds: true);
        var start = side.TriggerAsync(true, 42);
        var begin = await scene.BeginsAsync(true);
        (begin.Number("token"), begin.Text("reason"), begin.Is("kill"), begin.Is("lease")).ShouldBe((42, "the suite says so", false, true));
        await scene.ReadAllAsync(side);
        start.IsCompleted.ShouldBeFalse();
        await scene.ReleaseAsync();
        await scene.Acknowledged(start);
        var lease = await scene.LeaseAsync();
        (lease.Is("isValid"), lease.Number("token")).ShouldBe((true, 42));
    }

    // Wrong program: keeps it to itself, and what fences starts without a fence.
    [Fact]
    public async Task A_start_names_those_that_must_be_off_first()
    {
        await using var scene = await StartAsync(null, null, ("CLUSTD_FENCES", "cm-2,cm-3"));
        var side = await scene.NextDriverAsync();
        await scene.Acknowledged(side.TriggerAsync(true, 42, takesOverFrom: ["cm-2", "cm-3"]));
        (await scene.BeginsAsync(true)).Texts("takesOverFrom").ShouldBe(["cm-2", "cm-3"]);
        await scene.Acknowledged(side.TriggerAsync(false, 42));
        await scene.Acknowledged(side.TriggerAsync(true, 43));
        (await scene.BeginsAsync(true, after: 1)).Texts("takesOverFrom").ShouldBeEmpty();
    }

    [Fact]
    public async Task A_stop_is_answered_when_it_has_happened()
    {
        await using var scene = await StartAsync();
        var side = await scene.RunningAsync(42);
        await scene.BehaveAsync(false, holds: true);
        var stop = side.TriggerAsync(false, 42);
        await scene.BeginsAsync(false);
        await scene.ReadAllAsync(side);
        stop.IsCompleted.ShouldBeFalse("the answer lets another machine start");
        (await scene.LeaseAsync()).Is("isValid").ShouldBeTrue("work in hand may be finished");
        await scene.ReleaseAsync();
        await scene.Acknowledged(stop);
        (await scene.LeaseAsync()).Is("isValid").ShouldBeFalse();
    }

    [Fact]
    public async Task A_stop_with_nothing_running_succeeds()
    {
        await using var scene = await StartAsync();
        var side = await scene.NextDriverAsync();
        await scene.Acknowledged(side.TriggerAsync(false, 3));
    }

    // Wrong program: begins the stop while the start still runs.
    [Fact]
    public async Task A_stop_during_a_start_cancels_it_and_waits_for_it()
    {
        await using var scene = await StartAsync();
        var side = await scene.NextDriverAsync();
        await scene.BehaveAsync(true, holds: true, ignores: true);
        var start = side.TriggerAsync(true, 4);
        await scene.BeginsAsync(true);
        var stop = side.TriggerAsync(false, 4);
        await scene.CancelledAsync(true);
        await scene.ReadAllAsync(side);
        scene.Begun(false).ShouldBe(0);
        await scene.ReleaseAsync();
        await scene.Refused(start, -32002);
        await scene.Acknowledged(stop);
        var calls = scene.Said.All.Where(said => said.Event is "begin" or "end").Select(said => (said.Event, said.Is("isMaster"))).ToList();
        calls.ShouldBe([("begin", true), ("end", true), ("begin", false), ("end", false)]);
    }

    [Fact]
    public async Task What_was_cancelled_before_it_began_is_not_begun()
    {
        await using var scene = await StartAsync();
        var side = await scene.RunningAsync(4);
        await scene.BehaveAsync(false, holds: true);
        var stop = side.TriggerAsync(false, 4);
        await scene.BeginsAsync(false);
        var start = side.TriggerAsync(true, 5);
        var other = side.TriggerAsync(false, 5);
        (await scene.Answer(start)).ErrorCode.ShouldBeOneOf(-32002, -32003);
        await scene.BehaveAsync(false);
        await scene.ReleaseAsync();
        await scene.Acknowledged(stop);
        await scene.Acknowledged(other);
        scene.Begun(true).ShouldBe(1, "only the first");
    }

    [Fact]
    public async Task What_was_done_and_acknowledged_is_acknowledged_again_and_not_done_again()
    {
        await using var scene = await StartAsync();
        var side = await scene.RunningAsync(4);
        await scene.Acknowledged(side.TriggerAsync(true, 4));
        side.Cut();
        var again = await scene.NextDriverAsync();
        await scene.Acknowledged(again.TriggerAsync(true, 4));
        scene.Begun(true).ShouldBe(1);
        await scene.Acknowledged(again.TriggerAsync(false, 4));
        await scene.Acknowledged(again.TriggerAsync(false, 4));
        scene.Begun(false).ShouldBe(1);
        await scene.Acknowledged(again.TriggerAsync(true, 5));
        scene.Begun(true).ShouldBe(2, "another token is another start");
    }

    [Fact]
    public async Task What_is_being_done_is_answered_when_it_is_done()
    {
        await using var scene = await StartAsync();
        var side = await scene.NextDriverAsync();
        await scene.BehaveAsync(true, holds: true);
        var first = side.TriggerAsync(true, 4);
        await scene.BeginsAsync(true);
        var second = side.TriggerAsync(true, 4);
        await scene.ReadAllAsync(side);
        (first.IsCompleted, second.IsCompleted).ShouldBe((false, false));
        await scene.ReleaseAsync();
        await scene.Acknowledged(first);
        await scene.Acknowledged(second);
        scene.Begun(true).ShouldBe(1);
    }

    // Wrong program: runs a second start on top of what the first has left half done.
    [Fact]
    public async Task A_failed_start_is_answered_with_its_error_again_until_it_was_stopped()
    {
        await using var scene = await StartAsync();
        var side = await scene.NextDriverAsync();
        await scene.BehaveAsync(true, fails: "the port is taken");
        var first = side.TriggerAsync(true, 4);
        await scene.Refused(first, -32001);
        (await first).ErrorText.ShouldBe("the port is taken");
        var second = side.TriggerAsync(true, 4);
        await scene.Refused(second, -32001);
        (await second).ErrorText.ShouldBe("the port is taken");
        scene.Begun(true).ShouldBe(1);
        await scene.Acknowledged(side.TriggerAsync(false, 4));
        await scene.BehaveAsync(true);
        await scene.Acknowledged(side.TriggerAsync(true, 5));
        scene.Begun(true).ShouldBe(2);
    }

    // Wrong program: acknowledges a stop because it was tried.
    [Fact]
    public async Task A_failed_stop_is_tried_again_when_it_is_told_again()
    {
        await using var scene = await StartAsync();
        var side = await scene.RunningAsync(4);
        await scene.BehaveAsync(false, fails: "it hangs on");
        await scene.Refused(side.TriggerAsync(false, 4), -32001);
        await scene.BehaveAsync(false);
        await scene.Acknowledged(side.TriggerAsync(false, 4));
        scene.Begun(false).ShouldBe(2);
    }

    [Fact]
    public async Task A_start_that_is_cancelled_by_its_number_is_given_up()
    {
        await using var scene = await StartAsync();
        var side = await scene.NextDriverAsync();
        await scene.BehaveAsync(true, holds: true);
        var start = side.TriggerAsync(true, 4);
        await scene.BeginsAsync(true);
        await side.CancelAsync(side.LastSequence + 1); // Another's number.
        await scene.ReadAllAsync(side);
        scene.Said.All.ShouldNotContain(said => said.Event == "cancelled");
        await side.CancelAsync(side.LastSequence);
        await scene.CancelledAsync(true);
        await scene.Refused(start, -32002);
        await scene.Acknowledged(side.TriggerAsync(false, 4));
        scene.Begun(false).ShouldBe(1, "what was begun may be running");
    }

    [Fact]
    public async Task A_start_with_an_older_token_is_refused()
    {
        await using var scene = await StartAsync();
        var side = await scene.RunningAsync(9);
        await scene.Acknowledged(side.TriggerAsync(false, 9));
        (await scene.Answer(side.TriggerAsync(true, 8))).ErrorCode.ShouldNotBeNull();
        scene.Begun(true).ShouldBe(1);
    }

    // Wrong program: lets a planned stop take its time although another machine may start.
    [Fact]
    public async Task A_stop_that_cannot_wait_makes_a_planned_one_urgent()
    {
        await using var scene = await StartAsync();
        var side = await scene.RunningAsync(9);
        await scene.BehaveAsync(false, holds: true);
        var planned = side.TriggerAsync(false, 9);
        await scene.BeginsAsync(false);
        await scene.DoAsync("lease", new() { ["service"] = "default" });
        var kill = side.TriggerAsync(false, 9, kill: true);
        await scene.CancelledAsync(false);
        (await scene.BeginsAsync(false, after: 1)).Is("kill").ShouldBeTrue();
        (await scene.LeaseAsync()).Is("isValid").ShouldBeFalse("nobody waits for work in hand any more");
        await scene.ReleaseAsync();
        await scene.Acknowledged(kill);
        (await scene.Answer(planned)).ErrorCode.ShouldBeOneOf(null, -32002);
    }

    [Fact]
    public async Task Services_do_not_wait_for_each_other()
    {
        await using var scene = await StartAsync(daemon => daemon.Services = ["a", "b"], null, ("CLUSTD_SERVICES", "a,b"));
        var side = await scene.NextDriverAsync();
        await scene.BehaveAsync(true, holds: true);
        var a = side.TriggerAsync(true, 1, service: "a");
        await scene.BeginsAsync(true, service: "a");
        await scene.BehaveAsync(true);
        await scene.Acknowledged(side.TriggerAsync(true, 1, service: "b"));
        a.IsCompleted.ShouldBeFalse();
        await scene.ReleaseAsync();
        await scene.Acknowledged(a);
    }
}
