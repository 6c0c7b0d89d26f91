using Clustd.Core.Cluster;

namespace Clustd.Core.Running;

/// <summary>See <see cref="LocalService.Trace"/>.</summary>
internal readonly record struct LocalServiceTrace(LocalPhase Phase, string Reason, Token Token, Token Begun, LocalRunTrace? Run);

/// <summary>This machine's part in one service: begins and ends runs as assignment and hold come and go, and stops what must not run.</summary>
internal sealed class LocalService(ServiceName name)
{
    private LocalRun? _run;
    private Token _inheritedToken = Token.None;
    private Token _begunToken = Token.None;

    // Asked for and not yet seen applied: it may come true at any time, so nothing may ever start under its token again.
    private Command.Release? _release;

    // The newest that was given back without ever having begun; so were all before it: see Refuse.
    private Command.Release? _refused;

    public ServiceName Name { get; } = name;

    public LocalPhase Phase { get; private set; } = LocalPhase.Standby;

    public string Reason { get; private set; } = "";

    public Token Token { get; private set; } = Token.None;

    /// <summary>The run whose drivers are acting or being stopped in good order.</summary>
    public LocalRun? Run => _run;

    /// <summary>When time alone changes what was found here; until then, only what this service is marked for does.</summary>
    public Deadlines Deadlines { get; } = new();

    /// <summary>What it wants in the log, as found last.</summary>
    public IReadOnlyList<Command> Wants { get; set; } = [];

    /// <summary>Nothing runs or may run here, as found last.</summary>
    public bool IsEmpty { get; set; }

    /// <summary>A driver may run it here, as found last. Not so is what nobody has told of yet, after a start of the daemon.</summary>
    public bool MayRunHere { get; set; }

    /// <summary>What bounds that after the end of the lease: as it was granted, whatever is defined meanwhile (rule 12).</summary>
    public TimeSpan KillTimeout { get; set; }

    /// <summary>All that a pass may leave for the next one: when two in a row leave the same, and nothing was said, a third would change nothing.</summary>
    public LocalServiceTrace Trace => new(Phase, Reason, Token, _begunToken, _run?.Trace);

    /// <summary>Something may run here: what IsEmpty asks.</summary>
    public bool MayRun(Moment moment)
    {
        foreach (var instance in moment.Instances)
        {
            if (moment.MayRun(instance, Name))
            {
                return true;
            }
        }

        return false;
    }

    /// <summary>
    /// Gives back what this machine was granted and has not applied, because its disk does not answer: from here on nothing ever starts under this token, so
    /// whoever can may take it over at once. Whoever calls knows that no former daemon of this machine can have applied it either. True if that is news.
    /// </summary>
    public bool Refuse(Token token, string reason)
    {
        if (token <= _refused?.Token)
        {
            return false;
        }

        _refused = new Command.Release(Name, token, reason, false);
        return true;
    }

    // What is applied here may lag behind: a token that was given back some grants ago may only now become this machine's (campaign 111255: two masters).
    private bool IsRefused(Token token) => token <= _refused?.Token;

    /// <summary>What was given back is not applied here yet. Forgotten now, it would be begun when it is.</summary>
    public bool IsRefusedAhead(ClusterState state) => state.LastTokenOf(Name) < _refused?.Token;

    /// <summary>What this driver runs for this service is to end now, so its lease is not renewed.</summary>
    public bool Starves(DriverCalls calls) =>
        (calls.Owes || calls.UnderWay is { IsMaster: true })
        && (_run is null || (calls.RunNumber != _run.Number && !IsAdoptable(calls)) || _run.KillSince is not null || _run.ReleaseWanted);

