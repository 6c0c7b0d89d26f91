using Clustd.Drivers.Vip;
using Shouldly;
using Xunit;
using static Clustd.Tests.Config.ConfigTestWorld;

namespace Clustd.Tests.Config;

/// <summary>`vip` in a file.</summary>
public sealed class VipConfigTests
{
    [Fact]
    public void The_least_that_it_takes()
    {
        var vip = Driver("addresses: [10.0.0.9/24, '2001:db8::9/64'], interface: eth0");
        vip.Addresses.Select(each => each.ToString()).ShouldBe(["10.0.0.9/24", "2001:db8::9/64"]);
        (vip.Interface, vip.AnnounceEvery, vip.CheckDuplicate, vip.UseGate, vip.StopsForCertain, vip.EffectiveName).ShouldBe(("eth0", TimeSpan.FromSeconds(60), true, true, true, "default-vip"));
        vip.Validate().ShouldBeEmpty();
    }

    [Fact] // Lists are compared by reference in records: without their items two files that differ look the same.
    public void Addresses_count_when_files_are_compared() =>
        Driver("addresses: [10.0.0.9/24], interface: eth0").Unprinted.ShouldBe(["10.0.0.9/24"]);

    [Theory]
    [InlineData("interface: eth0", "'drivers[0].vip.addresses' is missing")]
    [InlineData("addresses: [10.0.0.9/24]", "'drivers[0].vip.interface' is missing")]
    [InlineData("addresses: [], interface: eth0", "'drivers[0].vip.addresses' is empty")]
    [InlineData("addresses: [10.0.0.9], interface: eth0", "'10.0.0.9' in 'drivers[0].vip.addresses' cannot be used")]
    [InlineData("addresses: [10.0.0.9/24, 10.0.0.9/32], interface: eth0", "10.0.0.9 is twice")]
    [InlineData("addresses: [10.0.0.9/24], interface: 'eth0:1'", "'eth0:1' in 'drivers[0].vip.interface' is no interface")]
    [InlineData("addresses: [10.0.0.9/24], interface: a-very-long-name-for-one", "is no interface")]
    [InlineData("addresses: [10.0.0.9/24], interface: eth0, announce_every: 100ms", "out of range")]
    public void What_cannot_be_is_said(string keys, string what)
    {
        var errors = Read(Text(keys)).Errors;
        errors.Count.ShouldBe(1);
        errors[0].What.ShouldContain(what);
    }

    [Fact]
    public void A_gate_that_is_switched_off_is_a_warning() =>
        Read(Text("addresses: [10.0.0.9/24], interface: eth0, kernel_gate: false")).Warnings.ShouldContain(warning => warning.What.Contains("kernel_gate"));

    private static VipDriverOptions Driver(string keys) => Valid(Text(keys)).Drivers.Single().ShouldBeOfType<VipDriverOptions>();

    private static string Text(string keys) => File(rest: $"services: {{ default: {{}} }}\ndrivers: [ vip: {{ {keys} }} ]");
}
