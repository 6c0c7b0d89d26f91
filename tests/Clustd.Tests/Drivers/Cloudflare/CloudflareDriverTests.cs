using Clustd.Client.Testing;
using Clustd.Drivers;
using Clustd.Drivers.Cloudflare;
using Microsoft.Extensions.Time.Testing;
using Shouldly;
using Xunit;

namespace Clustd.Tests.Drivers.Cloudflare;

/// <summary>The cloudflare driver against an API on loopback that refuses what the real one refuses.</summary>
public sealed class CloudflareDriverTests : IAsyncDisposable
{
    private readonly List<IAsyncDisposable> _open = [];
    private readonly List<string> _log = [];
    private readonly FakeTimeProvider _time = new();
    private FakeDaemon? _last;

    public async ValueTask DisposeAsync()
    {
        foreach (var each in _open.AsEnumerable().Reverse()) await each.DisposeAsync();
        lock (_log) _log.ShouldAllBe(line => !line.Contains(FakeCloudflare.Token) && !line.Contains(FakeCloudflare.ApiKey), "no secret in any log");
    }

    [Fact]
    public async Task A_record_that_is_not_there_is_made_and_the_next_master_overwrites_it()
    {
        await using var cloudflare = await FakeCloudflare.StartAsync();
        var one = await ConnectAsync("cm-1", On(cloudflare) with { Addresses = ["203.0.113.1"] });
        (await one.TriggerAsync(true, 7)).Error.ShouldBeNull();
        cloudflare.Shown().ShouldBe(["A 203.0.113.1 60 false clustd: default, token 7, cm-1"]);
        (await one.TriggerAsync(false, 7)).Error.ShouldBeNull();
        cloudflare.Shown().Count.ShouldBe(1, "a stop leaves it");

        var two = await ConnectAsync("cm-2", On(cloudflare) with { Addresses = ["203.0.113.2"], Proxied = true });
        (await two.TriggerAsync(true, 8)).Error.ShouldBeNull();
        cloudflare.Shown().ShouldBe(["A 203.0.113.2 1 true clustd: default, token 8, cm-2"]);
        cloudflare.Requests.ShouldContain("PATCH /zones/023e105f4ecef8ad9ca31a8372d0c353/dns_records/record1", "the record keeps its id");
    }

    [Fact] // As a 2018 file has it. Wrong program: an AAAA record of the old machine stays.
    public async Task A_name_with_several_records_ends_up_with_what_is_wanted()
    {
        await using var cloudflare = await FakeCloudflare.StartAsync();
        cloudflare.Add("A", "203.0.113.66");
        cloudflare.Add("A", "203.0.113.1", ttl: 300);
        cloudflare.Add("AAAA", "2001:db8::66");
        cloudflare.Add("MX", "mail.example.com");
        cloudflare.Add("A", "203.0.113.99", name: "other.example.com");
        var one = await ConnectAsync("cm-1", On(cloudflare) with { Addresses = ["203.0.113.1"], ZoneId = FakeCloudflare.ZoneId, Ttl = 1, Token = null, Email = FakeCloudflare.Email, ApiKey = FakeCloudflare.ApiKey });
        (await one.TriggerAsync(true, 7)).Error.ShouldBeNull();
        cloudflare.Shown().ShouldBe(["A 203.0.113.1 1 false clustd: default, token 7, cm-1", "MX mail.example.com 60 false"], ignoreOrder: true);
        cloudflare.Shown("other.example.com").ShouldBe(["A 203.0.113.99 60 false"]);
        lock (_log) _log.ShouldContain(line => line.Contains("203.0.113.66 is removed") || line.Contains("203.0.113.66 and"));
    }

    [Fact]
    public async Task A_cname_takes_the_place_of_addresses_in_one_step()
    {
        await using var cloudflare = await FakeCloudflare.StartAsync();
        cloudflare.Add("A", "203.0.113.66");
        var one = await ConnectAsync("cm-1", On(cloudflare) with { Cname = "CM-1.example.com" });
        (await one.TriggerAsync(true, 7)).Error.ShouldBeNull();
        cloudflare.Shown().ShouldBe(["CNAME CM-1.example.com 60 false clustd: default, token 7, cm-1"]);
        var two = await ConnectAsync("cm-2", On(cloudflare) with { Addresses = ["203.0.113.2", "2001:db8::2"] });
        (await two.TriggerAsync(true, 8)).Error.ShouldBeNull();
        cloudflare.Shown().Count.ShouldBe(2);
    }

