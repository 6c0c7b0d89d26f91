using System.Collections.Immutable;
using System.Diagnostics;

namespace Clustd.Core.Raft;

/// <summary>Replication and rounds. Every Append is also a heartbeat of the present round, so any answer to it confirms.</summary>
public sealed partial class Raft
{
    // Bounds one message to some 100 kB of ordinary commands, and what is under way to one follower to a few messages.
    private const int EntriesPerMessage = 256;
    private const int EntriesUnderWay = 2048;

    private readonly SortedDictionary<MachineId, PeerProgress> _peers = [];
    private readonly SortedSet<MachineId> _senseless = [];
    private Instant _nextRoundAt;
    private long _round;
    private long _confirmedRound;
    private bool _replicationDue;
    private (MachineId Target, Instant Until)? _transfer;
    private bool _isCommitNews;
    private readonly Queue<(long Round, Instant BeganAt)> _roundsOpen = [];
    private Instant _confirmedRoundBeganAt = new(long.MinValue / 2);

    // Follower: how far its log is known to match the leader's, what of it was acknowledged, and the last round seen.
    private long _matchedIndex;
    private long _acknowledgedIndex;
    private long _lastRound;

    /// <summary>Leader only: the highest round of this term that a quorum has answered.</summary>
    public long ConfirmedRound => _confirmedRound;

    /// <summary>Leader only: the round that begins next. Whatever happens now happens before it begins.</summary>
    public long NextRound => _round + 1;

    private sealed class PeerProgress
    {
        public required StoreId Store { get; init; }

        public long NextIndex { get; set; }

        public long MatchIndex { get; set; }

        public long Round { get; set; }

        public Instant HeardAt { get; set; }

        /// <summary>The snapshot on its way to it.</summary>
        public Transfer? Transfer { get; set; }
    }

    /// <summary>Leader only: starts a round at once (a new leader does so when its no-op is applied: rule 4).</summary>
    public void BeginRound(Instant now)
    {
        _round++;
        _nextRoundAt = now + _timing.Heartbeat;
        _roundsOpen.Enqueue((_round, now));
        _cargo.RoundBegins(_round, now);
        SendAppendToAll(now);

        _replicationDue = false;
        ConfirmRound(now);
    }

    /// <summary>End of a step: entries proposed in it go out in one message per follower, and count here once they are durable.</summary>
    public void Replicate(Instant now)
    {
        if (!IsLeader || !_replicationDue)
        {
            return;
        }

        _replicationDue = false;
        foreach (var (machine, progress) in _peers)
        {
            if (progress.NextIndex <= Log.LastIndex && !NeedsSnapshot(progress) && progress.NextIndex - progress.MatchIndex <= EntriesUnderWay)
            {
                SendAppend(machine, progress, now);
            }
        }
    }

    /// <summary>
    /// Leader only: tells the target to stand for election if it has the whole log. One at a time, and each has an election timeout for it: of two that were told
    /// to stand neither might win, and nobody would lead until the next election.
    /// </summary>
    public bool TransferTo(MachineId target, Instant now)
    {
        if (_transfer is { } underWay && now < underWay.Until)
        {
            return underWay.Target == target;
        }

        if (!_peers.TryGetValue(target, out var progress) || progress.MatchIndex != Log.LastIndex || !IsConnected(target) || !Voters.Contains(target))
        {
            return false;
        }

        _transfer = (target, now + _timing.ElectionMaximum);
        Send(target, new PeerBody.TakeOver(Term));
        return true;
    }

    /// <summary>Leader only: connected voters, the most caught-up first.</summary>
    public IEnumerable<MachineId> TransferTargets =>
        _peers.Where(peer => IsConnected(peer.Key) && Voters.Contains(peer.Key)).OrderByDescending(peer => peer.Value.MatchIndex).Select(peer => peer.Key);

    /// <summary>Leader only: voters, itself included, from which it heard within the check-quorum window.</summary>
    public int VotersHeard(Instant now)
    {
        var heard = 0;
        foreach (var voter in Voters)
        {
            heard += IsHeard(voter, now) ? 1 : 0;
        }

        return heard;
    }

    private TimeSpan CheckQuorumWindow => _timing.ElectionMaximum * 2;

    private bool HearsQuorum(Instant now) => VotersHeard(now) >= Quorum.Of(Voters.Length);

    /// <summary>Rule 8: a stalled leader does not blame others for its own silence.</summary>
    public void ExtendBy(TimeSpan stall)
    {
        foreach (var progress in _peers.Values)
        {
            progress.HeardAt += stall;
        }
    }

    private void SendAppendToAll(Instant now)
    {
        var ages = _cargo.AgesForRound(now);
        foreach (var (machine, progress) in _peers)
        {
            SendAppend(machine, progress, ages, now);
        }
    }

    private void SendAppend(MachineId machine, PeerProgress progress, Instant now) => SendAppend(machine, progress, _cargo.AgesForRound(now), now);

