using Clustd.Config;
using Clustd.Core;
using Clustd.Core.Running;
using Clustd.Http;

namespace Clustd.Watchdogs;

/// <summary>
/// The machine's watchdog: a device that resets the machine unless it is fed. Fed by turns of the decision loop and by no timer, and only as long as the reset would come before what runs
/// here must be gone. So a machine on which nothing decides any more, or nothing can be killed, ends by itself in time. Within a turn, except for the status.
/// </summary>
internal sealed class MachineWatchdog : IDisposable
{
    private readonly IWatchdogDevice _device;
    private readonly string _path;
    private readonly string _identity;
    private readonly WatchdogTiming _timing;
    private readonly bool _wasArmed;
    private readonly bool _mayBeStopped;
    private readonly Action<Severity, string> _say;
    private readonly Func<Instant> _clock;
    private readonly SortedSet<ServiceName> _tooShort = [];
    private Instant _fedAt;
    private bool _hasFed;
    private bool _isWithheldSaid;
    private bool _isFailureSaid;
    private volatile Shown _shown;
    private volatile StatusWarning[] _uncovered = [];

    private MachineWatchdog(IWatchdogDevice device, WatchdogConfig config, WatchdogAbilities abilities, bool wasArmed, bool mayBeStopped, Action<Severity, string> say, Func<Instant> clock)
    {
        (_device, _path, _identity, _timing, _wasArmed, _mayBeStopped, _say, _clock) = (device, config.Device, abilities.Identity, new WatchdogTiming(config.Timeout), wasArmed, mayBeStopped, say, clock);
        _fedAt = clock(); // Opening it was as good as a feed.
        _shown = new Shown(_fedAt, null);
    }

    public TimeSpan FeedEvery => _timing.FeedEvery;

    /// <summary>For the status; any thread.</summary>
    public WatchdogStatus Status
    {
        get
        {
            var shown = _shown;
            return new WatchdogStatus(_path, _identity, (long)_timing.Timeout.TotalMilliseconds, (long)(_clock() - shown.FedAt).TotalMilliseconds, shown.Withheld);
        }
    }

    /// <summary>What a person should see to; any thread.</summary>
    public IReadOnlyList<StatusWarning> Warnings => _shown switch
    {
        { Withheld: { } withheld } => [new StatusWarning("watchdog-withheld", $"The watchdog {_path} is not fed: {withheld}"), .. _uncovered],
        _ => _uncovered,
    };

    /// <summary>Opens and sets it. From here on the machine is reset unless it is fed, or ended in order.</summary>
    /// <exception cref="WatchdogUnavailableException">It cannot be had as asked; three parts. It is then as it was.</exception>
    public static MachineWatchdog Open(WatchdogConfig config, Func<string, IWatchdogDevice> open, WatchdogFacts facts, Action<Severity, string> say, Func<Instant> clock)
    {
        // A former daemon that crashed left it armed, and perhaps something running: then nothing but a proof may stop it.
        var (wasArmed, hasNoWayOut) = (facts.IsArmed(config.Device) == true, facts.HasNoWayOut(config.Device));
        var device = open(config.Device);
        try
        {
            var abilities = device.Abilities;
            Check(config, abilities, hasNoWayOut);
            SetTimeout(device, config, abilities);
            if (abilities.HasReset) say(Severity.Warning, $"The last reset of this machine came from its watchdog ({config.Device}, {abilities.Identity}): a daemon had not decided in time, or something had not stopped in time. The log before it may say what.");
            if (hasNoWayOut == true) say(Severity.Warning, $"The watchdog {config.Device} cannot be stopped once it is armed (nowayout): this machine is reset {Seconds(config.Timeout)} after its daemon has ended, also in order. Start the daemon again before that, or load the watchdog's driver without nowayout.");
            say(Severity.Information, $"The watchdog {config.Device} ({abilities.Identity}) is armed: it resets this machine {Seconds(config.Timeout)} after the last decision.");
            return new MachineWatchdog(device, config, abilities, wasArmed, hasNoWayOut != true, say, clock);
        }
        catch (Exception e) when (e is WatchdogUnavailableException or IOException)
        {
            if (!wasArmed) TryDisarm(device);
            device.Dispose();
            var left = wasArmed ? " It was armed already, and stays so: the machine is reset if nobody feeds it." : "";
            throw new WatchdogUnavailableException(
                (e is IOException ? $"Cannot use the watchdog {config.Device}: it {e.Message}. Name a watchdog in 'watchdog.device', or remove 'watchdog'." : e.Message) + left, e);
        }
    }

