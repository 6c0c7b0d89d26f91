using System.Net;
using Clustd.Client.Protocol;
using Clustd.Client.Testing;
using Clustd.Drivers;
using Clustd.Drivers.Dns;
using Microsoft.Extensions.Time.Testing;
using Shouldly;
using Xunit;
using static Clustd.Tests.Drivers.Dns.NameServer;

namespace Clustd.Tests.Drivers.Dns;

/// <summary>The dns driver against a real BIND 9.</summary>
public sealed class DnsDriverTests : IAsyncDisposable
{
    private const string Www = "www.example.test";

    private readonly List<IAsyncDisposable> _open = [];
    private readonly List<string> _log = [];
    private readonly FakeTimeProvider _time = new();
    private FakeDaemon? _last;

    public async ValueTask DisposeAsync()
    {
        foreach (var each in _open.AsEnumerable().Reverse()) await each.DisposeAsync();
    }

    [Theory]
    [InlineData("hmac-sha256", false)]
    [InlineData("hmac-sha384", false)]
    [InlineData("hmac-sha512", true)]
    public async Task A_start_points_the_name_here_and_the_next_master_overwrites_it(string algorithm, bool tcpOnly)
    {
        await using var server = await StartPrimaryAsync(algorithm);
        var one = await ConnectAsync("cm-1", On(server) with { Addresses = ["203.0.113.1", "2001:db8::1"], Algorithm = algorithm, TcpOnly = tcpOnly });
        (await one.TriggerAsync(true, 7)).Error.ShouldBeNull();
        (await server.ShowAsync(Www)).ShouldBe("2001:db8::1 and 203.0.113.1");
        var held = (await server.ReadAsync(Www)).Held.ShouldNotBeNull();
        (held.Machine, held.Token, held.Service, held.IsRemoved).ShouldBe(("cm-1", 7L, "default", false));
        (await one.TriggerAsync(false, 7)).Error.ShouldBeNull();
        (await server.ShowAsync(Www)).ShouldBe("2001:db8::1 and 203.0.113.1", "by default a stop leaves it");

        var two = await ConnectAsync("cm-2", On(server) with { Addresses = ["203.0.113.2"], Algorithm = algorithm, TcpOnly = tcpOnly });
        (await two.TriggerAsync(true, 8)).Error.ShouldBeNull();
        (await server.ShowAsync(Www)).ShouldBe("203.0.113.2", "the AAAA record of the old master must not stay");
        (await server.ReadAsync(Www)).Found.ShouldAllBe(record => record.Ttl == 30);
    }

    [Fact] // Two masters. Wrong program: whoever writes last wins.
    public async Task An_old_master_cannot_overwrite_a_newer_one()
    {
        await using var server = await StartPrimaryAsync();
        var old = await ConnectAsync("cm-1", On(server) with { Addresses = ["203.0.113.1"] });
        var young = await ConnectAsync("cm-2", On(server) with { Addresses = ["203.0.113.2"] });
        (await young.TriggerAsync(true, 8)).Error.ShouldBeNull();

        var late = await old.TriggerAsync(true, 7);
        late.Error.ShouldNotBeNull().Message.ShouldContain("cm-2 has pointed it already under token 8, which is newer than our 7");
        (await server.ShowAsync(Www)).ShouldBe("203.0.113.2");
    }

    [Fact] // Two masters. Wrong program: looks at the fence, and then updates whatever stands there by then.
    public async Task An_update_that_was_on_its_way_when_the_next_master_wrote_is_refused_by_the_server()
    {
        await using var server = await StartPrimaryAsync();
        var place = new NamePlace(On(server), TimeProvider.System);
        NameState read = await place.ReadAsync(place.Primary, TestContext.Current.CancellationToken);
        read.Held.ShouldBeNull();
        var young = await ConnectAsync("cm-2", On(server) with { Addresses = ["203.0.113.2"] });
        (await young.TriggerAsync(true, 8)).Error.ShouldBeNull();

        (await place.ReplaceAsync(read, [A("203.0.113.1")], NameFence.New("default", 7, "cm-1"), TestContext.Current.CancellationToken)).ShouldBeFalse();
        (await server.ShowAsync(Www)).ShouldBe("203.0.113.2");

        // The same when a fence was read, and when the token has not even grown.
        NameState second = await place.ReadAsync(place.Primary, TestContext.Current.CancellationToken);
        (await place.ReplaceAsync(second, [A("203.0.113.3")], NameFence.New("default", 9, "cm-3"), TestContext.Current.CancellationToken)).ShouldBeTrue();
        (await place.ReplaceAsync(second, [A("203.0.113.2")], NameFence.New("default", 8, "cm-2"), TestContext.Current.CancellationToken)).ShouldBeFalse();
        (await server.ShowAsync(Www)).ShouldBe("203.0.113.3");
    }

