using System.Runtime.CompilerServices;

namespace Clustd.Drivers.Dns;

/// <summary>What `clustd driver test` finds out about a dns driver. Changes nothing.</summary>
internal static class DnsTest
{
    public static async IAsyncEnumerable<DriverFinding> FindAsync(DnsDriverOptions options, NamePlace place, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        var (wanted, problem) = Wanted(options, place.Name);
        yield return problem is null
            ? new(FindingLevel.Good, "address", $"{place.Name} would point to {WantedRecords.Show(wanted)}")
            : new(FindingLevel.Bad, "address", problem);
        var server = await AskAsync($"primary {options.Server}", async () => $"has the zone {await place.ZoneAsync(cancellationToken).ConfigureAwait(false)}{(options.Key is null ? "" : $", and its answer is signed with the key '{options.Key}'")}").ConfigureAwait(false);
        yield return server;
        if (server.Level != FindingLevel.Good) yield break;

        yield return await AskAsync($"name {place.Name}", async () => Show(await place.ReadAsync(place.Primary, cancellationToken).ConfigureAwait(false))).ConfigureAwait(false);
        yield return await AskAsync("update", async () =>
        {
            await place.TryUpdateAsync(wanted, cancellationToken).ConfigureAwait(false);
            return "would be taken: one whose prerequisite cannot be fulfilled was refused for that reason only, and has changed nothing";
        }).ConfigureAwait(false);
        if (options.Key is null)
            yield return new(FindingLevel.Doubtful, "key", "There is no `key`: updates and answers are not signed, and whoever is between here and the server can forge both. Make one with `tsig-keygen`.");
        foreach (DnsExchange secondary in place.Secondaries)
            yield return await AskAsync($"secondary {secondary.Server}", async () => Show(await place.ReadAsync(secondary, cancellationToken).ConfigureAwait(false))).ConfigureAwait(false);
        yield return new(FindingLevel.Good, "takeover", $"clients that have just looked the name up go on with the old address for up to {options.Ttl.TotalSeconds:0} s (`ttl`) after a takeover; some resolvers and programs keep it longer");
    }

    private static (IReadOnlyList<DnsRecord> Wanted, string? Problem) Wanted(DnsDriverOptions options, DnsName name)
    {
        try
        {
            return (WantedRecords.Of(options, name), null);
        }
        catch (DriverFailedException e)
        {
            return ([], e.Message);
        }
    }

    private static string Show(NameState state) =>
        $"is {WantedRecords.Show(state.Found)} now, {(state.Held is { } held ? $"{(held.IsRemoved ? "removed" : "pointed")} by {held.Machine} for service '{held.Service}' under token {held.Token}" : "and clustd has not pointed it yet")}";

    private static async Task<DriverFinding> AskAsync(string subject, Func<Task<string>> ask)
    {
        try
        {
            return new(FindingLevel.Good, subject, await ask().ConfigureAwait(false));
        }
        catch (DnsException e)
        {
            return new(FindingLevel.Bad, subject, e.Message);
        }
    }
}
