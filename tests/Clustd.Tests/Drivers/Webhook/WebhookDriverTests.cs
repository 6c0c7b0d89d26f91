using System.Diagnostics;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using System.Text.Json;
using Clustd.Client.Testing;
using Clustd.Drivers;
using Clustd.Drivers.Webhook;
using Microsoft.AspNetCore.Http;
using Shouldly;
using Xunit;

namespace Clustd.Tests.Drivers.Webhook;

/// <summary>The webhook driver through the SDK, against a real web server on loopback.</summary>
public sealed class WebhookDriverTests : IAsyncDisposable
{
    private const string Secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    private readonly FakeDaemon _daemon = FakeDaemon.Start();
    private readonly Scratch _scratch = new();
    private readonly List<string> _log = [];
    private readonly List<IAsyncDisposable> _open = [];

    public async ValueTask DisposeAsync()
    {
        foreach (var each in _open.AsEnumerable().Reverse()) await each.DisposeAsync();
        await _daemon.DisposeAsync();
        _scratch.Dispose();
    }

    [Fact]
    public async Task A_start_and_a_stop_are_told_with_all_that_is_known_of_them()
    {
        var receiver = await ReceiverAsync();
        await ConnectedAsync(Options(receiver) with { Cluster = "prod", Headers = new Dictionary<string, string> { ["Authorization"] = "Bearer of.news", ["Content-Type"] = "application/json; charset=utf-8" } });
        long token = await _daemon.PromoteAsync();
        await _daemon.DemoteAsync();

        var (start, stop) = (receiver.Requests.First(), receiver.Requests.Last());
        receiver.Requests.Count.ShouldBe(2);
        (start.Method, start.Path).ShouldBe(("POST", "/hook"));
        (start.Headers["Idempotency-Key"], stop.Headers["Idempotency-Key"]).ShouldBe(($"default-{token}-start", $"default-{token}-stop"));
        (start.Headers["Authorization"], start.Headers["Content-Type"]).ShouldBe(("Bearer of.news", "application/json; charset=utf-8"));
        using var body = JsonDocument.Parse(start.Body);
        JsonElement Of(string name) => body.RootElement.GetProperty(name);
        (Of("type").GetString(), Of("service").GetString(), Of("isMaster").GetBoolean(), Of("token").GetInt64()).ShouldBe(("service.start", "default", true, token));
        (Of("machine").GetString(), Of("cluster").GetString(), Of("kill").GetBoolean()).ShouldBe(("fake-1", "prod", false));
        Of("reason").GetString().ShouldNotBeNullOrEmpty();
        (DateTimeOffset.UtcNow - Of("timestamp").GetDateTimeOffset()).Duration().ShouldBeLessThan(TimeSpan.FromMinutes(1));
    }

    // Two masters, in the eyes of the receiver: a standby is told "false" with the token that another machine holds.
    [Fact] // Wrong program: tells every "false" it is told.
    public async Task A_standby_tells_nothing()
    {
        var receiver = await ReceiverAsync();
        await ConnectedAsync(Options(receiver));
        await (await _daemon.ConnectedAsync()).TriggerAsync(isMaster: false, token: 42);
        receiver.Requests.ShouldBeEmpty();
    }

    [Fact] // Wrong program: keeps in memory alone what it has told, so that a start is never taken back by the process that follows one that died.
    public async Task A_start_is_taken_back_by_the_process_that_comes_after()
    {
        await using var daemon = FakeDaemon.Start(new FakeDaemonOptions { TellsStateAtOnce = false });
        var receiver = await ReceiverAsync();
        await ConnectedAsync(Options(receiver) with { Name = "first" }, daemon);
        (await (await daemon.ConnectedAsync()).TriggerAsync(isMaster: true, token: 42)).Error.ShouldBeNull();
        // What SIGKILL would leave behind. The first one is still there, and must not write into it: hence another name.
        File.Copy(_scratch.File("data/webhook-first.told"), _scratch.File("data/webhook-second.told"));

        await ConnectedAsync(Options(receiver) with { Name = "second" }, daemon);
        (await (await daemon.ConnectedAsync()).TriggerAsync(isMaster: false, token: 49)).Error.ShouldBeNull();
        Keys(receiver).ShouldBe(["default-42-start", "default-42-stop"]);
    }