    public void Reconcile(Moment moment, bool lapsed, Instant freshUntil, long storedLastIndex, Func<long> nextRun)
    {
        var service = moment.State.Services.GetValueOrDefault(Name);
        var mine = service?.Assignment is { } assignment && assignment.Machine == moment.Settings.Self ? assignment : null;
        var held = mine is not null && moment.Hold.IsHeld(moment.Now) && mine.Session == moment.Hold.Session;
        if (_run is not null && (!held || lapsed || _run.Token != mine!.Token))
        {
            EndRun(moment, mine, held, lapsed);
        }

        if (IsRefusedAhead(moment.State))
        {
            moment.Wanted.Add(_refused!);
        }
        else if (mine is not null && IsRefused(mine.Token))
        {
            moment.Wanted.Add(_refused! with { Token = mine.Token });
        }

        if (_run is null && held && !moment.IsRestarting && mine!.Token != _release?.Token && !IsRefused(mine.Token))
        {
            Begin(moment, mine, freshUntil, storedLastIndex, nextRun());
        }

        Adopt(moment);
        if (_run is null)
        {
            StandBy(moment, service, mine, freshUntil);
            return;
        }

        ChooseIntent(moment, mine!);
        if (_run.Intent == RunIntent.Run)
        {
            Set(new Promotion(this, _run, moment, mine!, freshUntil).Advance());
        }

        // A promotion that has just failed begins its stop in the same step: nobody waits for a tick.
        if (_run.Intent != RunIntent.Run)
        {
            Set(new Demotion(this, _run, moment, mine!, freshUntil).Advance());
            if (_run.Intent == RunIntent.Run)
            {
                Set(new Promotion(this, _run, moment, mine!, freshUntil).Advance());
            }
        }
    }

    /// <summary>The active driver gave up what it ran under this token.</summary>
    public void DriverFailed(DriverInstance instance, bool required, Token token, string reason, Instant now)
    {
        if (_run is null || _run.Token != token || !instance.Calls.TryGetValue(Name, out var calls) || calls.RunNumber != _run.Number)
        {
            return;
        }

        calls.GaveUpRun = _run.Number;
        if (required && _run.Intent is RunIntent.Run or RunIntent.StopForMove)
        {
            _run.Stop(RunIntent.StopAfterFailure, reason, now);
        }
    }

    /// <summary>Tells every driver that owes a stop to stop at once. Returns the instances that may still run, stuck ones apart.</summary>
    public (List<DriverInstance> Left, List<DriverInstance> Stuck) StopAtOnce(Moment moment, string reason, Func<DriverCalls, bool> which)
    {
        var left = new List<DriverInstance>();
        var stuck = new List<DriverInstance>();
        foreach (var instance in moment.Instances)
        {
            if (!instance.Calls.TryGetValue(Name, out var calls) || !calls.Owes || !which(calls))
            {
                continue;
            }

            var killTimeout = calls.KillTimeout ?? moment.KillTimeoutOf(Name);
            moment.DemandStop(instance, Name, calls.RunToken, reason, killTimeout, kill: true);
            if (!moment.MayRun(instance, Name))
            {
                continue;
            }

            // Not certain: once its limit is over, or it has said that it cannot, nothing but its own word tells that it has stopped.
            if (instance.GraceAfterLease(calls, killTimeout, moment.Guard) is null
                && (calls.HasFailed(isMaster: false, calls.RunToken, kill: true) || (!instance.IsConnected && calls.StopFailed)
                    || (calls.KillDueAt is { } due && moment.IsOver(due))))
            {
                calls.StopFailed = true;
                stuck.Add(instance);
            }
            else
            {
                left.Add(instance);
            }
        }

        return (left, stuck);
    }

    // Half done is adopted as well, but is not running before the driver says so: told to start again, it answers when its start has ended.
    private static bool IsAdoptable(DriverCalls calls, Token token) =>
        calls.Owes && calls.RunNumber == 0 && calls.RunToken == token && (calls.Acknowledged == true || calls.IsUnsettled);

    private bool IsAdoptable(DriverCalls calls) => _run is { Intent: RunIntent.Run } && IsAdoptable(calls, _run.Token);

