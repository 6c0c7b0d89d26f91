namespace Clustd.Core.Running;

/// <summary>A trigger that the driver has not answered yet.</summary>
internal readonly record struct CallUnderWay(long Sequence, bool IsMaster, Token Token, Instant SentAt, TimeSpan Limit, bool Kill);

/// <summary>
/// What one driver instance was told about one service, and what it owes. Invariant: at most one call is under way; the next goes out only
/// after the answer, or after the connection was lost.
/// </summary>
/// <param name="owingChanged">Told +1 and -1 as a stop comes to be owed and is no longer.</param>
internal sealed class DriverCalls(Action<int> owingChanged)
{
    public CallUnderWay? UnderWay { get; private set; }

    /// <summary>The level the driver has acknowledged last; null when nobody knows.</summary>
    public bool? Acknowledged { get; private set; }

    /// <summary>
    /// When it registered a start or stop of what it owes was in flight, or had failed, and it was told nothing since. It may be running; only its answer, to its
    /// level told again, says whether it is.
    /// </summary>
    public bool IsUnsettled { get; private set; }

    /// <summary>It was told to start, and neither acknowledged `false` since nor was proven stopped. What it started may be there until its lease is over.</summary>
    public bool Owes
    {
        get;
        private set
        {
            if (field != value)
            {
                field = value;
                owingChanged(value ? 1 : -1);
            }
        }
    }

    /// <summary>Token of the newest start.</summary>
    public Token RunToken { get; private set; } = Token.None;

    /// <summary>The local run that the newest start belonged to; zero: known only from the driver's own word.</summary>
    public long RunNumber { get; private set; }

    /// <summary>kill_timeout of the assignment under which it was started (rule 12); null: known only from the driver's own word.</summary>
    public TimeSpan? KillTimeout { get; private set; }

    /// <summary>A stop failed or hung after the newest start.</summary>
    public bool StopFailed { get; set; }

    /// <summary>Error of the last call, null after an acknowledgement.</summary>
    public string? Error { get; private set; }

    /// <summary>Since when it is this driver's turn to start.</summary>
    public Instant? DueSince { get; set; }

    /// <summary>The run in which the driver gave up or was too late; it is noted once.</summary>
    public long NotedRun { get; set; }

    /// <summary>The run in which the driver reported a failure of what it ran.</summary>
    public long GaveUpRun { get; set; }

    /// <summary>When a stop that was demanded at once is late; null while none is demanded.</summary>
    public Instant? KillDueAt { get; set; }

    private bool CancelSent { get; set; }

    // How often it was started under RunToken. A guard's proof that comes late may speak of an earlier start under the same token.
    private int Starts { get; set; }

    private Token ProvenToken { get; set; } = Token.None;

    // The call that failed on this connection is not repeated on it; a reconnect tries again.
    private (bool IsMaster, Token Token, bool Kill)? FailedCall { get; set; }

    public bool IsRunningIn(LocalRun run) => Owes && UnderWay is null && Acknowledged == true && RunNumber == run.Number;

    public bool HasFailed(bool isMaster, Token token, bool kill) => FailedCall == (isMaster, token, kill);

    public void Told(CallUnderWay call, long runNumber, TimeSpan killTimeout)
    {
        if (UnderWay is not null)
        {
            throw new System.Diagnostics.UnreachableException($"Call {call.Sequence} would overtake call {UnderWay.Value.Sequence}.");
        }

        UnderWay = call;
        CancelSent = false;
        IsUnsettled = false;
        if (!call.IsMaster)
        {
            return;
        }

        Starts = Owes || RunToken == call.Token ? Starts + 1 : 1;
        Owes = true;
        RunToken = call.Token;
        RunNumber = runNumber;
        KillTimeout = killTimeout;
        Acknowledged = null;
        GaveUpRun = 0;
        KillDueAt = null;
    }

    /// <summary>True once per call.</summary>
    public bool Cancel()
    {
        var first = !CancelSent;
        CancelSent = true;
        return first;
    }

    /// <summary>Null when the answer is not to the call under way.</summary>
    public CallUnderWay? Answered(long sequence, string? error)
    {
        if (UnderWay is not { } call || call.Sequence != sequence)
        {
            return null;
        }

        UnderWay = null;
        DueSince = null;
        if (error is null)
        {
            Error = null;
            FailedCall = null;
            Acknowledged = call.IsMaster;
            StopFailed = false;
            if (!call.IsMaster)
            {
                Settle();
            }
        }
        else
        {
            Acknowledged = null;
            Error = error;
            // A cancelled start fails because we asked it to: no failure of the driver's.
            FailedCall = call.IsMaster && CancelSent ? null : (call.IsMaster, call.Token, call.Kill);
            StopFailed |= !call.IsMaster && Owes;
        }

        return call;
    }

    /// <summary>The guard's word that nothing is left of this token. True when it counts as a stop.</summary>
    public bool Proven(Token token, bool connected)
    {
        ProvenToken = token > ProvenToken ? token : ProvenToken;
        if (!connected || UnderWay is { IsMaster: false })
        {
            return AcceptProof();
        }

        // A driver that lives and was not told to stop may bring up again what the guard has just seen end. Or it has stopped by itself, because its own
        // lease was over while ours was not (a daemon that was frozen for a while). Told its level again, it says which, and starts what it stopped.
        if (UnderWay is null && Owes && token >= RunToken)
        {
            Acknowledged = null;
        }

        return false;
    }

    /// <summary>The connection is gone, and with it the call under way: what it did is unknown.</summary>
    public void ConnectionLost()
    {
        // Levels are told again on the next connection, unless the driver says that it is there already.
        Acknowledged = null;
        IsUnsettled = false;
        UnderWay = null;
        FailedCall = null;
        DueSince = null;
        KillDueAt = null;
        AcceptProof();
    }

    /// <summary>The driver's own word at registration of what it may be running, or has stopped.</summary>
    public void Claimed(bool isMaster, Token token, bool unsettled)
    {
        IsUnsettled = isMaster && unsettled;
        if (isMaster)
        {
            if (!Owes || RunToken != token)
            {
                RunNumber = 0;
                KillTimeout = null;
                Starts = 1;
            }

            Owes = true;
            RunToken = token;
            Acknowledged = unsettled ? null : true;
        }
        else if (!Owes)
        {
            // Where our own record says that it was started, its word is not enough: it is told `false` again.
            Acknowledged = false;
        }
        else
        {
            Acknowledged = null;
        }
    }

    /// <summary>
    /// It says nothing of this service, and a former incarnation of this daemon may have told it to start: half-done starts are nothing that a driver
    /// could claim. It is told `false` before anything else.
    /// </summary>
    public void MayHaveStarted()
    {
        if (!Owes)
        {
            Owes = true;
            RunToken = Token.None;
            RunNumber = 0;
            Starts = 0;
        }
    }

    /// <summary>What it said it runs is what is to run here.</summary>
    public void AdoptedBy(LocalRun run)
    {
        RunNumber = run.Number;
        KillTimeout = run.KillTimeout;
    }

    private bool AcceptProof()
    {
        if (!Owes || ProvenToken < RunToken || Starts != 1)
        {
            return false;
        }

        Settle();
        Acknowledged = null; // its processes are gone; whether the driver knows is another matter, so it is still told
        return true;
    }

    private void Settle()
    {
        Owes = false;
        IsUnsettled = false;
        StopFailed = false;
        KillDueAt = null;
        ProvenToken = Token.None;
    }
}
