using System.Text.Json.Serialization;

namespace Clustd.Drivers.Docker;

/// <summary>What an engine says about a container: the part of its inspection that is looked at, in the names of its API.</summary>
internal sealed record ContainerState
{
    public string Id { get; init; } = "";

    public string Name { get; init; } = "";

    public RunState State { get; init; } = new();

    public HostSettings HostConfig { get; init; } = new();

    public bool IsActive => State.Running && !State.Paused && !State.Dead;

    /// <summary>Podman calls what is being stopped not running, although its processes may take their time.</summary>
    public bool IsStopped => !State.Running && !State.Restarting && !State.Paused && State.Pid == 0 && State.Status is not "stopping";

    public bool IsUnhealthy => State is { Running: true, Health.Status: "unhealthy" };

    /// <summary>For people: "exited with 3".</summary>
    public string Words => State switch
    {
        { Paused: true } => "paused",
        { Restarting: true } => "being restarted by the engine",
        { Status: "stopping" } => "being stopped",
        { Running: true, Health.Status: "unhealthy" } => "running, but unhealthy",
        { Running: true } => "running",
        { OOMKilled: true } => "out of memory, killed",
        { Error: { Length: > 0 } error } => $"not running ({error})",
        { Status: "created" } => "created, never started",
        _ => $"exited with {State.ExitCode}",
    };
}

internal sealed record RunState
{
    public string? Status { get; init; }
    public bool Running { get; init; }
    public bool Paused { get; init; }
    public bool Restarting { get; init; }
    public bool Dead { get; init; }
    public bool OOMKilled { get; init; }
    public int Pid { get; init; }
    public long ExitCode { get; init; }
    public string? Error { get; init; }
    public HealthState? Health { get; init; }
}

internal sealed record HealthState
{
    public string? Status { get; init; }
}

internal sealed record HostSettings
{
    public RestartSetting? RestartPolicy { get; init; }
    public bool AutoRemove { get; init; }
}

internal sealed record RestartSetting
{
    public string? Name { get; init; }
}

internal sealed record EngineMessage
{
    [JsonPropertyName("message")]
    public string? Message { get; init; }
}

[JsonSerializable(typeof(ContainerState))]
[JsonSerializable(typeof(EngineMessage))]
internal sealed partial class EngineJson : JsonSerializerContext;
