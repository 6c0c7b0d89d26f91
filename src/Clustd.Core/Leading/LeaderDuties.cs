using System.Collections.Immutable;
using Clustd.Core.Cluster;
using Clustd.Core.Raft;

namespace Clustd.Core.Leading;

/// <summary>What this machine does while it leads: opens and ends sessions, confirms stamps, defines services, places them. Decides only when rule 6 allows.</summary>
internal sealed class LeaderDuties(MachineSettings settings, Raft.Raft raft, Replica replica, AnnouncedLevels levels, List<Output> outputs)
{
    private readonly Sessions _sessions = new(settings.PlantedBug);

    // Asked for with every heartbeat: made once.
    private readonly Func<Session, Instant> _openedAt = replica.OpenedAt;
    private readonly Func<long, Instant> _appliedAt = replica.AppliedAt;
    private readonly EchoesDue _echoes = new(settings.Self, new LeaseTiming(settings.Lease));
    private readonly SortedDictionary<MachineId, MachineReport> _reports = [];

    // By machine: what was applied here when it first asked for one.
    private readonly SortedDictionary<MachineId, long> _wantSession = [];
    private readonly SortedDictionary<ServiceName, string> _reasons = [];
    private Instant _placementWakeAt = Instant.Never;
    private bool _isPlacementDue;
    private bool _areDefinitionsDue = true;
    private string _servicesReason = "";

    public IReadOnlyDictionary<MachineId, MachineReport> Reports => _reports;

    /// <summary>The newest sentence about each service, "no action, because ..." included.</summary>
    public IReadOnlyDictionary<ServiceName, string> Reasons => _reasons;

    public void Elected(IReadOnlyList<VoterMemory> voters, long noOpIndex, Instant now)
    {
        replica.NoOpIndex = noOpIndex;
        _sessions.Elected(voters, now);
        _echoes.Elected();
        _reports.Clear();
        _reasons.Clear();
        _wantSession.Clear();
        _isPlacementDue = true;
        _areDefinitionsDue = true;
    }

    public void Deposed()
    {
        replica.NoOpIndex = long.MaxValue;
        _sessions.Deposed();
        _reports.Clear();
        _reasons.Clear();
        _wantSession.Clear();
        _placementWakeAt = Instant.Never;
    }

    /// <summary>Whether what a machine asks for is said by the daemon that holds its session now; without a session there is nothing to take up again.</summary>
    public bool IsPresentIncarnation(MachineId machine, ulong incarnation) =>
        replica.State.SessionOf(machine) is not { } session || _sessions.IsPresentIncarnation(session.Id, incarnation);

    /// <summary>A word of a daemon that has a successor already: nothing in it counts.</summary>
    public bool IsFormerIncarnation(Stamp stamp) => _sessions.IsFormerIncarnation(stamp);

    public long KnownReport(MachineId machine) => _reports.TryGetValue(machine, out var report) ? report.Version : 0;

    public ImmutableArray<SessionAge> Ages(Instant now) => _sessions.Ages(replica.State.SessionList, _openedAt, now);

    /// <summary>What this leader remembers as a voter at the beginning of a round (rule 5).</summary>
    public void AcknowledgeOwnRound(VoterAges ages)
    {
        foreach (var session in replica.State.SessionList)
        {
            ages.Remember(session.Id, _sessions.LastKnown(session, replica.OpenedAt(session)));
        }
    }

    /// <summary>A stamp that came before `round` begins. This leader's own comes by the same way.</summary>
    public void StampReceived(MachineId from, Stamp stamp, long round, Instant now)
    {
        if (stamp.Session == SessionId.None)
        {
            if (stamp.Incarnation != 0)
            {
                _wantSession.TryAdd(from, replica.State.AppliedIndex);
            }

            return;
        }

        if (!replica.State.Sessions.TryGetValue(stamp.Session, out var session) || session.Machine != from || IsDead(stamp.Session))
        {
            return;
        }

        _sessions.StampReceived(stamp, round, raft.Log.LastIndex, now);
        if (settings.PlantedBug.Is(PlantedBug.EchoWithoutRound))
        {
            SendConfirmed(session, long.MaxValue);
        }
    }

    public void ReportReceived(MachineId from, MachineReport report)
    {
        if (Running.ReadinessReport.IsOlder(report.Version, KnownReport(from)))
        {
            return; // It came by another way than the newer one.
        }

        levels.Announced(from, report.FeatureLevel);
        if (KnownReport(from) != report.Version)
        {
            _reports[from] = report;
            _isPlacementDue = true;
            _areDefinitionsDue = true;
        }
    }

