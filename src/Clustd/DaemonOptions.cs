using Clustd.Core;

namespace Clustd;

/// <summary>How a daemon is run, besides its configuration.</summary>
public sealed record DaemonOptions
{
    /// <summary>Told what a person at the terminal or the journal should read, one sentence at a time; from any thread, must not block.</summary>
    public required Action<Severity, string> Say { get; init; }

    /// <summary>After every turn of the decision loop, once a second at least: feeds a watchdog.</summary>
    public Action TurnCompleted { get; init; } = static () => { };

    public string Version { get; init; } = ProductVersion.Text;
}
