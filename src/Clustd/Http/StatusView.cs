using Clustd.Core;

namespace Clustd.Http;

/// <summary>
/// What one machine knows, for people and programs. It never lies: what it cannot know now is <see cref="Unknown"/>, and what it knew last stands
/// beside that, with its age, never in its place.
/// </summary>
public sealed record StatusView
{
    /// <summary>The value of what this machine cannot know just now.</summary>
    public const string Unknown = "unknown";

    /// <summary>The value of <see cref="Consistency"/> of what a majority has confirmed.</summary>
    public const string Linearizable = "linearizable";

    /// <summary>Id of the cluster; null before it has formed.</summary>
    public required string? Cluster { get; init; }

    /// <summary>Id of the machine that says all this.</summary>
    public required string Self { get; init; }

    public required string Version { get; init; }

    /// <summary>What forming waits for, as a sentence; null when it waits for nothing.</summary>
    public required string? WaitsFor { get; init; }

    /// <summary>follower, pre-candidate, candidate or leader: this machine's own part in the consensus.</summary>
    public required string Role { get; init; }

    /// <summary>Id of the leader; null: there is none just now; or <see cref="Unknown"/>.</summary>
    public required string? Leader { get; init; }

    /// <summary>The highest term this machine has seen.</summary>
    public required long Term { get; init; }

    public required QuorumStatus Quorum { get; init; }

    /// <summary>linearizable: a majority confirmed that this shows all that was decided before it was asked for. local: what this machine knows, as old as KnownAgoMs.</summary>
    public required string Consistency { get; init; }

    /// <summary>Age of what is said of the cluster, ms; null: this machine has heard no leader since it started.</summary>
    public required long? KnownAgoMs { get; init; }

    /// <summary>Whether that is younger than the lease; if not, nothing is said of other machines.</summary>
    public required bool IsKnown { get; init; }

    public required long LeaseMs { get; init; }

    /// <summary>What is left of this machine's own session, ms; 0: it holds none and runs nothing.</summary>
    public required long SessionLeftMs { get; init; }

    /// <summary>Whether this machine is saying goodbye.</summary>
    public required bool IsLeaving { get; init; }

    /// <summary>Whether automatic moves are off; null: not known.</summary>
    public required bool? Paused { get; init; }

    public required IReadOnlyList<MachineStatus> Machines { get; init; }

    public required IReadOnlyList<ServiceStatus> Services { get; init; }

    /// <summary>Drivers of this machine.</summary>
    public required IReadOnlyList<DriverStatus> Drivers { get; init; }

    /// <summary>How late the decision loop was at worst in the last minute, ms; null: not measured.</summary>
    public required double? LoopLatenessMs { get; init; }

    /// <summary>How this machine's daemon itself is doing; null: not measured.</summary>
    public ProcessStatus? Process { get; init; }

    /// <summary>What acts when this machine's daemon decides nothing any more: the machine's watchdog, the service manager's. Empty: nothing does.</summary>
    public IReadOnlyList<WatchdogStatus> Watchdogs { get; init; } = [];

    public required IReadOnlyList<StatusWarning> Warnings { get; init; }

    internal static string ConsistencyOf(bool isConfirmed) => isConfirmed ? Linearizable : "local";

    /// <summary>Makes it of a core's view. Pure.</summary>
    public static StatusView From(MachineView view, StatusContext context) => new StatusMaker(view, context).Make();
}

/// <summary>What a status needs beside the core's view.</summary>
public sealed record StatusContext
{
    /// <summary>How long ago the view was taken: it is counted on top of all ages in it.</summary>
    public TimeSpan ViewAge { get; init; }

    public string Version { get; init; } = "";

    /// <summary>The view was taken after a majority confirmed that this machine has seen all that was decided before it was asked.</summary>
    public bool IsConfirmed { get; init; }

    public ProcessStatus? Process { get; init; }

    public IReadOnlyList<WatchdogStatus> Watchdogs { get; init; } = [];

    /// <summary>Wall-clock time at which this machine applied an entry of the log, for people; null where it is not known.</summary>
    public Func<long, DateTimeOffset?> WallClockOf { get; init; } = _ => null;

    /// <summary>Of other parts of the daemon.</summary>
    public IReadOnlyList<StatusWarning> Warnings { get; init; } = [];
}

/// <summary>The majority that decisions need.</summary>
/// <param name="Have">Voters heard lately, this one included; null: not known.</param>
/// <param name="Need">Voters that make a majority.</param>
/// <param name="Voters">Voters in all.</param>
/// <param name="CountedBy">leader: by answers to its heartbeats. connections: a follower's open connections, which is less. null: not counted.</param>
public sealed record QuorumStatus(int? Have, int Need, int Voters, string? CountedBy);

