using System.Text.Json.Nodes;
using Clustd.Conformance.Stage;
using Shouldly;
using Xunit;

namespace Clustd.Conformance.Rules;

/// <summary>docs/protocol.md, 2: `register`, and what a driver tells of itself when it comes back.</summary>
public abstract class RegisterRules(string subject) : Rules(subject)
{
    [Fact]
    public async Task It_says_who_it_is()
    {
        await using var scene = await StartAsync(
            daemon => daemon.Services = ["a", "b"], null,
            ("CLUSTD_SERVICES", "a,b"), ("CLUSTD_ORDER", "3"), ("CLUSTD_STOP", "best-effort"), ("CLUSTD_STOP_TIMEOUT_MS", "3000"), ("CLUSTD_KILL_TIMEOUT_MS", "200"));
        var said = (await scene.NextDriverAsync()).Registration;
        said["name"]!.GetValue<string>().ShouldBe("subject");
        said["id"]!.GetValue<string>().ShouldStartWith("subject-");
        said["instance"]!.GetValue<string>().Length.ShouldBeInRange(8, 128);
        said["services"]!.AsArray().Select(service => service!.GetValue<string>()).ShouldBe(["a", "b"]);
        said["order"]!.GetValue<int>().ShouldBe(3);
        said["stop"]!.GetValue<string>().ShouldBe("best-effort");
        said["stopTimeoutUs"]!.GetValue<long>().ShouldBe(3_000_000);
        said["killTimeoutUs"]!.GetValue<long>().ShouldBe(200_000);
        (said["states"] as JsonArray ?? []).Count.ShouldBe(0, "a new process runs nothing");
        (said["fences"] as JsonArray ?? []).Count.ShouldBe(0, "nobody said that it could");
    }

    [Fact]
    public async Task It_says_whom_it_can_fence()
    {
        await using var scene = await StartAsync(null, null, ("CLUSTD_FENCES", "cm-2,cm-3"));
        (await scene.NextDriverAsync()).Registration["fences"]!.AsArray().Select(machine => machine!.GetValue<string>()).ShouldBe(["cm-2", "cm-3"]);
    }

    [Fact]
    public async Task It_promises_to_stop_for_certain_unless_told_otherwise()
    {
        await using var scene = await StartAsync();
        (await scene.NextDriverAsync()).Registration["stop"]!.GetValue<string>().ShouldBe("certain");
    }

    [Fact]
    public async Task The_instance_stays_as_long_as_the_process()
    {
        await using var scene = await StartAsync();
        var first = await scene.NextDriverAsync();
        first.Cut();
        var second = await scene.NextDriverAsync();
        await using var other = await StartAsync();
        var third = await other.NextDriverAsync();
        var instances = new[] { first, second, third }.Select(side => side.Registration["instance"]!.GetValue<string>()).ToList();
        instances[1].ShouldBe(instances[0]);
        instances[2].ShouldNotBe(instances[0]);
    }

    // Wrong program: takes a lost connection for a stop, or comes back as if nothing ran.
    [Fact]
    public async Task A_lost_connection_is_not_a_stop()
    {
        await using var scene = await StartAsync();
        var side = await scene.RunningAsync(token: 41);
        side.Cut();
        var state = (await scene.NextDriverAsync()).Tells();
        state["isMaster"]!.GetValue<bool>().ShouldBeTrue();
        state["token"]!.GetValue<long>().ShouldBe(41);
        (state["unsettled"]?.GetValue<bool>() ?? false).ShouldBeFalse();
        (await scene.LeaseAsync()).Is("isValid").ShouldBeTrue();
        scene.Begun(false).ShouldBe(0);
        scene.Said.All.ShouldNotContain(said => said.Event == "over");
    }