    /// <summary>It is time to feed it.</summary>
    public bool IsHungry => !_hasFed || _clock() - _fedAt >= _timing.FeedEvery;

    /// <summary>After a turn: feeds it, if what runs here leaves the time for another timeout.</summary>
    public void Feed(RunningHere here)
    {
        var now = _clock();
        if (WhyNot(here, now) is { } withheld)
        {
            Withhold(withheld, now);
            return;
        }

        try
        {
            _device.Feed();
        }
        catch (IOException e)
        {
            if (!_isFailureSaid) _say(Severity.Error, $"The watchdog {_path} {e.Message}. This machine will be reset {Seconds(_timing.Timeout)} after its last feed. See the kernel's log.");
            _isFailureSaid = true;
            return;
        }

        if (_isWithheldSaid) _say(Severity.Information, $"The watchdog {_path} is fed again.");
        (_hasFed, _isWithheldSaid, _isFailureSaid, _fedAt) = (true, false, false, now);
        _shown = new Shown(now, null);
    }

    /// <summary>
    /// The daemon ends in order. Nothing runs here: the watchdog is stopped. Something goes on while the daemon is started again: it is given the time that this may take.
    /// Otherwise it stays armed, and resets the machine unless the next daemon feeds it.
    /// </summary>
    /// <param name="isOrderly">All was decided that there was to decide; not so after a failure.</param>
    public void End(RunningHere here, bool isOrderly, bool isRestarting)
    {
        var isNothingHere = _hasFed ? isOrderly && here.IsNothing : !_wasArmed;
        if (isNothingHere)
        {
            if (!TryDisarm(_device) || !_mayBeStopped) _say(Severity.Warning, $"The watchdog {_path} could not be stopped: it resets this machine in {Seconds(_timing.Timeout)} unless the daemon is started again.");
            return;
        }

        var left = isRestarting ? GiveTime(here) : _timing.Timeout;
        _say(Severity.Warning, $"The watchdog {_path} stays armed, because something may run here: it resets this machine in {Seconds(left)} unless the daemon is started again.");
    }

    /// <summary>Closes it without a word: it goes on counting unless it was ended and stopped before.</summary>
    public void Dispose() => _device.Dispose();

    private static void Check(WatchdogConfig config, WatchdogAbilities abilities, bool? hasNoWayOut)
    {
        if (abilities.OnlyRaisesAlarm)
        {
            throw new WatchdogUnavailableException($"Cannot use the watchdog {config.Device} ({abilities.Identity}): it raises an alarm and resets nothing. Name another one in 'watchdog.device', or remove 'watchdog'.");
        }

        // Its driver stops it at every close, a crash included, unless the kernel was told never to.
        if (!abilities.StopsByMagicOnly && hasNoWayOut != true)
        {
            throw new WatchdogUnavailableException($"Cannot use the watchdog {config.Device} ({abilities.Identity}): a crash of the daemon would switch it off, because it has no magic close. Load its driver with nowayout=1, or name another one in 'watchdog.device'.");
        }
    }

