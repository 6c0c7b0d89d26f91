using Clustd.Drivers.Webhook;
using Shouldly;
using Xunit;
using static Clustd.Tests.Config.ConfigTestWorld;

namespace Clustd.Tests.Config;

/// <summary>`webhook` in a file.</summary>
public sealed class WebhookConfigTests : IDisposable
{
    private const string Secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    private readonly Drivers.Scratch _scratch = new();

    public void Dispose() => _scratch.Dispose();

    [Fact]
    public void The_least_that_it_takes()
    {
        var webhook = Driver("url: 'https://hooks.example.com/clustd'");
        (webhook.StartUrl, webhook.StopUrl).ShouldBe((new Uri("https://hooks.example.com/clustd"), new Uri("https://hooks.example.com/clustd")));
        (webhook.Method, webhook.Secret, webhook.AttemptTimeout, webhook.StopsForCertain, webhook.EffectiveName).ShouldBe(("POST", null, TimeSpan.FromSeconds(5), false, "default-webhook"));
        webhook.Expect.ShouldBe([2]);
    }

    [Fact] // Wrong program: takes the word `file:...` itself for the secret.
    public void Secrets_and_addresses_can_stand_in_files()
    {
        System.IO.File.WriteAllText(_scratch.File("secret"), Secret + "\n");
        System.IO.File.WriteAllText(_scratch.File("url"), "https://hooks.example.com/T0/hidden\n");
        System.IO.File.WriteAllText(_scratch.File("bearer"), "Bearer hidden\n");
        var webhook = Driver($"url: 'file:{_scratch.File("url")}', secret: 'file:{_scratch.File("secret")}', headers: {{ Authorization: 'file:{_scratch.File("bearer")}' }}");
        (webhook.StartUrl!.AbsolutePath, webhook.Secret, webhook.Headers["Authorization"]).ShouldBe(("/T0/hidden", Secret, "Bearer hidden"));
    }

    [Fact]
    public void Start_and_stop_can_go_to_different_receivers()
    {
        var webhook = Driver("start_url: 'https://a.example.com/up', stop_url: 'https://a.example.com/down', method: PUT, expect: [200, 3xx], timeout: 2s");
        (webhook.StartUrl!.AbsolutePath, webhook.StopUrl!.AbsolutePath, webhook.Method, webhook.AttemptTimeout).ShouldBe(("/up", "/down", "PUT", TimeSpan.FromSeconds(2)));
        webhook.Expect.ShouldBe([200, 3]);
    }

    [Theory]
    [InlineData("method: POST", "A webhook has no address")]
    [InlineData("url: 'ftp://hidden.example.com/x'", "'drivers[0].webhook.url' is not a web address")]
    [InlineData("url: 'hooks.example.com/hidden'", "'drivers[0].webhook.url' is not a web address")]
    [InlineData("url: 'https://hidden:word@hooks.example.com/x'", "'drivers[0].webhook.url' is not a web address")]
    [InlineData("url: 'file:/nowhere/hook'", "'drivers[0].webhook.url' cannot be read")]
    [InlineData("url: 'https://a.example.com', secret: 'whsec_hidden!'", "'drivers[0].webhook.secret' is no secret of Standard Webhooks")]
    [InlineData("url: 'https://a.example.com', old_secret: 'whsec_hidden!'", "'drivers[0].webhook.old_secret' is no secret of Standard Webhooks")]
    [InlineData("url: 'https://a.example.com', headers: { 'a b': hidden }", "'a b' in 'drivers[0].webhook.headers' cannot be sent")]
    [InlineData("url: 'https://a.example.com', headers: { X-A: \"hidden\\r\\nX-B: 1\" }", "'X-A' in 'drivers[0].webhook.headers' cannot be sent")]
    [InlineData("url: 'https://a.example.com', headers: { Webhook-Id: hidden }", "'Webhook-Id' in 'drivers[0].webhook.headers' cannot be sent")]
    [InlineData("url: 'https://a.example.com', expect: [9xx]", "An item of 'drivers[0].webhook.expect' is no status")]
    [InlineData("url: 'https://a.example.com', expect: ['20']", "An item of 'drivers[0].webhook.expect' is no status")]
    [InlineData("url: 'https://a.example.com', timeout: 1h", "out of range")]
    [InlineData("url: 'https://a.example.com', method: GET", "method")]
    public void What_cannot_be_is_said_and_no_secret_with_it(string keys, string what)
    {
        var errors = Read(Text(keys)).Errors;
        errors.Count.ShouldBe(1);
        errors[0].What.ShouldContain(what);
        errors[0].ToString().ShouldNotContain("hidden");
    }

    [Theory]
    [InlineData("url: 'http://hooks.example.com/clustd'", "is not encrypted")]
    [InlineData("url: 'https://a.example.com', secret: short", "is short")]
    [InlineData("start_url: 'https://a.example.com'", "tells starts but no stops")]
    public void What_is_doubtful_is_a_warning(string keys, string what) => Read(Text(keys)).Warnings.ShouldContain(warning => warning.What.Contains(what));

    [Fact]
    public void On_this_machine_http_is_good_enough() => Read(Text($"url: 'http://127.0.0.1:8080/', secret: {Secret}")).Warnings.ShouldNotContain(warning => warning.What.Contains("webhook"));

    private static WebhookDriverOptions Driver(string keys) => Valid(Text(keys)).Drivers.Single().ShouldBeOfType<WebhookDriverOptions>();

    private static string Text(string keys) => File(rest: $"services: {{ default: {{}} }}\ndrivers: [ webhook: {{ {keys} }} ]");
}
