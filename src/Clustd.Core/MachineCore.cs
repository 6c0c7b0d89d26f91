using System.Collections.Immutable;
using System.Diagnostics;
using Clustd.Core.Cluster;
using Clustd.Core.Leading;
using Clustd.Core.Raft;
using Clustd.Core.Running;

namespace Clustd.Core;

/// <summary>
/// One machine's decisions, whole and pure: consensus, sessions, placement, local services. One loop owns it, feeds it inputs one at a
/// time and performs what it returns. The same class runs in the daemon and in the simulator.
/// </summary>
public sealed class MachineCore
{
    private readonly List<Output> _outputs = [];
    private readonly LeaseTiming _timing;
    private readonly Raft.Raft _raft;
    private readonly Replica _replica;
    private readonly HeartbeatCargo _cargo;
    private readonly SessionHolder _holder;
    private readonly LocalServices _local;
    private readonly LeaderDuties _duties;
    private readonly Requests _requests;
    private readonly Barriers _barriers;
    private readonly AnnouncedLevels _levels;
    private readonly Stalls _stalls;
    private readonly Forming _forming;
    private readonly Proposals _proposals;
    private readonly Departure _departure;
    private readonly Restart _restart;
    private readonly Membership _membership;
    private readonly long _storedLastIndex;
    private Instant _lastStepAt;
    private bool _hadHold;
    private bool _isTooNewNoted;

    public MachineCore(MachineSettings settings, StoredState stored, Instant now)
    {
        Settings = settings;
        Store = stored.Store;
        _timing = new LeaseTiming(settings.Lease);
        var random = new SeededRandom(settings.Seed);
        var incarnation = settings.PlantedBug.Is(PlantedBug.IncarnationLeftOut) ? 1 : settings.Incarnation;
        _holder = new SessionHolder(settings.Self, stored.Store, incarnation, settings.PlantedBug);
        _local = new LocalServices(settings, now)
        {
            StoredLastIndex = stored.LastIndex,
            FormerGraces = FormerLeases.GracesIn(stored, settings.Self),
            FormerKillTimeouts = FormerLeases.KillTimeoutsIn(stored),
        };
        _cargo = new HeartbeatCargo(settings, _holder, _local, now);
        _raft = new Raft.Raft(settings, stored, _cargo, random, _outputs, now);
        _replica = new Replica(_raft, stored.Snapshot, now, settings.SnapshotEvery, settings.PlantedBug);
        _levels = new AnnouncedLevels(settings);
        _duties = new LeaderDuties(settings, _raft, _replica, _levels, _outputs)
        {
            SendTo = (to, body) => _raft.Send(to, body),
            EchoedHere = echo => _holder.Echoed(echo, _replica.State),
        };
        _forming = new Forming(settings, stored.Store, _raft, _replica, _levels, random, _outputs);
        _membership = new Membership(settings, _raft, _replica, _duties, _forming);
        _requests = new Requests(settings, _raft, _replica, _duties, _membership, _levels, _outputs);
        _barriers = new Barriers(settings, _raft, _replica, _levels, _outputs);
        _stalls = new Stalls(settings, _raft, _duties, _outputs);
        _cargo.Replica = _replica;
        _cargo.Duties = _duties;
        _cargo.Requests = _requests;
        _cargo.Barriers = _barriers;
        _proposals = new Proposals(settings.Self, incarnation, _raft, _replica, _duties, _timing.Heartbeat * 2, settings.PlantedBug);
        _departure = new Departure(settings, _raft, _replica, _holder, _local, _outputs);
        _restart = new Restart(settings, _raft, _replica, _holder, _local, _outputs);
        _storedLastIndex = stored.LastIndex;
        _lastStepAt = now;
        WakeAt = now;
    }

    public MachineSettings Settings { get; }

    public StoreId Store { get; }

    /// <summary>When the core wants a <see cref="Input.Tick"/> at the latest.</summary>
    public Instant WakeAt { get; private set; }

    /// <summary>What the cluster has agreed on, as far as this machine has applied it.</summary>
    public ClusterState State => _replica.State;

    /// <summary>Until when this machine may act as master of what it is assigned.</summary>
    public SessionHold Hold => _holder.Hold;

    /// <summary>What may run here just now, and when it must be gone: for whoever enforces that from outside.</summary>
    public RunningHere RunningHere => new(_local.HeldUntil, _replica.State.SessionOf(Settings.Self)?.Lease ?? Settings.Lease, _local.MayRun, _local.AreEmpty);

    internal Raft.Raft Consensus => _raft;

    internal LocalServices Local => _local;

