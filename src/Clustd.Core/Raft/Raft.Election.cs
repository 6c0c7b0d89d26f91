using System.Collections.Immutable;

namespace Clustd.Core.Raft;

/// <summary>Elections: pre-vote, stickiness, votes with ages, the speed of a closed socket, transfer.</summary>
public sealed partial class Raft
{
    private readonly SortedSet<MachineId> _preVotes = [];
    private readonly SortedDictionary<MachineId, VoterMemory> _votes = [];
    private Instant _electionDeadline;
    private Instant _leaderHeardAt = new(long.MinValue / 2);
    private bool _isLeaderLost;
    private Term _yieldedIn = new(-1);
    private VoterMemory? _preVoteMemory;

    /// <summary>The leader's socket closed: its process is probably dead. Start at once, a little later for each rank, so that the first usually wins alone.</summary>
    private void LeaderLost(Instant now)
    {
        _isLeaderLost = true;
        var rank = Voters.Where(machine => machine != Leader).TakeWhile(machine => machine != _self).Count();
        _electionDeadline = Instant.Min(_electionDeadline, now + (_timing.RankStagger * rank));
    }

    private void ResetElectionDeadline(Instant now) =>
        _electionDeadline = now + _random.NextBetween(_timing.ElectionMinimum, _timing.ElectionMaximum);

    /// <summary>Stickiness (section 4.2.3): whoever hears a leader does not help to depose it. A lost connection is not hearing.</summary>
    private bool HearsLeader(Instant now) =>
        IsLeader || (Leader is not null && !_isLeaderLost && now - _leaderHeardAt < _timing.ElectionMinimum);

    private bool IsUpToDate(LogPosition candidate) => candidate.CompareTo(Log.Last) >= 0;

    private void StartPreVote(Instant now)
    {
        Role = Role.PreCandidate;
        Leader = null;
        _preVotes.Clear();
        _preVotes.Add(_self);
        ResetElectionDeadline(now);
        if (_isLeaderLost)
        {
            // Others may see their sockets close a little later and refuse the first time: ask again soon.
            _electionDeadline = now + (_timing.RankStagger * (Voters.Length + 1));
        }

        if (VotersAmong(_preVotes) >= Quorum.Of(Voters.Length))
        {
            StartElection(false, now);
            return;
        }

        foreach (var voter in OtherVoters)
        {
            Send(voter, new PeerBody.PreVote(Term.Next(), Log.Last));
        }
    }

    private void OnPreVote(MachineId from, PeerBody.PreVote preVote, Instant now)
    {
        var granted = preVote.Term > Term && !HearsLeader(now) && IsUpToDate(preVote.Last);
        if (granted)
        {
            YieldTo(from, now);
            _preVoteMemory = _bug.Is(PlantedBug.PreVoteAges) ? new VoterMemory(_cargo.AgesForVote(now), now) : null;
        }

        Send(from, new PeerBody.PreVoteAnswer(granted ? preVote.Term : Term, granted));
    }

    /// <summary>
    /// Who promises a vote steps back for one election timeout, and of two pre-candidates the one with the smaller id goes on: otherwise all three
    /// stand at once, split the vote, and do so again (simulator, seed 9606). Once per term only: a machine that can speak but
    /// not hear must not keep the others from standing for ever.
    /// </summary>
    private void YieldTo(MachineId candidate, Instant now)
    {
        if (_yieldedIn < Term && (Role == Role.Follower || (Role == Role.PreCandidate && candidate.CompareTo(_self) < 0)))
        {
            _yieldedIn = Term;
            Role = Role.Follower;
            ResetElectionDeadline(now);
        }
    }

    private void OnPreVoteAnswer(MachineId from, PeerBody.PreVoteAnswer answer, Instant now)
    {
        if (!answer.Granted)
        {
            if (answer.Term > Term)
            {
                BecomeFollower(answer.Term, null, now);
            }

            return;
        }

        if (Role != Role.PreCandidate || answer.Term != Term.Next())
        {
            return;
        }

        _preVotes.Add(from);
        if (VotersAmong(_preVotes) >= Quorum.Of(Voters.Length))
        {
            StartElection(false, now);
        }
    }

