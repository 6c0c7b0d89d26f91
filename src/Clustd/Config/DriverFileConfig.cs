using System.Text;
using Clustd.Drivers;

namespace Clustd.Config;

/// <summary>A driver file: what `clustd drivers --config FILE` connects to and runs. The 2018 files have this shape.</summary>
public sealed record DriverFileConfig
{
    /// <summary>The local daemon, "ws://127.0.0.1:3001".</summary>
    public required Uri Host { get; init; }

    public required string Secret { get; init; }
    public IReadOnlyList<DriverOptions> Drivers { get; init; } = [];

    /// <summary>The machine's watchdog, where this came from a daemon's file; for `clustd driver test`.</summary>
    public WatchdogConfig? Watchdog { get; init; }

    /// <summary>Full path of the file that this came from. Null: it came from text.</summary>
    public string? Path { get; init; }

    // A record prints its members; a secret must not reach a log that way.
    private bool PrintMembers(StringBuilder text)
    {
        text.Append($"Host = {Host}, Drivers = [{string.Join(", ", Drivers.Select(d => d.Name))}], Secret = (hidden)");
        return true;
    }
}