    [Fact] // Wrong program: acts at triggers only, so that a record that somebody changed stays changed.
    public async Task What_somebody_else_has_changed_is_seen_mended_and_told()
    {
        await using var server = await StartPrimaryAsync();
        var one = await ConnectAsync("cm-1", On(server) with { Addresses = ["203.0.113.1"] });
        (await one.TriggerAsync(true, 7)).Error.ShouldBeNull();

        await server.UpdateAsync(new DnsRecord(Name(Www), DnsType.Any, DnsClass.Any, 0, []), A("203.0.113.66"));
        await LookUntilAsync(() => server.ShowAsync(Www), "203.0.113.1");
        (await _last!.HeardAsync("health")).Parameters.ToString().ShouldNotBeNull().ShouldContain("www.example.test is 203.0.113.66 and not 203.0.113.1: somebody has changed it.");

        // Without the fence the next late writer would not be seen.
        await server.UpdateAsync(new DnsRecord(Name("_clustd." + Www), DnsType.Txt, DnsClass.Any, 0, []));
        await LookUntilAsync(async () => (await server.ReadAsync(Www)).Held?.Machine ?? "", "cm-1");
    }

    [Fact]
    public async Task A_stop_takes_the_record_away_if_it_is_told_to_and_leaves_the_fence()
    {
        await using var server = await StartPrimaryAsync();
        var one = await ConnectAsync("cm-1", On(server) with { Addresses = ["203.0.113.1"], RemoveOnStop = true });
        (await one.TriggerAsync(true, 7)).Error.ShouldBeNull();
        (await one.TriggerAsync(false, 7)).Error.ShouldBeNull();
        (await server.ShowAsync(Www)).ShouldBe("nothing");
        var held = (await server.ReadAsync(Www)).Held.ShouldNotBeNull();
        (held.Token, held.IsRemoved).ShouldBe((7L, true));
        (await one.TriggerAsync(true, 7)).Error.ShouldBeNull();
        (await server.ShowAsync(Www)).ShouldBe("203.0.113.1", "a service may go on under its token");
    }

    [Fact] // Wrong program: a late stop removes the record of the next master.
    public async Task A_stop_never_removes_what_another_machine_has_pointed_to_itself()
    {
        await using var server = await StartPrimaryAsync();
        var one = await ConnectAsync("cm-1", On(server) with { Addresses = ["203.0.113.1"], RemoveOnStop = true });
        (await one.TriggerAsync(true, 7)).Error.ShouldBeNull();
        var two = await ConnectAsync("cm-2", On(server) with { Addresses = ["203.0.113.2"], RemoveOnStop = true });
        (await two.TriggerAsync(true, 8)).Error.ShouldBeNull();
        (await one.TriggerAsync(false, 7)).Error.ShouldBeNull();
        (await server.ShowAsync(Www)).ShouldBe("203.0.113.2");
    }

    [Fact]
    public async Task A_start_waits_until_the_secondary_has_it()
    {
        int port = FreePort();
        await using var server = await StartPrimaryAsync(notify: port);
        await using var secondary = await StartSecondaryAsync(port, server.Port);
        await EventuallyAsync(async () => (await SoaCodeAsync(secondary)) == DnsCode.NoError);
        var one = await ConnectAsync("cm-1", On(server) with { Addresses = ["203.0.113.1"], Secondaries = [secondary.Address], VerifyTimeout = TimeSpan.FromSeconds(30) });
        (await one.TriggerAsync(true, 7, limitUs: 60_000_000)).Error.ShouldBeNull();
        (await secondary.ShowAsync(Www)).ShouldBe("203.0.113.1");
        _log.ShouldAllBe(line => !line.Contains("still has"));
    }