    private void StartElection(bool transfer, Instant now)
    {
        Role = Role.Candidate;
        Leader = null;
        _votes.Clear();
        SaveHardState(new HardState(Term.Next(), _self));
        ResetElectionDeadline(now);
        foreach (var voter in OtherVoters)
        {
            Send(voter, new PeerBody.Vote(Term, Log.Last, transfer)); // Held until term and vote are durable; its own vote counts then, too.
        }
    }

    private void OnVote(MachineId from, PeerBody.Vote vote, Instant now)
    {
        if (vote.Term > Term)
        {
            if (!vote.Transfer && HearsLeader(now))
            {
                return; // Not even its term: a machine that was cut off must not depose a working leader.
            }

            BecomeFollower(vote.Term, null, now);
        }

        var granted = vote.Term == Term && (HardState.Vote is null || HardState.Vote == from) && Role is (Role.Follower or Role.PreCandidate) && IsUpToDate(vote.Last);
        if (granted)
        {
            Role = Role.Follower;
            SaveHardState(HardState with { Vote = from });
            ResetElectionDeadline(now);
        }

        // Rule 9: the ages travel with the vote itself; those of pre-votes would be too old.
        var ages = !granted || _bug.Is(PlantedBug.AgesLeftOut) ? [] : _preVoteMemory is { } former ? AgesAsOf(former, now) : _cargo.AgesForVote(now);
        Send(from, new PeerBody.VoteAnswer(Term, granted, ages));
    }

    // The planted bug PreVoteAges: what was true when the pre-vote was answered, and nothing that was heard since.
    private static ImmutableArray<SessionAge> AgesAsOf(VoterMemory former, Instant now) =>
        [.. former.Ages.Select(age => age with { AgeMicroseconds = age.AgeMicroseconds + (now.Microseconds - former.Heard.Microseconds) })];

    private void OnVoteAnswer(MachineId from, PeerBody.VoteAnswer answer, Instant now)
    {
        if (answer.Term > Term)
        {
            BecomeFollower(answer.Term, null, now);
        }
        else if (Role == Role.Candidate && answer.Term == Term && answer.Granted)
        {
            CountVote(from, answer.Ages, now);
        }
    }

    private void CountVote(MachineId voter, ImmutableArray<SessionAge> ages, Instant now)
    {
        _votes[voter] = new VoterMemory(_bug.Is(PlantedBug.AgesLeftOut) ? [] : ages, now);
        if (VotersAmong(_votes.Keys) >= Quorum.Of(Voters.Length) && _votes.ContainsKey(_self))
        {
            BecomeLeader(now);
        }
    }

    /// <summary>The leader asks this machine to take over (section 3.10): no pre-vote, no stickiness.</summary>
    private void OnTakeOver(MachineId from, PeerBody.TakeOver takeOver, Instant now)
    {
        if (from == Leader && takeOver.Term == Term && !IsLeader && IsVoter && !HoldsBack)
        {
            StartElection(true, now);
        }
    }

    private void BecomeLeader(Instant now)
    {
        Role = Role.Leader;
        Leader = _self;
        _isLeaderLost = false;
        _round = 0;
        _confirmedRound = 0;
        _roundsOpen.Clear();
        _peers.Clear();
        _transfer = null;
        _leaderNow = now;
        TakeMembership();
        Relays.BecomeLeader(_peers.Keys);
        var noOpIndex = Propose(new Cluster.Command.NoOp(_self), now);
        _cargo.Elected([.. _votes.Values], noOpIndex, now);
        Note(Severity.Information, "leader", $"{_self} leads in term {Term}, elected by {string.Join(", ", _votes.Keys)}.");
        BeginRound(now);
    }
}
