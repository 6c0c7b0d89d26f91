using System.Net.WebSockets;
using System.Text;
using System.Text.Json.Nodes;
using Clustd.Conformance.Stage;
using Shouldly;
using Xunit;

namespace Clustd.Conformance.Rules;

/// <summary>docs/protocol.md, the connection: WebSocket, JSON-RPC, what is ignored and what is refused, how often to come back.</summary>
public abstract class ConnectionRules(string subject) : Rules(subject)
{
    [Fact]
    public async Task It_asks_for_the_driver_s_place_and_the_protocol()
    {
        await using var scene = await StartAsync();
        var side = await scene.NextDriverAsync();
        side.Upgrade[0].Split(' ')[1].ShouldBeOneOf("/", "/v1/driver");
        (side.Field("Sec-WebSocket-Protocol") ?? "clustd.v1").ShouldBe("clustd.v1", "or none");
        side.Field("Sec-WebSocket-Version").ShouldBe("13");
    }

    [Fact]
    public async Task All_that_it_sends_is_JSON_RPC()
    {
        await using var scene = await StartAsync();
        var side = await scene.RunningAsync();
        await scene.HeardAsync(side, "renew", 3);
        side.Heard.All.ShouldAllBe(message => message.Text("jsonrpc") == "2.0");
        var ids = side.Heard.All.Where(message => message.Method is not null).Select(message => message.Json["id"]?.ToJsonString()).OfType<string>().ToList();
        ids.ShouldBeUnique();
    }

    [Fact]
    public async Task Fields_that_nobody_knows_are_ignored()
    {
        await using var scene = await StartAsync(daemon => daemon.SaysMore = true);
        await scene.RunningAsync();
        await scene.LeaseIsAsync(lease => lease.Is("isValid"), "is valid");
    }

    [Fact]
    public async Task A_notification_that_nobody_knows_is_ignored()
    {
        await using var scene = await StartAsync();
        var side = await scene.NextDriverAsync();
        var before = side.Heard.All.Count(message => message.Method is null);
        await side.SendAsync(new JsonObject { ["jsonrpc"] = "2.0", ["method"] = "news", ["params"] = new JsonObject { ["of"] = "tomorrow" } });
        await side.SendAsync(new JsonObject { ["jsonrpc"] = "2.0", ["method"] = "cancel", ["params"] = new JsonObject { ["service"] = "unknown", ["sequence"] = 5 } });
        await scene.ReadAllAsync(side);
        side.Heard.All.Count(message => message.Method is null).ShouldBe(before + 1, "only the question behind it is answered");
    }

    [Theory]
    [InlineData("12")]
    [InlineData("\"a string of the requester's choice\"")]
    public async Task A_method_that_nobody_knows_is_answered_so(string id)
    {
        await using var scene = await StartAsync();
        var side = await scene.NextDriverAsync();
        await side.SendAsync(new JsonObject { ["jsonrpc"] = "2.0", ["id"] = JsonNode.Parse(id), ["method"] = "no-such-method", ["params"] = new JsonObject() });
        var answer = await side.Heard.FirstAsync(message => message.Method is null && message.Json["id"]?.ToJsonString() == JsonNode.Parse(id)!.ToJsonString(), "an answer with that id", scene.Patience);
        answer.ErrorCode.ShouldBe(-32601);
    }

    [Theory]
    [InlineData("""{"isMaster":true,"token":1,"sequence":1}""")]
    [InlineData("""{"service":"default","isMaster":"yes","token":1,"sequence":1}""")]
    [InlineData("""{"service":"unknown","isMaster":true,"token":1,"sequence":1}""")]
    public async Task A_trigger_that_lacks_something_or_is_for_an_unknown_service_is_refused(string parameters)
    {
        await using var scene = await StartAsync();
        var side = await scene.NextDriverAsync();
        await scene.Refused(side.RequestAsync("trigger", JsonNode.Parse(parameters)!.AsObject()), -32602);
        scene.Begun(true).ShouldBe(0);
    }

