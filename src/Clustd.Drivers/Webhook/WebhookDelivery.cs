using System.Globalization;
using System.Net;
using System.Net.Http.Headers;
using System.Security.Authentication;
using Clustd.Client;

namespace Clustd.Drivers.Webhook;

/// <summary>Delivers one event: tries until the receiver has taken it, refuses it for good, or the time is up. Every attempt has the same id and body, so a receiver can tell that it has acted already.</summary>
internal sealed class WebhookDelivery(WebhookDriverOptions options)
{
    public static readonly TimeSpan PauseFirst = TimeSpan.FromMilliseconds(100), PauseMax = TimeSpan.FromSeconds(5);

    private const int AnswerBytesMax = 4096;
    private const int LineCharsMax = 200;

    /// <summary>Whether the receiver may have acted: false as long as it was not reached, or has refused.</summary>
    public bool MayHaveActed { get; private set; }

    /// <exception cref="DriverFailedException">It was not taken; the message says what was answered last.</exception>
    /// <exception cref="OperationCanceledException">By the caller.</exception>
    public async Task DeliverAsync(Uri url, WebhookEvent told, TimeSpan limit, CancellationToken cancellationToken)
    {
        long end = DriverClock.NowUs + (long)limit.TotalMicroseconds;
        using HttpClient http = WebhookConnection.Open(url, options.CertificateAuthorities);
        string what = $"the webhook at {WebhookDriverOptions.Shown(url)} did not take '{told.Id}'";
        for (int attempt = 1; ; attempt++)
        {
            Answer answer = await TryAsync(http, url, told, Left(end), cancellationToken).ConfigureAwait(false);
            if (answer.IsTaken) return;
            if (answer.IsFinal) throw new DriverFailedException($"{Upper(what)}: {answer.Text}. {answer.ToDo}");
            TimeSpan pause = answer.RetryAfter is { } asked && asked > Pause(attempt) ? asked : Pause(attempt);
            if (pause >= Left(end))
            {
                string waits = answer.RetryAfter > Left(end) ? $", and asks for {answer.RetryAfter.Value.TotalSeconds:0} s of patience" : "";
                string attempts = attempt == 1 ? "1 attempt" : $"{attempt} attempts";
                throw new DriverFailedException($"{Upper(what)} within {limit.TotalSeconds:0.###} s ({attempts}): {answer.Text}{waits}. See to the receiver, or raise the timeout of the service.");
            }
            await Task.Delay(pause, cancellationToken).ConfigureAwait(false);
        }
    }

    // Doubles; and at random between half and all of it, so that many senders do not come back at once.
    private static TimeSpan Pause(int attempt)
    {
        double full = Math.Min(PauseMax.TotalMilliseconds, PauseFirst.TotalMilliseconds * Math.Pow(2, attempt - 1));
        return TimeSpan.FromMilliseconds(full * (0.5 + Random.Shared.NextDouble() / 2));
    }