/// <summary>One machine.</summary>
/// <param name="State">
/// alive: it has a session. connected: it has none, but this machine has a connection with it. away: neither. unknown.
/// Of this machine itself: alive, or cut-off when it holds no session.
/// </param>
/// <param name="Session">Number of its session; null: none, or not known.</param>
/// <param name="Drained">null: not known.</param>
/// <param name="Connected">Whether this machine has a connection with it.</param>
public sealed record MachineStatus(
    string Id, string Address, string State, long? Session, bool Witness, bool? Drained, bool IsSelf, bool? IsLeader, bool Connected, MachineLastKnown? LastKnown);

/// <summary>What was known of a machine once. AgoMs null: before this daemon started.</summary>
public sealed record MachineLastKnown(long? AgoMs, string State, long? Session, bool Drained);

/// <summary>One service.</summary>
/// <param name="Master">Id of the machine that runs it; null: none; or unknown.</param>
/// <param name="Token">Fencing token of the grant; null: none, or not known.</param>
/// <param name="State">starting, running, stopping, stuck; vacated: waiting until the last master is dead for certain; unassigned; unknown.</param>
/// <param name="Since">When this machine saw it get into that state, by its wall clock; null: not known.</param>
/// <param name="Takeover">
/// certain: a takeover waits until what ran is dead for certain. best-effort: some driver of the master cannot promise that, or the service is set to
/// be taken over regardless. unknown: only the master knows its drivers.
/// </param>
/// <param name="Placement">Why the leader leaves it where it is, or nowhere; known to the leader only.</param>
/// <param name="Here">This machine's own part, which it always knows.</param>
public sealed record ServiceStatus(
    string Name, string? Master, long? Token, string State, DateTimeOffset? Since, string Reason, string Takeover, string? Placement, LocalStatus Here, ServiceLastKnown? LastKnown);

/// <summary>This machine's own part in a service: standby, waiting-for-lease-end, promoting, running, demoting, stuck, or unknown when its decision loop is late.</summary>
public sealed record LocalStatus(string Phase, long? Token, string Reason);

/// <summary>What was known of a service once. AgoMs null: before this daemon started.</summary>
public sealed record ServiceLastKnown(long? AgoMs, string? Master, long? Token, string State, string Reason);

/// <summary>One driver of this machine.</summary>
/// <param name="Active">Whether it is the one of its name that may be told to start.</param>
/// <param name="Stop">certain or best-effort.</param>
public sealed record DriverStatus(
    string Name, string Instance, IReadOnlyList<string> Services, bool Connected, bool Active, bool Required, string Stop, string? LastError);

/// <summary>How one daemon's process is doing: what delays its decisions.</summary>
/// <param name="LoopLatenessMs">How late the decision loop woke at worst in the last minute, ms.</param>
/// <param name="LoopLatenessP99Ms">99 of 100 wake-ups of the last minute were no later, ms.</param>
/// <param name="LoopPriority">What its thread was permitted: SCHED_FIFO 1, nice -20, ordinary.</param>
/// <param name="PeerMessagesDropped">Messages of other machines that found the inbox full, since the start.</param>
/// <param name="GcPauseMs">For how long the garbage collector has stopped everything, in all since the start, ms.</param>
/// <param name="AllocatedBytes">Memory allocated in all since the start; its growth per second is the garbage.</param>
/// <param name="StoreCommitMedianMs">Of the latest commits to the disk, ms.</param>
/// <param name="StoreCommitP99Ms">99 of 100 of the latest commits took no longer, ms.</param>
/// <param name="StoreCommitMaximumMs">The longest commit since the start, ms.</param>
public sealed record ProcessStatus(
    double LoopLatenessMs, double LoopLatenessP99Ms, string LoopPriority, long PeerMessagesDropped, double GcPauseMs, long AllocatedBytes,
    double StoreCommitMedianMs, double StoreCommitP99Ms, double StoreCommitMaximumMs);

/// <summary>A watchdog that this daemon feeds after its decisions.</summary>
/// <param name="Device">Its file, /dev/watchdog, which resets the machine; or "systemd", which starts the daemon again.</param>
/// <param name="Identity">What the device's driver calls itself; null: not a device.</param>
/// <param name="TimeoutMs">So long after the last feed it acts, ms.</param>
/// <param name="FedAgoMs">Age of the last feed, ms.</param>
/// <param name="Withheld">Why it is not fed just now, as a sentence; null: it is.</param>
public sealed record WatchdogStatus(string Device, string? Identity, long TimeoutMs, long FedAgoMs, string? Withheld);

/// <summary>Something a person should see to. Code is a stable word.</summary>
public sealed record StatusWarning(string Code, string Sentence);