    [Fact] // Wrong program: one id per grant, so that a receiver that counts each id once never hears of the second start.
    public async Task A_grant_that_is_started_once_more_is_another_event()
    {
        var receiver = await ReceiverAsync();
        await ConnectedAsync(Options(receiver));
        var connection = await _daemon.ConnectedAsync();
        foreach (bool isMaster in (bool[])[true, false, true, false]) (await connection.TriggerAsync(isMaster, token: 42)).Error.ShouldBeNull();
        Keys(receiver).ShouldBe(["default-42-start", "default-42-stop", "default-42-start-2", "default-42-stop-2"]);
        receiver.Requests.Select(request => RoundOf(request)).ShouldBe([1, 1, 2, 2]);
    }

    // The move is given up, and the service goes on here under the same token. Wrong program: the receiver has taken the stop, and ignores the start that it has seen before.
    [Fact]
    public async Task After_a_stop_without_an_answer_the_start_is_another_event()
    {
        var receiver = await ReceiverAsync();
        receiver.Answer = (number, context) =>
        {
            receiver.Act(context);
            return Receiver.Status(context, number == 2 ? 400 : 200);
        };
        await ConnectedAsync(Options(receiver));
        var connection = await _daemon.ConnectedAsync();
        (await connection.TriggerAsync(isMaster: true, token: 42)).Error.ShouldBeNull();
        (await connection.TriggerAsync(isMaster: false, token: 42)).Error.ShouldNotBeNull();
        (await connection.TriggerAsync(isMaster: true, token: 42)).Error.ShouldBeNull();
        Keys(receiver).ShouldBe(["default-42-start", "default-42-stop", "default-42-start-2"]);
    }

    [Fact] // Wrong program: a new id with every process, so that a receiver acts twice on one grant.
    public async Task A_start_that_is_told_by_two_processes_has_one_id()
    {
        await using var daemon = FakeDaemon.Start(new FakeDaemonOptions { TellsStateAtOnce = false });
        var receiver = await ReceiverAsync();
        receiver.Answer = (_, context) => Receiver.Status(context, 503); // May have acted.
        async Task TellAsync(string name)
        {
            await ConnectedAsync(Options(receiver) with { Name = name }, daemon);
            (await (await daemon.ConnectedAsync()).TriggerAsync(isMaster: true, token: 42, limitUs: 500_000)).Error.ShouldNotBeNull();
        }

        await TellAsync("first");
        File.Copy(_scratch.File("data/webhook-first.told"), _scratch.File("data/webhook-second.told"));
        await TellAsync("second");
        Keys(receiver).Distinct().ShouldBe(["default-42-start"]);
        receiver.Answer = (_, context) => Receiver.Status(context, 200);
    }

    [Fact] // Wrong program: a pager that is down holds the service here.
    public async Task A_failed_stop_that_nothing_waits_for_is_only_shown()
    {
        var receiver = await ReceiverAsync();
        await ConnectedAsync(Options(receiver) with { Required = false });
        await _daemon.PromoteAsync();
        receiver.Answer = (_, context) => Receiver.Status(context, 410);
        await _daemon.DemoteAsync();
        (await _daemon.HeardAsync("event")).Parameters.ToString().ShouldNotBeNull().ShouldContain("it answered 410");

        receiver.Answer = (_, context) => Receiver.Status(context, 200);
        (await (await _daemon.ConnectedAsync()).TriggerAsync(isMaster: false, token: 49)).Error.ShouldBeNull();
        receiver.Requests.Last().Headers["webhook-id"].ShouldBe("default-1-stop"); // Not forgotten either.
    }

    // A wrong address must move the service on, not hold it. Wrong program: tells the stop of what was never started, is refused again, and the service is stuck here.
    [Theory]
    [InlineData("refused")]
    [InlineData("not reached")]
    [InlineData("no authorities")]
    public async Task A_start_that_the_receiver_never_had_is_not_taken_back(string why)
    {
        var receiver = await ReceiverAsync();
        receiver.Answer = (_, context) => Receiver.Status(context, 404);
        await ConnectedAsync(why switch
        {
            "not reached" => Options(receiver) with { StartUrl = new Uri("http://127.0.0.1:9/") },
            "no authorities" => Options(receiver) with { CertificateAuthorities = _scratch.File("nowhere.pem") },
            _ => Options(receiver),
        });
        var connection = await _daemon.ConnectedAsync();
        (await connection.TriggerAsync(isMaster: true, token: 42, limitUs: 500_000)).Error.ShouldNotBeNull();
        (await connection.TriggerAsync(isMaster: false, token: 42)).Error.ShouldBeNull();
        Keys(receiver).ShouldNotContain(key => key.Contains("stop"));
    }