    private void EndRun(Moment moment, Assignment? mine, bool held, bool lapsed)
    {
        var run = _run!;
        _run = null;
        var why = mine is null || mine.Token != run.Token ? "is no longer assigned here"
            : lapsed || !held ? "must stop: the lease of this machine is over"
            : "must stop";
        Reason = $"'{Name}' (token {run.Token}) {why}.";
        if (MayRun(moment))
        {
            moment.Note(Severity.Warning, "service-killed", $"{Reason} All its drivers stop at once, within {Words(run.KillTimeout)}.", Name);
        }
    }

    private void Begin(Moment moment, Assignment mine, Instant freshUntil, long storedLastIndex, long number)
    {
        // Before this daemon's start nobody here could act on an entry that its log did not hold yet.
        var dates = mine.Session.Value > storedLastIndex || (mine is { State: AssignmentState.Starting, IsResumed: false } && mine.SinceIndex > storedLastIndex);
        var inherited = moment.Now < freshUntil && !dates && _begunToken != mine.Token;
        if (inherited)
        {
            _inheritedToken = mine.Token;
        }

        _begunToken = mine.Token;
        var adoptsRunning = inherited && mine.State == AssignmentState.Running;
        _run = new LocalRun(number, mine, inherited || _inheritedToken == mine.Token, adoptsRunning, moment.Now);
        moment.Note(Severity.Information, "service-assigned", $"'{Name}' is assigned to this machine with token {mine.Token}: {mine.Reason}", Name);
    }

    private void Adopt(Moment moment)
    {
        if (_run is not { } run)
        {
            return;
        }

        foreach (var instance in moment.Instances)
        {
            if (instance.Calls.TryGetValue(Name, out var calls) && moment.IsActive(instance) && IsAdoptable(calls))
            {
                calls.AdoptedBy(run);
                moment.Note(Severity.Information, "driver-adopted", calls.IsUnsettled
                    ? $"Driver {instance.Name} may run '{Name}' under token {run.Token}, and cannot say yet: it is told its state again."
                    : $"Driver {instance.Name} already runs '{Name}' under token {run.Token}: it carries on untouched.", Name);
            }
        }
    }

    private void ChooseIntent(Moment moment, Assignment mine)
    {
        var run = _run!;
        if (run.ReleaseWanted)
        {
            return;
        }

        if (moment.LeavingReason is { } leaving && run.Intent is RunIntent.Run or RunIntent.StopForMove)
        {
            run.Stop(RunIntent.StopForGoodbye, leaving, moment.Now);
        }
        else if (mine.State == AssignmentState.Stuck && run.Intent is RunIntent.Run or RunIntent.StopForMove)
        {
            run.Stop(RunIntent.StopAfterFailure, $"its stop had failed: {mine.Reason}", moment.Now);
        }
        else if (mine.State == AssignmentState.Stopping && run.Intent == RunIntent.Run && mine.SinceIndex != run.AbortedIndex)
        {
            run.Stop(RunIntent.StopForMove, mine.Reason, moment.Now);
            moment.Note(Severity.Information, "service-stopping", $"'{Name}' stops here in good order: {mine.Reason}", Name);
        }
        else if (mine.State != AssignmentState.Stopping && run.Intent == RunIntent.StopForMove)
        {
            run.Resume(moment.Now);
        }
    }

