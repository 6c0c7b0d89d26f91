using Clustd.Drivers.Docker;
using Clustd.Drivers.Systemd;

namespace Clustd.Drivers.Holding;

/// <summary>
/// What a driver lets somebody else run: units of systemd, a container of an engine. Part of what a guard is told, and what the driver itself stops by.
/// </summary>
internal sealed record HoldSpec
{
    /// <summary>Of systemd, in the order of their start.</summary>
    public IReadOnlyList<string> Units { get; init; } = [];

    /// <summary>Address of systemd's bus; null: the system's.</summary>
    public string? Bus { get; init; }

    /// <summary>Of an engine; then there are no units.</summary>
    public string? Container { get; init; }

    /// <summary>Path of the engine's socket.</summary>
    public string? Socket { get; init; }

    /// <summary>For messages: "unit web.service".</summary>
    public required string What { get; init; }

    public IHeld Held() => Container is null ? new HeldUnits(Units, Bus) : new HeldContainer(Container, Socket!);
}

/// <summary>Who runs what a driver started: systemd, an engine. Each call opens what it needs, because it may be the last one of a dying connection.</summary>
internal interface IHeld
{
    /// <summary>Asks for a stop; completes when the manager says that nothing runs. Idempotent.</summary>
    /// <exception cref="DriverFailedException">The manager refuses, or does not answer.</exception>
    /// <param name="courtesy">How long it is given to end by itself; who wants to, kills it after that.</param>
    Task StopAsync(TimeSpan courtesy, CancellationToken cancellationToken);

    /// <summary>SIGKILL by the manager; completes when it has taken that.</summary>
    /// <exception cref="DriverFailedException">The manager refuses, or does not answer.</exception>
    Task KillAsync(CancellationToken cancellationToken);
}
