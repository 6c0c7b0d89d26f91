using System.Text.Json.Serialization;
using Clustd.Drivers.Holding;

namespace Clustd.Drivers.Processes;

/// <summary>What the driver tells the guard first, as one JSON line on its pipe. It holds the secret, so it is never on a command line.</summary>
internal sealed record GuardSpec
{
    /// <summary>The command and its arguments; the first one is looked up in PATH when it has no slash.</summary>
    public required IReadOnlyList<string> Command { get; init; }

    /// <summary>The whole environment of the app, as KEY=value. Nothing else is added but HOME, USER and LOGNAME of <see cref="User"/>.</summary>
    public required IReadOnlyList<string> Environment { get; init; }

    public string? WorkingDirectory { get; init; }

    /// <summary>Name or number of the user to run as; null: the driver's own.</summary>
    public string? User { get; init; }

    /// <summary>
    /// A script decides by its exit code and may leave processes in the background, which live on (as in 2018); only a stop kills it.
    /// Otherwise the guard holds the app: nothing that it started outlives it, the lease or the driver.
    /// </summary>
    public bool IsScript { get; init; }

    /// <summary>
    /// A command that is to end well, and what it leaves in the background is the app: held as an app is, until nothing of it is left. If the command fails, the rest goes with it.
    /// </summary>
    public bool HoldsTheRest { get; init; }

    /// <summary>
    /// The app gets the driver's own stdin, stdout and stderr, which the guard finds as descriptors 3 to 5, and nothing of its output passes through
    /// the guard. Otherwise stdin is /dev/null, and the output comes line by line.
    /// </summary>
    public bool IsAttached { get; init; }

    /// <summary>How long after the end of the lease the last process must be seen gone, in µs.</summary>
    public required long KillTimeoutMicros { get; init; }

    /// <summary>Until when the app may run, in µs on the machine's clock. Not used for scripts.</summary>
    public long LeaseEnd { get; init; } = long.MaxValue;

    /// <summary>Not an app of the guard's own, but what systemd or an engine runs: the guard stops it, and kills it. <see cref="Command"/> and <see cref="Environment"/> are then empty.</summary>
    public HoldSpec? Holds { get; init; }

    /// <summary>To whom the guard reports the stop when its driver has died; null: to nobody.</summary>
    public GuardReport? Report { get; init; }
}

/// <summary>What the guard needs to say "stopped" to the daemon in the name of its dead driver.</summary>
internal sealed record GuardReport
{
    public required string Host { get; init; }
    public required string Secret { get; init; }
    public required string Driver { get; init; }
    public required string Instance { get; init; }
    public required string Service { get; init; }
    public required long Token { get; init; }
}

[JsonSerializable(typeof(GuardSpec))]
internal sealed partial class GuardSpecJson : JsonSerializerContext;