    [Fact] // Wrong program: whoever writes last wins.
    public async Task An_old_master_that_sees_a_newer_token_writes_nothing()
    {
        await using var cloudflare = await FakeCloudflare.StartAsync();
        var old = await ConnectAsync("cm-1", On(cloudflare) with { Addresses = ["203.0.113.1"] });
        cloudflare.Add("A", "203.0.113.2", comment: "clustd: default, token 8, cm-2");
        (await old.TriggerAsync(true, 7)).Error.ShouldNotBeNull().Message.ShouldContain("cm-2 has pointed it already under token 8, which is newer than our 7");
        cloudflare.Shown().ShouldBe(["A 203.0.113.2 60 false clustd: default, token 8, cm-2"]);
        cloudflare.Requests.ShouldAllBe(request => request.StartsWith("GET"));
    }

    [Fact] // What the page admits: nothing at Cloudflare keeps a late write out. Wrong program: it stays.
    public async Task A_late_write_of_an_old_master_is_mended_by_the_newer_one()
    {
        await using var cloudflare = await FakeCloudflare.StartAsync();
        var one = await ConnectAsync("cm-2", On(cloudflare) with { Addresses = ["203.0.113.2"] });
        (await one.TriggerAsync(true, 8)).Error.ShouldBeNull();
        cloudflare.Set("record1", "content", "203.0.113.1");
        cloudflare.Set("record1", "comment", "clustd: default, token 7, cm-1");
        await LookUntilAsync(() => cloudflare.Shown() is ["A 203.0.113.2 60 false clustd: default, token 8, cm-2"]);
        (await _last!.HeardAsync("health")).Parameters.ToString().ShouldNotBeNull().ShouldContain("www.example.com is 203.0.113.1 and not 203.0.113.2: somebody has changed it.");
        cloudflare.Set("record1", "ttl", 300);
        await LookUntilAsync(() => cloudflare.Shown() is ["A 203.0.113.2 60 false clustd: default, token 8, cm-2"]);
    }

    [Fact] // Wrong program: takes the first answer, and not what is there, for the truth.
    public async Task Somebody_who_makes_the_record_at_the_same_moment_is_no_failure()
    {
        await using var cloudflare = await FakeCloudflare.StartAsync();
        bool isFirst = true;
        cloudflare.BeforeChange = () =>
        {
            if (isFirst) cloudflare.Add("A", "203.0.113.1");
            isFirst = false;
            return Task.CompletedTask;
        };
        var one = await ConnectAsync("cm-1", On(cloudflare) with { Addresses = ["203.0.113.1"] });
        (await one.TriggerAsync(true, 7, limitUs: 20_000_000)).Error.ShouldBeNull();
        cloudflare.Shown().ShouldBe(["A 203.0.113.1 60 false clustd: default, token 7, cm-1"]);
    }

    [Fact] // Wrong program: a newer master's record is overwritten in the second round.
    public async Task Somebody_newer_who_writes_in_between_is_seen()
    {
        await using var cloudflare = await FakeCloudflare.StartAsync();
        cloudflare.BeforeChange = () =>
        {
            cloudflare.Add("A", "203.0.113.1", comment: "clustd: default, token 8, cm-2");
            return Task.CompletedTask;
        };
        var one = await ConnectAsync("cm-1", On(cloudflare) with { Addresses = ["203.0.113.1"] });
        (await one.TriggerAsync(true, 7, limitUs: 20_000_000)).Error.ShouldNotBeNull().Message.ShouldContain("newer than our 7");
    }

    [Theory]
    [InlineData(429, """{"success":false,"errors":[{"code":971,"message":"Please wait and consider throttling your request speed"}]}""", 1)]
    [InlineData(500, """{"success":false,"errors":[{"code":1000,"message":"internal"}]}""", null)]
    [InlineData(502, "<html>Bad gateway</html>", null)]
    [InlineData(200, "<html>log in to our hotel</html>", null)]
    public async Task What_passes_is_tried_again(int status, string body, int? retryAfter)
    {
        await using var cloudflare = await FakeCloudflare.StartAsync();
        cloudflare.Instead.Enqueue((status, body, retryAfter));
        var one = await ConnectAsync("cm-1", On(cloudflare) with { Addresses = ["203.0.113.1"] });
        (await one.TriggerAsync(true, 7, limitUs: 30_000_000)).Error.ShouldBeNull();
        cloudflare.Shown().Count.ShouldBe(1);
    }

