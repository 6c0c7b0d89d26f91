using Clustd.Drivers;
using Clustd.Drivers.Dns;

namespace Clustd.Config.Drivers;

/// <summary>`dns`: a name that points to the master.</summary>
internal sealed class DnsKind() : DriverKind("dns", "{ record: www.example.com, addresses: [203.0.113.7], server: 10.0.0.53, key: clustd, secret: 'c2VjcmV0LXNlY3JldC1zZWNyZXQ=' }")
{
    public const string SectionName = "drivers[].dns";

    private static readonly TextKey Record = new(SectionName, "record", TextForm.Any, null, "The name that points to the master.", "www.example.com") { Must = true };
    private static readonly ListKey Addresses = new(SectionName, "addresses", TextForm.Any,
        "What it points to while this machine is the master: IPv4 and IPv6 addresses; an interface stands for its first of each.", "[203.0.113.7, '2001:db8::7']");
    private static readonly TextKey Cname = new(SectionName, "cname", TextForm.Any, null, "Instead of `addresses`: the name that it stands for.", "cm-1.example.com");
    private static readonly TextKey Server = new(SectionName, "server", TextForm.Any, null, "The zone's primary, which takes the updates: address or host name, `:PORT` if it is not 53.", "10.0.0.53") { Must = true };
    private static readonly ListKey Secondaries = new(SectionName, "secondaries", TextForm.Any, "Other servers of the zone, which a start waits for.", "[10.0.1.53, 'ns2.example.com:5353']");
    private static readonly TextKey Zone = new(SectionName, "zone", TextForm.Any, null, "The zone that the name is in.", "example.com") { DefaultWords = "what `server` says" };
    private static readonly DurationKey Ttl = new(SectionName, "ttl", DnsDriverOptions.TtlDefault, TimeSpan.FromSeconds(1), TimeSpan.FromHours(24),
        "So long clients may go on with the old address after a takeover; whole seconds.", "10s");
    private static readonly TextKey Key = new(SectionName, "key", TextForm.Any, null, "Name of the TSIG key that updates and answers are signed with.", "clustd");
    private static readonly ChoiceKey Algorithm = new(SectionName, "algorithm", DnsDriverOptions.AlgorithmDefault, DnsDriverOptions.Algorithms, "Of that key.", "hmac-sha512");
    private static readonly TextKey Secret = new(SectionName, "secret", TextForm.Credential, null, "Of that key, in Base64, as `tsig-keygen` makes it.", "'c2VjcmV0LXNlY3JldC1zZWNyZXQ='");
    private static readonly ChoiceKey Transport = new(SectionName, "transport", "udp", ["udp", "tcp"], "udp: and TCP when UDP is silent, or the message is long. tcp: only.", "tcp");
    private static readonly ChoiceKey OnStop = new(SectionName, "on_stop", "keep", ["keep", "remove"], "keep: the record points here until the next master overwrites it. remove: a stop takes it away.", "remove");
    private static readonly DurationKey VerifyTimeout = new(SectionName, "verify_timeout", DnsDriverOptions.VerifyTimeoutDefault, TimeSpan.FromMilliseconds(100), TimeSpan.FromMinutes(5),
        "How long a start waits for the secondaries; then it goes on, and says which ones lag.", "10s");

    public override IReadOnlyList<ConfigKey> OwnKeys => [Record, Addresses, Cname, Server, Secondaries, Zone, Ttl, Key, Algorithm, Secret, Transport, OnStop, VerifyTimeout];

    public override DriverOptions Read(DriverReading reading)
    {
        var (section, problems) = (reading.Section, reading.Problems);
        var options = new DnsDriverOptions
        {
            Record = Checked(section, problems, Record, DnsDriverOptions.WhyNotRecord) ?? "",
            Addresses = [.. section.List(Addresses).Where(text => IsGood(section, problems, Addresses, text, DnsDriverOptions.WhyNotAddress, "Write it as in `addresses: [203.0.113.7]`."))],
            Cname = Checked(section, problems, Cname, DnsDriverOptions.WhyNotName),
            Server = section.Text(Server) is { } server ? Parse(section, problems, Server, server) ?? Nowhere : Nowhere,
            Secondaries = [.. section.List(Secondaries).Select(text => Parse(section, problems, Secondaries, text)).OfType<DnsServer>()],
            Zone = Checked(section, problems, Zone, DnsDriverOptions.WhyNotName),
            Ttl = section.Duration(Ttl),
            Key = Checked(section, problems, Key, DnsDriverOptions.WhyNotName),
            Algorithm = section.Choice(Algorithm),
            Secret = reading.Secret(Secret),
            TcpOnly = section.Choice(Transport) == "tcp",
            RemoveOnStop = section.Choice(OnStop) == "remove",
            VerifyTimeout = section.Duration(VerifyTimeout),
        };
        CheckTogether(section, problems, options);
        return options;
    }

