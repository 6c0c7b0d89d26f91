using System.Text.Json.Nodes;
using Clustd.Conformance.Stage;
using Shouldly;
using Xunit;

namespace Clustd.Conformance.Rules;

/// <summary>docs/protocol.md, 5: what a driver may tell.</summary>
public abstract class ReportRules(string subject) : Rules(subject)
{
    [Fact]
    public async Task What_has_failed_is_told_with_its_token()
    {
        await using var scene = await StartAsync();
        var side = await scene.RunningAsync(11);
        await ReportAsync(scene, "failed", new JsonObject { ["service"] = "default", ["text"] = "the process has died" });
        var told = (await scene.HeardAsync(side, "failed")).Params;
        (told["service"]!.GetValue<string>(), told["token"]!.GetValue<long>(), told["reason"]!.GetValue<string>()).ShouldBe(("default", 11, "the process has died"));
        scene.Begun(false).ShouldBe(0, "what is to be done about it, the daemon says");
    }

    [Fact]
    public async Task How_it_is_doing_is_told()
    {
        await using var scene = await StartAsync();
        var side = await scene.RunningAsync();
        await ReportAsync(scene, "health", new JsonObject { ["service"] = "default", ["ok"] = false, ["text"] = "slow" });
        var told = (await scene.HeardAsync(side, "health")).Params;
        (told["service"]!.GetValue<string>(), told["ok"]!.GetValue<bool>(), told["detail"]!.GetValue<string>()).ShouldBe(("default", false, "slow"));
    }

    [Theory]
    [InlineData("debug")]
    [InlineData("info")]
    [InlineData("warning")]
    [InlineData("error")]
    public async Task A_line_for_the_history_is_told(string level)
    {
        await using var scene = await StartAsync();
        var side = await scene.NextDriverAsync();
        await ReportAsync(scene, "event", new JsonObject { ["level"] = level, ["text"] = "žluťoučký 馬" });
        var told = (await scene.HeardAsync(side, "event")).Params;
        (told["level"]!.GetValue<string>(), told["text"]!.GetValue<string>()).ShouldBe((level, "žluťoučký 馬"));
    }

    // Wrong program: takes what it has sent for what was heard.
    [Fact]
    public async Task A_failure_is_told_again_until_the_daemon_has_taken_it()
    {
        await using var scene = await StartAsync(daemon => daemon.AnswersReports = false);
        var side = await scene.RunningAsync(11);
        await scene.DoAsync("failed", new JsonObject { ["service"] = "default", ["text"] = "the process has died" });
        await scene.HeardAsync(side, "failed");
        await scene.ReadAllAsync(side);
        scene.Said.All.ShouldNotContain(said => said.Event == "reported");
        side.Cut();
        scene.Daemon.AnswersReports = true;
        var again = await scene.NextDriverAsync();
        (await scene.HeardAsync(again, "failed")).Params["token"]!.GetValue<long>().ShouldBe(11);
        await scene.Said.FirstAsync(said => said.Event == "reported", "the report to return", scene.Patience);
    }

    private static async Task ReportAsync(Scene scene, string method, JsonObject with)
    {
        var id = await scene.DoAsync(method, with);
        var reported = await scene.Said.FirstAsync(said => said.Event == "reported" && said.Number("id") == id, "the report to return", scene.Patience);
        reported.Text("error").ShouldBeNull();
    }
}
