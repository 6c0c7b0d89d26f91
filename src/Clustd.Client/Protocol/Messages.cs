namespace Clustd.Client.Protocol;

// One record per params or result. Missing required fields fail to parse and are answered with InvalidParams; unknown fields are ignored, so
// that either side may be newer. Durations are microseconds (Us), instants are on the sender's own clock.

/// <summary>Params of <c>hello</c>.</summary>
public sealed record HelloParams
{
    /// <summary>Base64 of 32 random bytes, never used before.</summary>
    public required string Nonce { get; init; }

    /// <summary>The driver's name, so that the daemon knows which driver's own token to prove, if there is one; else it proves the cluster's secret.</summary>
    public string? Name { get; init; }
}

/// <summary>Result of <c>hello</c>: the daemon proves first, so that an impostor on the port learns nothing.</summary>
public sealed record HelloResult
{
    /// <summary>Id of the machine.</summary>
    public required string Machine { get; init; }

    /// <summary>Version of the daemon.</summary>
    public string Version { get; init; } = "";

    /// <summary>Base64 of 32 random bytes, never used before.</summary>
    public required string Nonce { get; init; }

    /// <summary>Base64, see <see cref="Handshake.DaemonProof"/>.</summary>
    public required string Proof { get; init; }

    /// <summary>During a rotation of the secret: the same proof under the old one.</summary>
    public string? OldProof { get; init; }
}

/// <summary>Params of <c>authenticate</c>.</summary>
public sealed record AuthenticateParams
{
    /// <summary>Base64, see <see cref="Handshake.DriverProof"/>.</summary>
    public required string Proof { get; init; }
}

/// <summary>A result that says only that the request succeeded.</summary>
public sealed record EmptyResult
{
    /// <summary>The one value.</summary>
    public static EmptyResult Instance { get; } = new();
}

/// <summary>Params of <c>register</c>.</summary>
public sealed record RegisterParams
{
    /// <summary>One active instance per machine and name.</summary>
    public required string Name { get; init; }

    /// <summary>Random, new with every process: tells a reconnect from a second copy.</summary>
    public required string Instance { get; init; }

    /// <summary>For people.</summary>
    public required string Id { get; init; }

    /// <summary>Empty: the cluster's default service.</summary>
    public IReadOnlyList<string> Services { get; init; } = [];

    /// <summary>Starts ascending, stops descending.</summary>
    public int Order { get; init; }

    /// <summary>Whether its failure fails the promotion.</summary>
    public bool Required { get; init; }

    /// <summary><see cref="StopCertain"/> or <see cref="StopBestEffort"/>; anything else counts as best effort.</summary>
    public string Stop { get; init; } = StopBestEffort;

    /// <summary>How long a planned stop needs, if the driver knows.</summary>
    public long? StopTimeoutUs { get; init; }

    /// <summary>How long a stop after the end of the lease needs, if the driver knows.</summary>
    public long? KillTimeoutUs { get; init; }

    /// <summary>Machines that this driver can fence. Its start comes before all others wherever a trigger names one of them. Absent: none.</summary>
    public IReadOnlyList<string>? Fences { get; init; }

    /// <summary>Operating system's id of the driver process.</summary>
    public int? ProcessId { get; init; }

    /// <summary>What this instance may still be running, and what it has stopped.</summary>
    public IReadOnlyList<DriverState> States { get; init; } = [];

    /// <summary>Value of <see cref="Stop"/>.</summary>
    public const string StopCertain = "certain";

    /// <summary>Value of <see cref="Stop"/>.</summary>
    public const string StopBestEffort = "best-effort";
}

/// <summary>
/// What a reconnecting instance may be running: <c>isMaster</c> is true from the moment a start BEGINS until a stop has SUCCEEDED. A start in
/// flight, a failed start and a failed stop all count as running, and are unsettled.
/// </summary>
public sealed record DriverState
{
    /// <summary>The service.</summary>
    public required string Service { get; init; }

    /// <summary>Whether something may be running.</summary>
    public required bool IsMaster { get; init; }

    /// <summary>Under which token.</summary>
    public required long Token { get; init; }

    /// <summary>
    /// With <see cref="IsMaster"/>: it may be running, but the driver cannot say that it does. A start or stop is in flight, or has failed. Told again, the driver
    /// answers as soon as it knows.
    /// </summary>
    public bool Unsettled { get; init; }
}

/// <summary>Result of <c>register</c>.</summary>
public sealed record RegisterResult
{
    /// <summary>Id of the machine.</summary>
    public required string Machine { get; init; }