    [Theory]
    [InlineData("")]
    [InlineData("42")]
    [InlineData("42 1 begun\n")]
    [InlineData("42 99999999999999999999 started\n")]
    [InlineData("\u0000\u0001")]
    public async Task A_damaged_note_is_as_good_as_none(string note)
    {
        Directory.CreateDirectory(_scratch.File("data"));
        File.WriteAllText(_scratch.File("data/webhook-hook.told"), note);
        var receiver = await ReceiverAsync();
        await ConnectedAsync(Options(receiver));
        var connection = await _daemon.ConnectedAsync();
        (await connection.TriggerAsync(isMaster: false, token: 42)).Error.ShouldBeNull();
        (await connection.TriggerAsync(isMaster: true, token: 42)).Error.ShouldBeNull();
        Keys(receiver).ShouldBe(["default-42-start"]);
    }

    [Fact]
    public async Task Python_and_openssl_agree_with_the_signature()
    {
        var receiver = await ReceiverAsync();
        await ConnectedAsync(Options(receiver) with { OldSecret = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD" });
        await _daemon.PromoteAsync();
        var request = receiver.Requests.Single();
        Verify(request, Secret).ShouldBe(0);
        Verify(request, "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD").ShouldBe(0);
        Verify(request, "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA").ShouldBe(1);
        Verify(request with { Body = [.. request.Body, (byte)'\n'] }, Secret).ShouldBe(1);
    }

    [Fact]
    public async Task The_sample_receiver_takes_each_event_once()
    {
        using var python = StartSample("samples/webhook/receiver.py", "0", ("CLUSTD_WEBHOOK_SECRET", Secret));
        try
        {
            string? line = await python.StandardOutput.ReadLineAsync(TestContext.Current.CancellationToken).AsTask().WaitAsync(TimeSpan.FromSeconds(30), TestContext.Current.CancellationToken);
            Assert.SkipWhen(line is null, "there is no python3 here");
            var url = new Uri($"http://127.0.0.1:{line.Split(' ')[^1]}/");
            await ConnectedAsync(new WebhookDriverOptions { StartUrl = url, StopUrl = url, Secret = Secret, Name = "hook" });
            long token = await _daemon.PromoteAsync();
            await _daemon.DemoteAsync();
            (await python.StandardOutput.ReadLineAsync(TestContext.Current.CancellationToken)).ShouldNotBeNull().ShouldStartWith($"default starts on fake-1 with token {token}: ");
            (await python.StandardOutput.ReadLineAsync(TestContext.Current.CancellationToken)).ShouldNotBeNull().ShouldStartWith($"default stops on fake-1 with token {token}: ");

            await ConnectedAsync(new WebhookDriverOptions { StartUrl = url, Secret = Secret[..^4] + "AAAA", Name = "impostor" });
            (await _daemon.PromoteAsync().ShouldThrowAsync<TriggerFailedException>()).Message.ShouldContain("401 'the signature is wrong, or too old'");
        }
        finally
        {
            if (!python.HasExited) python.Kill();
        }
    }

    [Fact] // Wrong program: a new key with every attempt, so that a receiver that has acted acts again.
    public async Task A_connection_that_is_cut_after_the_receiver_has_acted_is_tried_again_with_the_same_key()
    {
        var receiver = await ReceiverAsync();
        receiver.Answer = (number, context) =>
        {
            receiver.Act(context);
            if (number == 1) context.Abort();
            return Receiver.Status(context, 200);
        };
        await ConnectedAsync(Options(receiver));
        long token = await _daemon.PromoteAsync();
        receiver.Requests.Count.ShouldBe(2);
        receiver.Acted.Keys.ShouldBe([$"default-{token}-start"]);
        receiver.Requests.Select(request => Encoding.UTF8.GetString(request.Body)).Distinct().Count().ShouldBe(1);
    }

    [Theory]
    [InlineData(408)]
    [InlineData(425)]
    [InlineData(429)]
    [InlineData(500)]
    [InlineData(503)]
    public async Task What_may_pass_is_tried_again(int status)
    {
        var receiver = await ReceiverAsync();
        receiver.Answer = (number, context) => Receiver.Status(context, number <= 2 ? status : 200);
        await ConnectedAsync(Options(receiver));
        await _daemon.PromoteAsync();
        receiver.Requests.Count.ShouldBe(3);
    }

    [Fact]
    public async Task A_receiver_that_asks_for_patience_gets_it()
    {
        var receiver = await ReceiverAsync();
        var first = new Stopwatch();
        receiver.Answer = (number, context) =>
        {
            if (number > 1) return Receiver.Status(context, 200);
            first.Start();
            context.Response.Headers.RetryAfter = "1";
            return Receiver.Status(context, 429);
        };
        await ConnectedAsync(Options(receiver));
        await _daemon.PromoteAsync();
        first.ElapsedMilliseconds.ShouldBeGreaterThan(950);
        receiver.Requests.Count.ShouldBe(2);
    }

    [Fact] // Wrong program: waits for its limit although the receiver has said that nothing will come of it.
    public async Task One_that_asks_for_more_patience_than_there_is_fails_at_once()
    {
        var receiver = await ReceiverAsync();
        receiver.Answer = (_, context) =>
        {
            context.Response.Headers.RetryAfter = "3600";
            return Receiver.Status(context, 503, "maintenance");
        };
        await ConnectedAsync(Options(receiver));
        var clock = Stopwatch.StartNew();
        (await _daemon.PromoteAsync().ShouldThrowAsync<TriggerFailedException>()).Message.ShouldContain("503 'maintenance', and asks for 3600 s of patience");
        clock.Elapsed.ShouldBeLessThan(TimeSpan.FromSeconds(15));
    }

    [Theory]
    [InlineData(400, "no such service\nsecond line", "it answered 400 'no such service'.")]
    [InlineData(403, "", "it answered 403.")]
    [InlineData(418, "\u001b[31mteapot", "it answered 418 '[31mteapot'.")]
    public async Task A_refusal_is_final_and_its_first_line_is_told(int status, string body, string told)
    {
        var receiver = await ReceiverAsync();
        receiver.Answer = (_, context) => Receiver.Status(context, status, body);
        await ConnectedAsync(Options(receiver));
        (await _daemon.PromoteAsync().ShouldThrowAsync<TriggerFailedException>()).Message.ShouldContain(told);
        receiver.Requests.Count.ShouldBe(1);
    }

    [Fact] // Wrong program: follows, and hands signature and headers to whom the answer names.
    public async Task A_redirect_is_not_followed()
    {
        var (receiver, other) = (await ReceiverAsync(), await ReceiverAsync());
        receiver.Answer = (_, context) =>
        {
            context.Response.Headers.Location = other.Url("/secret-path").ToString();
            return Receiver.Status(context, 307);
        };
        await ConnectedAsync(Options(receiver));
        var error = (await _daemon.PromoteAsync().ShouldThrowAsync<TriggerFailedException>()).Message;
        error.ShouldContain($"it answered 307, a redirect to {other.Url("")}".TrimEnd('/'));
        error.ShouldNotContain("secret-path");
        other.Requests.ShouldBeEmpty();
    }

    [Fact]
    public async Task Other_statuses_count_as_done_if_the_file_says_so()
    {
        var receiver = await ReceiverAsync();
        receiver.Answer = (_, context) => Receiver.Status(context, 409);
        await ConnectedAsync(Options(receiver) with { Expect = [2, 409] });
        await _daemon.PromoteAsync();
        receiver.Requests.Count.ShouldBe(1);
    }

    [Fact] // Wrong program: one attempt waits for the whole limit, or no attempt for any.
    public async Task A_receiver_that_hangs_is_given_up_within_the_limit_and_tried_several_times()
    {
        var receiver = await ReceiverAsync();
        receiver.Answer = (_, context) => Task.Delay(TimeSpan.FromSeconds(60), context.RequestAborted);
        await ConnectedAsync(Options(receiver) with { AttemptTimeout = TimeSpan.FromMilliseconds(300) });
        receiver.Answer = (number, context) => number == 1 ? Receiver.Status(context, 200) : Task.Delay(TimeSpan.FromSeconds(60), context.RequestAborted);
        long token = await _daemon.PromoteAsync();

        var connection = await _daemon.ConnectedAsync();
        var clock = Stopwatch.StartNew();
        var answer = await connection.TriggerAsync(isMaster: false, token, limitUs: 2_000_000);
        clock.Elapsed.ShouldBeLessThan(TimeSpan.FromSeconds(6));
        answer.Error.ShouldNotBeNull().Message.ShouldContain("no answer within 0.3 s. See to the receiver");
        receiver.Requests.Count.ShouldBeInRange(2, 9);

        // The daemon says it again, urgently, and waits half a second. Nobody says it a third time, so it is tried a little longer.
        clock.Restart();
        (await connection.TriggerAsync(isMaster: false, token, kill: true, limitUs: 500_000)).Error.ShouldNotBeNull();
        clock.Elapsed.ShouldBeInRange(TimeSpan.FromSeconds(1), TimeSpan.FromSeconds(8));
    }

    [Fact] // Wrong program: reads an answer until it ends.
    public async Task An_answer_without_end_is_not_read_to_its_end()
    {
        var receiver = await ReceiverAsync();
        receiver.Answer = async (_, context) =>
        {
            context.Response.StatusCode = 400;
            while (!context.RequestAborted.IsCancellationRequested) await context.Response.WriteAsync(new string('x', 1000));
        };
        await ConnectedAsync(Options(receiver));
        var error = (await _daemon.PromoteAsync().ShouldThrowAsync<TriggerFailedException>()).Message;
        error.Length.ShouldBeLessThan(600);
    }

    [Fact]
    public async Task No_secret_is_ever_logged_or_told()
    {
        var receiver = await ReceiverAsync();
        receiver.Answer = (_, context) => Receiver.Status(context, 400, $"wrong: {context.Request.Path}{context.Request.QueryString} {context.Request.Headers.Authorization} {Secret}");
        var options = Options(receiver) with { StartUrl = receiver.Url("/services/T0-hidden?key=hidden"), Headers = new Dictionary<string, string> { ["Authorization"] = "Bearer hidden-token" } };
        await ConnectedAsync(options);
        string error = (await _daemon.PromoteAsync().ShouldThrowAsync<TriggerFailedException>()).Message;
        string findings = string.Join("\n", await new WebhookDriver(options, Host()).TestAsync(default).ToListAsync());
        string[] all = [error, options.ToString(), findings, .. _log];
        all.ShouldNotContain(text => text.Contains("T0-hidden") || text.Contains("hidden-token") || text.Contains(Secret));
        options.Unprinted.ShouldContain(text => text.Contains("T0-hidden"));
        error.ShouldContain("400 'wrong: (hidden) (hidden) (hidden)'");
    }

    [Fact] // Wrong program: takes any certificate.
    public async Task Only_a_certificate_that_is_trusted_is_told_anything()
    {
        using var authority = Authority();
        using var certificate = Leaf(authority);
        string ca = _scratch.File("ca.pem");
        File.WriteAllText(ca, authority.ExportCertificatePem());
        var receiver = await Receiver.StartAsync(certificate);
        _open.Insert(0, receiver);
        var options = Options(receiver);

        await ConnectedAsync(options with { Name = "trusting-the-system" });
        (await _daemon.PromoteAsync().ShouldThrowAsync<TriggerFailedException>()).Message.ShouldContain("TLS failed");
        receiver.Requests.ShouldBeEmpty();
        await _open[^1].DisposeAsync();
        (await new WebhookDriver(options, Host()).TestAsync(default).ToListAsync()).ShouldContain(finding => finding.Level == FindingLevel.Bad && finding.Text.StartsWith("TLS fails"));

        await ConnectedAsync(options with { Name = "trusting-ca", CertificateAuthorities = ca });
        await _daemon.PromoteAsync();
        receiver.Requests.ShouldNotBeEmpty();
        (await new WebhookDriver(options with { CertificateAuthorities = ca }, Host()).TestAsync(default).ToListAsync()).ShouldAllBe(finding => finding.Level == FindingLevel.Good);
    }

    [Fact]
    public async Task A_test_tells_the_receiver_nothing()
    {
        var receiver = await ReceiverAsync();
        var found = await new WebhookDriver(Options(receiver), Host()).TestAsync(default).ToListAsync();
        found.ShouldAllBe(finding => finding.Level == FindingLevel.Good);
        receiver.Requests.ShouldBeEmpty();
        var nobody = await new WebhookDriver(new WebhookDriverOptions { StartUrl = new Uri("http://127.0.0.1:9/") }, Host()).TestAsync(default).ToListAsync();
        nobody.Select(finding => finding.Level).ShouldBe([FindingLevel.Bad, FindingLevel.Doubtful]);
    }

    private static IEnumerable<string> Keys(Receiver receiver) => receiver.Requests.Select(request => request.Headers["webhook-id"]);

    private static int RoundOf(Receiver.Request request)
    {
        using var body = JsonDocument.Parse(request.Body);
        return body.RootElement.GetProperty("round").GetInt32();
    }

    private async Task<Receiver> ReceiverAsync()
    {
        var receiver = await Receiver.StartAsync();
        _open.Insert(0, receiver);
        return receiver;
    }

    private static WebhookDriverOptions Options(Receiver receiver) => new() { StartUrl = receiver.Url(), StopUrl = receiver.Url(), Secret = Secret, Name = "hook" };

    private async Task<WebhookDriver> ConnectedAsync(WebhookDriverOptions options, FakeDaemon? daemon = null)
    {
        var driver = new WebhookDriver(options, Host(daemon ?? _daemon));
        _open.Add(driver);
        await driver.ConnectAsync(TestContext.Current.CancellationToken);
        return driver;
    }

    private DriverHost Host() => Host(_daemon);

    private DriverHost Host(FakeDaemon daemon) => new()
    {
        Address = new Uri(daemon.Url).Authority, Secret = daemon.Options.Secret, DataDirectory = _scratch.File("data"),
        Log = (_, text) => { lock (_log) _log.Add(text); },
    };

    private int Verify(Receiver.Request request, string secret)
    {
        string body = _scratch.File("body");
        File.WriteAllBytes(body, request.Body);
        using var bash = StartSample("samples/webhook/verify.sh", null, ("CLUSTD_WEBHOOK_SECRET", secret), ("WEBHOOK_ID", request.Headers["webhook-id"]),
            ("WEBHOOK_TIMESTAMP", request.Headers["webhook-timestamp"]), ("WEBHOOK_SIGNATURE", request.Headers["webhook-signature"]));
        bash.StandardInput.BaseStream.Write(request.Body);
        bash.StandardInput.Close();
        bash.WaitForExit(TimeSpan.FromSeconds(30)).ShouldBeTrue();
        Assert.SkipWhen(bash.ExitCode == 127, "there is no openssl here");
        return bash.ExitCode;
    }

    private static Process StartSample(string path, string? argument, params (string Name, string Value)[] environment)
    {
        var start = new ProcessStartInfo("/usr/bin/env") { RedirectStandardInput = true, RedirectStandardOutput = true, UseShellExecute = false };
        start.ArgumentList.Add(path.EndsWith(".py", StringComparison.Ordinal) ? "python3" : "bash");
        start.ArgumentList.Add(Path.Combine(Config.ConfigTestWorld.RepositoryFolder(), path));
        if (argument is not null) start.ArgumentList.Add(argument);
        foreach (var (name, value) in environment) start.Environment[name] = value;
        return Process.Start(start)!;
    }

    private static X509Certificate2 Authority()
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest("CN=test authority", key, HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(true, false, 0, true));
        return request.CreateSelfSigned(DateTimeOffset.UtcNow.AddDays(-1), DateTimeOffset.UtcNow.AddDays(1));
    }

    private static X509Certificate2 Leaf(X509Certificate2 authority)
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest("CN=receiver", key, HashAlgorithmName.SHA256);
        var names = new SubjectAlternativeNameBuilder();
        names.AddIpAddress(System.Net.IPAddress.Loopback);
        request.CertificateExtensions.Add(names.Build());
        using var bare = request.Create(authority, DateTimeOffset.UtcNow.AddHours(-1), DateTimeOffset.UtcNow.AddHours(1), [1, 2, 3, 4]);
        using var whole = bare.CopyWithPrivateKey(key);
        return X509CertificateLoader.LoadPkcs12(whole.Export(X509ContentType.Pkcs12), null);
    }
}
