using System.Diagnostics;
using Clustd.Drivers;
using Clustd.Drivers.Ocf;
using Shouldly;
using Xunit;

namespace Clustd.Tests.Drivers.Ocf;

/// <summary>What agents say about themselves, well-formed and not.</summary>
public sealed class OcfMetadataTests
{
    private static readonly OcfAgentName Agent = new("heartbeat", "Thing");

    private const string Thing = """
        <?xml version="1.0"?>
        <!DOCTYPE resource-agent SYSTEM "ra-api-1.dtd">
        <resource-agent name="Thing"><parameters>
        <parameter name="address" required="1"><content type="string"/></parameter>
        <parameter name="mask" required="1"><content type="integer" default="24"/></parameter>
        <parameter name="nic" unique="0"><content type="string" default=""/></parameter>
        </parameters><actions>
        <action name="start" timeout="90"/><action name="stop" timeout="2min"/>
        <action name="monitor" timeout="10s" depth="0"/><action name="monitor" timeout="30s" depth="10"/>
        <action name="validate-all" timeout="soon"/>
        </actions></resource-agent>
        """;

    [Fact]
    public void Timeouts_come_in_all_the_forms_that_agents_use()
    {
        var metadata = OcfMetadata.Parse(Thing, Agent);
        string[] actions = ["start", "stop", "monitor", "validate-all", "reload"];
        actions.Select(action => metadata.TimeoutOf(action).TotalSeconds).ShouldBe([90, 120, 30, 20, 20]);
    }

    [Fact]
    public void Parameters_are_checked_by_name_and_a_near_one_is_suggested()
    {
        var metadata = OcfMetadata.Parse(Thing, Agent);
        metadata.Check(new Dictionary<string, string> { ["address"] = "10.0.0.9" }, Agent).ShouldBeEmpty();
        metadata.Check(new Dictionary<string, string> { ["adress"] = "10.0.0.9" }, Agent).ShouldBe(
        [
            "Parameter 'adress' is none of ocf:heartbeat:Thing: its meta-data does not name it. Did you mean 'address'?",
            "Parameter 'address' is missing: ocf:heartbeat:Thing requires it. Add `address: ...` to `parameters`.",
        ]);
    }

    [Theory]
    [InlineData("")]
    [InlineData("Usage: Thing {start|stop}")]
    [InlineData("<resource-agent><parameters>")]
    [InlineData("<html></html>")]
    [InlineData("<!DOCTYPE a [<!ENTITY b SYSTEM 'file:///etc/passwd'>]><resource-agent><parameter name='&b;'/></resource-agent>")]
    public void What_is_no_meta_data_is_a_clear_error(string text) =>
        Should.Throw<DriverFailedException>(() => OcfMetadata.Parse(text, Agent)).Message.ShouldStartWith("Cannot use ocf:heartbeat:Thing: ");

    [Fact]
    public async Task Every_agent_of_the_package_that_works_tells_its_parameters()
    {
        const string agents = "/usr/lib/ocf/resource.d/heartbeat";
        Assert.SkipUnless(Directory.Exists(agents), "the package resource-agents is not installed");
        var silent = new List<string>();
        foreach (string name in OcfAgentList.Working)
        {
            if (!File.Exists($"{agents}/{name}")) continue;
            var start = new ProcessStartInfo($"{agents}/{name}", "meta-data") { RedirectStandardOutput = true, RedirectStandardError = true, UseShellExecute = false };
            (start.Environment["OCF_ROOT"], start.Environment["OCF_RESOURCE_INSTANCE"]) = ("/usr/lib/ocf", "test");
            using var process = Process.Start(start)!;
            process.ErrorDataReceived += (_, _) => { };
            process.BeginErrorReadLine();
            string xml = await process.StandardOutput.ReadToEndAsync(TestContext.Current.CancellationToken);
            await process.WaitForExitAsync(TestContext.Current.CancellationToken);
            // Some need what they manage to be installed before they say anything.
            if (process.ExitCode != 0 || xml.Length == 0) silent.Add(name);
            else OcfMetadata.Parse(xml, new("heartbeat", name)).Actions.ShouldContainKey("start", name);
        }
        silent.Count.ShouldBeLessThan(10, string.Join(", ", silent));
    }
}
