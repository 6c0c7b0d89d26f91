using Clustd.Core.Cluster;
using Clustd.Core.Raft;

namespace Clustd.Core.Leading;

/// <summary>
/// The read barrier (Ongaro, section 6.4): whoever reads this machine's state after it is answered sees everything that anybody was ever told before
/// it was asked for. The leader notes its commit index once its no-op is applied, waits for a round that began after that, and answers with the
/// index; whoever asked answers when it has applied the index. Nothing enters the log. Limited in time and refused honestly: a machine without a
/// leader, or a leader without a quorum, says so.
/// </summary>
internal sealed class Barriers(MachineSettings settings, Raft.Raft raft, Replica replica, AnnouncedLevels levels, List<Output> outputs)
{
    /// <summary>Of barriers that wait, here or at the leader. A reader that cannot wait its turn reads what this machine knows.</summary>
    private const int WaitingMax = 1024;

    // In the order in which they came.
    private readonly List<Waiting> _atLeader = [];
    private readonly List<Asked> _here = [];
    private long _roundUnderWay;

    public Instant WakeAt => Instant.Min(
        _atLeader.Count == 0 ? Instant.Never : _atLeader.Min(waiting => waiting.Until),
        _here.Count == 0 ? Instant.Never : _here.Min(asked => asked.Until));

    /// <summary>How long a barrier may take before it is refused: one lease, by then this machine's knowledge has aged out anyway.</summary>
    private TimeSpan Limit => settings.Lease;

    /// <summary>A reader of this machine asks.</summary>
    public void Requested(string id, Instant now)
    {
        if (_here.Count >= WaitingMax)
        {
            Refuse(id, $"Not confirmed: {WaitingMax} reads wait for a majority already. Ask again in a moment, or read what this machine knows.");
        }
        else if (raft.IsLeader)
        {
            _here.Add(new Asked(id, now + Limit, null));
            _atLeader.Add(new Waiting(settings.Self, id, raft.Term, now + Limit));
        }
        else if (raft.Leader is not { } leader || !raft.IsConnected(leader))
        {
            Refuse(id, "Not confirmed: the cluster has no leader that this machine can reach. See `clustd status` for who is missing.");
        }
        else if (levels.Of(leader) < FeatureLevels.Barrier)
        {
            Refuse(id, $"Not confirmed: the leader {leader} runs an older version, which confirms no reads. Upgrade it.");
        }
        else
        {
            _here.Add(new Asked(id, now + Limit, null));
            raft.Send(leader, new PeerBody.AskBarrier(id));
        }
    }

    /// <summary>Another machine asks this one, because it believes it to lead.</summary>
    public void AskedBy(MachineId from, PeerBody.AskBarrier ask, Instant now)
    {
        if (!raft.IsLeader || _atLeader.Count >= WaitingMax)
        {
            raft.Send(from, new PeerBody.BarrierAnswer(ask.Id, null, raft.IsLeader
                ? $"Not confirmed: {WaitingMax} reads wait for a majority already. Ask again in a moment."
                : $"Not confirmed: {settings.Self} does not lead any more. Ask again in a moment."));
            return;
        }

        _atLeader.Add(new Waiting(from, ask.Id, raft.Term, now + Limit));
    }

    /// <summary>The leader's answer to what a reader of this machine asked.</summary>
    public void Answered(PeerBody.BarrierAnswer answer)
    {
        var at = _here.FindIndex(asked => asked.Id == answer.Id && asked.Index is null);
        if (at < 0)
        {
            return; // too late, or a second time
        }

        if (answer.Index is { } index)
        {
            _here[at] = _here[at] with { Index = index };
        }
        else
        {
            _here.RemoveAt(at);
            Refuse(answer.Id, answer.Sentence);
        }
    }

    /// <summary>End of every step: begins the round that is waited for, one for all that wait, and answers what is answered.</summary>
    public void Continue(Instant now)
    {
        if (_atLeader.Count > 0)
        {
            Lead(now);
        }

        for (var i = 0; i < _here.Count; i++)
        {
            var asked = _here[i];
            if (asked.Index <= replica.State.AppliedIndex)
            {
                outputs.Add(new Output.BarrierAnswered(asked.Id, asked.Index, ""));
            }
            else if (now >= asked.Until)
            {
                Refuse(asked.Id, $"Not confirmed: no majority confirmed this read within {settings.Lease.TotalMilliseconds:F0} ms. See `clustd status` for who is missing.");
            }
            else
            {
                continue;
            }

            _here.RemoveAt(i--);
        }
    }

    private void Lead(Instant now)
    {
        for (var i = 0; i < _atLeader.Count; i++)
        {
            var waiting = _atLeader[i];
            if (!raft.IsLeader || raft.Term != waiting.Term)
            {
                Answer(waiting, null, $"Not confirmed: {settings.Self} stopped leading. Ask again in a moment.");
                _atLeader.RemoveAt(i--);
            }
            else if (now >= waiting.Until)
            {
                // Whoever asked says so itself; its own limit is the same.
                _atLeader.RemoveAt(i--);
            }
            else if (waiting.Round == 0 && replica.MayDecide)
            {
                // Only now is the commit index as new as that of any leader before (section 6.4, step 1).
                _atLeader[i] = waiting with { Index = raft.CommitIndex, Round = raft.NextRound };
            }
        }

        if (!settings.PlantedBug.Is(PlantedBug.BarrierWithoutRound) && raft.ConfirmedRound >= _roundUnderWay && _atLeader.Exists(waiting => waiting.Round == raft.NextRound))
        {
            // One round at a time, at once and for all that wait: readers must not make more heartbeats than the network carries.
            _roundUnderWay = raft.NextRound;
            raft.BeginRound(now);
        }

        for (var i = 0; i < _atLeader.Count; i++)
        {
            var waiting = _atLeader[i];
            if (waiting.Round > 0 && (waiting.Round <= raft.ConfirmedRound || settings.PlantedBug.Is(PlantedBug.BarrierWithoutRound)))
            {
                Answer(waiting, waiting.Index, "");
                _atLeader.RemoveAt(i--);
            }
        }
    }

    /// <summary>A leader's rounds count from one again with each of its terms.</summary>
    public void Elected() => _roundUnderWay = 0;

    private void Answer(Waiting waiting, long? index, string sentence)
    {
        if (waiting.Origin == settings.Self)
        {
            Answered(new PeerBody.BarrierAnswer(waiting.Id, index, sentence));
        }
        else
        {
            raft.Send(waiting.Origin, new PeerBody.BarrierAnswer(waiting.Id, index, sentence));
        }
    }

    private void Refuse(string id, string sentence) => outputs.Add(new Output.BarrierAnswered(id, null, sentence));

    /// <summary>At the leader. Round 0: the no-op of its term is not applied yet.</summary>
    private sealed record Waiting(MachineId Origin, string Id, Term Term, Instant Until, long Index = 0, long Round = 0);

    /// <summary>At the machine of the reader. Index null: the leader has not answered yet.</summary>
    private sealed record Asked(string Id, Instant Until, long? Index);
}
