using System.Net;
using System.Net.Sockets;
using Clustd.Drivers.Dns;

namespace Clustd.Drivers.Cloudflare;

/// <summary>What a name is to have at Cloudflare, and which changes lead there.</summary>
internal static class WantedRecord
{
    /// <exception cref="DriverFailedException">An interface is not there, or has no address.</exception>
    public static IReadOnlyList<CloudflareRecord> Of(CloudflareDriverOptions options) => options.Cname is { } target
        ? [One(options, "CNAME", target.TrimEnd('.'))]
        : [.. WantedRecords.Addresses(options.Addresses).Select(address => One(options, address.AddressFamily == AddressFamily.InterNetwork ? "A" : "AAAA", address.ToString()))];

    public static bool IsThere(IReadOnlyList<CloudflareRecord> found, IReadOnlyList<CloudflareRecord> wanted) =>
        found.Count == wanted.Count && wanted.All(each => found.Any(record => IsSame(record, each)));

    /// <summary>Changes as few records as possible, so that one with a history keeps its id; those that are too many go.</summary>
    public static CloudflareBatch Changes(IReadOnlyList<CloudflareRecord> found, IReadOnlyList<CloudflareRecord> wanted, RecordOwner owner)
    {
        var left = found.ToList();
        var patches = new List<CloudflareRecord>();
        var posts = new List<CloudflareRecord>();
        // What points there already first: else it could be given to another one, and collide.
        foreach (var each in wanted.OrderByDescending(each => found.Any(record => HasSameContent(record, each))))
        {
            var @new = each with { Comment = owner.ToString() };
            var old = left.Find(record => HasSameContent(record, each)) ?? left.Find(record => record.Type == each.Type);
            if (old is null) posts.Add(@new);
            else patches.Add(@new with { Id = old.Id });
            if (old is not null) left.Remove(old);
        }
        return new CloudflareBatch { Deletes = [.. left.Select(record => new CloudflareRecord { Id = record.Id })], Patches = patches, Posts = posts };
    }

    /// <summary>For people: "203.0.113.7 and 2001:db8::7".</summary>
    public static string Show(IEnumerable<CloudflareRecord> records)
    {
        var shown = records.Select(record => string.Concat((record.Content ?? "an empty record").Take(100).Select(c => c is >= ' ' and <= '~' ? c : '?'))).Order(StringComparer.Ordinal).ToList();
        return shown.Count == 0 ? "nothing" : string.Join(" and ", shown);
    }

    private static bool IsSame(CloudflareRecord one, CloudflareRecord other) => HasSameContent(one, other) && one.Ttl == other.Ttl && (one.Proxied ?? false) == (other.Proxied ?? false);

    private static bool HasSameContent(CloudflareRecord one, CloudflareRecord other) => one.Type == other.Type &&
        (IPAddress.TryParse(one.Content, out var a) && IPAddress.TryParse(other.Content, out var b) ? a.Equals(b) : string.Equals(one.Content?.TrimEnd('.'), other.Content, StringComparison.OrdinalIgnoreCase));

    private static CloudflareRecord One(CloudflareDriverOptions options, string type, string content) =>
        new() { Type = type, Name = options.Record.TrimEnd('.'), Content = content, Ttl = options.EffectiveTtl, Proxied = options.Proxied };
}
