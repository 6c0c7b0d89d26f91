using System.Runtime.CompilerServices;
using Clustd.Client;

namespace Clustd.Drivers.Webhook;

/// <summary>Tells an HTTP server of every start and stop of a service here, signed, and as often as it takes.</summary>
public sealed class WebhookDriver : DriverMachine, ITestableDriver
{
    private static readonly TimeSpan StartTimeoutDefault = TimeSpan.FromSeconds(30), StopTimeoutDefault = TimeSpan.FromSeconds(10); // as a service's

    private readonly WebhookDriverOptions _options;
    private readonly DriverHost _host;
    private readonly StartedNote _note;

    public WebhookDriver(WebhookDriverOptions options, DriverHost host)
        : base(host.ClientOf(options), host.Address)
    {
        (_options, _host) = (options, host);
        _note = new StartedNote(host.DataDirectory is { } folder ? Path.Combine(folder, $"webhook-{options.EffectiveName}.started") : null);
    }

    protected override async Task TriggerAsync(Trigger trigger, CancellationToken cancellationToken)
    {
        // The SDK's own stops (this process shuts down) come without a limit: nobody is waiting for the clock.
        if (trigger.Limit <= TimeSpan.Zero && !trigger.Kill)
            trigger = trigger with { Limit = trigger.IsMaster ? StartTimeoutDefault : _options.StopTimeout ?? StopTimeoutDefault };
        if (trigger.IsMaster)
        {
            _note.Begin(trigger.Token);
            await TellAsync(_options.StartUrl, trigger, cancellationToken).ConfigureAwait(false);
        }
        else if (_note.Token is { } token)
        {
            await TellAsync(_options.StopUrl, trigger with { Token = token }, cancellationToken).ConfigureAwait(false);
            _note.End();
        }
    }

    public async IAsyncEnumerable<DriverFinding> TestAsync([EnumeratorCancellation] CancellationToken cancellationToken)
    {
        Uri[] urls = [.. new[] { _options.StartUrl, _options.StopUrl }.OfType<Uri>().DistinctBy(WebhookDriverOptions.Shown)];
        foreach (Uri url in urls) yield return await WebhookTest.ReachAsync(url, _options.CertificateAuthorities, cancellationToken).ConfigureAwait(false);
        foreach (Uri url in urls.Where(url => url.Scheme == Uri.UriSchemeHttp && !url.IsLoopback))
            yield return new(FindingLevel.Doubtful, "encryption", $"What is told to {WebhookDriverOptions.Shown(url)} can be read on its way: the address begins with http. Use https.");
        yield return WebhookTest.SecretFinding(_options.Secret);
    }

    protected override void Log(DriverLogLevel level, string text) => _host.Log(level, text);

    private async Task TellAsync(Uri? url, Trigger trigger, CancellationToken cancellationToken)
    {
        if (url is null) return;
        // The answer must be with the daemon before it gives up waiting.
        TimeSpan limit = trigger.Limit - (trigger.Limit / 10 < AnswerMargin ? trigger.Limit / 10 : AnswerMargin);
        using HttpClient http = WebhookConnection.Open(url, _options.CertificateAuthorities);
        var told = WebhookEvent.Of(trigger, Machine, _options.Cluster, DateTimeOffset.UtcNow);
        await new WebhookDelivery(_options, http).DeliverAsync(url, told, limit, cancellationToken).ConfigureAwait(false);
        Log(DriverLogLevel.Debug, $"{Name}: {WebhookDriverOptions.Shown(url)} has taken '{told.Id}'.");
    }

    private static readonly TimeSpan AnswerMargin = TimeSpan.FromMilliseconds(100);
}