    public void RoundConfirmed(long round, Instant now)
    {
        if (!replica.MayDecide)
        {
            return; // Rule 6. The stamps stay: a later round confirms them, too.
        }

        foreach (var session in replica.State.SessionList)
        {
            var incarnation = _sessions.IncarnationOf(session.Id);
            if (_echoes.IsDue(session, replica.State, incarnation, now) && SendConfirmed(session, round))
            {
                _echoes.Sent(session.Id, incarnation, now);
            }
        }
    }

    /// <summary>To be performed by whoever owns the holder: an echo to this machine itself.</summary>
    public Action<PeerBody.Echo>? EchoedHere { get; set; }

    /// <summary>To be set once: how an echo travels.</summary>
    public Action<MachineId, PeerBody>? SendTo { get; set; }

    public void ExtendBy(TimeSpan stall) => _sessions.ExtendBy(stall, replica.State.Sessions.Keys);

    public void Applied(LogEntry entry)
    {
        _isPlacementDue = true;
        // What the services should be depends on sessions, reports and definitions; these change none of them.
        _areDefinitionsDue |= entry.Command is not (Command.Assign or Command.ReportRunning or Command.ReportStarting or Command.ReportStuck or Command.RequestMove or Command.AbortMove
            or Command.ClearFailures);
        if (entry.Command is Command.EndSession end)
        {
            _sessions.Forget(end.Session);
            _echoes.Forget(end.Session);
        }
    }

    /// <summary>Proposes what is due. Sessions end at ticks only: by then the inbox is drained (rule 8).</summary>
    public void Decide(bool isTick, Instant now)
    {
        if (!replica.MayDecide)
        {
            return;
        }

        if (isTick)
        {
            EndSessions(now);
        }

        OpenSessions(now);
        RaiseLevel(now);
        if (_isPlacementDue || now >= _placementWakeAt)
        {
            _isPlacementDue = false;
            Place(now);
        }
    }

    public Instant WakeAt
    {
        get
        {
            if (!replica.MayDecide)
            {
                return Instant.Never;
            }

            var earliest = _placementWakeAt;
            foreach (var session in replica.State.SessionList)
            {
                if (!replica.IsEnding(session.Id) && !replica.IsGraceUnderWay(session.Id))
                {
                    earliest = Instant.Min(earliest, EndsAt(session));
                }
            }

            return earliest;
        }
    }

    public PlacementView ViewAt(Instant now) => new(
        replica.State,
        _reports,
        index => (settings.PlantedBug.Is(PlantedBug.NoKillWait) && replica.State.Services.Values.Any(service => service.Vacated?.Index == index))
            || (settings.PlantedBug.Is(PlantedBug.WaitOfFormerLeader) && index < replica.NoOpIndex)
            ? Instant.Origin
            : replica.AppliedAt(index),
        now);

    /// <summary>Rule 7: its end is in the log, so nothing of it is accepted or confirmed any more.</summary>
    private bool IsDead(SessionId session) => replica.IsEnding(session) && !settings.PlantedBug.Is(PlantedBug.StampsAfterEnd);

    private bool SendConfirmed(Session session, long round)
    {
        if (IsDead(session.Id) || _sessions.TakeConfirmed(session.Id, round) is not { } confirmed)
        {
            return false;
        }

        // Rule 12: the lease is the one written into the session.
        var echo = new PeerBody.Echo(raft.Term, session.Id, confirmed.Incarnation, confirmed.At, session.Lease, confirmed.Index);
        if (session.Machine == settings.Self)
        {
            EchoedHere?.Invoke(echo);
        }
        else
        {
            SendTo?.Invoke(session.Machine, echo);
        }

        return true;
    }

    private void EndSessions(Instant now)
    {
        foreach (var session in replica.State.SessionList)
        {
            if (now >= EndsAt(session) && !replica.IsEnding(session.Id) && !replica.IsGraceUnderWay(session.Id))
            {
                var silent = (now - _sessions.LastKnown(session, replica.OpenedAt(session))).TotalMilliseconds;
                var reason = session.Graces.IsEmpty
                    ? $"{session.Machine} was silent for {silent:F0} ms, longer than its lease of {session.Lease.TotalMilliseconds:F0} ms."
                    : $"{session.Machine} did not come back from its restart within {session.Graces.Values.Max(grace => grace.Duration).TotalSeconds:0.###} s.";
                raft.Propose(new Command.EndSession(session.Id, reason), now);
            }
        }
    }

    private Instant EndsAt(Session session)
    {
        if (settings.PlantedBug.Is(PlantedBug.GraceOfFormerLeader))
        {
            session = session with { Graces = session.Graces.RemoveRange(session.Graces.Values.Where(grace => grace.Index < replica.NoOpIndex).Select(grace => grace.Id)) };
        }

        return _sessions.EndsAt(session, replica.OpenedAt(session), _appliedAt);
    }