    // Of a file that has errors, which nobody uses.
    private static readonly DnsServer Nowhere = new("0.0.0.0");

    private static void CheckTogether(ConfigSection section, ProblemList problems, DnsDriverOptions options)
    {
        if (section.Has(Addresses) == section.Has(Cname))
        {
            problems.Error(section.PlaceOf(Cname), $"A dns driver has {(section.Has(Cname) ? "both 'addresses' and 'cname'" : "neither 'addresses' nor 'cname'")}", "a name points to one or the other",
                "Write `addresses: [203.0.113.7]`, or `cname: cm-1.example.com`.");
        }
        else if (section.Has(Addresses) && section.Items(Addresses) is { Count: 0 })
        {
            problems.Error(section.PlaceOf(Addresses), $"{section.Named(Addresses)} is empty", "there is nothing to point to", "Write it as in `addresses: [203.0.113.7]`.");
        }
        if (options.Ttl.Ticks % TimeSpan.TicksPerSecond != 0)
            problems.Error(section.PlaceOf(Ttl), $"{section.Named(Ttl)} cannot be used", "a TTL is a number of whole seconds", "Write `ttl: 30s`.");
        if (section.Has(Key) != section.Has(Secret))
        {
            problems.Error(section.PlaceOf(section.Has(Key) ? Key : Secret), $"A dns driver has '{(section.Has(Key) ? "key" : "secret")}' alone", "a signature needs the name and the secret of a key",
                $"Add `{(section.Has(Key) ? "secret" : "key")}`.");
        }
        else if (options.Secret is { } secret && !DnsDriverOptions.IsBase64(secret))
        {
            problems.Error(section.PlaceOf(Secret), $"{section.Named(Secret)} is not Base64", "no TSIG key can be made of it", "Copy it as `tsig-keygen` or your provider shows it, without the quotes.");
        }
        else if (!section.Has(Key))
        {
            problems.Warning(section.PlaceOf(Key), "A dns driver has no 'key'", "updates and answers are not signed, and whoever is between this machine and the server can forge both",
                "Add `key` and `secret`; `tsig-keygen` makes them.");
        }
        if (DnsDriverOptions.WhyNotRecord(options.Record) is null && options.Zone is { } zone && !DnsDriverOptions.IsWithin(options.Record, zone))
            problems.Error(section.PlaceOf(Zone), $"'{options.Record}' is not in the zone '{zone}'", "the server would refuse every update", "Correct one of the two.");
    }

    private static string? Checked(ConfigSection section, ProblemList problems, TextKey key, Func<string, string?> whyNot) =>
        section.Text(key) is { } text && IsGood(section, problems, key, text, whyNot, $"Write it as in `{key.Name}: {key.Example}`.") ? text : null;

    private static bool IsGood(ConfigSection section, ProblemList problems, ConfigKey key, string text, Func<string, string?> whyNot, string whatToDo)
    {
        if (whyNot(text) is not { } why) return true;
        problems.Error(section.PlaceOf(key), $"'{ProblemList.Show(text)}' in {section.Named(key)} cannot be used", why, whatToDo);
        return false;
    }

    private static DnsServer? Parse(ConfigSection section, ProblemList problems, ConfigKey key, string text)
    {
        if (DnsServer.Parse(text, out string whyNot) is { } server) return server;
        problems.Error(section.PlaceOf(key), $"'{ProblemList.Show(text)}' in {section.Named(key)} is no name server", whyNot, "Write it as in `10.0.0.53`, `ns1.example.com:5353` or `'[2001:db8::53]:53'`.");
        return null;
    }
}
