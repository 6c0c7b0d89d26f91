using System.Runtime.CompilerServices;
using Clustd.Client;

namespace Clustd.Drivers.Webhook;

/// <summary>Tells an HTTP server of every start and stop of a service here, signed, and as often as it takes.</summary>
public sealed class WebhookDriver : DriverMachine, ITestableDriver
{
    private static readonly TimeSpan StartTimeoutDefault = TimeSpan.FromSeconds(30), StopTimeoutDefault = TimeSpan.FromSeconds(10); // as a service's

    private static readonly TimeSpan AnswerMargin = TimeSpan.FromMilliseconds(100), UrgentStopMin = TimeSpan.FromSeconds(2), ShowLimit = TimeSpan.FromMilliseconds(200);

    private readonly WebhookDriverOptions _options;
    private readonly DriverHost _host;
    private readonly WebhookNote _note;

    public WebhookDriver(WebhookDriverOptions options, DriverHost host)
        : base(host.ClientOf(options), host.Address)
    {
        (_options, _host) = (options, host);
        _note = new WebhookNote(host.DataDirectory is { } folder ? Path.Combine(folder, $"webhook-{options.EffectiveName}.told") : null);
    }

    protected override async Task TriggerAsync(Trigger trigger, CancellationToken cancellationToken)
    {
        // The SDK's own stops (this process shuts down) come without a limit: nobody is waiting for the clock.
        if (trigger.Limit <= TimeSpan.Zero && !trigger.Kill)
            trigger = trigger with { Limit = trigger.IsMaster ? StartTimeoutDefault : _options.StopTimeout ?? StopTimeoutDefault };
        // Nobody asks for it a second time: told late is better than never told.
        if (trigger.Kill && trigger.Limit < UrgentStopMin) trigger = trigger with { Limit = UrgentStopMin };
        if (trigger.IsMaster) await StartAsync(trigger, cancellationToken).ConfigureAwait(false);
        else if (_note.Last is { } last && last.State != ToldState.Stopped) await StopAsync(trigger, last, cancellationToken).ConfigureAwait(false);
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

    private async Task StartAsync(Trigger trigger, CancellationToken cancellationToken)
    {
        ToldStart? before = _note.Last;
        ToldStart told = _note.Begin(trigger.Token);
        if (_options.StartUrl is not { } url) return;
        var delivery = new WebhookDelivery(_options);
        try
        {
            await delivery.DeliverAsync(url, Event(trigger, told), LimitOf(trigger), cancellationToken).ConfigureAwait(false);
        }
        catch (DriverFailedException) when (told != before && !delivery.MayHaveActed)
        {
            // It has never had this start: there is nothing to take back, and the next machine may try at once.
            _note.Set(told with { State = ToldState.Stopped });
            throw;
        }
        Taken(url, trigger, told);
    }

    private async Task StopAsync(Trigger trigger, ToldStart told, CancellationToken cancellationToken)
    {
        _note.Set(told with { State = ToldState.Stopping });
        trigger = trigger with { Token = told.Token };
        try
        {
            if (_options.StopUrl is { } url)
            {
                var delivery = new WebhookDelivery(_options);
                await delivery.DeliverAsync(url, Event(trigger, told), LimitOf(trigger), cancellationToken).ConfigureAwait(false);
                Taken(url, trigger, told);
            }
        }
        catch (DriverFailedException e) when (!_options.Required)
        {
            // Said in the file: it moves nothing and holds nothing. The note remembers that it is still to be told.
            await ShowAsync(e.Message).ConfigureAwait(false);
            return;
        }
        _note.Set(told with { State = ToldState.Stopped });
    }

    private async Task ShowAsync(string failure)
    {
        Log(DriverLogLevel.Warning, $"{Name}: {failure}");
        using var limit = new CancellationTokenSource(ShowLimit);
        try
        {
            await ReportEventAsync(DriverLogLevel.Warning, failure, limit.Token).ConfigureAwait(false);
        }
        catch (Exception e) when (e is OperationCanceledException or IOException or InvalidOperationException)
        {
            // The log has it.
        }
    }

    private WebhookEvent Event(Trigger trigger, ToldStart told) => WebhookEvent.Of(trigger, told.Round, Machine, _options.Cluster, DateTimeOffset.UtcNow);

    // The answer must be with the daemon before it gives up waiting.
    private static TimeSpan LimitOf(Trigger trigger) => trigger.Limit - (trigger.Limit / 10 < AnswerMargin ? trigger.Limit / 10 : AnswerMargin);

    private void Taken(Uri url, Trigger trigger, ToldStart told) =>
        Log(DriverLogLevel.Info, $"{Name}: {WebhookDriverOptions.Shown(url)} has taken '{WebhookEvent.IdOf(trigger, told.Round)}'");
}
