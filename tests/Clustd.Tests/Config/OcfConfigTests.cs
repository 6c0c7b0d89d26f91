using Clustd.Drivers.Ocf;
using Shouldly;
using Xunit;
using static Clustd.Tests.Config.ConfigTestWorld;

namespace Clustd.Tests.Config;

/// <summary>`ocf` in a file.</summary>
public sealed class OcfConfigTests : IDisposable
{
    private readonly Drivers.Scratch _scratch = new();

    public void Dispose() => _scratch.Dispose();

    [Fact]
    public void The_least_that_it_takes()
    {
        var ocf = Driver("agent: 'ocf:heartbeat:Dummy'");
        (ocf.AgentFile, ocf.MonitorEvery, ocf.CheckLevel, ocf.HoldsProcesses, ocf.StopsForCertain, ocf.EffectiveName)
            .ShouldBe(("/usr/lib/ocf/resource.d/heartbeat/Dummy", TimeSpan.FromSeconds(10), 0, true, false, "default-ocf"));
        ocf.Parameters.ShouldBeEmpty();
    }

    [Fact]
    public void Parameters_and_secrets_come_together()
    {
        System.IO.File.WriteAllText(_scratch.File("password"), "sesame\n");
        var ocf = Driver($"agent: 'ocf:heartbeat:IPaddr2', parameters: {{ ip: 10.0.0.9, cidr_netmask: 24 }}, secrets: {{ password: 'file:{_scratch.File("password")}' }}, monitor: 30s, check_level: 10, hold_processes: false");
        ocf.Parameters.ShouldBe(new Dictionary<string, string> { ["cidr_netmask"] = "24", ["ip"] = "10.0.0.9", ["password"] = "sesame" }, ignoreOrder: true);
        (ocf.MonitorEvery, ocf.CheckLevel, ocf.HoldsProcesses).ShouldBe((TimeSpan.FromSeconds(30), 10, false));
        ocf.ToString().ShouldNotContain("sesame");
    }

    [Theory]
    [InlineData("monitor: 1s", "An ocf driver names no agent")]
    [InlineData("agent: Dummy", "'drivers[0].ocf.agent' is no agent")]
    [InlineData("agent: 'ocf:heartbeat:../../../../bin/sh'", "'drivers[0].ocf.agent' is no agent")]
    [InlineData("agent: 'systemd:web'", "'drivers[0].ocf.agent' is no agent")]
    [InlineData("agent: 'ocf:heartbeat:galera'", "Agent 'ocf:heartbeat:galera' does not work without Pacemaker")]
    [InlineData("agent: 'ocf:heartbeat:galera', unlisted: true", "Agent 'ocf:heartbeat:galera' does not work without Pacemaker")]
    [InlineData("agent: 'ocf:linbit:drbd'", "Agent 'ocf:linbit:drbd' is not in the list of those that work without Pacemaker")]
    [InlineData("agent: 'ocf:heartbeat:Dummy', parameters: { 'a b': 1 }", "'a b' in 'drivers[0].ocf.parameters' is no parameter")]
    [InlineData("agent: 'ocf:heartbeat:Dummy', parameters: { state: /a }, secrets: { state: /b }", "'state' is both in 'parameters' and in 'secrets'")]
    [InlineData("agent: 'ocf:heartbeat:Dummy', secrets: { state: 'file:/nowhere' }", "'state' in 'drivers[0].ocf.secrets' cannot be read")]
    [InlineData("agent: 'ocf:heartbeat:Dummy', monitor: 10ms", "out of range")]
    public void What_cannot_be_is_said(string keys, string what)
    {
        var errors = Read(Text(keys)).Errors;
        errors.Count.ShouldBe(1);
        errors[0].What.ShouldContain(what);
    }

    [Fact]
    public void A_refusal_says_why_and_a_near_name_is_suggested()
    {
        Read(Text("agent: 'ocf:heartbeat:pgsql'")).Errors[0].ToString().ShouldContain("crm_attribute");
        Read(Text("agent: 'ocf:heartbeat:IPadr2'")).Errors[0].ToString().ShouldContain("Did you mean 'ocf:heartbeat:IPaddr2'?");
        Driver("agent: 'ocf:mine:Thing', unlisted: true, root: /opt/ocf").AgentFile.ShouldBe("/opt/ocf/resource.d/mine/Thing");
    }

    private static OcfDriverOptions Driver(string keys) => Valid(Text(keys)).Drivers.Single().ShouldBeOfType<OcfDriverOptions>();

    private static string Text(string keys) => File(rest: $"services: {{ default: {{}} }}\ndrivers: [ ocf: {{ {keys} }} ]");
}
