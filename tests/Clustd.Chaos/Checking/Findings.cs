using Clustd.Chaos.History;

namespace Clustd.Chaos.Checking;

/// <summary>What the checks of one round add to.</summary>
internal sealed class Findings(RoundStarted round)
{
    // One cause breaks a promise many times over: the first of a kind tell it.
    private const int KeptOfAKind = 20;

    public List<Violation> Violations { get; } = [];

    public List<Takeover> Takeovers { get; } = [];

    public List<BoundMiss> Misses { get; } = [];

    public List<LateActs> Late { get; } = [];

    public int Acknowledged { get; set; }

    public int Reads { get; set; }

    public long Acts { get; set; }

    public long WatchedUs { get; set; }

    public long OwedUs { get; set; }

    public void Add(ViolationKind kind, long at, string sentence)
    {
        if (Violations.Count(violation => violation.Kind == kind) < KeptOfAKind) Violations.Add(new Violation(kind, round.Round, at, sentence));
    }
}