    // Wrong program: says that it runs, and a start that fails afterwards counts as done.
    [Fact]
    public async Task A_start_in_flight_is_unsettled()
    {
        await using var scene = await StartAsync();
        var side = await scene.NextDriverAsync();
        await scene.BehaveAsync(true, holds: true);
        var lost = side.TriggerAsync(true, 5);
        await scene.BeginsAsync(true);
        side.Cut();
        var again = await scene.NextDriverAsync();
        Unsettled(again, 5);
        var told = again.TriggerAsync(true, 5);
        await scene.ReadAllAsync(again);
        await scene.ReleaseAsync();
        await scene.Acknowledged(told);
        scene.Begun(true).ShouldBe(1);
        await lost.ShouldThrowAsync<IOException>();
    }

    [Fact]
    public async Task A_failed_start_is_unsettled()
    {
        await using var scene = await StartAsync();
        var side = await scene.NextDriverAsync();
        await scene.BehaveAsync(true, fails: "no disk");
        await scene.Refused(side.TriggerAsync(true, 5), -32001);
        side.Cut();
        Unsettled(await scene.NextDriverAsync(), 5);
    }

    // Wrong program: forgets what it could not stop.
    [Fact]
    public async Task A_failed_stop_is_unsettled()
    {
        await using var scene = await StartAsync();
        var side = await scene.RunningAsync(5);
        await scene.BehaveAsync(false, fails: "it hangs on");
        await scene.Refused(side.TriggerAsync(false, 5), -32001);
        side.Cut();
        Unsettled(await scene.NextDriverAsync(), 5);
    }

    [Fact]
    public async Task A_stop_in_flight_is_unsettled()
    {
        await using var scene = await StartAsync();
        var side = await scene.RunningAsync(5);
        await scene.BehaveAsync(false, holds: true);
        var lost = side.TriggerAsync(false, 5);
        await scene.BeginsAsync(false);
        side.Cut();
        Unsettled(await scene.NextDriverAsync(), 5);
        await scene.ReleaseAsync();
        await lost.ShouldThrowAsync<IOException>();
    }

    [Fact]
    public async Task What_has_stopped_is_not_told_as_running()
    {
        await using var scene = await StartAsync();
        var side = await scene.RunningAsync(5);
        await scene.Acknowledged(side.TriggerAsync(false, 5));
        side.Cut();
        ((await scene.NextDriverAsync()).StateOf()?["isMaster"]?.GetValue<bool>() ?? false).ShouldBeFalse();
    }

    [Fact]
    public async Task Refused_for_good_it_says_so()
    {
        await using var scene = await StartAsync(daemon => daemon.OnRegister = _ => (-32010, "it needs more time than the service grants"));
        var refused = await scene.Said.FirstAsync(said => said.Event == "refused", "the SDK's connect to fail", scene.Patience);
        refused.Text("text")!.ShouldContain("more time than the service grants");
    }

    [Fact]
    public async Task Without_room_it_tries_again()
    {
        var refusals = 2;
        await using var scene = await StartAsync(daemon => daemon.OnRegister = _ => refusals-- > 0 ? (-32011, "no room just now") : null);
        await scene.NextDriverAsync();
        scene.Daemon.Connections.All.Sum(side => side.Calls("register").Count()).ShouldBe(3);
        await scene.Said.FirstAsync(said => said.Event == "connected", "the SDK's connect to return", scene.Patience);
    }

    // Wrong program: a refusal later on ends it, or stops what runs.
    [Fact]
    public async Task Refused_when_it_comes_back_it_goes_on_running_and_trying()
    {
        await using var scene = await StartAsync();
        var side = await scene.RunningAsync();
        var refusals = 2;
        scene.Daemon.OnRegister = _ => refusals-- > 0 ? (-32010, "the file was changed for a moment") : null;
        side.Cut();
        (await scene.NextDriverAsync()).Tells()["isMaster"]!.GetValue<bool>().ShouldBeTrue();
        scene.Begun(false).ShouldBe(0);
    }

    private static void Unsettled(DriverSide side, long token)
    {
        var state = side.Tells();
        state["isMaster"]!.GetValue<bool>().ShouldBeTrue("it may be running");
        state["unsettled"]!.GetValue<bool>().ShouldBeTrue("it cannot be told");
        state["token"]!.GetValue<long>().ShouldBe(token);
    }
}
