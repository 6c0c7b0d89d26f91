using System.Collections.Immutable;
using System.Text.Json.Serialization;

namespace Clustd.Chaos.History;

/// <summary>One line of a history. Instants are µs of CLOCK_MONOTONIC of the harness, which no fault moves. A history holds only what was seen from outside.</summary>
/// <param name="At">When it was; of what took time, its beginning.</param>
[JsonPolymorphic(TypeDiscriminatorPropertyName = "is")]
[JsonDerivedType(typeof(RunStarted), "run")]
[JsonDerivedType(typeof(RoundStarted), "round")]
[JsonDerivedType(typeof(RoundEnded), "round-end")]
[JsonDerivedType(typeof(FaultBegan), "fault")]
[JsonDerivedType(typeof(FaultEnded), "fault-end")]
[JsonDerivedType(typeof(FaultSkipped), "fault-skipped")]
[JsonDerivedType(typeof(ActsSeen), "acts")]
[JsonDerivedType(typeof(Looked), "look")]
[JsonDerivedType(typeof(StatusRead), "read")]
[JsonDerivedType(typeof(Commanded), "command")]
[JsonDerivedType(typeof(Decided), "decided")]
[JsonDerivedType(typeof(DaemonEnded), "daemon-end")]
[JsonDerivedType(typeof(LoadSeen), "load")]
[JsonDerivedType(typeof(HealthWaited), "health")]
public abstract record HistoryRecord(long At);

/// <summary>A run: several rounds from one seed.</summary>
public sealed record RunStarted(long At, int Seed, string Program, string Machine, int Processors, string WallClock) : HistoryRecord(At);

/// <summary>A fresh cluster. BoundMs is what `clustd check` prints.</summary>
public sealed record RoundStarted(
    long At, int Round, ImmutableArray<string> Machines, ImmutableArray<string> Services, long LeaseMs, long KillTimeoutMs, long BoundMs) : HistoryRecord(At)
{
    [JsonIgnore]
    public int Majority => (Machines.Length / 2) + 1;
}

public sealed record RoundEnded(long At) : HistoryRecord(At);

/// <param name="Machines">Whom it is done to. Of a partial mesh: the two that do not hear each other. Empty: all.</param>
public sealed record FaultBegan(long At, int Id, FaultKind Kind, ImmutableArray<string> Machines, Roles Roles, string Detail) : HistoryRecord(At);

/// <summary>It is undone; the machine may take some time to recover.</summary>
public sealed record FaultEnded(long At, int Id, string Detail) : HistoryRecord(At);

public sealed record FaultSkipped(long At, FaultKind Kind, string Why) : HistoryRecord(At);

/// <summary>
/// Acts of one app, one after the other in the kernel's order, with no other app of that service in between. Records of a service stand in that order.
/// </summary>
/// <param name="Until">Of the last one.</param>
/// <param name="IsAccepted">Whether the resource took them: it refuses tokens below the newest that it has seen.</param>
public sealed record ActsSeen(long At, long Until, string Service, string Machine, long Token, int Pid, int Count, bool IsAccepted) : HistoryRecord(At);

/// <summary>What a machine said of itself, unconfirmed.</summary>
/// <param name="Answers">Its daemon answered, has its drivers, and hears a majority.</param>
/// <param name="IsReady">It takes part: it also has a session and knows a leader.</param>
public sealed record Looked(long At, long Until, string Machine, bool Answers, bool IsReady, string? Leader) : HistoryRecord(At);

/// <summary>A confirmed (linearizable) read of the status.</summary>
public sealed record StatusRead(long At, long Until, string Machine, bool IsPaused, ImmutableArray<string> Drained, ImmutableArray<ServiceRead> Services) : HistoryRecord(At);

public sealed record ServiceRead(string Name, string? Master, long? Token, string State);

/// <summary>An operator's command.</summary>
/// <param name="Subject">A machine, a service, or empty.</param>
/// <param name="ExitCode">-1: it did not end in time.</param>
/// <param name="Token">Of a move that was done: what runs now.</param>
public sealed record Commanded(long At, long Until, string On, string Verb, string Subject, int ExitCode, long? Token, string Said) : HistoryRecord(At);

/// <summary>What a machine says that the cluster decided.</summary>
/// <param name="On">Which machine says so.</param>
public sealed record Decided(long At, string On, long Index, string Kind, string? Service, string? Machine, long? Token, string Sentence) : HistoryRecord(At);

/// <summary>A daemon ended.</summary>
/// <param name="IsExpected">The harness has ended it, or told it to.</param>
public sealed record DaemonEnded(long At, string Machine, int ExitCode, bool IsExpected, string LastWords) : HistoryRecord(At);

/// <summary>How late the harness's own clock thread woke at worst since the record before; how busy the machine is.</summary>
public sealed record LoadSeen(long At, long WorstLateUs, double Load1, double BusyShare) : HistoryRecord(At);

/// <summary>After faults were undone: how long it took until all was well.</summary>
/// <param name="Missing">What was not, at the end of patience; null: all was well.</param>
public sealed record HealthWaited(long At, long Until, string? Missing) : HistoryRecord(At);