    private void SendAppend(MachineId machine, PeerProgress progress, ImmutableArray<SessionAge> ages, Instant now)
    {
        var isConnected = _connected.TryGetValue(machine, out var store);
        if (isConnected ? store != StoreId.None && store != progress.Store : !Relays.IsEnabled)
        {
            return; // What speaks there is not the member: a wiped disk, say. It gets nothing until it is taken in.
        }

        var needsSnapshot = NeedsSnapshot(progress);
        if (needsSnapshot)
        {
            SendChunk(machine, progress, now);
        }

        // Beside a snapshot only the heartbeat goes out: the answer brings the stamp, and says when the follower has caught up.
        var previous = needsSnapshot ? Log.Base.Index : progress.NextIndex - 1;
        var entries = !needsSnapshot && progress.NextIndex - progress.MatchIndex <= EntriesUnderWay ? Log.Slice(progress.NextIndex, EntriesPerMessage) : [];
        var listed = _bug.Is(PlantedBug.ListIncomplete) && !IsMembershipCommitted ? [] : ages;
        var isDirect = Send(machine, new PeerBody.Append(
            Term, new LogPosition(previous, Log.TermAt(previous)), [.. entries], CommitIndex, _round, listed, _cargo.KnownReport(machine)));
        progress.NextIndex += isDirect ? entries.Count : 0; // Optimistic: a loss shows as a mismatch at the next heartbeat.
    }

    /// <summary>The leader's words, whatever they are: false when its term is over, which it is then told.</summary>
    private bool HearLeader(MachineId from, Term term, Instant now)
    {
        if (term < Term)
        {
            Send(from, new PeerBody.AppendAnswer(Term, false, 0, Term.Zero, 0, 0, default, null));
            return false;
        }

        if (IsLeader && term == Term)
        {
            throw new UnreachableException($"Two leaders in term {Term}: {_self} and {from}.");
        }

        if (term > Term || Role != Role.Follower || Leader != from)
        {
            BecomeFollower(term, from, now);
        }

        _leaderHeardAt = now;
        _isLeaderLost = false;
        ResetElectionDeadline(now);
        return true;
    }

    private void OnAppend(MachineId from, PeerBody.Append append, Instant now)
    {
        if (append.Term >= Term && !IsSound(append))
        {
            NoteSenseless(from);
            return;
        }

        if (!HearLeader(from, append.Term, now))
        {
            return;
        }

        _lastRound = append.Round;
        _cargo.AgesReceived(_bug.Is(PlantedBug.LearnersForget) && !IsVoter ? [] : append.Ages, now);

        var report = _cargo.ReportUnlessKnown(append.KnownReport);
        if (!Log.Has(append.Previous.Index, append.Previous.Term))
        {
            // Hint (section 3.5): the whole run of the conflicting term is skipped in one step.
            var (term, index) = append.Previous.Index > Log.LastIndex
                ? (Term.Zero, Log.LastIndex + 1)
                : (Log.TermAt(append.Previous.Index), Log.FirstIndexOfTermAt(append.Previous.Index));
            Send(from, new PeerBody.AppendAnswer(Term, false, 0, term, index, _lastRound, _cargo.StampFor(now), report));
            return;
        }

        foreach (var entry in append.Entries)
        {
            if (Log.Has(entry.Index, entry.Term))
            {
                continue;
            }

            if (entry.Index <= Log.LastIndex)
            {
                if (entry.Index <= CommitIndex)
                {
                    throw new UnreachableException($"Leader {from} of term {Term} would overwrite committed entry {entry.Index}.");
                }

                Log.TruncateFrom(entry.Index);
                _disk.TruncateFrom(entry.Index);
                MembershipTruncated(entry.Index);
            }

            AppendToLog(entry);
        }

        _matchedIndex = Math.Max(_matchedIndex, append.Previous.Index + append.Entries.Length);
        CommitIndex = Math.Max(CommitIndex, Math.Min(append.Commit, _matchedIndex));
        AnswerAppend(from, now, report);
    }

    /// <summary>Acknowledges what is durable; the rest follows when the disk has answered.</summary>
    private void AnswerAppend(MachineId leader, Instant now, MachineReport? report = null)
    {
        _acknowledgedIndex = _bug.Is(PlantedBug.AcknowledgedBeforeFsync) ? _matchedIndex : Math.Min(_matchedIndex, _disk.DurableIndex);
        Send(leader, new PeerBody.AppendAnswer(Term, true, _acknowledgedIndex, Term.Zero, 0, _lastRound, _cargo.StampFor(now), report));
    }

