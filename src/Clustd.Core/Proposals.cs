using Clustd.Core.Cluster;
using Clustd.Core.Leading;
using Clustd.Core.Raft;

namespace Clustd.Core;

/// <summary>
/// Brings what this machine wants into the log: itself if it leads, else by way of the leader, again and again until the applied state shows
/// it. So nothing is lost with a message, a leader or a term, and nothing needs an answer; all such commands are harmless when repeated.
/// </summary>
internal sealed class Proposals(MachineId self, ulong incarnation, Raft.Raft raft, Replica replica, LeaderDuties duties, TimeSpan retryAfter)
{
    private readonly List<Command> _said = [];
    private MachineId? _saidTo;
    private Instant _sayAgainAt = Instant.Never;

    public Instant WakeAt => _said.Count == 0 ? Instant.Never : _sayAgainAt;

    public void Want(IReadOnlyList<Command> local, Command? departure, Instant now)
    {
        if (local.Count == 0 && departure is null)
        {
            _said.Clear();
            return;
        }

        var leader = raft.Leader;
        var isNewLeader = leader != _saidTo;
        if (isNewLeader || now >= _sayAgainAt)
        {
            _said.Clear();
        }

        _said.RemoveAll(command => !local.Contains(command) && command != departure);
        foreach (var command in departure is null ? local : [.. local, departure])
        {
            if (!_said.Contains(command))
            {
                _said.Add(command);
                _saidTo = leader;
                _sayAgainAt = now + retryAfter;
                Say(command, now);
            }
        }
    }

    /// <summary>Another machine wants something: only what is its own to say.</summary>
    public void Received(MachineId from, PeerBody.Propose propose, Instant now)
    {
        if (replica.MayDecide && duties.IsPresentIncarnation(from, propose.Incarnation) && IsOwn(from, propose.Command))
        {
            Propose(propose.Command, now);
        }
    }

    private void Say(Command command, Instant now)
    {
        if (replica.MayDecide)
        {
            Propose(command, now);
        }
        else if (!raft.IsLeader && raft.Leader is { } leader)
        {
            raft.Send(leader, new PeerBody.Propose(command, incarnation));
        }
    }

    private void Propose(Command command, Instant now)
    {
        if (!replica.UnderWay.Contains(command))
        {
            raft.Propose(command, now);
        }
    }

    private bool IsOwn(MachineId from, Command command) => command switch
    {
        Command.Release release => Holds(from, release.Service, release.Token),
        Command.ReportRunning running => Holds(from, running.Service, running.Token),
        Command.ReportStuck stuck => Holds(from, stuck.Service, stuck.Token),
        Command.AbortMove abort => Holds(from, abort.Service, abort.Token),
        Command.GrantGrace grant => IsHeldBy(from, grant.Session),
        Command.EndGrace end => IsHeldBy(from, end.Session),
        Command.EndSession end => from != self && replica.State.Sessions.TryGetValue(end.Session, out var session) && session.Machine == from,
        _ => false,
    };

    private bool IsHeldBy(MachineId from, SessionId id) => replica.State.Sessions.TryGetValue(id, out var session) && session.Machine == from;

    private bool Holds(MachineId from, ServiceName name, Token token) =>
        replica.State.Services.TryGetValue(name, out var service)
        && ((service.Assignment is { } held && held.Machine == from && held.Token == token)
            || (service.Vacated is { } vacated && vacated.Machine == from && vacated.Token == token));
}
