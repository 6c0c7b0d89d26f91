using Clustd.Core;
using Clustd.Http;
using Clustd.Watchdogs;

namespace Clustd;

/// <summary>How a daemon is run, besides its configuration.</summary>
public sealed record DaemonOptions
{
    /// <summary>Told what a person at the terminal or the journal should read, one sentence at a time; from any thread, must not block.</summary>
    public required Action<Severity, string> Say { get; init; }

    /// <summary>After every turn of the decision loop: feeds the service manager's watchdog.</summary>
    public Action TurnCompleted { get; init; } = static () => { };

    /// <summary>How often that must come at least; null: nobody waits for it.</summary>
    public TimeSpan? TurnEvery { get; init; }

    /// <summary>The service manager's watchdog, for the status; null: it has none for this process.</summary>
    public Func<WatchdogStatus?> ManagerWatchdog { get; init; } = static () => null;

    /// <summary>Opens the machine's watchdog. Tests give a device that only writes down what it was told.</summary>
    internal Func<string, IWatchdogDevice> OpenWatchdog { get; init; } = WatchdogDevice.Open;

    /// <summary>What the kernel tells of watchdogs.</summary>
    internal WatchdogFacts WatchdogFacts { get; init; } = new();

    public string Version { get; init; } = ProductVersion.Text;
}
