using Clustd.Core.Cluster;

namespace Clustd.Core.Running;

/// <summary>Where a run is heading.</summary>
internal enum RunIntent
{
    Run,

    /// <summary>A move was asked for: if the stop fails, the service goes on here.</summary>
    StopForMove,

    /// <summary>Something required failed.</summary>
    StopAfterFailure,
    StopForGoodbye,
}

/// <summary>See <see cref="LocalService.Trace"/>.</summary>
internal readonly record struct LocalRunTrace(
    long Number, RunIntent Intent, bool IsRunning, bool ReleaseWanted, Instant PromoteSince, Instant StopSince, Instant? KillSince, long AbortedIndex, int Started);

/// <summary>
/// One attempt of this machine to be master of a service: from the moment its assignment and its hold are both there until one of them is gone.
/// A hold that lapses and comes back begins another run, even under the same token.
/// </summary>
internal sealed class LocalRun(long number, Assignment assignment, bool inherited, bool adoptsRunning, Instant begunAt)
{
    public long Number { get; } = number;

    public Token Token { get; } = assignment.Token;

    public TimeSpan KillTimeout { get; } = assignment.KillTimeout;

    /// <summary>The assignment may date from before this daemon's start: drivers of a former incarnation may still run it (rule 14).</summary>
    public bool Inherited { get; } = inherited;

    public RunIntent Intent { get; private set; } = RunIntent.Run;

    /// <summary>Since when it is promoted, or promoted again after a stop that failed.</summary>
    public Instant PromoteSince { get; set; } = begunAt;

    public bool IsRunning { get; set; } = adoptsRunning;

    /// <summary>Required drivers that have started in this run: only those can be lost to it.</summary>
    public SortedSet<DriverName> Started { get; } = [];

    /// <summary>It ended because this daemon was away for longer than its drivers' lease: released, but not held against the service here.</summary>
    public bool IsAbsence { get; set; }

    public Instant StopSince { get; private set; }

    /// <summary>Since when all drivers are told to stop at once; null while order is kept.</summary>
    public Instant? KillSince { get; private set; }

    public string StopReason { get; private set; } = "";

    public string? FailureReason { get; private set; }

    /// <summary>SinceIndex of the Stopping state whose stop failed: until that state is gone, the move is being aborted.</summary>
    public long AbortedIndex { get; private set; } = -1;

    public string AbortReason { get; private set; } = "";

    /// <summary>Release was asked for, so it may be applied at any time: from here on nothing may start in this run.</summary>
    public bool ReleaseWanted { get; set; }

    public bool StuckNoted { get; set; }

    public LocalRunTrace Trace => new(Number, Intent, IsRunning, ReleaseWanted, PromoteSince, StopSince, KillSince, AbortedIndex, Started.Count);

    public void Stop(RunIntent intent, string reason, Instant now)
    {
        if (Intent == RunIntent.Run)
        {
            StopSince = now; // a stop that is under way keeps its limit when its reason changes
        }

        Intent = intent;
        StopReason = reason;
        FailureReason = intent == RunIntent.StopAfterFailure ? reason : FailureReason;
        IsRunning = false;
    }

    public void Kill(Instant now) => KillSince ??= now;

    public void Abort(long sinceIndex, string reason, Instant now)
    {
        AbortedIndex = sinceIndex;
        AbortReason = reason;
        Resume(now);
    }

    public void Resume(Instant now)
    {
        Intent = RunIntent.Run;
        PromoteSince = now;
    }
}