    // Wrong program: reads what it does not understand as if it were nothing, or ends itself.
    [Theory]
    [InlineData("this is not JSON", 1007)]
    [InlineData("[]", 1007)]
    [InlineData("[{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"trigger\",\"params\":{}}]", 1007)]
    [InlineData("{\"hello\":\"there\"}", 1007)]
    [InlineData("binary", 1003)]
    [InlineData("long", 1009)]
    public async Task What_is_no_message_closes_the_connection_with_a_code_and_ends_nothing(string what, int code)
    {
        await using var scene = await StartAsync();
        var side = await scene.RunningAsync();
        var bytes = what == "long" ? Encoding.UTF8.GetBytes("{\"jsonrpc\":\"2.0\",\"method\":\"news\",\"text\":\"" + new string('x', 262_144) + "\"}") : Encoding.UTF8.GetBytes(what);
        await side.SendRawAsync(bytes, what == "binary" ? WebSocketMessageType.Binary : WebSocketMessageType.Text);
        (await scene.InTime(side.Closed, "the driver to hang up")).ShouldBe(code);
        (await scene.NextDriverAsync()).Tells()["isMaster"]!.GetValue<bool>().ShouldBeTrue();
        scene.Begun(false).ShouldBe(0);
    }

    [Fact]
    public async Task A_message_may_come_in_pieces_and_be_as_long_as_is_allowed()
    {
        await using var scene = await StartAsync();
        var side = await scene.NextDriverAsync();
        await side.SendFrameAsync([0x89, 0x02, (byte)'h', (byte)'i']); // A ping.
        var news = new JsonObject { ["jsonrpc"] = "2.0", ["method"] = "news", ["params"] = new JsonObject { ["text"] = new string('x', 262_000) } };
        Encoding.UTF8.GetByteCount(news.ToJsonString()).ShouldBeLessThanOrEqualTo(262_144);
        await side.SendAsync(news, frames: 7);
        await scene.ReadAllAsync(side);
        side.Closed.IsCompleted.ShouldBeFalse();
    }

    // The first of these waits is 50 ms, each shortened by up to a half.
    [Fact]
    public async Task While_it_is_turned_away_it_waits_longer_each_time_but_never_long()
    {
        await using var scene = await StartAsync(daemon => daemon.TurnsAway = true);
        var seventh = await scene.Daemon.Connections.FirstAsync(_ => true, "the seventh try", scene.Patience, after: 6);
        await scene.Daemon.Connections.FirstAsync(_ => true, "the ninth try", scene.Patience, after: 8);
        var all = scene.Daemon.Connections.All;
        (seventh.AtUs - all[0].AtUs).ShouldBeGreaterThan(Second * 5 / 4, "50, 100, 200, 400, 800 and 1,600 ms, each at least the half, are 1,575 ms");
        (all[8].AtUs - all[7].AtUs).ShouldBeInRange(Second * 8 / 10, 7 * Second, "about 2 s, shortened by up to a half");
        scene.Daemon.TurnsAway = false;
        await scene.NextDriverAsync();
    }

    // Wrong program: waits as ever, and its lease runs out although the daemon is back.
    [Fact]
    public async Task While_it_runs_something_under_a_lease_it_comes_back_every_tenth_of_a_second()
    {
        await using var scene = await StartAsync(daemon => (daemon.LeaseUs, daemon.LeftUs) = (60 * Second, 60 * Second));
        var side = await scene.RunningAsync();
        scene.Daemon.TurnsAway = true;
        var before = scene.Daemon.Connections.All.Count;
        side.Cut();
        await scene.Daemon.Connections.FirstAsync(_ => true, "the twentieth try", scene.Patience, before + 19);
        var tries = scene.Daemon.Connections.All;
        (tries[before + 19].AtUs - tries[before].AtUs).ShouldBeLessThan(12 * Second, "19 waits of 100 ms at most; as ever they would be some 20 s");
        scene.Daemon.TurnsAway = false;
        (await scene.NextDriverAsync()).Tells()["isMaster"]!.GetValue<bool>().ShouldBeTrue();
        scene.Begun(false).ShouldBe(0);
    }
}
