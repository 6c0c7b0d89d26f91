namespace Clustd.Simulation;

/// <summary>
/// Every strike of every fault pattern passes here. It is numbered, so that a replay can leave some out (a letter for who strikes, and a count), and counted
/// by name if anything came of it: a crash of a machine that is down already is none.
/// </summary>
internal sealed class Injections(World world)
{
    private readonly Dictionary<string, int> _next = [];
    private readonly SortedDictionary<string, int> _counts = new(StringComparer.Ordinal);
    private readonly List<(string Number, long At, string Pattern)> _made = [];

    /// <summary>What strikes have done so far, be it a fault or an operator's wish.</summary>
    public long Effects { get; set; }

    /// <summary>How often each pattern did something.</summary>
    public IReadOnlyDictionary<string, int> Counts => _counts;

    /// <summary>The strikes that did something, in order.</summary>
    public IReadOnlyList<(string Number, long At, string Pattern)> Made => _made;

    /// <summary>The number of the next strike of this source.</summary>
    public string Next(string source) => $"{source}{_next[source] = _next.GetValueOrDefault(source) + 1}";

    /// <summary>What was begun could not be finished: it does not count.</summary>
    public void CameToNothing(string pattern) => _counts[pattern]--;

    public void Strike(string number, string pattern, Action strike)
    {
        if (world.Scenario.OnlyStrikes?.Contains(number) == false)
        {
            return;
        }

        var before = Effects;
        strike();
        if (Effects != before)
        {
            _counts[pattern] = _counts.GetValueOrDefault(pattern) + 1;
            _made.Add((number, world.Events.Now, pattern));
        }
    }
}
