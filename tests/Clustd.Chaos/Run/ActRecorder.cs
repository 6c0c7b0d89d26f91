using Clustd.Chaos.History;
using Clustd.EndToEnd.Harness;

namespace Clustd.Chaos.Run;

/// <summary>Writes acts down: those of one app in a row are one record, of a second at most, and one without a pause in it. Their order is kept.</summary>
internal sealed class ActRecorder(HistoryFile history)
{
    private const long PauseUs = 60_000, LengthUs = 1_000_000;
    private readonly Lock _gate = new();
    private readonly Dictionary<string, ActsSeen> _open = [];
    private readonly Dictionary<string, ActsSeen> _accepted = [];

    public int Takeovers { get; private set; }

    public long LongestGapUs { get; private set; }

    public int Refused { get; private set; }

    public void Add(Act act)
    {
        lock (_gate)
        {
            Count(act);
            if (_open.TryGetValue(act.Service, out var open) && (open.Machine, open.Token, open.Pid, open.IsAccepted) == (act.Machine, act.Token, act.Pid, act.IsAccepted)
                && act.At - open.Until < PauseUs && act.At - open.At < LengthUs)
            {
                _open[act.Service] = open with { Until = act.At, Count = open.Count + 1 };
                return;
            }

            if (open is not null) history.Add(open);
            _open[act.Service] = new ActsSeen(act.At, act.At, act.Service, act.Machine, act.Token, act.Pid, 1, act.IsAccepted);
        }
    }

    /// <summary>Before the round ends.</summary>
    public void Flush()
    {
        lock (_gate)
        {
            foreach (var open in _open.Values) history.Add(open);
            _open.Clear();
        }
    }

    private void Count(Act act)
    {
        if (!act.IsAccepted)
        {
            Refused++;
            return;
        }

        if (_accepted.TryGetValue(act.Service, out var before) && before.Token != act.Token)
        {
            Takeovers++;
            LongestGapUs = Math.Max(LongestGapUs, act.At - before.Until);
        }

        _accepted[act.Service] = new ActsSeen(act.At, act.At, act.Service, act.Machine, act.Token, act.Pid, 1, true);
    }
}