    private static void SetTimeout(IWatchdogDevice device, WatchdogConfig config, WatchdogAbilities abilities)
    {
        var wanted = (int)config.Timeout.TotalSeconds;
        var refusal = abilities.SetsTimeout ? "" : "cannot be set";
        if (abilities.SetsTimeout)
        {
            try
            {
                device.SetTimeout(wanted);
            }
            catch (IOException e)
            {
                refusal = e.Message;
            }
        }

        // Asked back: drivers round to what their hardware counts in.
        var actual = device.Timeout;
        if (actual == wanted) return;
        var why = refusal.Length > 0 ? $"it {refusal}, and has {actual} s" : $"it makes {actual} s of it";
        throw new WatchdogUnavailableException(
            $"Cannot set the watchdog {config.Device} ({abilities.Identity}) to {wanted} s: {why}. Choose a 'watchdog.timeout' that it can do (`clustd driver test watchdog` shows its range); a longer one may need a longer kill_timeout.");
    }

    /// <summary>Null: it may be fed. Else what may run here beyond its end.</summary>
    private string? WhyNot(RunningHere here, Instant now)
    {
        var fits = _timing.KillTimeoutMin(here.Lease);
        foreach (var (service, killTimeout) in here.Services)
        {
            if (killTimeout < fits)
            {
                Uncovered(service, killTimeout, fits); // It would not be fed although all is well.
            }
            else if (!_timing.MayFeed(now, here.HeldUntil, killTimeout))
            {
                return $"'{service}' may run here, and must be gone {Seconds(Positive(here.HeldUntil + killTimeout - now))} from now";
            }
        }

        return null;
    }

    private void Withhold(string why, Instant now)
    {
        var left = Positive(_timing.Timeout - (now - _fedAt));
        _shown = new Shown(_fedAt, $"{why}. This machine is reset in {Seconds(left)} unless it has stopped by then, or the session is held again.");
        // Between two heartbeats that were late it may happen, and means nothing yet.
        if (_isWithheldSaid || left > _timing.Timeout / 2) return;
        _isWithheldSaid = true;
        _say(Severity.Error, $"The watchdog {_path} is not fed any more: {_shown.Withheld}");
    }

    private void Uncovered(ServiceName service, TimeSpan killTimeout, TimeSpan fits)
    {
        if (!_tooShort.Add(service)) return;
        var sentence = $"The watchdog does not cover '{service}': its kill_timeout of {Seconds(killTimeout)} is too short for a 'watchdog.timeout' of {Seconds(_timing.Timeout)}, and may be over before the machine is reset. Raise kill_timeout to {Seconds(fits)}, or lower 'watchdog.timeout'.";
        _say(Severity.Warning, sentence);
        _uncovered = [.. _uncovered, new StatusWarning("watchdog-uncovered", sentence)];
    }

    // Until what goes on must be gone, as far as the device can count.
    private TimeSpan GiveTime(RunningHere here)
    {
        var killTimeout = here.Services.Select(each => each.KillTimeout).DefaultIfEmpty(TimeSpan.Zero).Min();
        var left = here.HeldUntil + killTimeout - _clock();
        for (var seconds = WatchdogTiming.LongestWithin(left); seconds > _timing.Timeout; seconds = TimeSpan.FromSeconds(Math.Floor(seconds.TotalSeconds / 2)))
        {
            if (TrySet(seconds)) return seconds; // Else it is more than it can count.
        }

        TrySet(_timing.Timeout);
        return _timing.Timeout;
    }

    private bool TrySet(TimeSpan timeout)
    {
        try
        {
            _device.SetTimeout((int)timeout.TotalSeconds);
            if (_device.Timeout > timeout.TotalSeconds) return false;
            _device.Feed();
            return true;
        }
        catch (IOException)
        {
            return false;
        }
    }

    private static bool TryDisarm(IWatchdogDevice device)
    {
        try
        {
            device.Disarm();
            return true;
        }
        catch (IOException)
        {
            return false;
        }
    }

    private static TimeSpan Positive(TimeSpan time) => time > TimeSpan.Zero ? time : TimeSpan.Zero;

    private static string Seconds(TimeSpan time) => StatusMaker.Seconds(time);

    private sealed record Shown(Instant FedAt, string? Withheld);
}
