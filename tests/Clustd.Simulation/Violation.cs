namespace Clustd.Simulation;

/// <summary>An invariant does not hold: the run ends here.</summary>
internal sealed class ViolationException(string invariant, string sentence) : Exception($"{invariant}: {sentence}")
{
    public string Invariant { get; } = invariant;
}

/// <summary>The invariants by number and name. Ix are of consensus (Ongaro, figure 3.2), Px are the promises of the README.</summary>
internal static class Invariant
{
    public const string NoCrash = "I0 the core does not break";
    public const string ElectionSafety = "I1 election safety: at most one leader per term";
    public const string LeaderAppendOnly = "I2 a leader never overwrites or deletes entries of its own log";
    public const string LogMatching = "I3 log matching: same index and term, same log up to there";
    public const string LeaderCompleteness = "I4 leader completeness: what was committed is in the log of every later leader";
    public const string StateMachineSafety = "I5 state machine safety: same applied index, same state";
    public const string DurableBeforeSent = "I6 what a message promises is durable before it leaves, and after a crash";
    public const string CommittedIsDurable = "I7 committed means durable on a majority of voters";
    public const string CommitsOwnTerm = "I7a a leader commits by way of an entry of its own term only";
    public const string MembershipStepwise = "I8 members change by one voter at a time, each change only when the one before and an entry of the leader's own term are committed";
    public const string DurableBeforeApplied = "I9 what a machine applies is on its own disk";
    public const string TokensGrow = "P1 tokens strictly grow, and each has one holder";
    public const string OneMaster = "P2 two masters never overlap";
    public const string NoReleaseWhileRunning = "P2a nothing is released while it runs";
    public const string OneInstance = "P2b one active instance per machine and driver";
    public const string MajorityHasMaster = "P4 a healthy majority has a master within the bound";
    public const string MinorityStops = "P4a without a quorum everything stops within the bound";
    public const string TwoVotersPart = "P4b of two voters, the one that says goodbye leaves the other one able to decide";
    public const string EverybodyVotesAgain = "P4c when faults stop, every machine becomes a voter again";
    public const string OneHump = "P4d leaders that come and go do not restart the wait for a lost master";
    public const string QuietIsStable = "P5 nothing fails over when nothing fails";
    public const string ReadsAreLinearizable = "L1 a confirmed read sees all that was decided before it began";
    public const string ReadsAreConfirmed = "L2 a healthy cluster confirms reads";
    public const string NothingTooNew = "F1 no machine gets a command beyond its feature level";
    public const string LevelRises = "F2 the feature level rises when all can do it, never before, and never falls";
    public const string FencedFirst = "F3 where fencing is required, nobody starts before whoever may still run it is fenced";
    public const string RestartIsFree = "P5a a restart within its grace stops, starts and moves nothing, and is over soon after";
    public const string LeaderChangeIsFree = "P5b a lost leader stops nothing on the others";
    public const string StallBlamesNobody = "P5c a leader that stalled ends no session of a machine that was well";
    public const string OneCallAtATime = "D1 a driver has one call per service at a time, in order";
    public const string PersistInOrder = "D2 persists are numbered in order";
}
