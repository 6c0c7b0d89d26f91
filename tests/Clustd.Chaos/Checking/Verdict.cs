using System.Collections.Immutable;
using Clustd.Chaos.History;

namespace Clustd.Chaos.Checking;

/// <summary>What a history must never show. The names stand in reports and in docs/chaos.md.</summary>
public enum ViolationKind
{
    /// <summary>An act under an old token after one of a newer token, and nobody who should have stopped it was frozen (P2).</summary>
    Overlap,

    /// <summary>Two apps acted in turns under one token, on one machine.</summary>
    TwoCopies,

    /// <summary>One token on two machines (P1).</summary>
    TwoHolders,

    /// <summary>An accepted act, or a confirmed read, shows an older token than one before it (P1).</summary>
    TokenGoesBack,

    /// <summary>A token acted that the cluster granted to nobody, or to another machine.</summary>
    NotGranted,

    /// <summary>What a command was told to be done, a later confirmed read does not show.</summary>
    LostAcknowledgement,

    /// <summary>Two machines say different things of one entry of the log.</summary>
    ReplicasDisagree,

    /// <summary>No master within P4's bound although a healthy majority was there all the time, and the load of this machine does not explain it.</summary>
    MissedBound,

    /// <summary>Long after all faults were undone not all was well.</summary>
    NotWellAgain,

    /// <summary>A daemon ended, and nobody had ended it, filled its disk or damaged its store.</summary>
    DaemonEnded,
}

public sealed record Violation(ViolationKind Kind, int Round, long At, string Sentence);

/// <summary>One service, one token after another one.</summary>
/// <param name="Row">What brought it about, as a row of the tables.</param>
/// <param name="TookUs">From when P4's clock began; null: nothing was owed (no majority, paused, nowhere to go), so there is no bound to compare with.</param>
/// <param name="GapUs">Between the last act of the old and the first of the new token.</param>
public sealed record Takeover(int Round, string Service, string From, string To, long Token, long At, string Row, long? TookUs, long GapUs, long BoundUs);

/// <summary>A time without a master that was longer than P4's bound and the allowance.</summary>
/// <param name="IsExplainedByLoad">What is above bound and allowance is no more than the harness's own clock was late in that time.</param>
public sealed record BoundMiss(int Round, string Service, long FromAt, long UntilAt, long BoundUs, long AllowanceUs, long LatenessUs, string Story)
{
    public long TookUs => UntilAt - FromAt;

    public bool IsExplainedByLoad => TookUs - BoundUs - AllowanceUs <= LatenessUs;
}

/// <summary>Acts with an old token that came late because the killer was frozen: P3. The resource refused them all.</summary>
/// <param name="AfterThawUs">Of the last one; negative: before the thaw.</param>
public sealed record LateActs(int Round, string Service, string Machine, long Token, int Count, long AfterThawUs);

/// <summary>All that the checker found.</summary>
public sealed record Verdict
{
    public ImmutableArray<Violation> Violations { get; init; } = [];

    public ImmutableArray<Takeover> Takeovers { get; init; } = [];

    public ImmutableArray<BoundMiss> Misses { get; init; } = [];

    public ImmutableArray<LateActs> Late { get; init; } = [];

    /// <summary>Commands that ended with 0, and confirmed reads: what could have been lost, and where it would have been missed.</summary>
    public int Acknowledged { get; init; }

    public int Reads { get; init; }

    public long Acts { get; init; }

    /// <summary>Services × time, µs: in all, and while P4 owed a master. Without the second the first proves nothing.</summary>
    public long WatchedUs { get; init; }

    public long OwedUs { get; init; }

    public ImmutableArray<RoundStarted> Rounds { get; init; } = [];
}
