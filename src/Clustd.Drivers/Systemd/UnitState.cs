namespace Clustd.Drivers.Systemd;

/// <summary>What systemd says about a unit, in its own words.</summary>
internal sealed record UnitState
{
    public required string Name { get; init; }

    /// <summary>loaded, not-found, masked, bad-setting, error.</summary>
    public required string LoadState { get; init; }

    /// <summary>active, reloading, inactive, failed, activating, deactivating, maintenance, refreshing.</summary>
    public required string ActiveState { get; init; }

    /// <summary>running, exited, dead, auto-restart and so on.</summary>
    public required string SubState { get; init; }

    /// <summary>enabled, disabled, static, masked and so on; empty: not known.</summary>
    public string FileState { get; init; } = "";

    /// <summary>success, exit-code, signal, timeout, oom-kill, start-limit-hit and so on.</summary>
    public string Result { get; init; } = "";

    /// <summary>no, on-failure, always and so on.</summary>
    public string Restart { get; init; } = "no";

    public string Type { get; init; } = "";

    public bool RemainAfterExit { get; init; }

    /// <summary>control-group, mixed, process, none.</summary>
    public string KillMode { get; init; } = "";

    public bool RefuseManualStart { get; init; }

    public bool RefuseManualStop { get; init; }

    /// <summary>Sockets, timers and paths that start it by themselves.</summary>
    public IReadOnlyList<string> TriggeredBy { get; init; } = [];

    /// <summary>"/system.slice/web.service"; empty: none now.</summary>
    public string ControlGroup { get; init; } = "";

    public bool IsActive => ActiveState is "active" or "reloading" or "refreshing";

    public bool IsStopped => ActiveState is "inactive" or "failed" or "maintenance";

    /// <summary>For people: "failed (exit-code)".</summary>
    public string Words => ActiveState == "failed" && Result.Length > 0 ? $"failed ({Result})" : SubState.Length > 0 && SubState != ActiveState ? $"{ActiveState} ({SubState})" : ActiveState;
}
