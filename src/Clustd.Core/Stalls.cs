using Clustd.Core.Leading;

namespace Clustd.Core;

/// <summary>
/// Notices that this machine's own disk or loop does not keep up, and lets it step aside in good order. A leader whose disk stalls could still confirm
/// rounds, and so keep everybody from electing another, but it applies nothing (decision 0004) and so decides nothing: it hands its leadership over, or
/// steps down. What runs here stays: a stall does not touch the hold, and moving it would be an outage for certain.
/// </summary>
internal sealed class Stalls(MachineSettings settings, Raft.Raft raft, LeaderDuties duties, List<Output> outputs)
{
    private readonly LeaseTiming _timing = new(settings.Lease);
    private readonly Queue<(long Sequence, Instant At)> _underWay = [];
    private TimeSpan _late;
    private Instant _lateUntil = new(long.MinValue / 2);
    private Instant? _asideSince;
    private Instant _transferAgainAt;
    private bool _isNoted;

    /// <summary>Beyond this a machine counts as stalled: half its lease.</summary>
    public TimeSpan Limit => settings.Lease / 2;

    public Instant WakeAt { get; private set; } = Instant.Never;

    /// <summary>Why this machine should be given nothing new, as the rest of a sentence that begins with its name; null: it keeps up.</summary>
    public string? Sentence { get; private set; }

    public void Persisting(long sequence, Instant now) => _underWay.Enqueue((sequence, now));

    public void Persisted(long sequence)
    {
        while (_underWay.TryPeek(out var oldest) && oldest.Sequence <= sequence)
        {
            _underWay.Dequeue();
        }
    }

    /// <summary>The loop was woken so much too late.</summary>
    public void LoopWasLate(TimeSpan late, Instant now)
    {
        if (late > Limit)
        {
            (_late, _lateUntil) = (late, now + settings.Lease);
        }
    }

    public void Continue(Instant now)
    {
        if (settings.PlantedBug.Is(PlantedBug.StalledLeaderStays))
        {
            return;
        }

        var silence = _underWay.TryPeek(out var oldest) ? now - oldest.At : TimeSpan.Zero;
        var isDiskStalled = _underWay.Count > 0 && silence >= Limit;
        Sentence = isDiskStalled ? $"has a disk that has not answered for over {Words(Doubled(silence))}"
            : now < _lateUntil ? $"was late by {Words(_late)} a moment ago"
            : null;
        raft.HoldsBack = isDiskStalled;
        Note(isDiskStalled);
        WakeAt = isDiskStalled ? oldest.At + (Doubled(silence) * 2)
            : Instant.Min(_underWay.Count > 0 ? oldest.At + Limit : Instant.Never, now < _lateUntil ? _lateUntil : Instant.Never);
        if (raft.IsLeader && Sentence is not null && raft.Voters.Length > 1)
        {
            StepAside(isDiskStalled, now);
        }
        else
        {
            _asideSince = null;
        }
    }

    private void StepAside(bool isDiskStalled, Instant now)
    {
        if (_asideSince is null)
        {
            (_asideSince, _transferAgainAt) = (now, now);
        }

        if (now >= _transferAgainAt)
        {
            foreach (var target in raft.TransferTargets)
            {
                if (duties.Reports.TryGetValue(target, out var report) && report.Stalled is null && raft.TransferTo(target, now))
                {
                    outputs.Add(new Output.Noted(Severity.Warning, "steps-aside", $"{settings.Self} {Sentence}: it hands its leadership over to {target}."));
                    _transferAgainAt = now + _timing.ElectionMaximum;
                    break;
                }
            }
        }

        // A stalled loop works again by now: only a disk that still does not answer makes it give up what it could not hand over.
        var giveUpAt = _asideSince.Value + _timing.ElectionMaximum;
        if (isDiskStalled && now >= giveUpAt)
        {
            raft.StepDown($"{settings.Self} {Sentence}, and nobody took its leadership over: it steps down. Whoever can decide will lead.", now);
            _asideSince = null;
        }
        else
        {
            WakeAt = Instant.Min(WakeAt, Instant.Min(now + _timing.Heartbeat, isDiskStalled ? giveUpAt : Instant.Never));
        }
    }

    private void Note(bool isDiskStalled)
    {
        if (isDiskStalled != _isNoted)
        {
            _isNoted = isDiskStalled;
            outputs.Add(isDiskStalled
                ? new Output.Noted(Severity.Warning, "disk-stalled", $"{settings.Self} {Sentence}: it leads nothing and is given nothing new until it does. See what keeps the disk busy; what runs here goes on.")
                : new Output.Noted(Severity.Information, "disk-answers", $"The disk of {settings.Self} answers again."));
        }
    }

    // Half a lease, one, two, four: the report must not be a new one with every heartbeat.
    private TimeSpan Doubled(TimeSpan silence)
    {
        var reached = Limit;
        while (reached * 2 <= silence)
        {
            reached *= 2;
        }

        return reached;
    }

    private static string Words(TimeSpan time) =>
        time.TotalSeconds < 1 ? FormattableString.Invariant($"{time.TotalMilliseconds:0} ms") : FormattableString.Invariant($"{time.TotalSeconds:0.#} s");
}
