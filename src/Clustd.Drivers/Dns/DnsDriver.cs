using System.Runtime.CompilerServices;
using Clustd.Client;

namespace Clustd.Drivers.Dns;

/// <summary>
/// Points a name to this machine while it is the master, by signed dynamic updates (RFC 2136, RFC 8945). A fence beside the name (<see cref="NameFence"/>) keeps the updates of an old master out.
/// </summary>
public sealed class DnsDriver : StateDriver
{
    private const int WritesMax = 8; // somebody else writes at the same time: each round one of us succeeds

    private static readonly TimeSpan RetryPause = TimeSpan.FromMilliseconds(500), LookPause = TimeSpan.FromMilliseconds(100);

    private readonly DnsDriverOptions _options;
    private readonly NamePlace _place;

    public DnsDriver(DnsDriverOptions options, DriverHost host, StateDriverTerms? terms = null)
        : base(options, host, terms)
    {
        if (options.Validate() is [var error, ..]) throw new ArgumentException(error, nameof(options));
        (_options, _place) = (options, new NamePlace(options, TimeProvider.System));
    }

    protected override string What => $"the name {_place.Name}";

    // Moving the service does not bring back a name server, and what runs here does not need it.
    protected override bool Required => false;

    protected override bool GoesOnAfterFailedStart => true;

    protected override async Task MakeAsync(Trigger trigger, CancellationToken cancellationToken)
    {
        var wanted = WantedRecords.Of(_options, _place.Name);
        string why = $"{_options.Server} has not answered. See whether it runs, and whether UDP and TCP reach it.";
        while (true)
        {
            try
            {
                await PointAsync(trigger, wanted, cancellationToken).ConfigureAwait(false);
                break;
            }
            catch (DnsException e) when (e.MayPass)
            {
                if (e.Message != why) Log(DriverLogLevel.Warning, $"{Name}: {e.Message} It is tried again."); // once, however often it is
                why = e.Message;
                await Task.Delay(RetryPause, cancellationToken).ContinueWith(_ => { }, TaskScheduler.Default).ConfigureAwait(false);
            }
            catch (DnsException e)
            {
                throw new DriverFailedException(e.Message, e);
            }
            catch (OperationCanceledException)
            {
                throw new DriverFailedException($"{_place.Name} could not be pointed to this machine within {trigger.Limit.TotalSeconds:0.###} s: {why}");
            }
        }
        await WaitForSecondariesAsync(trigger, wanted, cancellationToken).ConfigureAwait(false);
    }

    protected override async Task UnmakeAsync(Trigger trigger, CancellationToken cancellationToken)
    {
        if (!_options.RemoveOnStop) return;
        // A courtesy, which must not hold up the takeover: the next master overwrites the record whether it is there or not, and looks on a standby see to what is left.
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        limit.CancelAfter(trigger.Limit * 0.7);
        try
        {
            await RemoveAsync(trigger.Service, limit.Token).ConfigureAwait(false);
        }
        catch (DnsException e)
        {
            Log(DriverLogLevel.Warning, $"{Name}: {_place.Name} still points to this machine: {e.Message}");
            LookSoon();
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            Log(DriverLogLevel.Warning, $"{Name}: {_place.Name} still points to this machine: {_options.Server} has not answered in time. It is tried again, and the next master overwrites it in any case.");
            LookSoon();
        }
    }

    protected override async Task<string?> FindDriftAsync(Trigger made, CancellationToken cancellationToken)
    {
        if (!made.IsMaster && !_options.RemoveOnStop) return null;
        try
        {
            NameState state = await _place.ReadAsync(_place.Primary, cancellationToken).ConfigureAwait(false);
            if (!made.IsMaster) return IsLeftOver(state, made.Service) ? $"{_place.Name} still points to this machine, which is not the master." : null;
            var wanted = WantedRecords.Of(_options, _place.Name);
            if (!state.IsThere(wanted)) return $"{_place.Name} is {WantedRecords.Show(state.Found)}{OtherTtl(state, wanted)} and not {WantedRecords.Show(wanted)}: somebody has changed it.";
            if (!IsOurs(state.Held, made)) return state.Held is { } held ? $"The fence of {_place.Name} says '{held}': somebody has changed it." : $"The fence of {_place.Name} is gone: somebody has removed the TXT record {_place.FenceName}.";
            if (await LaggingAsync(wanted, alsoSilent: true, cancellationToken).ConfigureAwait(false) is { Length: > 0 } lagging) throw new DriverFailedException(lagging);
            return null;
        }
        catch (DnsException e)
        {
            throw new DriverFailedException(e.Message, e);
        }
    }

    public override async IAsyncEnumerable<DriverFinding> TestAsync([EnumeratorCancellation] CancellationToken cancellationToken)
    {
        await foreach (var finding in DnsTest.FindAsync(_options, _place, cancellationToken).ConfigureAwait(false)) yield return finding;
    }

