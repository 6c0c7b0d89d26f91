using System.Diagnostics;
using Clustd.Core.Cluster;
using Clustd.Core.Leading;
using Clustd.Core.Raft;

namespace Clustd.Core;

/// <summary>
/// Brings what this machine wants into the log: itself if it leads, else by way of the leader, again and again until the applied state shows
/// it. So nothing is lost with a message, a leader or a term, and nothing needs an answer; all such commands are harmless when repeated.
/// </summary>
internal sealed class Proposals(MachineId self, ulong incarnation, Raft.Raft raft, Replica replica, LeaderDuties duties, TimeSpan retryAfter, PlantedBug bug)
{
    // Some at a time go each by itself: they are few, and their answers come by themselves.
    private const int FewCommands = 8;
    private const int CommandsPerMessage = 256;

    private readonly List<Command> _toSay = [];

    // In the order of their services, as they are wanted.
    private List<Command> _said = [];
    private List<Command> _saidBefore = [];
    private Command? _saidDeparture;
    private IReadOnlyList<Command> _wanted = [];
    private MachineId? _saidTo;
    private Instant _sayAgainAt = Instant.Never;

    public Instant WakeAt => _said.Count == 0 && _saidDeparture is null ? Instant.Never : _sayAgainAt;

    /// <param name="local">In the order of their services; the same list as long as it is the same.</param>
    public void Want(IReadOnlyList<Command> local, Command? departure, Instant now)
    {
        var leader = raft.Leader;
        var isAllNews = leader != _saidTo || now >= _sayAgainAt;
        if (!isAllNews && ReferenceEquals(local, _wanted) && departure == _saidDeparture)
        {
            return;
        }

        _wanted = local;
        (_said, _saidBefore) = (_saidBefore, _said);
        _said.Clear();
        var at = 0;
        foreach (var command in local)
        {
            while (at < _saidBefore.Count && ServiceOf(_saidBefore[at]).CompareTo(ServiceOf(command)) < 0)
            {
                at++; // Not wanted any more.
            }

            _said.Add(command);
            if (isAllNews || !WasSaid(command, at))
            {
                Say(command, leader, now);
            }
        }

        if (departure is not null && (isAllNews || departure != _saidDeparture))
        {
            Say(departure, leader, now);
        }

        _saidDeparture = departure;
        Send(leader);
    }

    /// <summary>Another machine wants something: only what is its own to say.</summary>
    public void Received(MachineId from, PeerBody.Propose propose, Instant now)
    {
        if (!replica.MayDecide || !duties.IsPresentIncarnation(from, propose.Incarnation))
        {
            return;
        }

        ProposeIfOwn(from, propose.Command, now);
        foreach (var command in propose.More ?? [])
        {
            ProposeIfOwn(from, command, now);
        }
    }

    private void ProposeIfOwn(MachineId from, Command command, Instant now)
    {
        if (IsOwn(from, command))
        {
            Propose(command, now);
        }
    }

    private bool WasSaid(Command command, int at)
    {
        for (; at < _saidBefore.Count && ServiceOf(_saidBefore[at]) == ServiceOf(command); at++)
        {
            if (ReferenceEquals(_saidBefore[at], command) || _saidBefore[at] == command)
            {
                return true;
            }
        }

        return false;
    }

    private void Say(Command command, MachineId? leader, Instant now)
    {
        _saidTo = leader;
        // What is said again is work for the leader, who may be late because of it: the more there is, the longer it is waited for.
        _sayAgainAt = now + retryAfter + TimeSpan.FromMilliseconds(_said.Count / FewCommands * 4);
        if (replica.MayDecide)
        {
            Propose(command, now);
        }
        else if (!raft.IsLeader && leader is not null)
        {
            _toSay.Add(command);
        }
    }

    private void Send(MachineId? leader)
    {
        if (leader is { } other && _toSay.Count > FewCommands)
        {
            foreach (var commands in _toSay.Chunk(CommandsPerMessage))
            {
                raft.Send(other, new PeerBody.Propose(commands[0], incarnation, [.. commands.Skip(1)]));
            }
        }
        else if (leader is { } near)
        {
            foreach (var command in _toSay)
            {
                raft.Send(near, new PeerBody.Propose(command, incarnation));
            }
        }

        _toSay.Clear();
    }

    // What local services want; a goodbye, and what a restart needs, is no service's.
    private static ServiceName ServiceOf(Command command) => command switch
    {
        Command.Release release => release.Service,
        Command.ReportRunning running => running.Service,
        Command.ReportStarting starting => starting.Service,
        Command.ReportStuck stuck => stuck.Service,
        Command.AbortMove abort => abort.Service,
        _ => throw new UnreachableException($"No local service wants a {command.GetType().Name}."),
    };

    private void Propose(Command command, Instant now)
    {
        // What some member cannot read waits, said again and again, until the cluster's level is there.
        if (FeatureLevels.Of(command) <= replica.State.FeatureLevel && !replica.IsUnderWay(command))
        {
            raft.Propose(command, now);
        }
    }

    private bool IsOwn(MachineId from, Command command) => command switch
    {
        Command.Release release => Holds(from, release.Service, release.Token),
        Command.ReportRunning running => Holds(from, running.Service, running.Token),
        Command.ReportStarting starting => Holds(from, starting.Service, starting.Token),
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
        && (bug.Is(PlantedBug.ReleaseOfAnyToken) || (service.Assignment is { } held && held.Machine == from && held.Token == token)
            || (service.Vacated is { } vacated && vacated.Machine == from && vacated.Token == token));
}
