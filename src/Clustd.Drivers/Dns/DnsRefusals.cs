namespace Clustd.Drivers.Dns;

/// <summary>What the codes of servers mean, in words.</summary>
internal static class DnsRefusals
{
    /// <summary>Of a signature.</summary>
    /// <param name="now">This machine's clock, seconds of Unix time.</param>
    public static string OfKey(DnsServer server, TsigKey key, TsigCheck check, long now) => check.Error switch
    {
        DnsCode.BadKey => $"{server} does not know the key '{key.Name}' with {key.Algorithm} (BADKEY). Correct `key` and `algorithm`, or add the key there.",
        DnsCode.BadSig => $"{server} does not take our signature: its secret for the key '{key.Name}' is another one (BADSIG). Correct `secret`.",
        DnsCode.BadTime => $"{server} does not take our signature: its clock {Apart(check.ServerTime, now)} (BADTIME). Set the clocks of both by NTP; they may differ by {Tsig.FudgeSeconds} s.",
        DnsCode.BadTrunc => $"{server} does not take our signature: it wants a longer one (BADTRUNC). Choose another `algorithm`.",
        _ => $"{server} does not take our signature: TSIG error {(int)check.Error}. Its log says more.",
    };

    /// <summary>Of an update or a query.</summary>
    public static DnsException Of(DnsServer server, TsigKey? key, DnsOpcode opcode, DnsName record, DnsName? zone, DnsCode code) => (opcode, code) switch
    {
        (DnsOpcode.Update, DnsCode.Refused) =>
            new($"{server} refuses to change {record}: {(key is null ? "an update without a key" : $"the key '{key.Name}'")} has no right to do so (REFUSED). Allow it there; with BIND: `update-policy {{ grant {key?.Name.ToString() ?? "KEY"} subdomain {record}. A AAAA CNAME TXT; }};` in the zone."),
        (DnsOpcode.Update, DnsCode.NotAuth) => new($"{server} is not the primary of {zone}: it takes no updates for it (NOTAUTH). Correct `server` or `zone`."),
        (DnsOpcode.Update, DnsCode.NotZone) => new($"{record} is not in the zone {zone} (NOTZONE). Correct `record` or `zone`."),
        (DnsOpcode.Update, DnsCode.NotImp) => new($"{server} does not do updates at all (NOTIMP). Name the primary in `server`, or switch dynamic updates on there."),
        (_, DnsCode.ServFail) => new($"{server} failed at {(opcode == DnsOpcode.Update ? "changing" : "answering for")} {record} (SERVFAIL). Its log says why; with BIND, often the zone's journal cannot be written.", mayPass: true),
        (DnsOpcode.Query, DnsCode.Refused) => new($"{server} refuses to answer for {record} (REFUSED): it has no such zone, or answers only others. Correct `server`, or let this machine ask there."),
        _ => new($"{server} does not {(opcode == DnsOpcode.Update ? "change" : "answer for")} {record}: it says {code} ({(int)code}). Its log says more."),
    };

    private static string Apart(long? serverTime, long now) => serverTime is { } there ? $"is {Math.Abs(there - now)} s {(there > now ? "ahead of" : "behind")} ours" : "and ours differ";
}
