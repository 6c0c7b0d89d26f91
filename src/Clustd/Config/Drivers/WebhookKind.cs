using Clustd.Drivers;
using Clustd.Drivers.Webhook;

namespace Clustd.Config.Drivers;

/// <summary>`webhook`: a request at each change.</summary>
internal sealed class WebhookKind() : DriverKind("webhook", "{ url: 'https://hooks.example.com/clustd' }")
{
    public const string SectionName = "drivers[].webhook";

    private static readonly TextKey Url = new(SectionName, "url", TextForm.Credential, null, "Address of the receiver; never shown beyond its host.", "'https://hooks.example.com/clustd'");
    private static readonly TextKey StartUrl = new(SectionName, "start_url", TextForm.Credential, null, "Instead of `url` for becoming master.",
        "'https://hooks.example.com/up'") { DefaultWords = "`url`" };
    private static readonly TextKey StopUrl = new(SectionName, "stop_url", TextForm.Credential, null, "Instead of `url` for no longer being master.",
        "'https://hooks.example.com/down'") { DefaultWords = "`url`" };
    private static readonly ChoiceKey Method = new(SectionName, "method", "POST", ["POST", "PUT", "PATCH"], "Method of the requests.", "PUT");
    private static readonly MapKey Headers = new(SectionName, "headers", "Added to the requests; a value can be `file:/PATH` or `credential:NAME`, too.", "{ X-Origin: clustd }");
    private static readonly TextKey Secret = new(SectionName, "secret", TextForm.Credential, null, "Signs the requests as in Standard Webhooks; `whsec_` and base64, or any text.",
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
    private static readonly TextKey OldSecret = new(SectionName, "old_secret", TextForm.Credential, null, "Signs beside `secret` while that is being changed.",
        "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD");
    private static readonly ListKey Expect = new(SectionName, "expect", TextForm.Any, "Statuses that mean that it is done: a number or a class.", "[2xx, 409]") { DefaultWords = "`[2xx]`" };
    private static readonly DurationKey Timeout = new(SectionName, "timeout", TimeSpan.FromSeconds(5), TimeSpan.FromMilliseconds(50), TimeSpan.FromMinutes(5),
        "How long one attempt waits for an answer; there are more within the service's limit.", "2s");
    private static readonly TextKey Ca = new(SectionName, "ca", TextForm.Path, null, "PEM file of those who may have signed the receiver's certificate.",
        "/etc/clustd/ca.pem") { DefaultWords = "those that the system trusts" };
    private static readonly TextKey Cluster = new(SectionName, "cluster", TextForm.Any, null, "Name of the cluster for the receiver.", "production");

    public override IReadOnlyList<ConfigKey> OwnKeys => [Url, StartUrl, StopUrl, Method, Headers, Secret, OldSecret, Expect, Timeout, Ca, Cluster];

    public override DriverOptions Read(DriverReading reading)
    {
        var (section, problems) = (reading.Section, reading.Problems);
        Uri? url = ReadUrl(reading, Url);
        if (!section.Has(Url) && !section.Has(StartUrl) && !section.Has(StopUrl))
            problems.Error(section.PlaceOf(Url), "A webhook has no address", "it has neither 'url' nor 'start_url' and 'stop_url'", $"Add `url: {Url.Example}`.");
        else if (section.Has(StartUrl) && !section.Has(Url) && !section.Has(StopUrl))
            problems.Warning(section.PlaceOf(StartUrl), "A webhook tells starts but no stops", "nobody takes back what 'start_url' was told", "Add `stop_url`, or use `url`.");
        return new WebhookDriverOptions
        {
            StartUrl = ReadUrl(reading, StartUrl) ?? url,
            StopUrl = ReadUrl(reading, StopUrl) ?? url,
            Method = section.Choice(Method),
            Headers = ReadHeaders(reading),
            Secret = ReadSecret(reading, Secret),
            OldSecret = ReadSecret(reading, OldSecret),
            Expect = ReadExpect(section, problems),
            AttemptTimeout = section.Duration(Timeout),
            CertificateAuthorities = section.Text(Ca) is { } ca ? Path.Combine(reading.Folder, ca) : null,
            Cluster = section.Text(Cluster),
        };
    }

    private static Uri? ReadUrl(DriverReading reading, TextKey key)
    {
        if (reading.Secret(key) is not { } text) return null;
        if (Uri.TryCreate(text, UriKind.Absolute, out var url) && (url.Scheme == Uri.UriSchemeHttps || url.Scheme == Uri.UriSchemeHttp) && url.Host.Length > 0 && url.UserInfo.Length == 0)
        {
            if (url.Scheme == Uri.UriSchemeHttp && !url.IsLoopback)
                reading.Problems.Warning(reading.Section.PlaceOf(key), $"{reading.Section.Named(key)} is not encrypted", "whoever is on the way can read what is told", "Write https instead of http.");
            return url;
        }
        // Not shown: it may hold a token.
        var why = url is { UserInfo.Length: > 0 } ? "it holds a user or password before '@'" : "it does not begin with https:// or http:// and a host";
        reading.Problems.Error(reading.Section.PlaceOf(key), $"{reading.Section.Named(key)} is not a web address", why,
            url is { UserInfo.Length: > 0 } ? "Put it into `headers` as `Authorization`." : $"Write it as in `{key.Name}: {key.Example}`.");
        return null;
    }

    private static string? ReadSecret(DriverReading reading, TextKey key)
    {
        if (reading.Secret(key) is not { } secret) return null;
        var (section, problems) = (reading.Section, reading.Problems);
        if (WebhookSignature.KeyOf(secret) is not { } bytes)
        {
            problems.Error(section.PlaceOf(key), $"{section.Named(key)} is no secret of Standard Webhooks", "what follows 'whsec_' is not base64", "Copy it again, or use a text without 'whsec_'.");
            return null;
        }
        if (bytes.Length < WebhookSignature.KeyBytesMin)
            problems.Warning(section.PlaceOf(key), $"{section.Named(key)} is short", $"it has {bytes.Length} bytes, and fewer than {WebhookSignature.KeyBytesMin} can be guessed", "`clustd secret` makes a good one.");
        return secret;
    }

    private static SortedDictionary<string, string> ReadHeaders(DriverReading reading)
    {
        var (section, problems, at) = (reading.Section, reading.Problems, reading.Section.PlaceOf(Headers));
        var headers = new SortedDictionary<string, string>(StringComparer.OrdinalIgnoreCase);
        foreach (var (name, written) in section.Map(Headers))
        {
            if (SecretReader.Read(written, $"'{ProblemList.Show(name)}' in {section.Named(Headers)}", at, reading.Folder, reading.Surroundings, problems) is not { } value) continue;
            var why = WhyNoHeader(name, value);
            if (why is null) headers[name] = value;
            else problems.Error(at, $"'{ProblemList.Show(name)}' in {section.Named(Headers)} cannot be sent", why, "Remove it, or correct it.");
        }
        return headers;
    }

    private static string? WhyNoHeader(string name, string value)
    {
        if (name.Any(c => !char.IsAsciiLetterOrDigit(c) && !"!#$%&'*+-.^_`|~".Contains(c))) return "its name has letters that no header may have";
        if (value.Any(c => char.IsControl(c) || c > 126)) return "its value has letters that no header may have";
        return name.ToLowerInvariant() is WebhookSignature.IdHeader or WebhookSignature.TimestampHeader or WebhookSignature.SignatureHeader
            or "idempotency-key" or "content-length" or "transfer-encoding" or "connection" or "host" ? "clustd sets it itself" : null;
    }

    private static IReadOnlyList<int> ReadExpect(ConfigSection section, ProblemList problems)
    {
        var statuses = new List<int>();
        foreach (var text in section.List(Expect))
        {
            if (text.Length == 3 && text.EndsWith("xx", StringComparison.OrdinalIgnoreCase) && text[0] is >= '1' and <= '5') statuses.Add(text[0] - '0');
            else if (text.Length == 3 && text.All(char.IsAsciiDigit) && text[0] is >= '1' and <= '5') statuses.Add(int.Parse(text, System.Globalization.CultureInfo.InvariantCulture));
            else problems.Error(section.PlaceOf(Expect), $"An item of {section.Named(Expect)} is no status", $"'{ProblemList.Show(text)}' is neither a number from 100 to 599 nor a class", "Write `200` or `2xx`.");
        }
        return statuses.Count == 0 ? [2] : statuses;
    }
}
