using Clustd.Chaos.History;

namespace Clustd.Chaos.Checking;

/// <summary>What brought a takeover about, as a row of the tables. For counting, not for judging.</summary>
internal static class Causes
{
    public const string NoMajority = "no healthy majority in between", Nobody = "nothing that should (P5)";

    // The cluster needs this long at most to draw a conclusion from a fault, beside the bound: a failed start, a move that is aborted and asked for again.
    private const long MarginUs = 1_500_000;

    public static string Of(RoundView round, HealthMap health, ActsSeen last, long nextAt)
    {
        var earliest = last.Until - (round.Round.BoundMs * 1000) - MarginUs;
        var near = round.Faults.Where(fault => fault.Began.At <= nextAt && EndOf(round, fault, last.Machine) >= earliest).ToList();
        var own = near.Where(fault => !fault.Began.IsHarmless() && fault.Began.Machines.Contains(last.Machine)).ToList();
        if (own.LastOrDefault(fault => fault.Began.At <= last.Until + MarginUs) is { } cause) return cause.Began.Row();
        for (var at = Math.Max(earliest, round.Round.At); at < nextAt; at += 50_000)
        {
            if (!health.HasMajority(at)) return NoMajority;
        }

        if (own.Count > 0) return own[^1].Began.Row();
        var harmless = near.LastOrDefault(fault => fault.Began.IsHarmless());
        return harmless is null ? Nobody : $"{Nobody}: {harmless.Began.Row()}";
    }

    private static long EndOf(RoundView round, FaultSpan fault, string machine) => fault.EndedAt == long.MaxValue ? long.MaxValue : round.AnswersAfter(machine, fault.EndedAt);
}