    private void OnAppendAnswer(MachineId from, PeerBody.AppendAnswer answer, Instant now)
    {
        if (answer.Term > Term)
        {
            BecomeFollower(answer.Term, null, now);
            return;
        }

        if (!IsLeader || answer.Term != Term || !_peers.TryGetValue(from, out var progress))
        {
            return;
        }

        if (!IsSound(answer))
        {
            NoteSenseless(from);
            return;
        }

        progress.HeardAt = now;
        progress.Round = Math.Max(progress.Round, answer.Round);
        if (answer.Success)
        {
            progress.MatchIndex = Math.Max(progress.MatchIndex, answer.MatchIndex);
            progress.NextIndex = Math.Max(progress.NextIndex, progress.MatchIndex + 1);
            progress.Transfer = NeedsSnapshot(progress) ? progress.Transfer : null;
            AdvanceCommit();
        }

        var isAtOdds = !answer.Success && !Rewind(progress, answer);
        if (isAtOdds)
        {
            var match = progress.MatchIndex;
            Send(from, new PeerBody.SetBack(Term, new LogPosition(match, match < Log.Base.Index ? Term.Zero : Log.TermAt(match))));
        }
        else if (!answer.Success && NeedsSnapshot(progress))
        {
            SendChunk(from, progress, now); // Not the heartbeat again: its answer would be the same.
        }
        else if (!answer.Success)
        {
            SendAppend(from, progress, now);
        }

        _cargo.AnswerReceived(from, answer.Stamp, answer.Report, now);
        if (!_bug.Is(PlantedBug.EchoAtTick))
        {
            ConfirmRound(now);
        }

        if (IsLeader && !isAtOdds && progress.NextIndex <= Log.LastIndex && !NeedsSnapshot(progress) && progress.NextIndex - progress.MatchIndex <= EntriesUnderWay)
        {
            SendAppend(from, progress, now);
        }
    }

    // What no leader of this version says: it must not reach the log, where an index that does not fit ends the daemon.
    private static bool IsSound(PeerBody.Append append)
    {
        var expected = append.Previous.Index;
        foreach (var entry in append.Entries)
        {
            expected++;
            if (entry.Index != expected || entry.Term > append.Term)
            {
                return false;
            }
        }

        return append.Previous.Index >= 0;
    }

    private bool IsSound(PeerBody.AppendAnswer answer) =>
        answer.MatchIndex >= 0 && answer.MatchIndex <= Log.LastIndex && answer.ConflictIndex >= 0 && answer.ConflictTerm >= Term.Zero && answer.Round <= _round;

    private void NoteSenseless(MachineId from)
    {
        if (_senseless.Add(from))
        {
            Note(Severity.Error, "peer-senseless", $"{from} says what makes no sense of the log; it is ignored, and not mentioned again. Run the same version of clustd on all machines.");
        }
    }

    /// <summary>
    /// False: it says that it lacks what it has acknowledged, as after its disk was set back. Then nothing is sent until the next round:
    /// the same answer would come back at once, for ever.
    /// </summary>
    private bool Rewind(PeerProgress progress, PeerBody.AppendAnswer answer)
    {
        var next = answer.ConflictIndex;
        if (answer.ConflictTerm != Term.Zero)
        {
            // Our last entry of the conflicting term, if we have one at or before the hint's run, is where the logs may still agree.
            var index = Math.Clamp(progress.NextIndex - 1, Log.Base.Index, Log.LastIndex);
            while (index > Math.Max(answer.ConflictIndex, Log.Base.Index) && Log.TermAt(index) > answer.ConflictTerm)
            {
                index--;
            }

            next = Log.TermAt(index) == answer.ConflictTerm ? index + 1 : answer.ConflictIndex;
        }

        progress.NextIndex = Math.Clamp(next, progress.MatchIndex + 1, Log.LastIndex + 1);
        return next > progress.MatchIndex;
    }

    /// <summary>Commits what a majority holds durably, and only by way of an entry of its own term (section 3.6.2).</summary>
    private void AdvanceCommit()
    {
        var reached = ReachedByMajority(_disk.DurableIndex, progress => progress.MatchIndex);
        if (reached > CommitIndex && (Log.TermAt(reached) == Term || _bug.Is(PlantedBug.FormerTermCommitted)))
        {
            CommitIndex = reached;
            _isCommitNews = true;
        }
    }

    /// <summary>End of a step: followers learn of a commit at once, not at the next tick: a start should not wait for a heartbeat.</summary>
    public void AnnounceCommit(Instant now)
    {
        if (IsLeader && _isCommitNews)
        {
            SendAppendToAll(now);
        }

        _isCommitNews = false;
    }

    private void ConfirmRound(Instant now)
    {
        var reached = ReachedByMajority(_round, progress => progress.Round);
        if (reached > _confirmedRound)
        {
            _confirmedRound = reached;
            while (_roundsOpen.TryPeek(out var open) && open.Round <= reached)
            {
                _confirmedRoundBeganAt = _roundsOpen.Dequeue().BeganAt;
            }

            _cargo.RoundConfirmed(reached, now);
        }
    }
}