    /// <summary>Reads, and replaces what was read, until it is so.</summary>
    private async Task PointAsync(Trigger trigger, IReadOnlyList<DnsRecord> wanted, CancellationToken cancellationToken)
    {
        NameState state = await _place.ReadAsync(_place.Primary, cancellationToken).ConfigureAwait(false);
        for (int writes = 0; ; writes++)
        {
            if (state.Held?.WhyNot(trigger.Service, trigger.Token) is { } why)
                throw new DnsException($"{_place.Name} is not pointed to this machine: {why}. If that is wrong, remove the TXT record {_place.FenceName}.");
            if (IsOurs(state.Held, trigger) && state.IsThere(wanted)) break;
            if (writes == WritesMax) throw new DnsException(WhyNotTaken(state, wanted, trigger));

            var fence = NameFence.New(trigger.Service, trigger.Token, Here);
            bool isDone = await _place.ReplaceAsync(state, wanted, fence, cancellationToken).ConfigureAwait(false);
            state = await _place.ReadAsync(_place.Primary, cancellationToken).ConfigureAwait(false);
            if (isDone && state.Held == fence && !state.IsThere(wanted)) throw new DnsException(WhyNotTaken(state, wanted, trigger));
            if (!isDone && state.Held is null && state.Fences.Count > 0)
                throw new DnsException($"{_place.FenceName} has a TXT record that is not clustd's: it reads '{Shown(state)}'. It would be overwritten. Remove it if nobody needs it.");
        }
        Log(DriverLogLevel.Info, $"{Name}: {_place.Name} points to {WantedRecords.Show(wanted)}, says {_options.Server}");
    }

    private async Task RemoveAsync(string service, CancellationToken cancellationToken)
    {
        for (int writes = 0; writes < WritesMax; writes++)
        {
            NameState state = await _place.ReadAsync(_place.Primary, cancellationToken).ConfigureAwait(false);
            if (!IsLeftOver(state, service)) return;
            // The fence stays, with its token.
            await _place.ReplaceAsync(state, [], NameFence.New(service, state.Held!.Token, Here, isRemoved: true), cancellationToken).ConfigureAwait(false);
        }
        throw new DnsException($"{_place.Name} is written by somebody else all the time: it could not be removed. See who else changes it.");
    }

    // Never what another machine has pointed to itself since.
    private bool IsLeftOver(NameState state, string service) => state.Held is { IsRemoved: false } held && held.Machine == Here && held.Service == service;

    private bool IsOurs(NameFence? held, Trigger trigger) => held is { IsRemoved: false } && held.Service == trigger.Service && held.Token == trigger.Token && held.Machine == Here;

    private string Here => Machine ?? "unknown";

    private async Task WaitForSecondariesAsync(Trigger trigger, IReadOnlyList<DnsRecord> wanted, CancellationToken cancellationToken)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        // No longer than leaves time for the other drivers of the service.
        limit.CancelAfter(TimeSpan.FromTicks(Math.Min(_options.VerifyTimeout.Ticks, trigger.Limit.Ticks / 2)));
        string lagging = $"The secondaries of {_place.Name} have not answered yet.";
        try
        {
            // One that says nothing misleads nobody: it is left to the next look.
            while ((lagging = await LaggingAsync(wanted, alsoSilent: false, limit.Token).ConfigureAwait(false)).Length > 0) await Task.Delay(LookPause, limit.Token).ConfigureAwait(false);
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            // The primary has it: to fail here would only let the next machine run into the same.
            Log(DriverLogLevel.Warning, $"{Name}: {lagging} The start does not wait any longer.");
            LookSoon();
        }
    }

    /// <summary>Which secondaries do not have it yet, as a sentence; empty: all have.</summary>
    private async Task<string> LaggingAsync(IReadOnlyList<DnsRecord> wanted, bool alsoSilent, CancellationToken cancellationToken)
    {
        var lagging = await Task.WhenAll(_place.Secondaries.Select(each => LaggingAsync(each, wanted, alsoSilent, cancellationToken))).ConfigureAwait(false);
        return string.Join(" ", lagging.Where(each => each.Length > 0));
    }

    private async Task<string> LaggingAsync(DnsExchange secondary, IReadOnlyList<DnsRecord> wanted, bool alsoSilent, CancellationToken cancellationToken)
    {
        try
        {
            NameState state = await _place.ReadAsync(secondary, cancellationToken).ConfigureAwait(false);
            return state.IsThere(wanted) ? "" : $"The secondary {secondary.Server} still has {WantedRecords.Show(state.Found)} for {_place.Name}: the primary's change has not reached it. See its log, and NOTIFY at the primary.";
        }
        catch (DnsException e)
        {
            return alsoSilent ? e.Message : "";
        }
    }

    private string WhyNotTaken(NameState state, IReadOnlyList<DnsRecord> wanted, Trigger trigger) =>
        IsOurs(state.Held, trigger)
            ? $"{_options.Server} has taken the update, but {_place.Name} is {WantedRecords.Show(state.Found)} and not {WantedRecords.Show(wanted)}: a CNAME cannot stand beside other records (MX, TXT, NS) of its name. Remove these, or use `addresses`."
            : $"{_place.Name} is written by somebody else all the time: {WritesMax} updates in a row came too late. See who else changes it.";

    private static string OtherTtl(NameState state, IReadOnlyList<DnsRecord> wanted) =>
        state.Found.FirstOrDefault(record => wanted.Any(each => each.Ttl != record.Ttl && each with { Ttl = record.Ttl } == record)) is { } other ? $" with a TTL of {other.Ttl} s" : "";

    private static string Shown(NameState state)
    {
        string text = NameFence.TextOf(state.Fences[0].Data) ?? "(damaged)";
        return string.Concat(text.Take(60).Select(c => c is >= ' ' and <= '~' ? c : '?'));
    }
}
