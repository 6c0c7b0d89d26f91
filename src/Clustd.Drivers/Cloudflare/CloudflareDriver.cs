using System.Runtime.CompilerServices;
using Clustd.Client;

namespace Clustd.Drivers.Cloudflare;

/// <summary>Points a name at Cloudflare to this machine while it is the master, by API v4. A stop leaves the record: the next master overwrites it.</summary>
public sealed class CloudflareDriver : StateDriver
{
    private const int WritesMax = 4; // somebody else writes at the same time

    private static readonly TimeSpan RetryPauseMin = TimeSpan.FromMilliseconds(500), RetryPauseMax = TimeSpan.FromSeconds(8);

    // One request each; an account has 1,200 in five minutes for all that uses it.
    private static readonly TimeSpan LookEvery = TimeSpan.FromSeconds(15);

    private readonly CloudflareDriverOptions _options;
    private readonly CloudflareApi _api;

    public CloudflareDriver(CloudflareDriverOptions options, DriverHost host, StateDriverTerms? terms = null)
        : base(options, host, terms ?? StateDriverTerms.Default with { LookEvery = LookEvery })
    {
        if (options.Validate() is [var error, ..]) throw new ArgumentException(error, nameof(options));
        (_options, _api) = (options, new CloudflareApi(options));
    }

    protected override string What => $"the name {_options.Record}";

    // Moving the service does not mend Cloudflare, and what runs here does not need it.
    protected override bool Required => false;

    protected override bool GoesOnAfterFailedStart => true;

    protected override async Task MakeAsync(Trigger trigger, CancellationToken cancellationToken)
    {
        var wanted = WantedRecord.Of(_options);
        string why = $"Cloudflare has not answered. See whether this machine reaches {new Uri(_options.Api).Host}.";
        var pause = RetryPauseMin;
        while (true)
        {
            try
            {
                await PointAsync(trigger, wanted, cancellationToken).ConfigureAwait(false);
                return;
            }
            catch (CloudflareException e) when (e.MayPass)
            {
                if (e.Message != why) Log(DriverLogLevel.Warning, $"{Name}: {e.Message} It is tried again."); // once, however often it is
                why = e.Message;
                await Task.Delay(e.RetryAfter is { } asked && asked > pause ? asked : pause, cancellationToken).ContinueWith(_ => { }, TaskScheduler.Default).ConfigureAwait(false);
                pause = pause * 2 < RetryPauseMax ? pause * 2 : RetryPauseMax;
            }
            catch (CloudflareException e)
            {
                throw new DriverFailedException(e.Message, e);
            }
            catch (OperationCanceledException)
            {
                throw new DriverFailedException($"{_options.Record} could not be pointed to this machine within {trigger.Limit.TotalSeconds:0.###} s: {why}");
            }
        }
    }

    protected override Task UnmakeAsync(Trigger trigger, CancellationToken cancellationToken) => Task.CompletedTask;

    protected override async Task<string?> FindDriftAsync(Trigger made, CancellationToken cancellationToken)
    {
        if (!made.IsMaster) return null;
        try
        {
            var found = await _api.ReadAsync(cancellationToken).ConfigureAwait(false);
            var wanted = WantedRecord.Of(_options);
            if (!WantedRecord.IsThere(found, wanted)) return $"{_options.Record} is {WantedRecord.Show(found)} and not {WantedRecord.Show(wanted)}{Settings(found, wanted)}: somebody has changed it.";
            return AreOurs(found, made) ? null : $"The comment of {_options.Record} is not ours any more: somebody has changed it.";
        }
        catch (CloudflareException e)
        {
            throw new DriverFailedException(e.Message, e);
        }
    }

    public override async IAsyncEnumerable<DriverFinding> TestAsync([EnumeratorCancellation] CancellationToken cancellationToken)
    {
        await foreach (var finding in CloudflareTest.FindAsync(_options, _api, cancellationToken).ConfigureAwait(false)) yield return finding;
    }

    /// <summary>Reads, writes and reads again, until it is so.</summary>
    private async Task PointAsync(Trigger trigger, IReadOnlyList<CloudflareRecord> wanted, CancellationToken cancellationToken)
    {
        var found = await _api.ReadAsync(cancellationToken).ConfigureAwait(false);
        for (int writes = 0; ; writes++)
        {
            if (RecordOwner.Of(found)?.WhyNot(trigger.Service, trigger.Token) is { } why)
                throw new CloudflareException($"{_options.Record} is not pointed to this machine: {why}. If that is wrong, clear the comment of the record in Cloudflare's dashboard.");
            if (WantedRecord.IsThere(found, wanted) && AreOurs(found, trigger)) break;
            if (writes == WritesMax) throw new CloudflareException($"{_options.Record} is {WantedRecord.Show(found)} and not {WantedRecord.Show(wanted)}{Settings(found, wanted)} after {WritesMax} changes: somebody else changes it as well. See who does.");
            // Nothing keeps a late write out but this: the lease is looked at in the last moment.
            if (!LeaseEnd.IsValid(DriverClock.NowUs)) throw new CloudflareException($"{_options.Record} is not pointed to this machine: its lease is over. It is tried again when the daemon has a quorum.");
            await ChangeAsync(WantedRecord.Changes(found, wanted, new RecordOwner(trigger.Service, trigger.Token, Machine ?? "unknown")), found, cancellationToken).ConfigureAwait(false);
            found = await _api.ReadAsync(cancellationToken).ConfigureAwait(false);
        }
        Log(DriverLogLevel.Info, $"{Name}: {_options.Record} points to {WantedRecord.Show(wanted)}{(_options.Proxied ? ", behind Cloudflare's proxy" : "")}, says Cloudflare");
    }

    private async Task ChangeAsync(CloudflareBatch changes, IReadOnlyList<CloudflareRecord> found, CancellationToken cancellationToken)
    {
        if (changes.Deletes is { Count: > 0 } deletes)
            Log(DriverLogLevel.Warning, $"{Name}: {_options.Record} has more records than it should: {WantedRecord.Show(found.Where(record => deletes.Any(each => each.Id == record.Id)))} is removed.");
        await _api.ChangeAsync(changes, cancellationToken).ConfigureAwait(false);
    }

    private static bool AreOurs(IReadOnlyList<CloudflareRecord> found, Trigger trigger) =>
        found.All(record => RecordOwner.Parse(record.Comment) is { } owner && owner.Service == trigger.Service && owner.Token == trigger.Token);

    private static string Settings(IReadOnlyList<CloudflareRecord> found, IReadOnlyList<CloudflareRecord> wanted)
    {
        if (WantedRecord.Show(found) != WantedRecord.Show(wanted) || wanted is not [var first, ..]) return "";
        var other = found.FirstOrDefault(record => record.Ttl != first.Ttl || record.Proxied != first.Proxied);
        return other is null ? "" : $" with ttl {first.Ttl} and proxied {(first.Proxied == true ? "true" : "false")}, but with ttl {other.Ttl} and proxied {(other.Proxied == true ? "true" : "false")}";
    }
}
