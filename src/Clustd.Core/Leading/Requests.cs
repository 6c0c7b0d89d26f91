using Clustd.Core.Cluster;
using Clustd.Core.Raft;

namespace Clustd.Core.Leading;

/// <summary>
/// What operators ask for. The machine that was asked passes it to the leader; the leader decides, and answers when the decision is applied.
/// Every answer is one sentence in three parts: what happened, why, what to do.
/// </summary>
internal sealed class Requests(
    MachineSettings settings, Raft.Raft raft, Replica replica, LeaderDuties duties, Membership membership, AnnouncedLevels levels, List<Output> outputs)
{
    private static readonly TimeSpan AnswerTimeout = TimeSpan.FromSeconds(5);

    private readonly SortedDictionary<long, (MachineId Origin, string Id, Term Term, string Sentence)> _underWay = [];
    private readonly SortedDictionary<string, Instant> _forwarded = new(StringComparer.Ordinal);

    public Instant WakeAt => _forwarded.Count == 0 ? Instant.Never : _forwarded.Values.Min();

    /// <summary>A user of this machine asks.</summary>
    public void Made(string id, Request request, Instant now)
    {
        if (raft.IsLeader)
        {
            Decide(settings.Self, id, request, now);
        }
        else if (raft.Leader is { } leader && raft.IsConnected(leader))
        {
            _forwarded[id] = now + AnswerTimeout;
            duties.SendTo?.Invoke(leader, new PeerBody.Ask(id, request));
        }
        else
        {
            Answer(settings.Self, id, false, "Refused: the cluster has no leader that this machine can reach, so nothing can be decided. See `clustd status` for who is missing.");
        }
    }

    /// <summary>Another machine passes on what a user asked of it.</summary>
    public void Asked(MachineId from, PeerBody.Ask ask, Instant now) => Decide(from, ask.Id, ask.Request, now);

    public void Answered(PeerBody.AskAnswer answer)
    {
        if (_forwarded.Remove(answer.Id))
        {
            outputs.Add(new Output.RequestAnswered(answer.Id, answer.Outcome));
        }
    }

    /// <summary>An entry was applied: if it is the decision on a request, and still of the term it was made in, that is the answer.</summary>
    public void Applied(LogEntry entry)
    {
        if (_underWay.Remove(entry.Index, out var request))
        {
            var isOurs = entry.Term == request.Term;
            Answer(request.Origin, request.Id, isOurs, isOurs ? request.Sentence : "Refused: another leader took over before this was decided. Ask again.");
        }
    }

    public void Deposed()
    {
        foreach (var (_, request) in _underWay.ToList())
        {
            Answer(request.Origin, request.Id, false, "Not known: this machine stopped leading before the decision was applied. Look at `clustd status`, then ask again if need be.");
        }

        _underWay.Clear();
    }

    public void Tick(Instant now)
    {
        if (_forwarded.Count == 0)
        {
            return;
        }

        foreach (var id in _forwarded.Where(pair => now >= pair.Value).Select(pair => pair.Key).ToList())
        {
            _forwarded.Remove(id);
            outputs.Add(new Output.RequestAnswered(id, new RequestOutcome(
                false, $"Not known: the leader did not answer within {AnswerTimeout.TotalSeconds:F0} s. Look at `clustd status`, then ask again if need be.")));
        }
    }

    private void Decide(MachineId origin, string id, Request request, Instant now)
    {
        if (!replica.MayDecide)
        {
            Answer(origin, id, false, raft.IsLeader
                ? "Refused: this leader has just been elected and is not ready yet. Ask again in a moment."
                : $"Refused: {settings.Self} does not lead any more. Ask again in a moment.");
            return;
        }

        switch (request)
        {
            case Request.Move move: Move(origin, id, move, now); break;
            case Request.TransferLeadership transfer: Transfer(origin, id, transfer, now); break;
            case Request.Drain drain:
                if (!raft.Members.ContainsKey(drain.Machine))
                {
                    Answer(origin, id, false, $"Refused: there is no machine '{drain.Machine}'. The machines are {Names(raft.Members.Keys)}.");
                    break;
                }

                var drainSentence = drain.Drained ? $"{drain.Machine} is drained: its services move away." : $"{drain.Machine} may run services again.";
                Propose(origin, id, new Command.SetDrain(drain.Machine, drain.Drained, drainSentence), drainSentence, now);
                break;
            case Request.AddMachine add:
                ChangeMembers(origin, id, membership.Add(add.Machine), now);
                break;
            case Request.RemoveMachine remove:
                ChangeMembers(origin, id, membership.Remove(remove.Machine, now), now);
                break;
            case Request.ConfirmOff off:
                ConfirmOff(origin, id, off.Machine, now);
                break;
            case Request.Pause pause:
                var pauseSentence = pause.Paused ? "Paused: nothing moves by itself, not even after a failure." : "No longer paused: services move as needed.";
                Propose(origin, id, new Command.SetPause(pause.Paused, pauseSentence), pauseSentence, now);
                break;
            default:
                Answer(origin, id, false, $"Refused: this leader ({settings.Self}) does not know that request; it may run an older version. Update it, then ask again.");
                break;
        }
    }

    private void ChangeMembers(MachineId origin, string id, MembershipDecision decision, Instant now)
    {
        if (levels.WhyNot(new Command.ChangeMembers([], ""), replica.State) is { } refusal)
        {
            Answer(origin, id, false, refusal);
        }
        else if (decision.Change is { } change)
        {
            Propose(origin, id, change, decision.Sentence, now);
        }
        else
        {
            Answer(origin, id, false, decision.Sentence);
        }
    }

    private void ConfirmOff(MachineId origin, string id, MachineId machine, Instant now)
    {
        var waiting = replica.State.Services.Where(pair => pair.Value.Unfenced?.Contains(machine) == true).Select(pair => $"'{pair.Key}'").ToList();
        if (replica.State.SessionOf(machine) is not null)
        {
            Answer(origin, id, false, $"Refused: {machine} holds a session, so it is on. Stop clustd there (`systemctl stop clustd`), or turn it off and wait until its session is over.");
        }
        else if (waiting.Count == 0)
        {
            Answer(origin, id, false, $"Refused: no service waits until {machine} is fenced. See `clustd status`.");
        }
        else
        {
            var sentence = $"{machine} counts as fenced: an operator has confirmed that it is off. {string.Join(" and ", waiting)} may start elsewhere.";
            Propose(origin, id, new Command.ConfirmFenced(machine, sentence), sentence, now);
        }
    }

    private void Move(MachineId origin, string id, Request.Move move, Instant now)
    {
        if (!replica.State.Services.TryGetValue(move.Service, out var service))
        {
            Answer(origin, id, false, $"Cannot move '{move.Service}': there is no such service. The services are {Names(replica.State.Services.Keys)}.");
        }
        else if (service.Assignment is not { } held)
        {
            Answer(origin, id, false, $"Cannot move '{move.Service}': it has no master just now. {service.Reason} See `clustd status`.");
        }
        else if (held.State is AssignmentState.Stopping or AssignmentState.Stuck)
        {
            Answer(origin, id, false, $"Cannot move '{move.Service}': it is {held.State.ToString().ToLowerInvariant()} on {held.Machine}. {held.Reason} Wait, or see `clustd status`.");
        }
        else if (move.Target == held.Machine)
        {
            Answer(origin, id, false, $"Nothing to do: '{move.Service}' is on {held.Machine} already.");
        }
        else
        {
            // The target is chosen now, not after the stop: by then the machine it left may look best again.
            var view = duties.ViewAt(now);
            var choice = move.Target is { } wanted ? Placement.CanRun(view, move.Service, wanted) : Placement.Target(view, move.Service, held.Machine);
            if (choice.Machine is { } target)
            {
                var sentence = $"'{move.Service}' moves from {held.Machine} to {target}, because an operator asked for it.";
                Propose(origin, id, new Command.RequestMove(move.Service, held.Token, target, sentence), sentence, now);
            }
            else
            {
                Answer(origin, id, false, move.Target is { } refused
                    ? $"Cannot move '{move.Service}' to {refused}: {choice.Reason}. Choose another machine, or mend that first."
                    : $"Cannot move '{move.Service}' away from {held.Machine}: no other machine can run it, because {choice.Reason}. Mend one of them first.");
            }
        }
    }

    private void Transfer(MachineId origin, string id, Request.TransferLeadership transfer, Instant now)
    {
        var target = transfer.Target ?? raft.TransferTargets.Cast<MachineId?>().FirstOrDefault();
        var isDone = target is { } machine && raft.TransferTo(machine, now);
        Answer(origin, id, isDone, isDone
            ? $"{target} was told to take over leadership."
            : $"Cannot hand over leadership{(target is null ? "" : $" to {target}")}: no connected machine has the whole log, or another one was just told to take over. Ask again in a moment.");
    }

    private void Propose(MachineId origin, string id, Command command, string sentence, Instant now)
    {
        if (levels.WhyNot(command, replica.State) is { } refusal)
        {
            Answer(origin, id, false, refusal);
            return;
        }

        _underWay[raft.Propose(command, now)] = (origin, id, raft.Term, sentence);
    }

    private void Answer(MachineId origin, string id, bool isDone, string sentence)
    {
        var outcome = new RequestOutcome(isDone, sentence);
        if (origin == settings.Self)
        {
            outputs.Add(new Output.RequestAnswered(id, outcome));
        }
        else
        {
            duties.SendTo?.Invoke(origin, new PeerBody.AskAnswer(id, outcome));
        }
    }

    private static string Names<T>(IEnumerable<T> names) => string.Join(", ", names);
}
