using Clustd.Drivers.Cloudflare;

namespace Clustd.Config.Drivers;

/// <summary>`cloudflare` of a 2018 driver file: other words for the same driver.</summary>
internal static class CloudflareFile
{
    public const string SectionName = "cloudflare_2018", RecordSectionName = "dns_record_2018";

    public static readonly TextKey Email = new(SectionName, "email", TextForm.Any, null, "Whose account it is.", "me@example.com") { DefaultWords = "none; needed with `api_key`" };
    public static readonly TextKey ApiKey = new(SectionName, "api_key", TextForm.Credential, null, "The account's global key.", "'a-key-of-cloudflare'");
    public static readonly TextKey Token = new(SectionName, "token", TextForm.Credential, null, "Not in 2018: an API token, instead of `email` and `api_key`.", "'a-token-of-cloudflare'");
    public static readonly SectionKey Record = new(SectionName, "dns_record", RecordSectionName, IsList: false, "What is changed.", "{ zone_id: 023e105f4ecef8ad9ca31a8372d0c353, name: mydomain.com, value: 1.2.3.4 }") { Must = true };

    public static readonly TextKey ZoneId = new(RecordSectionName, "zone_id", TextForm.Id, null, "The zone that the name is in.", "023e105f4ecef8ad9ca31a8372d0c353") { Must = true };
    public static readonly TextKey Name = new(RecordSectionName, "name", TextForm.Any, null, "The name that points to the master.", "mydomain.com") { Must = true };
    public static readonly TextKey Value = new(RecordSectionName, "value", TextForm.Any, null, "What it points to: an address, or a name.", "1.2.3.4") { Must = true };
    public static readonly NumberKey Ttl = new(RecordSectionName, "ttl", CloudflareDriverOptions.TtlAutomatic, CloudflareDriverOptions.TtlAutomatic, 86400, "Seconds; 1: automatic.", "120");
    public static readonly SwitchKey Proxied = new(RecordSectionName, "proxied", false, "Clients get addresses of Cloudflare, which asks the master.", "true");

    public static readonly IReadOnlyList<ConfigKey> Keys = [Email, ApiKey, Token, Record, ZoneId, Name, Value, Ttl, Proxied];

    /// <param name="reading">Of the mapping behind `cloudflare`.</param>
    /// <param name="name">What the driver is to be called.</param>
    public static CloudflareDriverOptions Read(DriverReading reading, string name)
    {
        var section = reading.Section;
        string? token = CloudflareKind.Secret(reading, Token), key = CloudflareKind.Secret(reading, ApiKey), email = CloudflareKind.Checked(reading, Email, CloudflareDriverOptions.WhyNotSecret);
        if (section.Has(Token) == section.Has(ApiKey) || section.Has(ApiKey) != section.Has(Email))
            reading.Problems.Error(section.PlaceOf(ApiKey), "'cloudflare' has not one way to prove who it is", "it takes 'email' with 'api_key', or 'token'", "Write `email: me@example.com` and `api_key: KEY`.");

        var none = new CloudflareDriverOptions { Record = "" };
        if (section.Mapping(Record) is not { } node) return none;
        var record = reading with { Section = new ConfigSection(node, "cloudflare.dns_record", ConfigKeys.In(RecordSectionName), reading.Problems) };
        string? value = CloudflareKind.Checked(record, Value, text => CloudflareDriverOptions.WhyNotName(text) is { } why && !System.Net.IPAddress.TryParse(text, out _) ? why : null);
        bool isAddress = System.Net.IPAddress.TryParse(value, out _);
        return none with
        {
            Service = ServiceConfig.DefaultName,
            Name = name,
            Record = CloudflareKind.Checked(record, Name, CloudflareDriverOptions.WhyNotName) ?? "",
            Addresses = isAddress ? [value!] : [],
            Cname = isAddress ? null : value,
            ZoneId = record.Section.Text(ZoneId),
            Ttl = record.Section.Number(Ttl),
            Proxied = record.Section.Switch(Proxied),
            Token = token, Email = email, ApiKey = key,
        };
    }
}
