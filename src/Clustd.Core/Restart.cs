using System.Collections.Immutable;
using Clustd.Core.Cluster;
using Clustd.Core.Raft;
using Clustd.Core.Running;

namespace Clustd.Core;

/// <summary>
/// The restart on purpose: this daemon asks for one long lease, hands it to the drivers that run something, gives up leadership, and may exit; its successor takes the
/// session up again. Nothing is stopped, and nothing is promoted meanwhile. Whatever of this cannot be had is left out, and said: the restart goes on.
/// </summary>
internal sealed class Restart(MachineSettings settings, Raft.Raft raft, Replica replica, SessionHolder holder, LocalServices local, List<Output> outputs)
{
    private string? _reason;
    private string? _answerTo;
    private Instant _giveUpAt = Instant.Never;
    private bool _isDecided;
    private bool _isReady;

    public bool IsRestarting => _reason is not null && !_isReady;

    /// <summary>The grace, until it is applied or given up.</summary>
    public Command? Wanted { get; private set; }

    public Instant WakeAt => IsRestarting ? _giveUpAt : Instant.Never;

    public void Begin(string reason, string? answerTo, Instant now)
    {
        if (IsRestarting)
        {
            Refuse(answerTo, $"{settings.Self} restarts already. Start it again as soon as its daemon has ended.");
            return;
        }

        (_reason, _answerTo, _giveUpAt) = (reason, answerTo, now + settings.Lease);
        var drivers = local.HoldStill();
        outputs.Add(new Output.Noted(Severity.Information, "restarting", $"{settings.Self} restarts: {reason}"));
        if (holder.OwnSession(replica.State) is { } session && holder.Hold.IsHeld(now))
        {
            // The clock was read before the command exists: from here the holder counts (rule 16).
            holder.AskGrace(session.Id, settings.GraceId, now);
            Wanted = new Command.GrantGrace(session.Id, settings.GraceId, settings.RestartGrace, drivers);
        }
        else
        {
            Decide(false, $"{settings.Self} restarts without a grace: it holds no session just now, so nothing is running here that could go on. Look at `clustd status` when it is back.", now);
        }
    }

    /// <summary>A goodbye goes before: what runs here stops after all.</summary>
    public void Abandon()
    {
        if (IsRestarting && !_isDecided)
        {
            Refuse(_answerTo, $"{settings.Self} does not restart: it was told to leave instead.");
        }

        (_reason, Wanted) = (null, null);
    }

    public void Refuse(string? answerTo, string sentence)
    {
        if (answerTo is not null)
        {
            outputs.Add(new Output.RequestAnswered(answerTo, new RequestOutcome(false, sentence)));
        }
    }

    public void Continue(Instant now)
    {
        if (!IsRestarting)
        {
            return;
        }

        if (!_isDecided && holder.HasGrace)
        {
            // Renewals come several times per lease: one lease is enough for every driver that is there, and for whoever takes over leadership.
            Decide(true, $"{settings.Self} restarts: its drivers go on for up to {settings.RestartGrace.TotalSeconds:0.###} s. Until then nobody takes over.", now);
        }
        else if (!_isDecided && now >= _giveUpAt)
        {
            Decide(false, $"{settings.Self} restarts without a grace: no majority agreed to it within {settings.Lease.TotalSeconds:0.###} s. "
                + "What runs here goes on for what is left of the lease only; be quick, or look at `clustd status` for who is missing.", now);
        }

        // Of two voters the one that restarts gives up its vote, or the other would have no majority meanwhile; it votes again once it is back.
        local.WantsNoVote = _isDecided && IsOneOfTwoVoters;
        if (_isDecided && (now >= _giveUpAt || (local.HasHandedOut(holder.Hold) && HasNoLeadership(now) && !IsOneOfTwoVoters)))
        {
            _isReady = true;
            outputs.Add(new Output.ReadyToRestart(holder.HasGrace));
        }
    }

    private void Decide(bool isGranted, string sentence, Instant now)
    {
        _isDecided = true;
        Wanted = null;
        _giveUpAt = isGranted ? now + settings.Lease + (IsOneOfTwoVoters ? TimeSpan.FromSeconds(2) : TimeSpan.Zero) : now;
        outputs.Add(new Output.Noted(isGranted ? Severity.Information : Severity.Warning, isGranted ? "restart-granted" : "restart-without-grace", sentence));
        if (_answerTo is not null)
        {
            outputs.Add(new Output.RequestAnswered(_answerTo, new RequestOutcome(true, sentence)));
        }
    }

    private bool IsOneOfTwoVoters => replica.IsOneOfTwoVoters(settings.Self);

    /// <summary>Nobody is to wait for an election: the most caught-up takes over, and this machine goes when it follows.</summary>
    private bool HasNoLeadership(Instant now)
    {
        if (!raft.IsLeader || raft.Voters.Length == 1)
        {
            return true;
        }

        foreach (var target in raft.TransferTargets)
        {
            if (raft.TransferTo(target, now))
            {
                break;
            }
        }

        return false;
    }
}
