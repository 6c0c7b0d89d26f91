using Clustd.Drivers.Systemd;
using Shouldly;
using Xunit;
using static Clustd.Tests.Config.ConfigTestWorld;

namespace Clustd.Tests.Config;

/// <summary>`systemd` in a file.</summary>
public sealed class SystemdConfigTests
{
    [Fact]
    public void The_least_that_it_takes()
    {
        var systemd = Driver("units: [nginx, 'getty@tty1.service']");
        systemd.Units.ShouldBe(["nginx.service", "getty@tty1.service"]);
        (systemd.RestartsMax, systemd.HasGuard, systemd.StopsForCertain, systemd.Bus, systemd.EffectiveName).ShouldBe((3, true, true, null, "default-systemd"));
        systemd.Validate().ShouldBeEmpty();
    }

    [Fact] // Lists are compared by reference in records: without their items two files that differ look the same.
    public void Units_count_when_files_are_compared() => Driver("units: [a, b]").Unprinted.ShouldBe(["a.service", "b.service"]);

    [Theory]
    [InlineData("restarts: 1", "'drivers[0].systemd.units' is missing")]
    [InlineData("units: []", "'drivers[0].systemd.units' is empty")]
    [InlineData("units: [web, web.service]", "web.service is twice")]
    [InlineData("units: [backup.timer]", "'backup.timer' in 'drivers[0].systemd.units' cannot be run")]
    [InlineData("units: ['../web.service']", "cannot be run")]
    [InlineData("units: ['web@.service']", "cannot be run")]
    [InlineData("units: [.service]", "cannot be run")]
    [InlineData("units: [web], restarts: -1", "out of range")]
    [InlineData("units: [web], bus: 'tcp:host=example.org'", "is no address of a bus on this machine")]
    public void What_cannot_be_is_said(string keys, string what)
    {
        var errors = Read(Text(keys)).Errors;
        errors.Count.ShouldBe(1);
        errors[0].What.ShouldContain(what);
    }

    [Fact]
    public void Without_a_guard_it_stops_by_best_effort_and_that_is_a_warning()
    {
        Driver("units: [web], guard: false").StopsForCertain.ShouldBeFalse();
        Read(Text("units: [web], guard: false")).Warnings.ShouldContain(warning => warning.What.Contains("guard"));
    }

    private static SystemdDriverOptions Driver(string keys) => Valid(Text(keys)).Drivers.Single().ShouldBeOfType<SystemdDriverOptions>();

    private static string Text(string keys) => File(rest: $"services: {{ default: {{}} }}\ndrivers: [ systemd: {{ {keys} }} ]");
}