    [Fact] // Wrong program: no machine can take over because a secondary does not hear its primary.
    public async Task A_secondary_that_lags_is_told_and_fails_nothing()
    {
        int port = FreePort();
        await using var server = await StartPrimaryAsync();
        await using var secondary = await StartSecondaryAsync(port, server.Port);
        await EventuallyAsync(async () => (await SoaCodeAsync(secondary)) == DnsCode.NoError);
        var one = await ConnectAsync("cm-1", On(server) with { Addresses = ["203.0.113.1"], Secondaries = [secondary.Address], VerifyTimeout = TimeSpan.FromMilliseconds(500) });
        (await one.TriggerAsync(true, 7)).Error.ShouldBeNull();
        lock (_log) _log.ShouldContain(line => line.Contains($"The secondary 127.0.0.1:{port} still has nothing for {Www}"));
        (await _last!.HeardAsync("health")).Parameters.ToString().ShouldNotBeNull().ShouldContain("still has nothing");
        _last!.Failures.ShouldBeEmpty();
    }

    [Fact] // Wrong program: a takeover waits for a secondary that is down, and misleads nobody.
    public async Task A_secondary_that_is_silent_is_told_and_not_waited_for()
    {
        await using var server = await StartPrimaryAsync();
        var one = await ConnectAsync("cm-1", On(server) with { Addresses = ["203.0.113.1"], Secondaries = [new DnsServer("127.0.0.1", FreePort())], VerifyTimeout = TimeSpan.FromMinutes(5) });
        var watch = System.Diagnostics.Stopwatch.StartNew();
        (await one.TriggerAsync(true, 7, limitUs: 600_000_000)).Error.ShouldBeNull();
        watch.Elapsed.ShouldBeLessThan(TimeSpan.FromMinutes(1));
        await LookUntilAsync(() => Task.FromResult(_last!.Calls.Any(call => call.Method == DriverMethods.Health) ? "told" : ""), "told");
        (await _last!.HeardAsync("health")).Parameters.ToString().ShouldNotBeNull().ShouldContain("nobody listens there");
    }

    [Theory]
    [InlineData("no-such-key", Secret, "hmac-sha256", "does not know the key 'no-such-key' with hmac-sha256 (BADKEY)")]
    [InlineData(KeyName, Secret, "hmac-sha512", "(BADKEY)")]
    [InlineData(KeyName, "d3Jvbmctd3Jvbmctd3Jvbmctd3Jvbmctd3Jvbmc=", "hmac-sha256", "its secret for the key 'clustd' is another one (BADSIG)")]
    [InlineData("other", Secret, "hmac-sha256", "the key 'other' has no right to do so (REFUSED)")]
    public async Task A_wrong_key_is_said_in_words(string key, string secret, string algorithm, string says)
    {
        await using var server = await StartPrimaryAsync();
        var one = await ConnectAsync("cm-1", On(server) with { Addresses = ["203.0.113.1"], Key = key, Secret = secret, Algorithm = algorithm });
        var error = (await one.TriggerAsync(true, 7)).Error.ShouldNotBeNull();
        error.Message.ShouldContain(says);
        error.Message.ShouldNotContain(secret);
        lock (_log) _log.ShouldAllBe(line => !line.Contains(secret));
        (await server.ShowAsync(Www)).ShouldBe("nothing");
    }

    [Fact]
    public async Task A_clock_that_is_wrong_is_said_with_by_how_much()
    {
        await using var server = await StartPrimaryAsync();
        var wrong = new FakeTimeProvider(TimeProvider.System.GetUtcNow().AddHours(-1));
        var exchange = new DnsExchange(server.Address, Key("hmac-sha256"), tcpOnly: false, wrong);
        var error = await Should.ThrowAsync<DnsException>(() => exchange.AskAsync(DnsMessage.Query(1, Name(Zone), DnsType.Soa), TestContext.Current.CancellationToken));
        error.Message.ShouldMatch(@"its clock is 3[56]\d\d s ahead of ours \(BADTIME\)\. Set the clocks");
    }