    private void OpenSessions(Instant now)
    {
        if (_wantSession.Count == 0)
        {
            return;
        }

        foreach (var (machine, asked) in _wantSession.ToList())
        {
            if (replica.State.SessionOf(machine) is not null || !raft.Members.TryGetValue(machine, out var member))
            {
                _wantSession.Remove(machine);
            }
            // Not before its own log has come so far: a machine that still works off what its disk was late with would apply the opening when the session is over
            // again, and open and end one after the other for as long as that lasts (campaign 1026733).
            else if (_reports.TryGetValue(machine, out var report) && !report.Leaving && !(raft.MatchIndexOf(machine) < asked)
                && !replica.UnderWay.Any(command => command is Command.OpenSession open && open.Machine == machine))
            {
                raft.Propose(new Command.OpenSession(machine, member.Store, settings.Lease), now);
            }
        }
    }

    /// <summary>Only when every member is here and can do it; whoever is away might come back as an older version, and could not read the log any more.</summary>
    private void RaiseLevel(Instant now)
    {
        if (replica.State.FeatureLevel < settings.FeatureLevel
            && levels.Common(raft, now) is var common && common > replica.State.FeatureLevel
            && !replica.UnderWay.Any(command => command is Command.SetFeatureLevel))
        {
            raft.Propose(new Command.SetFeatureLevel(common), now);
        }
    }

    private void Place(Instant now)
    {
        var underWay = replica.UnderWay.ToList();
        if (underWay.Any(command => command is Command.EndSession or Command.OpenSession or Command.DefineServices or Command.SetDrain or Command.SetPause))
        {
            _isPlacementDue = true; // Decided anew as soon as these are applied.
            _placementWakeAt = Instant.Never; // What is over already would wake this machine again and again until then.
            return;
        }

        var view = ViewAt(now);
        if (!AreServicesDefined(view, now))
        {
            _isPlacementDue = true;
            _placementWakeAt = Instant.Never;
            return;
        }

        var concerned = new SortedSet<ServiceName>(underWay.Select(Concerned).OfType<ServiceName>());
        var decisions = Placement.Decide(view, out _placementWakeAt);
        foreach (var decision in decisions)
        {
            if (!_reasons.TryGetValue(decision.Service, out var before) || before != decision.Reason)
            {
                _reasons[decision.Service] = decision.Reason;
                outputs.Add(new Output.Noted(Severity.Debug, "decision", decision.Reason, decision.Service)); // What comes of it is an event of its own.
            }

            if (decision.Command is not null && !concerned.Contains(decision.Service))
            {
                raft.Propose(decision.Command, now);
            }
        }

        if (_reasons.Count == replica.State.Services.Count)
        {
            return; // Each service that there is has a reason, so nothing is left over.
        }

        foreach (var gone in _reasons.Keys.Where(service => !replica.State.Services.ContainsKey(service)).ToList())
        {
            _reasons.Remove(gone);
        }
    }

    /// <summary>False while the definition is on its way or still waited for: placement would decide on what is about to change.</summary>
    private bool AreServicesDefined(PlacementView view, Instant now)
    {
        // Machines that are just starting get the chance to say what they name, before a first guess makes them move.
        if (replica.State.Services.IsEmpty && replica.State.Sessions.Count < replica.State.Members.Count && _sessions.LedFor(now) < settings.Lease)
        {
            return false;
        }

        if (!_areDefinitionsDue)
        {
            return true; // As it was the last time, and nothing that it depends on has changed.
        }

        var decision = Placement.DefineServices(view);
        _areDefinitionsDue = decision.Command is not null;
        if (decision.Reason != _servicesReason)
        {
            _servicesReason = decision.Reason;
            outputs.Add(new Output.Noted(decision.Command is null ? Severity.Debug : Severity.Information, "services", decision.Reason));
        }

        if (decision.Command is null)
        {
            return true;
        }

        raft.Propose(decision.Command, now);
        return false;
    }

    // The service that a command under way is about, if it may change what is decided about it.
    private static ServiceName? Concerned(Command command) => command switch
    {
        Command.Assign assign => assign.Service,
        Command.ReportRunning running => running.Service,
        Command.ReportStarting starting => starting.Service,
        Command.ReportStuck stuck => stuck.Service,
        Command.Release release => release.Service,
        Command.RequestMove move => move.Service,
        Command.AbortMove abort => abort.Service,
        Command.ClearFailures clear => clear.Service,
        _ => null,
    };
}
