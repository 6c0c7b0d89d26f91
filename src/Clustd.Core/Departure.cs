using Clustd.Core.Cluster;
using Clustd.Core.Running;

namespace Clustd.Core;

/// <summary>The goodbye: services stop and are released, the session ends by its holder's own word, leadership is handed over, then the daemon may exit.</summary>
internal sealed class Departure(
    MachineSettings settings, Raft.Raft raft, Replica replica, SessionHolder holder, LocalServices local, List<Output> outputs)
{
    private string? _reason;
    private Instant _leaveAnywayAt = Instant.Never;
    private bool _isStopped;
    private bool _isAway;

    public bool IsLeaving => _reason is not null;

    /// <summary>Ends the own session, once nothing runs here under it.</summary>
    public Command? Wanted { get; private set; }

    public Instant WakeAt => IsLeaving && !_isAway ? _leaveAnywayAt : Instant.Never;

    public void Begin(string reason, Instant now)
    {
        if (_reason is null)
        {
            _reason = reason;
            _leaveAnywayAt = now + Patience();
            local.Leave(reason, now);
        }
    }

    public void Continue(Instant now)
    {
        if (_reason is null || _isAway)
        {
            return;
        }

        if (!local.IsEmpty)
        {
            if (now >= _leaveAnywayAt)
            {
                Depart(Severity.Warning, $"{settings.Self} leaves although not everything here is proven stopped. Others wait for its lease and kill_timeout; look at what still runs here.");
            }

            return;
        }

        if (!_isStopped)
        {
            // All has stopped. Without a majority nothing more can be agreed on: after one lease the session is over by itself.
            // Of two voters, the one that goes needs the other one's help: it has to hand over, and to give up its vote.
            _isStopped = true;
            _leaveAnywayAt = now + settings.Lease + (IsOneOfTwoVoters ? TimeSpan.FromSeconds(2) : TimeSpan.Zero);
        }

        var session = holder.OwnSession(replica.State);
        Wanted = session is not null && !HoldsAnything(session)
            ? new Command.EndSession(session.Id, $"{settings.Self} said goodbye: {_reason}")
            : null;
        if (session is null && raft.IsLeader && replica.MayDecide && now < _leaveAnywayAt)
        {
            foreach (var target in raft.TransferTargets)
            {
                if (raft.TransferTo(target, now))
                {
                    return; // Gone as soon as the other one leads.
                }
            }
        }

        local.WantsNoVote = session is null && IsOneOfTwoVoters;
        if (session is null && IsOneOfTwoVoters && now < _leaveAnywayAt)
        {
            return; // Its report says so to the leader.
        }

        if ((session is null && (!raft.IsLeader || raft.Voters.Length == 1)) || now >= _leaveAnywayAt)
        {
            Depart(Severity.Information, $"{settings.Self} has left: nothing runs here.");
        }
    }

    private bool IsOneOfTwoVoters => replica.IsOneOfTwoVoters(settings.Self);

    private void Depart(Severity severity, string sentence)
    {
        _isAway = true;
        Wanted = null;
        outputs.Add(new Output.Noted(severity, "departed", sentence));
        outputs.Add(new Output.Departed());
    }

    /// <summary>The longest that stopping in good order, then by force, then by the lease may take; a stuck service must not keep a machine from shutting down.</summary>
    private TimeSpan Patience()
    {
        var longest = TimeSpan.Zero;
        foreach (var service in replica.State.Services.Values.Where(service => service.Assignment?.Machine == settings.Self))
        {
            var kill = service.Assignment!.KillTimeout;
            longest = longest > service.Definition.StopTimeout + kill ? longest : service.Definition.StopTimeout + kill;
        }

        return longest + (LeaseTiming.Stretch(settings.Lease) * 2) + TimeSpan.FromSeconds(1);
    }

    private bool HoldsAnything(Session session) =>
        replica.State.Services.Values.Any(service => service.Assignment is { } held && held.Session == session.Id);
}
