using Clustd.Core;

namespace Clustd.Hub;

/// <summary>What the hub is told of itself, and how much it puts up with.</summary>
public sealed record DriverHubOptions
{
    /// <summary>Id of this machine, as drivers are told.</summary>
    public required MachineId Self { get; init; }

    /// <summary>Version of the daemon, as drivers are told.</summary>
    public required string Version { get; init; }

    public required string Secret { get; init; }

    /// <summary>Valid beside <see cref="Secret"/> while a rotation is under way.</summary>
    public string? OldSecret { get; init; }

    public TimeProvider Time { get; init; } = TimeProvider.System;

    /// <summary>Registered drivers at a time. Whoever has not registered is counted apart, so that a guard's proof gets in when this is used up.</summary>
    public int DriversMax { get; init; } = 64;

    /// <summary>Connections that have not registered, at a time. Beyond it the oldest that has not proven the secret makes room.</summary>
    public int VisitorsMax { get; init; } = 64;

    /// <summary>What a connection has to prove the secret.</summary>
    public TimeSpan HandshakeLimit { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>What an authenticated connection has to register; a guard that only brings a proof needs none of it.</summary>
    public TimeSpan RegisterLimit { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>Sustained; as many again may come at once. A driver needs a dozen: six renewals per lease, a few reports. Answers that are awaited are not counted.</summary>
    public int MessagesPerSecond { get; init; } = 1_000;

    /// <summary>
    /// Messages that wait to be sent to one driver. All services that it may register for may be told, and cancelled, at once: more means that the driver does
    /// not read.
    /// </summary>
    public int SendQueueMax { get; init; } = 256 + (2 * RegistrationReader.ServicesMax);

    /// <summary>Lines of <c>event</c> and <c>health</c> per second and driver, sustained; five times as many may come at once.</summary>
    public int NotesPerSecond { get; init; } = 10;

    /// <summary>Whether drivers of 2018 may come in, over loopback.</summary>
    public bool LegacyDrivers { get; init; }

    /// <summary>How often a driver of 2018 is pinged, as it pings us.</summary>
    public TimeSpan LegacyPing { get; init; } = TimeSpan.FromSeconds(1.5);

    /// <summary>How long a driver of 2018 may leave a ping without an answer.</summary>
    public TimeSpan LegacySilenceMax { get; init; } = TimeSpan.FromSeconds(3);
}
