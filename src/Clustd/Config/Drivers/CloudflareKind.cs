using Clustd.Drivers;
using Clustd.Drivers.Cloudflare;

namespace Clustd.Config.Drivers;

/// <summary>`cloudflare`: a name at Cloudflare that points to the master.</summary>
internal sealed class CloudflareKind() : DriverKind("cloudflare", "{ record: www.example.com, addresses: [203.0.113.7], token: 'a-token-of-cloudflare' }")
{
    public const string SectionName = "drivers[].cloudflare";

    private static readonly TextKey Record = new(SectionName, "record", TextForm.Any, null, "The name that points to the master.", "www.example.com") { Must = true };
    private static readonly ListKey Addresses = new(SectionName, "addresses", TextForm.Any,
        "What it points to while this machine is the master: IPv4 and IPv6 addresses; an interface stands for its first of each.", "[203.0.113.7, '2001:db8::7']");
    private static readonly TextKey Cname = new(SectionName, "cname", TextForm.Any, null, "Instead of `addresses`: the name that it stands for.", "cm-1.example.com");
    private static readonly TextKey Token = new(SectionName, "token", TextForm.Credential, null, "An API token that may change this zone's DNS.", "'a-token-of-cloudflare'");
    private static readonly TextKey Email = new(SectionName, "email", TextForm.Any, null, "With `api_key`, instead of `token`: whose account it is.", "me@example.com");
    private static readonly TextKey ApiKey = new(SectionName, "api_key", TextForm.Credential, null, "The account's global key, as in 2018; a token is safer.", "'a-key-of-cloudflare'");
    private static readonly TextKey Zone = new(SectionName, "zone", TextForm.Any, null, "The zone that the name is in.", "example.com") { DefaultWords = "found by `record`" };
    private static readonly TextKey ZoneId = new(SectionName, "zone_id", TextForm.Id, null, "The same by its id: then the token needs no right to read zones.", "023e105f4ecef8ad9ca31a8372d0c353");
    private static readonly DurationKey Ttl = new(SectionName, "ttl", TimeSpan.FromSeconds(60), TimeSpan.FromSeconds(30), TimeSpan.FromHours(24),
        "So long clients may go on with the old address after a takeover; whole seconds. Cloudflare takes less than 60s on its Enterprise plan only.", "2m");
    private static readonly SwitchKey Proxied = new(SectionName, "proxied", false, "Clients get addresses of Cloudflare, which asks the master; `ttl` has no meaning then.", "true");
    private static readonly TextKey Api = new(SectionName, "api", TextForm.Any, CloudflareDriverOptions.ApiDefault, "Where the API is, for those who reach it by a gateway of their own.", "https://gateway.example.com/client/v4");

    public override IReadOnlyList<ConfigKey> OwnKeys => [Record, Addresses, Cname, Token, Email, ApiKey, Zone, ZoneId, Ttl, Proxied, Api];

    public override DriverOptions Read(DriverReading reading)
    {
        var (section, problems) = (reading.Section, reading.Problems);
        var options = new CloudflareDriverOptions
        {
            Record = Checked(reading, Record, CloudflareDriverOptions.WhyNotName) ?? "",
            Addresses = [.. section.List(Addresses).Where(text => IsGood(reading, Addresses, text, CloudflareDriverOptions.WhyNotAddress))],
            Cname = Checked(reading, Cname, CloudflareDriverOptions.WhyNotName),
            Token = Secret(reading, Token),
            Email = Checked(reading, Email, CloudflareDriverOptions.WhyNotSecret),
            ApiKey = Secret(reading, ApiKey),
            Zone = Checked(reading, Zone, CloudflareDriverOptions.WhyNotName),
            ZoneId = section.Text(ZoneId),
            Ttl = (int)section.Duration(Ttl).TotalSeconds,
            Proxied = section.Switch(Proxied),
            Api = Checked(reading, Api, CloudflareDriverOptions.WhyNotApi) ?? CloudflareDriverOptions.ApiDefault,
        };
        if (section.Has(Addresses) == section.Has(Cname))
        {
            problems.Error(section.PlaceOf(Cname), $"A cloudflare driver has {(section.Has(Cname) ? "both 'addresses' and 'cname'" : "neither 'addresses' nor 'cname'")}", "a name points to one or the other",
                "Write `addresses: [203.0.113.7]`, or `cname: cm-1.example.com`.");
        }
        else if (section.Has(Addresses) && section.Items(Addresses) is { Count: 0 })
        {
            problems.Error(section.PlaceOf(Addresses), $"{section.Named(Addresses)} is empty", "there is nothing to point to", "Write it as in `addresses: [203.0.113.7]`.");
        }
        if (section.Duration(Ttl).Ticks % TimeSpan.TicksPerSecond != 0)
            problems.Error(section.PlaceOf(Ttl), $"{section.Named(Ttl)} cannot be used", "a TTL is a number of whole seconds", "Write `ttl: 60s`.");
        if (section.Has(Token) == section.Has(ApiKey) || section.Has(ApiKey) != section.Has(Email))
        {
            problems.Error(section.PlaceOf(Token), "A cloudflare driver has not one way to prove who it is", "it takes 'token', or 'email' with 'api_key'", "Write `token: file:/etc/clustd/cloudflare`.");
        }
        return options;
    }

    /// <summary>A token or key from where the file says it is. No message holds it.</summary>
    public static string? Secret(DriverReading reading, TextKey key)
    {
        if (reading.Secret(key) is not { } secret) return null;
        if (CloudflareDriverOptions.WhyNotSecret(secret) is not { } why) return secret;
        reading.Problems.Error(reading.Section.PlaceOf(key), $"{reading.Section.Named(key)} cannot be used", why, "Copy it again, without quotes and line ends.");
        return null;
    }

    /// <summary>Null: not given, or not usable, and why stands among the errors.</summary>
    public static string? Checked(DriverReading reading, TextKey key, Func<string, string?> whyNot) =>
        reading.Section.Text(key) is { } text && IsGood(reading, key, text, whyNot) ? text : null;

    private static bool IsGood(DriverReading reading, ConfigKey key, string text, Func<string, string?> whyNot)
    {
        if (whyNot(text) is not { } why) return true;
        reading.Problems.Error(reading.Section.PlaceOf(key), $"'{ProblemList.Show(text)}' in {reading.Section.Named(key)} cannot be used", why, $"Write it as in `{key.Name}: {key.Example}`.");
        return false;
    }
}
