using System.Collections.Immutable;
using Clustd.Chaos.History;

namespace Clustd.Chaos.Checking;

/// <summary>A fault with its end; EndedAt is <see cref="long.MaxValue"/> if the round ended first.</summary>
public sealed record FaultSpan(FaultBegan Began, long EndedAt);

/// <summary>The records of one round, sorted by what they are about.</summary>
public sealed class RoundView
{
    private readonly ILookup<string, ActsSeen> _acts;
    private readonly ILookup<string, Looked> _looks;

    /// <param name="records">From a <see cref="RoundStarted"/> to before the next.</param>
    public RoundView(IReadOnlyList<HistoryRecord> records)
    {
        Records = records;
        Round = (RoundStarted)records[0];
        EndsAt = records.OfType<RoundEnded>().FirstOrDefault()?.At ?? records.Max(record => record.At);
        var ends = records.OfType<FaultEnded>().ToDictionary(end => end.Id, end => end.At);
        Faults = [.. records.OfType<FaultBegan>().OrderBy(fault => fault.At).Select(fault => new FaultSpan(fault, ends.GetValueOrDefault(fault.Id, long.MaxValue)))];
        _acts = records.OfType<ActsSeen>().ToLookup(acts => acts.Service);
        _looks = records.OfType<Looked>().ToLookup(look => look.Machine);
        Loads = [.. records.OfType<LoadSeen>()];
    }

    public RoundStarted Round { get; }

    public long EndsAt { get; }

    public IReadOnlyList<HistoryRecord> Records { get; }

    public ImmutableArray<FaultSpan> Faults { get; }

    public ImmutableArray<LoadSeen> Loads { get; }

    /// <summary>In the kernel's order.</summary>
    public IEnumerable<ActsSeen> ActsOf(string service) => _acts[service];

    /// <summary>When a machine was first seen to answer, with its drivers and peers, after an instant.</summary>
    public long AnswersAfter(string machine, long at) =>
        _looks[machine].FirstOrDefault(look => look.At >= at && look.Answers)?.Until ?? long.MaxValue;

    /// <summary>How late the harness itself was within this time: the sum of the worst of every record, µs. What clustd's machines suffered is no less.</summary>
    public long LatenessWithin(long from, long until) => Loads.Where(load => load.At >= from && load.At <= until + 1_000_000).Sum(load => load.WorstLateUs);

    /// <summary>A history in rounds; what stands before the first one is left out.</summary>
    public static IReadOnlyList<RoundView> Split(IReadOnlyList<HistoryRecord> history)
    {
        var rounds = new List<RoundView>();
        var records = new List<HistoryRecord>();
        foreach (var record in history)
        {
            if (record is RoundStarted)
            {
                if (records.Count > 0) rounds.Add(new RoundView(records));
                records = [record];
            }
            else if (records.Count > 0)
            {
                records.Add(record);
            }
        }

        if (records.Count > 0) rounds.Add(new RoundView(records));
        return rounds;
    }
}