    [Theory]
    [InlineData("www.fixed.test", null, "refuses to change www.fixed.test")]
    [InlineData("www.elsewhere.test", null, "refuses to answer for www.elsewhere.test (REFUSED): it has no such zone")]
    [InlineData("www.example.test", "sub.www.example.test", "sub.www.example.test")]
    public async Task A_zone_that_cannot_be_changed_there_is_said(string record, string? zone, string says)
    {
        await using var server = await StartPrimaryAsync();
        var one = await ConnectAsync("cm-1", On(server) with { Record = record, Zone = zone, Addresses = ["203.0.113.1"] });
        (await one.TriggerAsync(true, 7)).Error.ShouldNotBeNull().Message.ShouldContain(says);
    }

    [Fact] // Wrong program: waits for ever, or longer than it was told.
    public async Task A_server_that_is_silent_is_given_up_at_the_limit()
    {
        await using var server = await StartPrimaryAsync();
        var one = await ConnectAsync("cm-1", On(server) with { Addresses = ["203.0.113.1"] });
        server.Freeze();
        var error = (await one.TriggerAsync(true, 7, limitUs: 1_500_000)).Error.ShouldNotBeNull();
        error.Message.ShouldContain("could not be pointed to this machine within 1.5 s");
        server.Thaw();
        // Where the driver is not required the service runs on, and nobody tells it to start once more.
        await LookUntilAsync(() => server.ShowAsync(Www), "203.0.113.1");
    }

    [Fact]
    public async Task A_server_that_comes_back_within_the_limit_is_waited_for()
    {
        var server = await StartPrimaryAsync();
        int port = server.Port;
        await server.DisposeAsync();
        var one = await ConnectAsync("cm-1", On(new DnsServer("127.0.0.1", port)) with { Addresses = ["203.0.113.1"] });
        var start = one.TriggerAsync(true, 7, limitUs: 30_000_000);
        await using var again = await StartPrimaryAsync(port: port);
        (await start).Error.ShouldBeNull();
        (await again.ShowAsync(Www)).ShouldBe("203.0.113.1");
    }

    [Fact] // BIND leaves a CNAME out without a word where other records stand (RFC 2136, 3.4.2.2). Wrong program: takes NOERROR for done.
    public async Task A_name_that_the_server_did_not_change_is_no_success()
    {
        await using var server = await StartPrimaryAsync();
        var one = await ConnectAsync("cm-1", On(server) with { Record = "mail.example.test", Cname = "cm-1.example.test" });
        (await one.TriggerAsync(true, 7)).Error.ShouldNotBeNull().Message.ShouldContain("has taken the update, but mail.example.test is nothing and not cm-1.example.test");
        var two = await ConnectAsync("cm-1", On(server) with { Cname = "CM-1.example.test" });
        (await two.TriggerAsync(true, 7)).Error.ShouldBeNull();
        (await server.ShowAsync(Www)).ShouldBe("cm-1.example.test");
    }

    [Fact] // Wrong program: overwrites somebody's TXT record, or takes what a wildcard answers for one.
    public async Task A_text_record_that_is_not_ours_is_left_alone()
    {
        await using var server = await StartPrimaryAsync();
        await server.UpdateAsync(new DnsRecord(Name("_clustd." + Www), DnsType.Txt, DnsClass.In, 60, [3, .. "abc"u8]));
        var one = await ConnectAsync("cm-1", On(server) with { Addresses = ["203.0.113.1"] });
        (await one.TriggerAsync(true, 7)).Error.ShouldNotBeNull().Message.ShouldContain("it reads 'abc'");
        var two = await ConnectAsync("cm-1", On(server) with { Record = "www.wild.example.test", Addresses = ["203.0.113.1"] });
        (await two.TriggerAsync(true, 7)).Error.ShouldBeNull();
        (await server.ShowAsync("www.wild.example.test")).ShouldBe("203.0.113.1");
    }

