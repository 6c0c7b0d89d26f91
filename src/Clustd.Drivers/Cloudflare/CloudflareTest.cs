using System.Runtime.CompilerServices;

namespace Clustd.Drivers.Cloudflare;

/// <summary>What `clustd driver test` finds out about a cloudflare driver. Changes nothing.</summary>
internal static class CloudflareTest
{
    public static async IAsyncEnumerable<DriverFinding> FindAsync(CloudflareDriverOptions options, CloudflareApi api, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        yield return await AskAsync("address", () => Task.FromResult($"{options.Record} would point to {WantedRecord.Show(WantedRecord.Of(options))}")).ConfigureAwait(false);
        var zone = await AskAsync("zone", async () => $"Cloudflare knows it as {await api.ZoneIdAsync(cancellationToken).ConfigureAwait(false)}").ConfigureAwait(false);
        yield return zone;
        if (zone.Level != FindingLevel.Good) yield break;

        yield return await AskAsync($"name {options.Record}", async () =>
        {
            var found = await api.ReadAsync(cancellationToken).ConfigureAwait(false);
            return $"is {WantedRecord.Show(found)} now, {(RecordOwner.Of(found) is { } owner ? $"pointed by {owner.Machine} for service '{owner.Service}' under token {owner.Token}" : "and clustd has not pointed it yet")}. Whether {(options.Token is null ? "the key" : "the token")} may change it shows only when it does";
        }).ConfigureAwait(false);
        if (options.Token is null)
            yield return new(FindingLevel.Doubtful, "api_key", "The global key may do everything in the account. Make a token that may change this zone's DNS only, and write it as `token`.");
        yield return new(FindingLevel.Good, "takeover", options.Proxied
            ? "clients have addresses of Cloudflare, which asks the new master within some seconds after a takeover"
            : $"clients that have just looked the name up go on with the old address for up to {(options.Ttl == CloudflareDriverOptions.TtlAutomatic ? CloudflareDriverOptions.TtlAutomaticSeconds : options.Ttl)} s (`ttl`) after a takeover; some resolvers and programs keep it longer");
    }

    private static async Task<DriverFinding> AskAsync(string subject, Func<Task<string>> ask)
    {
        try
        {
            return new(FindingLevel.Good, subject, await ask().ConfigureAwait(false));
        }
        catch (Exception e) when (e is CloudflareException or DriverFailedException)
        {
            return new(FindingLevel.Bad, subject, e.Message);
        }
    }
}
