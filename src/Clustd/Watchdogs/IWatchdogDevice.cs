namespace Clustd.Watchdogs;

/// <summary>An open watchdog, as linux/watchdog.h has it. Open, it counts. To dispose of it closes it without a word, as a crash does: it goes on counting.</summary>
internal interface IWatchdogDevice : IDisposable
{
    /// <summary>What it is and can do.</summary>
    /// <exception cref="IOException">It does not answer like a watchdog; the message has the kernel's word.</exception>
    WatchdogAbilities Abilities { get; }

    /// <summary>Seconds after the last feed; what it says when asked.</summary>
    /// <exception cref="IOException">It cannot be asked.</exception>
    int Timeout { get; }

    /// <exception cref="IOException">It refuses so many seconds.</exception>
    void SetTimeout(int seconds);

    /// <exception cref="IOException">It was not fed.</exception>
    void Feed();

    /// <summary>Writes the letter after which closing it makes it stop, where it may be stopped at all.</summary>
    /// <exception cref="IOException">It was not written.</exception>
    void Disarm();
}

/// <param name="Identity">What its driver calls itself: "Software Watchdog", "iTCO_wdt".</param>
/// <param name="SetsTimeout">The timeout can be chosen.</param>
/// <param name="StopsByMagicOnly">Closing it is no stop unless the letter came before: it outlives a crash.</param>
/// <param name="OnlyRaisesAlarm">It resets nothing.</param>
/// <param name="HasReset">The last start of this machine was its work.</param>
internal sealed record WatchdogAbilities(string Identity, bool SetsTimeout, bool StopsByMagicOnly, bool OnlyRaisesAlarm, bool HasReset);
