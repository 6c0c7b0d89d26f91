using Clustd.Core;
using Clustd.Peers;

namespace Clustd;

/// <summary>
/// Says what a daemon waits for until its machine holds a session: at start, whenever it changes, and again after a while, so that nobody
/// sits before a silent terminal.
/// </summary>
internal sealed class WaitingReport(PeerNetwork network, MachineLoop loop, int machines, Action<Severity, string> say)
{
    private static readonly TimeSpan LookEvery = TimeSpan.FromMilliseconds(500);
    private static readonly TimeSpan LookEveryWhenWell = TimeSpan.FromSeconds(4); // That the session is not held any more is said at once by an event of its own.
    private static readonly TimeSpan SayAgainAfter = TimeSpan.FromSeconds(30);

    public async Task RunAsync(CancellationToken cancellationToken)
    {
        using var timer = new PeriodicTimer(LookEvery);
        var said = "";
        var saidAt = Instant.Origin;
        var advice = "";
        try
        {
            while (await timer.WaitForNextTickAsync(cancellationToken))
            {
                var view = await loop.InspectAsync((core, now) => core.Hold.IsHeld(now) ? null : core.View(now)); // A view of everything is not cheap.
                var waitsFor = view is null or { IsLeaving: true } ? "" : Sentence(view);
                timer.Period = waitsFor.Length > 0 ? LookEvery : LookEveryWhenWell;
                if (waitsFor != advice)
                {
                    advice = waitsFor; // Only what stays the same for two looks is said: a start that takes half a second needs no comment.
                    continue;
                }

                if (waitsFor.Length > 0 && (waitsFor != said || MachineClock.Now - saidAt > SayAgainAfter))
                {
                    say(Severity.Warning, waitsFor);
                    saidAt = MachineClock.Now;
                }

                said = waitsFor;
            }
        }
        catch (OperationCanceledException)
        {
        }
    }

    private string Sentence(MachineView view)
    {
        var missing = network.Peers.Where(peer => peer.State is not (PeerState.Connected or PeerState.Self)).ToList();
        var faults = string.Join("; ", missing.Select(peer => peer.LastError?.TrimEnd('.') ?? $"{peer.Address} not reached yet"));
        if (view.WaitsFor is { } forming)
        {
            return missing.Count == 0 ? $"{forming}." : $"waiting for {missing.Count} of {machines}: {faults}. A new cluster forms once all machines have met.";
        }

        var need = (view.Voters.Count() / 2) + 1;
        return missing.Count == 0
            ? "waiting for a leader and a session."
            : $"waiting for a majority: {view.Connected.Length + 1} of {machines} machines are here and {need} are needed. {faults}.";
    }
}