    /// <summary>Takes one input at `now` on this machine's clock and returns what is to be done, in order. The list is valid until the next call.</summary>
    /// <exception cref="UnreachableException">An invariant is broken, or the clock went back: the process must end. A restart is safe.</exception>
    public IReadOnlyList<Output> Step(Input input, Instant now)
    {
        if (now < _lastStepAt)
        {
            throw new UnreachableException($"The clock went back from {_lastStepAt} to {now}: it must be monotonic.");
        }

        _outputs.Clear();
        _raft.Relays.Now = now;
        NoticeStall(now);
        Take(input, now);
        Settle(input is Input.Tick, now);
        _lastStepAt = now;
        return _outputs;
    }

    /// <summary>What people and programs may see of this machine. Reads only.</summary>
    public MachineView View(Instant now) => new(
        Settings.Self,
        Store,
        _raft.Cluster,
        _forming.WaitsFor,
        _raft.Role,
        _raft.Term,
        _raft.Leader,
        [.. _raft.Members.Values],
        [.. _raft.Connected],
        _raft.IsLeader ? _raft.VotersHeard(now) : null,
        _raft.IsFormed && _raft.KnowsAsOf.Microseconds > 0 ? now - _raft.KnowsAsOf : null,
        _replica.State,
        _holder.Hold.IsHeld(now) ? _holder.Hold.Until - now : TimeSpan.Zero,
        [.. _local.View],
        [.. _local.DriverViews],
        [.. _duties.Reasons.Select(reason => (reason.Key, reason.Value))],
        _departure.IsLeaving)
    {
        Stalls = StallsKnown(),
        IsRestarting = _restart.IsRestarting,
        Graces =
        [
            .. _replica.State.Sessions.Values.SelectMany(session => session.Graces.Values.Select(grace =>
                new GraceView(session.Machine, _replica.AppliedAt(grace.Index) + LeaseTiming.Stretch(grace.Duration) - now))),
        ],
    };

    /// <summary>Rule 8: time that this loop slept through is nobody else's silence.</summary>
    private void NoticeStall(Instant now)
    {
        if (WakeAt != Instant.Never && now - WakeAt > _timing.Heartbeat)
        {
            _duties.ExtendBy(Settings.PlantedBug.Is(PlantedBug.StalledLeaderBlames) ? TimeSpan.Zero : now - WakeAt);
            _raft.ExtendBy(now - WakeAt);
            _stalls.LoopWasLate(now - WakeAt, now);
        }
    }

    private void Take(Input input, Instant now)
    {
        switch (input)
        {
            case Input.Tick:
                _raft.Tick(now);
                _requests.Tick(now);
                _forming.Tick(now);
                break;
            case Input.PeerConnected peer:
                _levels.Forget(peer.Machine);
                _raft.PeerConnected(peer.Machine, now);
                _forming.PeerConnected(peer.Machine);
                break;
            case Input.PeerLost peer:
                _levels.Forget(peer.Machine);
                _raft.PeerLost(peer.Machine, now);
                _forming.PeerLost(peer.Machine);
                break;
            case Input.PeerSpoke spoke:
                Listen(spoke.From, spoke.Message, now);
                break;
            case Input.Persisted persisted:
                _stalls.Persisted(persisted.Sequence);
                _raft.Persisted(persisted.Sequence, now);
                _forming.Persisted();
                break;
            case Input.DriverRegistered driver:
                _local.Registered(driver.Connection, driver.Registration, now);
                break;
            case Input.DriverLost driver:
                _local.Lost(driver.Connection, now);
                break;
            case Input.DriverAnswered driver:
                _local.Answered(driver.Connection, driver.Service, driver.Sequence, driver.Error, now);
                break;
            case Input.DriverRenewed driver:
                _local.Renewed(driver.Connection, driver.Stamp, driver.Left, now);
                break;
            case Input.DriverStopped driver:
                _local.Stopped(driver.Name, driver.Instance, driver.Service, driver.Token, driver.Reason, now);
                break;
            case Input.DriverFailed driver:
                _local.Failed(driver.Connection, driver.Service, driver.Token, driver.Reason, now);
                break;
            case Input.RequestMade request:
                _requests.Made(request.Id, request.Request, now);
                break;
            case Input.BarrierRequested barrier:
                _barriers.Requested(barrier.Id, now);
                break;
            case Input.GoodbyeRequested goodbye:
                _restart.Abandon();
                _departure.Begin(goodbye.Reason, now);
                break;
            case Input.RestartRequested restart when _departure.IsLeaving:
                _restart.Refuse(restart.Id, $"Cannot restart {Settings.Self}: it is leaving already. Start it when its daemon has ended.");
                break;
            case Input.RestartRequested restart:
                _restart.Begin(restart.Reason, restart.Id, now);
                break;
            default:
                throw new UnreachableException($"Input {input.GetType().Name} has no rule.");
        }
    }