    [Fact] // Wrong program: waits for ever, or longer than it was told; or as long as the API asks.
    public async Task What_does_not_pass_is_given_up_at_the_limit()
    {
        await using var cloudflare = await FakeCloudflare.StartAsync();
        var one = await ConnectAsync("cm-1", On(cloudflare) with { Addresses = ["203.0.113.1"] });
        cloudflare.Instead.Enqueue((429, "{}", 3600));
        (await one.TriggerAsync(true, 7, limitUs: 1_000_000)).Error.ShouldNotBeNull().Message.ShouldMatch("could not be pointed to this machine within 1 s: .*too many requests of this account of late \\(HTTP 429\\)");
        cloudflare.IsSilent = true;
        (await one.TriggerAsync(true, 8, limitUs: 1_000_000)).Error.ShouldNotBeNull().Message.ShouldContain("could not be pointed to this machine within 1 s: Cloudflare has not answered");
        var two = await ConnectAsync("cm-1", On(cloudflare) with { Addresses = ["203.0.113.1"], Api = $"http://127.0.0.1:{Dns.NameServer.FreePort()}" });
        (await two.TriggerAsync(true, 9, limitUs: 1_000_000)).Error.ShouldNotBeNull().Message.ShouldContain("cannot be reached");
    }

    public static TheoryData<string, string> Refusals => new()
    {
        { "wrong token", "the token is not valid, or has no right to this (9109: Invalid access token)" },
        { "malformed token", "has not the form of one (6003: Invalid request headers; 6111: Invalid format for Authorization header)" },
        { "read only", "Cloudflare does not accept the token or key for this (10000: Authentication error). Make a token with Zone / DNS / Edit" },
        { "wrong key", "does not know this email with this key (9103: Unknown X-Auth-Key or X-Auth-Email)" },
        { "unknown zone id", "there is no such zone (7003: Could not route to" },
        { "unknown zone", "Cannot find the zone of www.example.net: Cloudflare has none that this token may see" },
        { "ttl", "Cloudflare does not take the content (9021: Invalid TTL" },
    };

    [Theory]
    [MemberData(nameof(Refusals))]
    public async Task What_cloudflare_refuses_is_said_in_words_at_once(string what, string says)
    {
        await using var cloudflare = await FakeCloudflare.StartAsync();
        var on = On(cloudflare) with { Addresses = ["203.0.113.1"] };
        var options = what switch
        {
            "wrong token" => on with { Token = "bad-token-0123456789" },
            "malformed token" => on with { Token = "x" },
            "read only" => on with { Token = FakeCloudflare.ReadOnlyToken },
            "wrong key" => on with { Token = null, Email = FakeCloudflare.Email, ApiKey = "wrong" },
            "unknown zone id" => on with { ZoneId = "0" },
            "unknown zone" => on with { Record = "www.example.net" },
            _ => on with { Ttl = 30 },
        };
        var one = await ConnectAsync("cm-1", options);
        var error = (await one.TriggerAsync(true, 7)).Error.ShouldNotBeNull();
        error.Message.ShouldContain(says);
        if (what != "malformed token") error.Message.ShouldNotContain(options.Token ?? options.ApiKey!);
        cloudflare.Shown().ShouldBeEmpty();
    }

    [Theory]
    [InlineData("{")]
    [InlineData("null")]
    [InlineData("[]")]
    [InlineData("""{"success":true,"result":null}""")]
    [InlineData("""{"success":true,"result":[null,{"id":null},{"id":1}]}""")]
    [InlineData("""{"success":true,"result":[{"id":"a","type":"A","name":"www.example.com","content":null,"ttl":-1,"comment":"clustd: x, token 99999999999999999999, y"}]}""")]
    [InlineData("""{"success":false,"errors":[null,{"code":9109,"message":"a\u0000b\nc","error_chain":[null]}]}""")]
    [InlineData("""{"success":"yes","errors":{},"result":7}""")]
    public async Task Senseless_answers_are_an_error(string body)
    {
        await using var cloudflare = await FakeCloudflare.StartAsync();
        using var api = new CloudflareApi(On(cloudflare) with { Addresses = ["203.0.113.1"], ZoneId = FakeCloudflare.ZoneId });
        foreach (int status in new[] { 200, 403, 503 })
        {
            cloudflare.Instead.Enqueue((status, body, null));
            try
            {
                var found = await api.ReadAsync(TestContext.Current.CancellationToken);
                WantedRecord.Show(found).ShouldNotBeEmpty();
                RecordOwner.Of(found).ShouldBeNull();
            }
            catch (CloudflareException e)
            {
                e.Message.Any(char.IsControl).ShouldBeFalse();
            }
        }
    }

