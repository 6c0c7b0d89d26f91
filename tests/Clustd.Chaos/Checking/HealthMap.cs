using System.Collections.Immutable;
using Clustd.Chaos.History;

namespace Clustd.Chaos.Checking;

/// <summary>
/// Who was healthy when, from the harness's own doings: a machine is not from the beginning of a fault until it was seen to answer after the fault's end. When a
/// service is owed a master (P4): a majority of healthy machines that hear each other, one of them able to run it, and not paused.
/// </summary>
public sealed class HealthMap
{
    // The cluster's rule for a machine on which a service failed to start: 10 s, doubling to 10 min.
    private const long CoolDownFirstUs = 10_000_000, CoolDownMaximumUs = 600_000_000;

    // A failure is seen when the events are next asked for.
    private const long SeenLateUs = 2_000_000;

    private readonly RoundView _round;
    private readonly List<(string Machine, long From, long Until)> _ill = [];
    private readonly List<(string One, string Other, long From, long Until)> _cuts = [];
    private readonly List<(string Machine, long From, long Until)> _hidden = [];
    private readonly List<(string Machine, string? Service, long From, long Until)> _unable = [];
    private readonly List<(long From, long Until)> _paused = [];
    private readonly List<(string Machine, long At)> _turns = [];
    private readonly ImmutableArray<long> _changes;

    public HealthMap(RoundView round)
    {
        _round = round;
        foreach (var fault in round.Faults) Add(fault);
        foreach (var end in round.Records.OfType<DaemonEnded>())
        {
            _ill.Add((end.Machine, end.At, round.AnswersAfter(end.Machine, end.At)));
            _turns.Add((end.Machine, end.At));
        }

        foreach (var (subject, from, until) in Marks("drain", "undrain")) _unable.Add((subject, null, from, until));
        foreach (var (_, from, until) in Marks("pause", "unpause")) _paused.Add((from, until));
        AddCoolDowns();
        _changes = [.. _ill.SelectMany(each => Both(each.From, each.Until))
            .Concat(_cuts.SelectMany(each => Both(each.From, each.Until)))
            .Concat(_hidden.SelectMany(each => Both(each.From, each.Until)))
            .Concat(_unable.SelectMany(each => Both(each.From, each.Until)))
            .Concat(_paused.SelectMany(each => Both(each.From, each.Until)))
            .Distinct().Order()];
    }

    public bool IsHealthy(string machine, long at) => !_ill.Any(ill => ill.Machine == machine && ill.From <= at && at < ill.Until);

    public bool HasMajority(long at) => Majorities(at).Any();

    /// <summary>
    /// The times within which a service was owed a master. Each ends, and another one begins, when the holder's machine is healthy again (it may have kept its
    /// session), and when it is lost after that, which is another loss.
    /// </summary>
    /// <param name="holder">Who was its master before; null: nobody.</param>
    public IReadOnlyList<(long From, long Until)> Owed(string service, string? holder, long from, long until)
    {
        var owed = new List<(long From, long Until)>();
        var again = _turns.Where(turn => turn.Machine == holder).Select(turn => turn.At).ToHashSet();
        long[] points = [from, .. _changes.Where(at => at > from && at < until), until];
        for (var each = 0; each + 1 < points.Length; each++)
        {
            if (points[each] == points[each + 1] || !IsOwed(service, holder, points[each])) continue;
            if (owed is [.., var last] && last.Until == points[each] && !again.Contains(points[each])) owed[^1] = (last.From, points[each + 1]);
            else owed.Add((points[each], points[each + 1]));
        }

        return owed;
    }

    private bool IsOwed(string service, string? holder, long at)
    {
        if (_paused.Any(paused => paused.From <= at && at < paused.Until)) return false;
        if (_hidden.Any(hidden => hidden.Machine == holder && hidden.From <= at && at < hidden.Until)) return false;
        return Majorities(at).Any(majority => majority.Any(machine =>
            !_unable.Any(unable => unable.Machine == machine && (unable.Service is null || unable.Service == service) && unable.From <= at && at < unable.Until)));
    }

    private IEnumerable<IReadOnlyList<string>> Majorities(long at)
    {
        var healthy = _round.Round.Machines.Where(machine => IsHealthy(machine, at)).ToList();
        var cuts = _cuts.Where(cut => cut.From <= at && at < cut.Until).ToList();
        for (var mask = 0; mask < 1 << healthy.Count; mask++)
        {
            if (int.PopCount(mask) < _round.Round.Majority) continue;
            var set = healthy.Where((_, index) => (mask & (1 << index)) != 0).ToList();
            if (!cuts.Any(cut => set.Contains(cut.One) && set.Contains(cut.Other))) yield return set;
        }
    }

    private void Add(FaultSpan fault)
    {
        var began = fault.Began;
        if (began.Kind == FaultKind.PartialMesh && began.Machines.Length == 2)
        {
            var recovered = began.Machines.Max(machine => RecoveredAt(fault, machine));
            _cuts.Add((began.Machines[0], began.Machines[1], began.At, recovered));
            return;
        }

        foreach (var machine in began.Machines)
        {
            var recovered = RecoveredAt(fault, machine);
            if (began.HidesOutage()) _hidden.Add((machine, began.At, recovered));
            if (!began.ImpairsMachines()) continue;
            // A machine that is ill already is not lost again.
            if (IsHealthy(machine, began.At)) _turns.Add((machine, began.At));
            _ill.Add((machine, began.At, recovered));
            _turns.Add((machine, recovered));
        }
    }

    private long RecoveredAt(FaultSpan fault, string machine) => fault.EndedAt == long.MaxValue ? long.MaxValue : _round.AnswersAfter(machine, fault.EndedAt);

    // From when it was asked for, acknowledged or not, until the opposite was acknowledged.
    private IEnumerable<(string Subject, long From, long Until)> Marks(string set, string clear)
    {
        var commands = _round.Records.OfType<Commanded>().OrderBy(command => command.At).ToList();
        foreach (var command in commands.Where(command => command.Verb == set))
        {
            var end = commands.FirstOrDefault(each => each.Verb == clear && each.Subject == command.Subject && each.At > command.At && each.ExitCode == 0);
            yield return (command.Subject, command.At, end?.Until ?? long.MaxValue);
        }
    }

    private void AddCoolDowns()
    {
        var failures = _round.Records.OfType<Decided>().Where(decided => decided.Kind == "failed").DistinctBy(decided => (decided.Index, decided.Service, decided.Machine));
        foreach (var group in failures.GroupBy(decided => (decided.Machine, decided.Service)))
        {
            var length = CoolDownFirstUs;
            foreach (var failure in group.OrderBy(failure => failure.Index))
            {
                _unable.Add((group.Key.Machine ?? "", group.Key.Service, failure.At - SeenLateUs, failure.At + length));
                length = Math.Min(length * 2, CoolDownMaximumUs);
            }
        }
    }

    private static IEnumerable<long> Both(long from, long until) => [from, until];
}