    /// <summary>Directly from `from`: its own words, or those of another one that it passes on.</summary>
    private void Listen(MachineId from, PeerMessage message, Instant now)
    {
        _raft.Met(from, message.Sender);
        switch (message.Body)
        {
            case PeerBody.Relay relay when _raft.IsFromMember(from, message):
                _raft.PassOn(from, relay);
                break;
            case PeerBody.Relayed relayed when _raft.IsFromMember(from, message) && relayed.From != Settings.Self && Raft.Relays.IsFit(relayed.Message.Body):
                _raft.Relays.CameBy(relayed.From, from);
                Hear(relayed.From, relayed.Message, from, now);
                break;
            case PeerBody.Relay or PeerBody.Relayed:
                break;
            default:
                Hear(from, message, null, now);
                break;
        }
    }

    private void Hear(MachineId from, PeerMessage message, MachineId? via, Instant now)
    {
        switch (message.Body)
        {
            case PeerBody.Hello hello:
                _forming.Greeted(from, message, hello, now);
                return;
            case PeerBody.Formed formed:
                _forming.Formed(formed, now);
                return;
            case PeerBody.Refusal refusal:
                _outputs.Add(new Output.Noted(Severity.Error, "refused-by-peer", $"{from} refuses this machine: {refusal.Reason}"));
                return;
        }

        if (message.Body is PeerBody.Append or PeerBody.SnapshotChunk)
        {
            if (!_raft.IsFormed)
            {
                _local.Joined();
                _raft.Join(message.Cluster);
            }
        }

        // A voter is (machine, store): what somebody with another store, or from another cluster, promises or wants does not count.
        var isHeard = message.Body is PeerBody.PreVote or PeerBody.Vote or PeerBody.Append or PeerBody.SnapshotChunk or PeerBody.SetBack or PeerBody.TakeOver or PeerBody.Echo
            ? _raft.IsFromCluster(message)
            : _raft.IsFromMember(from, message);
        if (!isHeard || _raft.IsRefused)
        {
            return;
        }

        if ((message.Body is PeerBody.Append append && IsTooNew(from, append)) || (message.Body is PeerBody.SnapshotChunk && Settings.FeatureLevel < FeatureLevels.Membership))
        {
            return;
        }

        switch (message.Body)
        {
            case PeerBody.Echo echo:
                _holder.Echoed(echo, _replica.State);
                break;
            case PeerBody.Propose propose:
                _proposals.Received(from, propose, now);
                break;
            case PeerBody.Ask ask:
                _requests.Asked(from, ask, now);
                break;
            case PeerBody.AskAnswer answer:
                _requests.Answered(answer);
                break;
            case PeerBody.AskBarrier ask:
                _barriers.AskedBy(from, ask, now);
                break;
            case PeerBody.BarrierAnswer answer:
                _barriers.Answered(answer);
                break;
            default:
                if (message.Body is PeerBody.AppendAnswer)
                {
                    _raft.Relays.Answered(from, via);
                }
                else if (message.Body is PeerBody.Append && via is null)
                {
                    _raft.Relays.CameDirectly(from);
                }

                _raft.Receive(from, message.Body, now);
                break;
        }
    }

    /// <summary>After every input: apply, decide, tell the drivers, propose, and only then let messages and the disk batch go.</summary>
    private void Settle(bool isTick, Instant now)
    {
        Apply(now);
        _stalls.Continue(now);
        _holder.IsDiskStalled = _raft.HoldsBack;
        _raft.Relays.IsEnabled = _replica.State.FeatureLevel >= FeatureLevels.Relay;
        _local.Stalled = _stalls.Sentence;
        RefuseWhatTheDiskKeepsFromHere();
        if (_raft.IsLeader && _duties.KnownReport(Settings.Self) != _local.Report.Version)
        {
            _duties.ReportReceived(Settings.Self, _local.Report); // A leader that leaves must not choose itself again.
        }

        _duties.Decide(isTick, now);
        _membership.Decide(now);
        _local.Reconcile(_replica.State, _holder.Hold, now, _outputs);
        _departure.Continue(now);
        _restart.Continue(now);
        _proposals.Want(_local.Wanted, _departure.Wanted ?? _restart.Wanted ?? _local.GraceEnd, now);
        NoteHold(now);
        _barriers.Continue(now);
        _raft.AnnounceCommit(now);
        _raft.Replicate(now);
        var before = _outputs.Count;
        _raft.Flush();
        if (_outputs.Count > before && _outputs[before] is Output.Persist persist)
        {
            _stalls.Persisting(persist.Sequence, now);
        }

        var wakeAt = Instant.Min(Instant.Min(_raft.WakeAt, _duties.WakeAt), Instant.Min(_local.WakeAt, _requests.WakeAt));
        wakeAt = Instant.Min(wakeAt, Instant.Min(_proposals.WakeAt, Instant.Min(_departure.WakeAt, _forming.WakeAt)));
        wakeAt = Instant.Min(wakeAt, Instant.Min(_barriers.WakeAt, _stalls.WakeAt));
        wakeAt = Instant.Min(wakeAt, _restart.WakeAt);
        if (_hadHold)
        {
            wakeAt = Instant.Min(wakeAt, _holder.Hold.Until);
        }

        WakeAt = Instant.Max(wakeAt, now);
    }

