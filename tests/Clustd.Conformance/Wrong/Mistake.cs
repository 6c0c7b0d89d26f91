namespace Clustd.Conformance.Wrong;

/// <summary>What a driver can do wrong. Each is noticed by a rule: WrongDriverTests says by which.</summary>
public enum Mistake
{
    /// <summary>It obeys every rule that is tried on it.</summary>
    None,

    /// <summary>Shows that it knows the secret to whoever asks.</summary>
    TrustsAnyone,

    /// <summary>Makes its nonce once.</summary>
    KeepsItsNonce,

    /// <summary>Comes back as if nothing ran.</summary>
    ForgetsWhatRuns,

    /// <summary>Says that it runs while it cannot tell.</summary>
    ClaimsToBeSettled,

    /// <summary>Stops when the connection is lost.</summary>
    TakesALossForAStop,

    /// <summary>Counts the lease from when it reads the answer.</summary>
    CountsFromReading,

    /// <summary>Takes what arrives last for what was said last.</summary>
    TakesAnyAnswer,

    /// <summary>Reads a daemon that cannot tell as one that has said no.</summary>
    ReadsNullAsNothing,

    /// <summary>Lets a slow answer shorten the lease.</summary>
    MovesTheEndBack,

    /// <summary>Begins a start without a lease.</summary>
    StartsWithoutALease,

    /// <summary>Waits for a daemon that is silent.</summary>
    WaitsForTheSilent,

    /// <summary>Stops only when it is told to.</summary>
    NeverStopsByItself,

    /// <summary>Keeps its own stop to itself.</summary>
    NeverTellsThatItStopped,

    /// <summary>Hopes that a stop returns.</summary>
    HasNoWatchdog,

    /// <summary>Calls the deadline off when it gets a new lease.</summary>
    ForgetsTheDeadline,

    /// <summary>Takes the limit that it was told last, although others count on a shorter one.</summary>
    BelievesTheLongerLimit,

    /// <summary>Begins what it is told beside what it does already.</summary>
    DoesTwoThingsAtOnce,

    /// <summary>Answers when it has begun.</summary>
    AnswersTooEarly,

    /// <summary>Does again what it has done.</summary>
    DoesItAgain,

    /// <summary>Starts again what has failed.</summary>
    RetriesAFailedStart,

    /// <summary>Starts for any token.</summary>
    TakesOldTokens,

    /// <summary>Does not say who must be off first.</summary>
    ForgetsWhomToFence,

    /// <summary>Does not give up a start.</summary>
    DoesNotCancel,

    /// <summary>Takes its time although nobody waits.</summary>
    NeverHurries,

    /// <summary>Answers nothing that it does not know.</summary>
    KeepsSilentAboutTheUnknown,

    /// <summary>Lets nonsense pass.</summary>
    SwallowsNonsense,

    /// <summary>Comes back at once, always.</summary>
    HammersTheDaemon,
}
