using System.Net;
using System.Text;

namespace Clustd.Drivers.Dns;

/// <summary>The dns driver: a name that points to the master.</summary>
public sealed record DnsDriverOptions : DriverOptions
{
    public static readonly TimeSpan TtlDefault = TimeSpan.FromSeconds(30);
    public static readonly TimeSpan VerifyTimeoutDefault = TimeSpan.FromSeconds(5);
    public const string AlgorithmDefault = "hmac-sha256";

    public override string Kind => "dns";

    // A record cannot be taken out of caches, nor by a machine that is cut off from the server.
    public override bool StopsForCertain => false;

    /// <summary>"www.example.com".</summary>
    public required string Record { get; init; }

    /// <summary>What it points to: IPv4 and IPv6 addresses, and interfaces whose first address of each kind is meant. Empty: <see cref="Cname"/>.</summary>
    public IReadOnlyList<string> Addresses { get; init; } = [];

    /// <summary>What it points to by another name; null: <see cref="Addresses"/>.</summary>
    public string? Cname { get; init; }

    /// <summary>The zone's primary, which takes the updates.</summary>
    public required DnsServer Server { get; init; }

    /// <summary>Other servers of the zone, which a start waits for, too.</summary>
    public IReadOnlyList<DnsServer> Secondaries { get; init; } = [];

    /// <summary>Null: the server is asked.</summary>
    public string? Zone { get; init; }

    /// <summary>Whole seconds: so long clients may go on with what they have looked up.</summary>
    public TimeSpan Ttl { get; init; } = TtlDefault;

    /// <summary>Name of the TSIG key; null: nothing is signed.</summary>
    public string? Key { get; init; }

    /// <summary>One of <see cref="Algorithms"/>.</summary>
    public string Algorithm { get; init; } = AlgorithmDefault;

    /// <summary>The TSIG key's secret in Base64.</summary>
    public string? Secret { get; init; }

    /// <summary>Whether the primary is asked over TCP only.</summary>
    public bool TcpOnly { get; init; }

    /// <summary>Whether a stop takes the record away. False: it stays until the next master points it to itself.</summary>
    public bool RemoveOnStop { get; init; }

    /// <summary>How long a start waits for the secondaries.</summary>
    public TimeSpan VerifyTimeout { get; init; } = VerifyTimeoutDefault;

    public static IReadOnlyList<string> Algorithms => TsigKey.Algorithms;

    public override IEnumerable<string> Unprinted => [Secret ?? "", .. Addresses, .. Secondaries.Select(each => each.ToString())];

    /// <summary>Three-part messages about what does not fit together; empty when all is well.</summary>
    public IReadOnlyList<string> Validate()
    {
        var errors = new List<string>();
        if (WhyNotRecord(Record) is { } why) errors.Add($"The dns driver's record is '{Record}': {why}. Write it as in `record: www.example.com`.");
        if (Addresses.Count == 0 == Cname is null)
            errors.Add($"The dns driver has {(Cname is null ? "neither `addresses` nor" : "both `addresses` and")} `cname`: a name points to one or the other. Write `addresses: [203.0.113.7]`.");
        if (Key is null != Secret is null) errors.Add($"The dns driver has {(Key is null ? "a `secret` and no `key`" : "a `key` and no `secret`")}: a signature needs both. Add the other one.");
        if (Secret is not null && !IsBase64(Secret)) errors.Add("The dns driver's secret is not Base64: no TSIG key can be made of it. Copy it as `tsig-keygen` or your provider shows it.");
        return errors;
    }

    /// <summary>Null: a name that may be updated, with room for the fence below it.</summary>
    public static string? WhyNotRecord(string text) =>
        DnsName.Parse(text, out string why) is not { } name ? why : name.Below(NameFence.Label) is null ? $"it is too long for '{NameFence.Label}.' to stand before it" : null;

    /// <summary>Null: a domain name.</summary>
    public static string? WhyNotName(string text) => DnsName.Parse(text, out string why) is null ? why : null;

    /// <summary>Whether a name is a zone's own or below it. Both must be names.</summary>
    public static bool IsWithin(string name, string zone) => DnsName.Parse(name, out _)!.IsWithin(DnsName.Parse(zone, out _)!);

    /// <summary>Null: an IP address, or what may be the name of an interface.</summary>
    public static string? WhyNotAddress(string text) =>
        IPAddress.TryParse(text, out var address) ? (address.IsIPv6LinkLocal ? "it is of one link only" : null) : Vip.VipDriverOptions.WhyNotInterface(text) is null ? null : "it is neither an IP address nor an interface";

    public static bool IsBase64(string secret) => secret.Length > 0 && Convert.TryFromBase64String(secret, new byte[secret.Length], out int count) && count > 0;

    // A record prints its members; a secret must not reach a log that way.
    protected override bool PrintMembers(StringBuilder text)
    {
        text.Append($"Name = {EffectiveName}, Service = {Service}, Order = {Order}, Required = {Required}, StopTimeout = {StopTimeout}, KillTimeout = {KillTimeout}, ")
            .Append($"Record = {Record}, Addresses = [{string.Join(", ", Addresses)}], Cname = {Cname}, Server = {Server}, Secondaries = [{string.Join(", ", Secondaries)}], Zone = {Zone}, Ttl = {Ttl}, ")
            .Append($"Key = {Key}, Algorithm = {Algorithm}, TcpOnly = {TcpOnly}, RemoveOnStop = {RemoveOnStop}, VerifyTimeout = {VerifyTimeout}");
        return true;
    }
}
