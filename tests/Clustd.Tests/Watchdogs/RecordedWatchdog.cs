using Clustd.Core;
using Clustd.Watchdogs;

namespace Clustd.Tests.Watchdogs;

/// <summary>A watchdog that counts as the kernel's do, on the clock of the test, and writes down what it was told.</summary>
internal sealed class RecordedWatchdog(Func<Instant> clock) : IWatchdogDevice
{
    private Instant _fedAt;
    private bool _isArmed;
    private bool _hasLetter;

    public WatchdogAbilities Abilities { get; set; } = new("Recorded Watchdog", SetsTimeout: true, StopsByMagicOnly: true, OnlyRaisesAlarm: false, HasReset: false);

    /// <summary>What its hardware makes of a wish; an exception where it refuses.</summary>
    public Func<int, int> Rounds { get; set; } = seconds => seconds;

    /// <summary>It fails at every feed.</summary>
    public bool IsBroken { get; set; }

    public List<string> Told { get; } = [];

    public int Timeout { get; private set; } = 60;

    /// <summary>By now the machine would have been reset.</summary>
    public bool HasReset { get; private set; }

    public bool IsArmed => _isArmed && !HasReset;

    /// <summary>What /dev/watchdog does when it is opened.</summary>
    public IWatchdogDevice Open(string path)
    {
        Told.Add($"open {path}");
        (_isArmed, _fedAt) = (true, clock());
        return this;
    }

    /// <summary>To be called whenever the clock was moved.</summary>
    public void Look() => HasReset |= _isArmed && clock() - _fedAt >= TimeSpan.FromSeconds(Timeout);

    public void SetTimeout(int seconds)
    {
        Told.Add($"timeout {seconds}");
        Timeout = Rounds(seconds);
    }

    public void Feed()
    {
        if (IsBroken) throw new IOException("does not take what is written to it: Input/output error");
        (_hasLetter, _fedAt) = (false, clock());
        Told.Add("feed");
    }

    public void Disarm()
    {
        _hasLetter = true;
        Told.Add("V");
    }

    public void Dispose()
    {
        Told.Add("close");
        _isArmed &= !_hasLetter;
        _hasLetter = false;
    }
}
