using Clustd.Core;

namespace Clustd.Simulation;

/// <summary>One machine's clock since its boot: local = origin + rate · true time. The rate is off by at most ρ = 1 %, the origin is arbitrary.</summary>
internal sealed class SimulatedClock(long originMicroseconds, int ratePartsPerMillion)
{
    private const long Million = 1_000_000;

    // While it stands still, and for how long it has stood in all: only a clock that does not count sleep does (a planted bug, rule 1).
    private long? _stoppedAt;
    private long _stood;

    /// <summary>ρ of the lease argument, in parts per million.</summary>
    public const int RateErrorMax = 10_000;

    public int RatePartsPerMillion { get; } = ratePartsPerMillion;

    public Instant At(long trueTime) => new(originMicroseconds + ((Math.Min(trueTime, _stoppedAt ?? trueTime) - _stood) * (Million + RatePartsPerMillion) / Million));

    public void Stop(long trueTime) => _stoppedAt ??= trueTime;

    public void Continue(long trueTime)
    {
        _stood += trueTime - (_stoppedAt ?? trueTime);
        _stoppedAt = null;
    }

    /// <summary>The first true time at which this clock shows `local` or more.</summary>
    public long TrueTimeOf(Instant local)
    {
        if (local.Microseconds >= long.MaxValue / 2_000_000)
        {
            return long.MaxValue;
        }

        var trueTime = Math.Max(0, ((local.Microseconds - originMicroseconds) * Million / (Million + RatePartsPerMillion)) + _stood);
        while (_stoppedAt is null && At(trueTime) < local)
        {
            trueTime++;
        }

        return trueTime;
    }
}