    private async Task<Answer> TryAsync(HttpClient http, Uri url, WebhookEvent told, TimeSpan left, CancellationToken cancellationToken)
    {
        TimeSpan time = left < options.AttemptTimeout ? left : options.AttemptTimeout;
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        limit.CancelAfter(time > TimeSpan.Zero ? time : TimeSpan.Zero);
        try
        {
            using HttpRequestMessage request = Request(url, told);
            using HttpResponseMessage response = await http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, limit.Token).ConfigureAwait(false);
            // One that says "later" or "no" has not acted; of one that fails in the middle nobody knows.
            MayHaveActed |= options.IsExpected(response.StatusCode) || (int)response.StatusCode >= 500;
            if (options.IsExpected(response.StatusCode)) return Answer.Taken;
            return await RefusedAsync(response, limit.Token).ConfigureAwait(false);
        }
        catch (OperationCanceledException)
        {
            MayHaveActed = true;
            cancellationToken.ThrowIfCancellationRequested();
            return Answer.Later($"no answer within {time.TotalSeconds:0.###} s");
        }
        catch (HttpRequestException e) when (e.InnerException is AuthenticationException tls)
        {
            return Answer.Never($"TLS failed: {tls.Message.TrimEnd('.')}", "Mend the certificate of the receiver, or name who has signed it in `ca`.");
        }
        catch (Exception e) when (e is HttpRequestException or IOException)
        {
            MayHaveActed |= e is not HttpRequestException { HttpRequestError: HttpRequestError.ConnectionError or HttpRequestError.NameResolutionError };
            // The outer message often says no more than that an error occurred.
            return Answer.Later((e.InnerException is IOException inner ? inner : e).Message.TrimEnd('.'));
        }
    }

    private HttpRequestMessage Request(Uri url, WebhookEvent told)
    {
        long timestamp = DateTimeOffset.UtcNow.ToUnixTimeSeconds();
        var request = new HttpRequestMessage(new HttpMethod(options.Method), url) { Content = new ByteArrayContent(told.Body) };
        request.Content.Headers.TryAddWithoutValidation("Content-Type", "application/json");
        request.Headers.TryAddWithoutValidation("User-Agent", "clustd");
        request.Headers.TryAddWithoutValidation("Idempotency-Key", told.Id);
        request.Headers.TryAddWithoutValidation(WebhookSignature.IdHeader, told.Id);
        request.Headers.TryAddWithoutValidation(WebhookSignature.TimestampHeader, timestamp.ToString(CultureInfo.InvariantCulture));
        if (options.Secret is { } secret)
        {
            string[] secrets = options.OldSecret is { } old ? [secret, old] : [secret];
            request.Headers.TryAddWithoutValidation(WebhookSignature.SignatureHeader, WebhookSignature.Header(secrets, told.Id, timestamp, told.Body));
        }
        foreach (var (name, value) in options.Headers)
        {
            HttpHeaders to = IsOfContent(name) ? request.Content.Headers : request.Headers;
            to.Remove(name);
            to.TryAddWithoutValidation(name, value);
        }
        return request;
    }

    // .NET refuses to hold these anywhere else.
    private static bool IsOfContent(string name) =>
        name.StartsWith("Content-", StringComparison.OrdinalIgnoreCase) || name.ToLowerInvariant() is "allow" or "expires" or "last-modified";

    private async Task<Answer> RefusedAsync(HttpResponseMessage response, CancellationToken cancellationToken)
    {
        int status = (int)response.StatusCode;
        if (status is >= 300 and < 400)
        {
            string target = response.Headers.Location is { IsAbsoluteUri: true } location ? $" to {WebhookDriverOptions.Shown(location)}" : "";
            return Answer.Never($"it answered {status}, a redirect{target}, and redirects are not followed", "Write the final address into the file.");
        }
        string line = await FirstLineAsync(response, cancellationToken).ConfigureAwait(false);
        string text = $"it answered {status}{(line.Length == 0 ? "" : $" '{line}'")}";
        if (status is 408 or 425 or 429 or >= 500) return Answer.Later(text, RetryAfter(response));
        return Answer.Never(text, "Correct the address, the secret or the headers, or name the status in `expect`.");
    }

    // The receiver may answer anything, for ever, and even what we have sent it.
    private async Task<string> FirstLineAsync(HttpResponseMessage response, CancellationToken cancellationToken)
    {
        var bytes = new byte[AnswerBytesMax];
        int count = 0;
        try
        {
            await using Stream body = await response.Content.ReadAsStreamAsync(cancellationToken).ConfigureAwait(false);
            count = await body.ReadAtLeastAsync(bytes, bytes.Length, throwOnEndOfStream: false, cancellationToken).ConfigureAwait(false);
        }
        catch (Exception e) when (e is OperationCanceledException or HttpRequestException or IOException)
        {
            // The status says enough.
        }
        string text = System.Text.Encoding.UTF8.GetString(bytes, 0, count).TrimStart();
        foreach (string secret in Secrets()) text = text.Replace(secret, "(hidden)", StringComparison.Ordinal);
        int end = text.IndexOfAny(['\r', '\n']);
        string line = string.Concat((end < 0 ? text : text[..end]).Select(c => char.IsControl(c) ? ' ' : c)).Trim();
        return line.Length > LineCharsMax ? line[..LineCharsMax] + "..." : line;
    }

    private IEnumerable<string> Secrets()
    {
        string?[] all = [options.Secret, options.OldSecret, options.StartUrl?.PathAndQuery, options.StopUrl?.PathAndQuery, .. options.Headers.Values];
        return all.OfType<string>().Where(secret => secret.Length >= 8);
    }

    private static TimeSpan? RetryAfter(HttpResponseMessage response) => response.Headers.RetryAfter switch
    {
        { Delta: { } delta } => delta,
        { Date: { } date } => date - DateTimeOffset.UtcNow is var wait && wait > TimeSpan.Zero ? wait : TimeSpan.Zero,
        _ => null,
    };

    private static TimeSpan Left(long end) => TimeSpan.FromMicroseconds(end - DriverClock.NowUs);

    private static string Upper(string text) => char.ToUpperInvariant(text[0]) + text[1..];

    private sealed record Answer(bool IsTaken, bool IsFinal, string Text, string ToDo, TimeSpan? RetryAfter)
    {
        public static readonly Answer Taken = new(true, true, "", "", null);

        public static Answer Later(string text, TimeSpan? retryAfter = null) => new(false, false, text, "", retryAfter);

        public static Answer Never(string text, string toDo) => new(false, true, text, toDo, null);
    }
}
