using System.Text.Json.Nodes;
using Clustd.Conformance.Stage;

namespace Clustd.Conformance.Wrong;

/// <summary>The lease, and what happens when it is over.</summary>
internal sealed partial class WrongDriver
{
    private readonly List<long> unanswered = [];
    private bool registered;
    private long leaseUs;
    private long renewEveryUs;
    private long killTimeoutUs;
    private long renewAt;
    private long lastAnswered = long.MinValue;
    private long? endsAt;
    private long? overFor; // The end for which everything was stopped.
    private long? killAt;

    private bool HoldsLease(long now) => endsAt is { } end && now < end;

    private void Registered(JsonObject terms)
    {
        lock (gate)
        {
            registered = true;
            (leaseUs, renewEveryUs) = (terms["leaseUs"]!.GetValue<long>(), terms["renewEveryUs"]!.GetValue<long>());
            var limit = terms["killTimeoutUs"]!.GetValue<long>();
            killTimeoutUs = endsAt is not null && overFor != endsAt && !Does(Mistake.BelievesTheLongerLimit) ? Math.Min(killTimeoutUs, limit) : limit;
            renewAt = Now;
        }
    }

    private void Lost()
    {
        registered = false;
        unanswered.Clear();
        if (Does(Mistake.TakesALossForAStop))
            StopNow("the connection is lost", Now + killTimeoutUs);
    }

    private void Renewed(JsonObject result)
    {
        var stamp = result["stamp"]!.GetValue<long>();
        if (!Does(Mistake.TakesAnyAnswer))
        {
            if (!unanswered.Contains(stamp) || stamp <= lastAnswered)
                return;
            lastAnswered = stamp;
        }
        unanswered.RemoveAll(asked => asked <= stamp);
        var left = Message.NumberOf(result["leftUs"]) ?? (Does(Mistake.ReadsNullAsNothing) ? 0 : null);
        if (left is null)
            return;
        if (left == 0)
        {
            if (HoldsLease(Now))
                endsAt = Now;
            return;
        }
        var end = (Does(Mistake.CountsFromReading) ? Now : stamp) + left.Value;
        if (endsAt is not { } before || end > before || Does(Mistake.MovesTheEndBack) || result["shortens"]?.GetValue<bool>() == true)
            endsAt = end;
        if (Does(Mistake.ForgetsTheDeadline))
            killAt = null;
    }

    // Every hundredth of a second: what is due?
    private async Task KeepAsync()
    {
        while (!over.IsCancellationRequested)
        {
            lock (gate)
            {
                var now = Now;
                if (endsAt is { } end && now >= end && overFor != end && !Does(Mistake.NeverStopsByItself))
                {
                    overFor = end;
                    StopNow("the lease is over", end + killTimeoutUs);
                }
                if (killAt is { } deadline && now >= deadline && certain && !Does(Mistake.HasNoWatchdog))
                {
                    over.Cancel();
                    socket?.Abort();
                    ended.TrySetResult(137);
                    return;
                }
                if (registered && unanswered.Count > 0 && now - unanswered[0] > Math.Max(leaseUs / 2, 2 * renewEveryUs) && !Does(Mistake.WaitsForTheSilent))
                    socket?.Abort();
                else if (registered && now >= renewAt)
                {
                    unanswered.Add(now);
                    Tell("renew", new JsonObject { ["stamp"] = now, ["leftUs"] = HoldsLease(now) ? endsAt - now : 0 });
                    renewAt = now + (HoldsLease(now) && endsAt - now < 3 * renewEveryUs ? renewEveryUs / 8 : renewEveryUs);
                }
                Monitor.PulseAll(gate);
            }
            await Task.Delay(10);
        }
    }
}
