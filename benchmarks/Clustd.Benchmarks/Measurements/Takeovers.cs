using Clustd.Benchmarks.Subjects;
using Clustd.EndToEnd.Harness;

namespace Clustd.Benchmarks.Measurements;

/// <summary>A master is lost in some way, again and again: how long until another one acts, and did two act at once?</summary>
internal static class Takeovers
{
    // After a takeover: long enough for an old master that acts on to be caught at it.
    private static readonly TimeSpan Watch = TimeSpan.FromSeconds(1);

    public static async Task RunAsync(Bench bench, Fault fault, Func<Subject> make, CancellationToken cancellationToken)
    {
        Subject? subject = null;
        try
        {
            subject = make();
            foreach (var @case in subject.Cases)
            {
                for (var number = 1; number <= bench.Runs; number++)
                {
                    cancellationToken.ThrowIfCancellationRequested();
                    var measured = subject ??= make();
                    if (await bench.MeasureAsync(fault.Name, measured.Name, @case, number, bench.Runs, values => OnceAsync(measured, fault, @case, values), measured.Logs, cancellationToken)) continue;
                    subject = null;
                    await measured.DisposeAsync();
                }
            }
        }
        finally
        {
            if (subject is not null) await subject.DisposeAsync();
        }
    }

    private static async Task OnceAsync(Subject subject, Fault fault, string @case, SortedDictionary<string, double> values)
    {
        await subject.MakeHealthyAsync();
        await Eventually.IsTrue(() => subject.ArrangeAsync(@case), $"{subject.Name} gets into the case '{@case}'");
        // No run falls on the same moment of the heartbeats' and keepalives' rhythm.
        await Task.Delay(200 + Random.Shared.Next(400));
        var (acts, machines) = (subject.Acts, subject.Machines);
        acts.ForgetRefused();
        var (before, old, lost) = (acts.Tenures().Count, acts.Newest()!, machines.Master);

        var at = fault.Strike(subject.Network, lost);
        var atWallClock = DateTimeOffset.Now - TimeSpan.FromMicroseconds(ActObserver.Now - at);
        try
        {
            var next = await machines.NextTenureAsync(old);
            if (next.Machine == old.Machine) throw new InvalidOperationException($"{old.Machine}, which was lost, is the next master.");
            await machines.ShouldGoOnActingAsync(Watch);

            var ended = acts.Tenures()[before - 1];
            var refused = acts.Refused.ToList();
            values["app"] = (next.FirstAt - at) / 1e3;
            values["old stopped"] = (ended.LastAt - at) / 1e3;
            // Positive: the old one acted so long after the new one had begun; negative: so long nobody acted.
            values["overlap"] = ((refused.Count > 0 ? refused.Max(act => act.At) : ended.LastAt) - next.FirstAt) / 1e3;
            values["further failovers"] = acts.Tenures().Count - before - 1;
            await subject.ExplainAsync(new Takeover(lost, at, atWallClock, old, next), values);
            if (fault.Thaws) await ThawAsync(subject, lost, values);
        }
        finally
        {
            subject.BeforeHealing(lost);
            fault.Heal(subject.Network, lost);
        }
    }

    private static async Task ThawAsync(Subject subject, Machine lost, SortedDictionary<string, double> values)
    {
        subject.Acts.ForgetRefused();
        var thawedAt = lost.Thaw();
        await subject.Machines.ShouldGoOnActingAsync(Watch);
        // P3: whoever would kill the app was frozen as well. What it does until then a resource that checks the token refuses.
        var late = subject.Acts.Refused.ToList();
        values["late acts"] = late.Count;
        values["last late act"] = late.Count > 0 ? (late.Max(act => act.At) - thawedAt) / 1e3 : 0;
    }
}
