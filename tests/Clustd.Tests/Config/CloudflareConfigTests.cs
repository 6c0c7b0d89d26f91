using Clustd.Drivers.Cloudflare;
using Shouldly;
using Xunit;
using static Clustd.Tests.Config.ConfigTestWorld;

namespace Clustd.Tests.Config;

/// <summary>`cloudflare` in a file; that of 2018 is with the driver files.</summary>
public sealed class CloudflareConfigTests
{
    private const string Least = "record: www.example.com, addresses: [203.0.113.7]";

    [Fact]
    public void The_least_that_it_takes()
    {
        var driver = Driver($"{Least}, token: abc");
        (driver.Record, driver.Token, driver.Ttl, driver.Proxied, driver.Api, driver.StopsForCertain, driver.EffectiveName).ShouldBe(("www.example.com", "abc", 60, false, CloudflareDriverOptions.ApiDefault, false, "default-cloudflare"));
        driver.Validate().ShouldBeEmpty();
        driver.Unprinted.ShouldBe(["abc", "", "203.0.113.7"]);
    }

    [Fact]
    public void A_key_of_2018_and_a_gateway()
    {
        var driver = Driver("record: www.example.com, cname: cm-1.example.com, email: me@example.com, api_key: abc, ttl: 2m, proxied: true, zone_id: z, api: 'http://127.0.0.1:8080/v4'");
        (driver.Cname, driver.Email, driver.ApiKey, driver.Ttl, driver.EffectiveTtl, driver.ZoneId).ShouldBe(("cm-1.example.com", "me@example.com", "abc", 120, 1, "z"));
        driver.Validate().ShouldBeEmpty();
    }

    [Theory]
    [InlineData("addresses: [203.0.113.7], token: abc", "'drivers[0].cloudflare.record' is missing")]
    [InlineData("record: www.example.com, token: abc", "neither 'addresses' nor 'cname'")]
    [InlineData($"{Least}, cname: a.example.com, token: abc", "both 'addresses' and 'cname'")]
    [InlineData(Least, "has not one way to prove who it is")]
    [InlineData($"{Least}, token: abc, email: a, api_key: b", "has not one way to prove who it is")]
    [InlineData($"{Least}, email: a", "has not one way to prove who it is")]
    [InlineData($"{Least}, token: 'a b'", "'drivers[0].cloudflare.token' cannot be used")]
    [InlineData($"{Least}, token: abc, ttl: 10s", "'drivers[0].cloudflare.ttl' is out of range")]
    [InlineData($"{Least}, token: abc, ttl: 60.5s", "'drivers[0].cloudflare.ttl' cannot be used")]
    [InlineData($"{Least}, token: abc, api: 'http://api.example.com'", "in 'drivers[0].cloudflare.api' cannot be used")]
    [InlineData($"{Least}, token: abc, api: 'https://me:pw@api.example.com'", "in 'drivers[0].cloudflare.api' cannot be used")]
    public void What_cannot_be_is_said(string keys, string what)
    {
        var errors = Read(Text(keys)).Errors;
        errors.Count.ShouldBe(1, string.Join("\n", errors));
        errors[0].What.ShouldContain(what);
    }

    private static CloudflareDriverOptions Driver(string keys) => Valid(Text(keys)).Drivers.Single().ShouldBeOfType<CloudflareDriverOptions>();

    private static string Text(string keys) => File(rest: $"services: {{ default: {{}} }}\ndrivers: [ cloudflare: {{ {keys} }} ]");
}