    [Fact]
    public async Task Its_test_says_what_cloudflare_says_and_changes_nothing()
    {
        await using var cloudflare = await FakeCloudflare.StartAsync();
        cloudflare.Add("A", "203.0.113.2", comment: "clustd: default, token 8, cm-2");
        var found = await TestAsync(On(cloudflare) with { Addresses = ["203.0.113.1"] });
        found.Select(finding => (finding.Level, finding.Subject)).ShouldBe([(FindingLevel.Good, "address"), (FindingLevel.Good, "zone"), (FindingLevel.Good, "name www.example.com"), (FindingLevel.Good, "takeover")]);
        found[2].Text.ShouldStartWith("is 203.0.113.2 now, pointed by cm-2 for service 'default' under token 8");
        found[3].Text.ShouldContain("up to 60 s");
        (await TestAsync(On(cloudflare) with { Addresses = ["203.0.113.1"], Proxied = true }))[3].Text.ShouldContain("within some seconds");
        (await TestAsync(On(cloudflare) with { Addresses = ["203.0.113.1"], Ttl = 1 }))[3].Text.ShouldContain("up to 300 s");
        (await TestAsync(On(cloudflare) with { Addresses = ["203.0.113.1"], Token = "bad-token-0123456789" })).ShouldContain(finding => finding.Level == FindingLevel.Bad && finding.Text.Contains("9109"));
        cloudflare.Requests.ShouldAllBe(request => request.StartsWith("GET"));
    }

    [Fact]
    public void A_comment_fits_and_is_read_strictly()
    {
        var longest = new RecordOwner(new string('s', 64), 1L << 53, new string('m', 64));
        longest.ToString().Length.ShouldBe(RecordOwner.CharsMax);
        RecordOwner.Parse(longest.ToString()).ShouldNotBeNull().Token.ShouldBe(1L << 53);
        RecordOwner.Parse("clustd: web, token 7, cm-1").ShouldBe(new RecordOwner("web", 7, "cm-1"));
        RecordOwner.Parse("web server").ShouldBeNull();
        RecordOwner.Parse(null).ShouldBeNull();
        new RecordOwner("web", 7, "cm-1").WhyNot("bot", 8).ShouldNotBeNull().ShouldContain("belongs to service 'web'");
    }

    [Fact]
    public void Secrets_are_not_printed()
    {
        new CloudflareDriverOptions { Record = "a.b", Token = "token-1", ApiKey = "key-1" }.ToString().ShouldNotMatch("token-1|key-1");
        CloudflareDriverOptions.WhyNotApi("http://example.com").ShouldBe("the token would go there in plain text");
    }

    private static CloudflareDriverOptions On(FakeCloudflare cloudflare) => new() { Record = "www.example.com", Token = FakeCloudflare.Token, Api = cloudflare.Url };

    private async Task<FakeConnection> ConnectAsync(string machine, CloudflareDriverOptions options)
    {
        _last = FakeDaemon.Start(new FakeDaemonOptions { Machine = machine });
        _open.Add(_last);
        var host = new DriverHost { Address = new Uri(_last.Url).Authority, Secret = _last.Options.Secret, Log = (_, line) => { lock (_log) _log.Add(line); } };
        var driver = new CloudflareDriver(options, host, new StateDriverTerms { LookEvery = TimeSpan.FromSeconds(15), Time = _time });
        _open.Add(new Watched(driver));
        await driver.ConnectAsync(TestContext.Current.CancellationToken);
        return await _last.NextConnectionAsync();
    }

    private static async Task<List<DriverFinding>> TestAsync(CloudflareDriverOptions options)
    {
        var found = new List<DriverFinding>();
        await using var driver = new CloudflareDriver(options, new DriverHost { Address = "127.0.0.1:1", Secret = "x" });
        await foreach (var finding in driver.TestAsync(TestContext.Current.CancellationToken)) found.Add(finding);
        return found;
    }

    // The watch waits on the fake clock.
    private async Task LookUntilAsync(Func<bool> isSo)
    {
        var deadline = DateTime.UtcNow.AddSeconds(60);
        while (!isSo())
        {
            (DateTime.UtcNow < deadline).ShouldBeTrue("It did not come to that within 60 s.");
            _time.Advance(TimeSpan.FromSeconds(15));
            await Task.Delay(20, TestContext.Current.CancellationToken);
        }
    }

    private sealed class Watched(CloudflareDriver driver) : IAsyncDisposable
    {
        public async ValueTask DisposeAsync()
        {
            await driver.DisposeAsync();
            await driver.EndWatchAsync();
        }
    }
}
