using System.Collections.Immutable;
using Clustd.Core.Leading;
using Clustd.Core.Raft;
using Clustd.Core.Running;

namespace Clustd.Core;

/// <summary>What clustd lets ride on Raft's heartbeats: stamps and reports one way, ages and what is known the other way.</summary>
internal sealed class HeartbeatCargo(MachineSettings settings, SessionHolder holder, LocalServices local, Instant startedAt) : IHeartbeatCargo
{
    /// <summary>This machine's memory as a voter.</summary>
    public VoterAges Ages { get; } = new(startedAt);

    /// <summary>Set once, right after Raft is made: Raft needs its cargo first.</summary>
    public LeaderDuties Duties { get; set; } = null!;

    public Replica Replica { get; set; } = null!;

    public Requests Requests { get; set; } = null!;

    public Barriers Barriers { get; set; } = null!;

    // A report of many services is large, and many Appends may be on their way before the leader has it: it is not said again with each of them. A small one
    // is: that costs nothing, and a lost one is replaced at once.
    private const int SmallReport = 32;
    private readonly TimeSpan _reportAgainAfter = new LeaseTiming(settings.Lease).Heartbeat * 3;
    private (long Version, long KnownReport, Instant At) _reported = (0, 0, new Instant(long.MinValue / 2));
    private Instant _appendHeardAt;
    private long _nextRound = 1;

    public ImmutableArray<SessionAge> AgesForRound(Instant now) => Duties.Ages(now);

    public ImmutableArray<SessionAge> AgesForVote(Instant now) =>
        settings.PlantedBug.Is(PlantedBug.ListMissing) ? [new SessionAge(SessionId.None, VoterAges.AgeOf(_appendHeardAt, now))] : Ages.ForVote(now);

    public Stamp StampFor(Instant now) => holder.Stamp(Replica.State, now);

    public long KnownReport(MachineId machine) => Duties.KnownReport(machine);

    public MachineReport? ReportUnlessKnown(long version)
    {
        var report = local.Report;
        var wasSaid = _reported.Version == report.Version && _reported.KnownReport == version && _appendHeardAt - _reported.At < _reportAgainAfter;
        var isSmall = report.Services.Length <= SmallReport && (report.Proposal?.Length ?? 0) <= SmallReport;
        if (report.Version == version || (wasSaid && !isSmall))
        {
            return null;
        }

        _reported = (report.Version, version, _appendHeardAt);
        return report;
    }

    public void AgesReceived(ImmutableArray<SessionAge> ages, Instant now)
    {
        _appendHeardAt = now; // What this very Append leaves unsaid is asked for next.
        Ages.Received(ages, now);
    }

    public void AnswerReceived(MachineId from, Stamp stamp, MachineReport? report, Instant now)
    {
        if (Duties.IsFormerIncarnation(stamp))
        {
            return;
        }

        if (report is not null)
        {
            Duties.ReportReceived(from, report);
        }

        Duties.StampReceived(from, stamp, settings.PlantedBug.Is(PlantedBug.StampOfPresentRound) ? _nextRound - 1 : _nextRound, now);
    }

    public void RoundBegins(long round, Instant now)
    {
        // The leader's own stamp is made and received before the round begins, so this very round confirms it.
        Duties.StampReceived(settings.Self, holder.Stamp(Replica.State, now), round, now);
        Duties.ReportReceived(settings.Self, local.Report);
        if (!settings.PlantedBug.Is(PlantedBug.OwnRoundForgotten))
        {
            Duties.AcknowledgeOwnRound(Ages);
        }

        _nextRound = round + 1;
    }

    public void RoundConfirmed(long round, Instant now) => Duties.RoundConfirmed(round, now);

    public void Elected(IReadOnlyList<VoterMemory> voters, long noOpIndex, Instant now)
    {
        _nextRound = 1;
        Duties.Elected(voters, noOpIndex, now);
        Barriers.Elected();
    }

    public void Deposed()
    {
        Duties.Deposed();
        Requests.Deposed();
    }
}