    /// <summary>Length of the machine's lease.</summary>
    public required long LeaseUs { get; init; }

    /// <summary>How often to renew, about a sixth of the lease.</summary>
    public required long RenewEveryUs { get; init; }

    /// <summary>How long after the end of the lease everything must be gone.</summary>
    public required long KillTimeoutUs { get; init; }

    /// <summary>The services it will be triggered for.</summary>
    public IReadOnlyList<string> Services { get; init; } = [];
}

/// <summary>Params of <c>trigger</c>.</summary>
public sealed record TriggerParams
{
    /// <summary>The service.</summary>
    public required string Service { get; init; }

    /// <summary>Start or stop.</summary>
    public required bool IsMaster { get; init; }

    /// <summary>Fencing token of the grant.</summary>
    public required long Token { get; init; }

    /// <summary>Why, as a sentence.</summary>
    public string Reason { get; init; } = "";

    /// <summary>Of a start: machines that were lost while they ran the service, or could not stop it, and may still run it. For drivers that fence. Absent: none.</summary>
    public IReadOnlyList<string>? TakesOverFrom { get; init; }

    /// <summary>Grows with every trigger of a connection; <c>cancel</c> names it.</summary>
    public required long Sequence { get; init; }

    /// <summary>How long the daemon waits for the answer.</summary>
    public long LimitUs { get; init; }

    /// <summary>The lease is over: stop at once.</summary>
    public bool Kill { get; init; }
}

/// <summary>Params of <c>cancel</c>.</summary>
public sealed record CancelParams
{
    /// <summary>The service.</summary>
    public required string Service { get; init; }

    /// <summary>Of the trigger to cancel.</summary>
    public required long Sequence { get; init; }
}

/// <summary>Params of <c>renew</c>.</summary>
public sealed record RenewParams
{
    /// <summary>The driver's clock when it asked.</summary>
    public required long Stamp { get; init; }

    /// <summary>
    /// What the driver counts to hold from its stamp on, whoever granted it; 0: nothing. Absent: it does not say, and a daemon that is back from a restart
    /// lets time end the long lease that it had handed out for that.
    /// </summary>
    public long? LeftUs { get; init; }
}

/// <summary>Result of <c>renew</c>.</summary>
public sealed record RenewResult
{
    /// <summary>The stamp that was asked with.</summary>
    public required long Stamp { get; init; }

    /// <summary>
    /// What was left of the lease when the daemon answered, guard already taken off, rounded down. 0: there is none, stop. Null or absent: this daemon has
    /// not taken its session up (again) yet and makes no statement; what was granted before stays. Without the difference a
    /// daemon restarted under a grace would stop every service it came back for.
    /// </summary>
    public long? LeftUs { get; init; }

    /// <summary>
    /// True: take <see cref="LeftUs"/> even if what is held is longer. It was given for a restart that is over, and until it is gone a
    /// crash of this machine would cost as much as it lasts. Null or absent: a longer lease stays.
    /// </summary>
    public bool? Shortens { get; init; }
}

/// <summary>Params of <c>stopped</c>: nothing that was started for the service under this token, or an earlier one, by this instance is running.</summary>
public sealed record StoppedParams
{
    /// <summary>Name of the driver.</summary>
    public required string Name { get; init; }

    /// <summary>Instance of the driver whose start it was.</summary>
    public required string Instance { get; init; }

    /// <summary>The service.</summary>
    public required string Service { get; init; }

    /// <summary>Token of what has stopped.</summary>
    public required long Token { get; init; }

    /// <summary>Why, as a sentence.</summary>
    public string Reason { get; init; } = "";
}

/// <summary>Params of <c>failed</c>.</summary>
public sealed record FailedParams
{
    /// <summary>The service.</summary>
    public required string Service { get; init; }

    /// <summary>Token of what failed.</summary>
    public required long Token { get; init; }

    /// <summary>Why, as a sentence.</summary>
    public string Reason { get; init; } = "";
}

/// <summary>Params of <c>health</c>.</summary>
public sealed record HealthParams
{
    /// <summary>The service.</summary>
    public required string Service { get; init; }

    /// <summary>Whether it is well.</summary>
    public required bool Ok { get; init; }

    /// <summary>More, for people.</summary>
    public string Detail { get; init; } = "";
}

/// <summary>Params of <c>event</c>.</summary>
public sealed record EventParams
{
    /// <summary><c>debug</c>, <c>info</c>, <c>warning</c> or <c>error</c>.</summary>
    public required string Level { get; init; }

    /// <summary>One line.</summary>
    public required string Text { get; init; }
}