    [Fact]
    public async Task Its_test_says_what_the_server_says_and_changes_nothing()
    {
        await using var server = await StartPrimaryAsync();
        var found = await TestAsync(On(server) with { Addresses = ["203.0.113.1"] });
        found.ShouldAllBe(finding => finding.Level == FindingLevel.Good);
        found.Select(finding => finding.Subject).ShouldBe(["address", $"primary 127.0.0.1:{server.Port}", $"name {Www}", "update", "takeover"]);
        found[^1].Text.ShouldContain("up to 30 s");
        (await server.ShowAsync(Www)).ShouldBe("nothing");
        (await server.ReadAsync(Www)).Fences.ShouldBeEmpty();

        (await TestAsync(On(server) with { Addresses = ["203.0.113.1"], Key = "other" })).ShouldContain(finding => finding.Level == FindingLevel.Bad && finding.Subject == "update" && finding.Text.Contains("REFUSED"));
        (await TestAsync(On(server) with { Addresses = ["203.0.113.1"], Key = null, Secret = null })).ShouldContain(finding => finding.Level == FindingLevel.Doubtful && finding.Subject == "key");
        (await TestAsync(On(server) with { Addresses = ["no-such-nic"] })).ShouldContain(finding => finding.Level == FindingLevel.Bad && finding.Text.Contains("There is no interface 'no-such-nic'"));
    }

    [Fact]
    public void A_secret_is_not_printed() =>
        On(new DnsServer("127.0.0.1")).ToString().ShouldNotContain(Secret);

    private static DnsDriverOptions On(NameServer server) => On(server.Address);

    private static DnsDriverOptions On(DnsServer server) => new() { Record = Www, Server = server, Key = KeyName, Secret = Secret };

    private static DnsRecord A(string address) => new(Name(Www), DnsType.A, DnsClass.In, 30, IPAddress.Parse(address).GetAddressBytes());

    private async Task<FakeConnection> ConnectAsync(string machine, DnsDriverOptions options)
    {
        _last = FakeDaemon.Start(new FakeDaemonOptions { Machine = machine });
        _open.Add(_last);
        var host = new DriverHost { Address = new Uri(_last.Url).Authority, Secret = _last.Options.Secret, Log = (_, line) => { lock (_log) _log.Add(line); } };
        var driver = new DnsDriver(options, host, new StateDriverTerms { Time = _time });
        _open.Add(new Watched(driver));
        await driver.ConnectAsync(TestContext.Current.CancellationToken);
        return await _last.NextConnectionAsync();
    }

    private static async Task<List<DriverFinding>> TestAsync(DnsDriverOptions options)
    {
        var found = new List<DriverFinding>();
        await using var driver = new DnsDriver(options, new DriverHost { Address = "127.0.0.1:1", Secret = "x" });
        await foreach (var finding in driver.TestAsync(TestContext.Current.CancellationToken)) found.Add(finding);
        return found;
    }

    private static async Task<DnsCode> SoaCodeAsync(NameServer server) =>
        (await new DnsExchange(server.Address, null, tcpOnly: false, TimeProvider.System).AskAsync(DnsMessage.Query(DnsExchange.NewId(), Name(Zone), DnsType.Soa), TestContext.Current.CancellationToken)).Code;

    // The watch waits on the fake clock.
    private Task LookUntilAsync(Func<Task<string>> read, string expected) => EventuallyAsync(async () =>
    {
        _time.Advance(TimeSpan.FromSeconds(5));
        return await read() == expected;
    });

    private static async Task EventuallyAsync(Func<Task<bool>> isSo)
    {
        var deadline = DateTime.UtcNow.AddSeconds(60);
        while (!await isSo())
        {
            (DateTime.UtcNow < deadline).ShouldBeTrue("It did not come to that within 60 s.");
            await Task.Delay(20, TestContext.Current.CancellationToken);
        }
    }

    private sealed class Watched(DnsDriver driver) : IAsyncDisposable
    {
        public async ValueTask DisposeAsync()
        {
            await driver.DisposeAsync();
            await driver.EndWatchAsync();
        }
    }
}
