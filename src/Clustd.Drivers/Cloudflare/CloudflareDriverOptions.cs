using System.Text;
using Clustd.Drivers.Dns;

namespace Clustd.Drivers.Cloudflare;

/// <summary>The cloudflare driver: a name at Cloudflare that points to the master.</summary>
public sealed record CloudflareDriverOptions : DriverOptions
{
    public const string ApiDefault = "https://api.cloudflare.com/client/v4";

    /// <summary>A TTL of 1 means "automatic" to Cloudflare: 300 s, and what it likes for a proxied name.</summary>
    public const int TtlAutomatic = 1;

    public const int TtlAutomaticSeconds = 300;

    public override string Kind => "cloudflare";

    // A record cannot be taken out of caches, nor by a machine that is cut off from the API.
    public override bool StopsForCertain => false;

    /// <summary>"www.example.com".</summary>
    public required string Record { get; init; }

    /// <summary>What it points to: IPv4 and IPv6 addresses, and interfaces whose first address of each kind is meant. Empty: <see cref="Cname"/>.</summary>
    public IReadOnlyList<string> Addresses { get; init; } = [];

    /// <summary>What it points to by another name; null: <see cref="Addresses"/>.</summary>
    public string? Cname { get; init; }

    /// <summary>Null: found by <see cref="Zone"/>.</summary>
    public string? ZoneId { get; init; }

    /// <summary>"example.com"; null: found by the record's name.</summary>
    public string? Zone { get; init; }

    /// <summary>Seconds, or <see cref="TtlAutomatic"/>.</summary>
    public int Ttl { get; init; } = 60;

    /// <summary>Whether clients get addresses of Cloudflare, which passes on what they ask.</summary>
    public bool Proxied { get; init; }

    /// <summary>An API token; null: <see cref="Email"/> and <see cref="ApiKey"/>.</summary>
    public string? Token { get; init; }

    public string? Email { get; init; }

    /// <summary>The global key of the account of <see cref="Email"/>, as in 2018.</summary>
    public string? ApiKey { get; init; }

    public string Api { get; init; } = ApiDefault;

    /// <summary>What Cloudflare keeps for the record.</summary>
    public int EffectiveTtl => Proxied ? TtlAutomatic : Ttl;

    public override IEnumerable<string> Unprinted => [Token ?? "", ApiKey ?? "", .. Addresses];

    /// <summary>Three-part messages about what does not fit together; empty when all is well.</summary>
    public IReadOnlyList<string> Validate()
    {
        var errors = new List<string>();
        if (WhyNotName(Record) is { } why) errors.Add($"The cloudflare driver's record is '{Record}': {why}. Write it as in `record: www.example.com`.");
        if (Addresses.Count == 0 == Cname is null)
            errors.Add($"The cloudflare driver has {(Cname is null ? "neither `addresses` nor" : "both `addresses` and")} `cname`: a name points to one or the other. Write `addresses: [203.0.113.7]`.");
        if (Token is null == ApiKey is null || ApiKey is null != Email is null)
            errors.Add("The cloudflare driver has not one way to prove who it is: it takes `token`, or `email` with `api_key`. Write `token: file:/etc/clustd/cloudflare`.");
        if (WhyNotApi(Api) is { } whyNot) errors.Add($"The cloudflare driver's api is '{Api}': {whyNot}. Remove it for `{ApiDefault}`.");
        return errors;
    }

    /// <summary>Null: a domain name.</summary>
    public static string? WhyNotName(string text) => DnsDriverOptions.WhyNotName(text);

    /// <summary>Null: an IP address, or what may be the name of an interface.</summary>
    public static string? WhyNotAddress(string text) => DnsDriverOptions.WhyNotAddress(text);

    /// <summary>Null: a secret may go there.</summary>
    public static string? WhyNotApi(string text)
    {
        if (!Uri.TryCreate(text, UriKind.Absolute, out var uri) || uri.Scheme is not ("https" or "http")) return "it is no https address";
        if (uri.UserInfo.Length > 0 || uri.Query.Length > 0 || uri.Fragment.Length > 0) return "it has more than host, port and path";
        return uri.Scheme == "https" || uri.IsLoopback ? null : "the token would go there in plain text";
    }

    /// <summary>Null: it may stand in a header.</summary>
    public static string? WhyNotSecret(string text) => text.Any(c => c is <= ' ' or > '~') ? "it has blanks, or characters beyond ASCII" : null;

    // A record prints its members; a secret must not reach a log that way.
    protected override bool PrintMembers(StringBuilder text)
    {
        text.Append($"Name = {EffectiveName}, Service = {Service}, Order = {Order}, Required = {Required}, StopTimeout = {StopTimeout}, KillTimeout = {KillTimeout}, ")
            .Append($"Record = {Record}, Addresses = [{string.Join(", ", Addresses)}], Cname = {Cname}, ZoneId = {ZoneId}, Zone = {Zone}, Ttl = {Ttl}, Proxied = {Proxied}, Email = {Email}, Api = {Api}");
        return true;
    }
}