    // Nothing is to run: what still does stops at once, everybody else is told `false` when it comes.
    private void StandBy(Moment moment, ServiceState? service, Assignment? mine, Instant freshUntil)
    {
        // P5: the session may yet be taken up, and what runs under its token adopted. Whoever claims an older token than is known stops now, and so does whoever
        // claims the newest one when it is known not to be assigned here any more: left alone, it was taken for gone, and released while it ran (seed 186).
        bool MayBeAdopted(DriverCalls calls) =>
            moment.CannotTell && IsAdoptable(calls, calls.RunToken) && (calls.RunToken > moment.State.LastTokenOf(Name) || calls.RunToken == mine?.Token);
        var (left, stuck) = StopAtOnce(moment, Reason.Length > 0 ? Reason : $"'{Name}' is not to run on this machine.", calls => !MayBeAdopted(calls));
        TellStandby(moment, _ => true, service is null ? Token.None : moment.State.LastTokenOf(Name));
        Token = Token.None;
        if (stuck.Count > 0)
        {
            var reason = StuckReason(stuck);
            Phase = LocalPhase.Stuck;
            Reason = reason;
            if (mine is not null && mine.State != AssignmentState.Stuck && moment.DefinitionOf(Name).OnStopFailure == OnStopFailure.Block)
            {
                moment.Wanted.Add(new Command.ReportStuck(Name, mine.Token, reason));
            }

            return;
        }

        if (left.Count > 0)
        {
            Phase = LocalPhase.Demoting;
            return;
        }

        Phase = LocalPhase.Standby;
        ReleaseWhatIsOver(moment, service, mine, freshUntil);
    }

    // Rule 11: Release of the vacated token ends the others' wait. Rule 14: what a former incarnation was granted is over only by time.
    private void ReleaseWhatIsOver(Moment moment, ServiceState? service, Assignment? mine, Instant freshUntil)
    {
        if (mine is not null && _release is { } release && release.Token == mine.Token)
        {
            moment.Wanted.Add(release);
            return;
        }

        var token = service?.Vacated is { } vacated && vacated.Machine == moment.Settings.Self ? vacated.Token
            : mine is not null && moment.LeavingReason is not null ? mine.Token
            : Token.None;
        var isBroken = moment.Settings.PlantedBug.Is(PlantedBug.ReleasedAtStart);
        var proven = (_begunToken == token && _inheritedToken != token) || isBroken;
        // Rule 14 once more, whoever was left out above: nothing is over while something may run.
        if (token != Token.None && (isBroken || !MayRun(moment)) && (proven || moment.IsOver(freshUntil)))
        {
            WantRelease(moment, new Command.Release(Name, token, $"The lease was over; all that ran '{Name}' on this machine has stopped.", false));
        }
    }

    /// <summary>A driver that comes is told its state at once, `false` included: a clean slate for start and stop scripts.</summary>
    public void TellStandby(Moment moment, Func<DriverInstance, bool> which, Token token)
    {
        foreach (var instance in moment.Instances)
        {
            if (instance.Answerable && instance.Follows(Name, moment.State) && which(instance) && !instance.CallsOf(Name).Owes
                && instance.CallsOf(Name).UnderWay is not { IsMaster: true })
            {
                moment.DemandStop(instance, Name, token, $"'{Name}' is not to run here now.", moment.DefinitionOf(Name).StopTimeout, kill: false);
            }
        }
    }

    /// <summary>Asks again for the release that was asked for, and returns its reason.</summary>
    public string RepeatRelease(Moment moment)
    {
        var release = _release ?? throw new System.Diagnostics.UnreachableException($"'{Name}' was to be released, and nobody asked for it.");
        moment.Wanted.Add(release);
        return release.Reason;
    }

    public void WantRelease(Moment moment, Command.Release release)
    {
        _release = release;
        moment.Wanted.Add(release);
    }

    public static string StuckReason(List<DriverInstance> stuck) =>
        $"Driver {string.Join(", ", stuck.Select(instance => instance.Name).Distinct())} did not stop, and nothing else proves that what it runs is gone. " +
        "Stop it by hand, then restart the driver: its acknowledgement ends this.";

    public static string Words(TimeSpan duration) => FormattableString.Invariant($"{duration.TotalSeconds:0.###} s");

    private void Set((LocalPhase Phase, string Reason) step)
    {
        Phase = step.Phase;
        Reason = step.Reason;
        Token = _run!.Token;
    }
}