    /// <summary>
    /// A grant that is on no disk of this machine was never applied here, by this daemon or a former one of the same store (decision 0004), so nothing can have
    /// begun under it. Of a session of another store, as before a wipe, that is not known.
    /// </summary>
    private void RefuseWhatTheDiskKeepsFromHere()
    {
        if (!_raft.HoldsBack || _holder.OwnSession(_replica.State) is not { } session)
        {
            return;
        }

        var known = Math.Max(_raft.DurableIndex, Math.Max(_replica.State.AppliedIndex, _raft.Log.Base.Index));
        for (var index = known + 1; index <= _raft.Log.LastIndex; index++)
        {
            if (_raft.Log[index].Command is Command.Assign assign && assign.Machine == Settings.Self && assign.Session == session.Id)
            {
                _local.Refuse(assign, $"{Settings.Self} cannot begin it: its disk does not answer.");
            }
        }
    }

    /// <summary>What a newer leader has put into the log cannot be read here: it must not be taken for anything else. Its binary would not even get it off the wire.</summary>
    private bool IsTooNew(MachineId from, PeerBody.Append append)
    {
        foreach (var entry in append.Entries)
        {
            if (FeatureLevels.ToRead(entry.Command) > Settings.FeatureLevel)
            {
                if (!_isTooNewNoted)
                {
                    _isTooNewNoted = true;
                    _outputs.Add(new Output.Noted(
                        Severity.Error, "too-old", $"{FeatureLevels.TooOld(Settings.Self, FeatureLevels.ToRead(entry.Command), Settings.FeatureLevel)} ({from} sent what it cannot read.)"));
                }

                return true;
            }
        }

        return false;
    }

    private ImmutableArray<(MachineId Machine, string Sentence)> StallsKnown()
    {
        var stalls = ImmutableArray.CreateBuilder<(MachineId, string)>();
        if (_stalls.Sentence is { } own)
        {
            stalls.Add((Settings.Self, own));
        }

        foreach (var (machine, report) in _duties.Reports)
        {
            if (machine != Settings.Self && report.Stalled is { } stalled)
            {
                stalls.Add((machine, stalled));
            }
        }

        return stalls.DrainToImmutable();
    }

    private void Apply(Instant now)
    {
        var isChanged = _replica.TakeOverSnapshot(now);
        while (_replica.ApplyNext(now) is { } entry)
        {
            isChanged = true;
            _duties.Applied(entry);
            _requests.Applied(entry);
            foreach (var happened in EventsOf(entry.Index))
            {
                // What a former incarnation has seen already is read again, not news, and did not happen now.
                _outputs.Add(entry.Index > _storedLastIndex
                    ? new Output.Noted(Severity.Information, happened.Kind, happened.Sentence, happened.Service, happened.Index)
                    : new Output.Noted(Severity.Debug, "replayed", happened.Sentence, happened.Service));
            }

            if (_raft.IsLeader && entry.Index == _replica.NoOpIndex && !Settings.PlantedBug.Is(PlantedBug.FirstRoundAtTick))
            {
                _raft.BeginRound(now); // Rule 4: a new leader confirms at once, not at its next tick.
            }
        }

        if (isChanged)
        {
            if (_replica.State.FeatureLevel >= FeatureLevels.Membership)
            {
                _replica.Compact();
            }

            _holder.StateApplied(_replica.State, now);
            _cargo.Ages.ForgetEnded(_replica.State);
        }
    }

    private IEnumerable<ClusterEvent> EventsOf(long index)
    {
        var events = _replica.State.Events;
        var first = events.Count;
        while (first > 0 && events[first - 1].Index == index)
        {
            first--;
        }

        for (var i = first; i < events.Count; i++)
        {
            yield return events[i];
        }
    }

    private void NoteHold(Instant now)
    {
        var hasHold = _holder.Hold.IsHeld(now);
        if (hasHold != _hadHold)
        {
            _hadHold = hasHold;
            _outputs.Add(hasHold
                ? new Output.Noted(Severity.Information, "session-held", $"{Settings.Self} holds session {_holder.Hold.Session}: it may run services.")
                : _departure.IsLeaving && _holder.Hold.Session == SessionId.None
                ? new Output.Noted(Severity.Information, "session-not-held", $"{Settings.Self} has given its session back: it leaves, and nothing runs here any more.")
                : new Output.Noted(Severity.Warning, "session-not-held", $"{Settings.Self} does not hold its session any more: no majority confirmed it within its lease. Whatever runs here stops now."));
        }
    }
}
