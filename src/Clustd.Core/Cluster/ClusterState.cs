using System.Collections.Immutable;
using System.Text.Json.Serialization;

namespace Clustd.Core.Cluster;

// JsonRequired: the generated reader does not know the initial value of a property that is only initialised, so what is missing would come out as nothing,
// a list that nobody may touch. A property that is added later must be one whose nothing is right.

/// <summary>
/// A machine with one particular store. Address is "host:port" as the configuration names it. A learner receives the log and may run services, but
/// has no vote: it is on its way to become a voter, or has said goodbye where only two machines vote.
/// </summary>
public sealed record Member(MachineId Machine, StoreId Store, string Address, bool Witness, bool Learner = false);

/// <summary>A live session. Its id is the log index of its OpenSession.</summary>
public sealed record Session(SessionId Id, MachineId Machine, StoreId Store, TimeSpan Lease)
{
    /// <summary>Restart graces by id. They accumulate: the session lasts as long as the longest (rule 16), and only its holder ends one.</summary>
    [JsonRequired]
    public ImmutableSortedDictionary<long, RestartGrace> Graces { get; init; } = ImmutableSortedDictionary<long, RestartGrace>.Empty;
}

/// <summary>What to do when a stop fails and killing is not certain.</summary>
public enum OnStopFailure
{
    /// <summary>Do not take over while that machine's session lives.</summary>
    Block,

    /// <summary>Take over after the limits are over: the operator accepts that two may run.</summary>
    Takeover,
}

/// <summary>A service as the cluster agreed on it. Lists are in the order the operator gave (Prefer) or sorted.</summary>
public sealed record ServiceDefinition
{
    public static readonly TimeSpan KillTimeoutDefault = TimeSpan.FromMilliseconds(500);

    public required ServiceName Name { get; init; }

    [JsonRequired]
    public TimeSpan StartTimeout { get; init; } = TimeSpan.FromSeconds(30);

    [JsonRequired]
    public TimeSpan StopTimeout { get; init; } = TimeSpan.FromSeconds(10);

    [JsonRequired]
    public TimeSpan KillTimeout { get; init; } = KillTimeoutDefault;

    /// <summary>Machines in order of preference; others come after.</summary>
    [JsonRequired]
    public ImmutableArray<MachineId> Prefer { get; init; } = [];

    /// <summary>Machines that may run it; empty means all.</summary>
    [JsonRequired]
    public ImmutableArray<MachineId> Machines { get; init; } = [];

    /// <summary>Drivers by name that must be registered where it runs, besides those a machine's own file lists.</summary>
    [JsonRequired]
    public ImmutableArray<DriverName> Drivers { get; init; } = [];

    /// <summary>Services that must not run on the same machine.</summary>
    [JsonRequired]
    public ImmutableArray<ServiceName> ApartFrom { get; init; } = [];

    [JsonRequired]
    public bool Failback { get; init; }

    [JsonRequired]
    public OnStopFailure OnStopFailure { get; init; } = OnStopFailure.Block;

    /// <summary>A machine that was lost as its master is fenced, and that is confirmed, before anything starts elsewhere.</summary>
    public bool RequiresFencing { get; init; }

    /// <summary>
    /// A machine that cannot stop it gives it up all the same, and is fenced before anything starts elsewhere; only with <see cref="RequiresFencing"/>. Not one of
    /// <see cref="Cluster.OnStopFailure"/>: an older version could not read a report that proposes it.
    /// </summary>
    public bool FencesOnStopFailure { get; init; }

    // Arrays compare by reference in a record's own equality: two machines' proposals must compare by content.
    public bool Equals(ServiceDefinition? other) =>
        other is not null && Name == other.Name && StartTimeout == other.StartTimeout && StopTimeout == other.StopTimeout
        && KillTimeout == other.KillTimeout && Prefer.AsSpan().SequenceEqual(other.Prefer.AsSpan())
        && Machines.AsSpan().SequenceEqual(other.Machines.AsSpan()) && Drivers.AsSpan().SequenceEqual(other.Drivers.AsSpan())
        && ApartFrom.AsSpan().SequenceEqual(other.ApartFrom.AsSpan()) && Failback == other.Failback && OnStopFailure == other.OnStopFailure
        && RequiresFencing == other.RequiresFencing && FencesOnStopFailure == other.FencesOnStopFailure;

    public override int GetHashCode() => StartTimeout.Seconds; // never used as a key; content equality above is what matters
}

public enum AssignmentState
{
    Starting,
    Running,

    /// <summary>A move was requested; the holder stops it in good order.</summary>
    Stopping,

    /// <summary>A stop failed and killing was not certain.</summary>
    Stuck,
}

/// <summary>Who is master of a service, under which session and token.</summary>
public sealed record Assignment(
    MachineId Machine, SessionId Session, Token Token, TimeSpan KillTimeout, AssignmentState State, MachineId? MoveTarget, string Reason, long SinceIndex)
{
    /// <summary>A move was aborted, or the session was not held for a while: Starting then means again, and SinceIndex is not the index of the grant.</summary>
    public bool IsResumed { get; init; }
}

/// <summary>The session of the last master ended: whoever assigns anew first waits k·KillTimeout from when it applied this (rule 11).</summary>
public sealed record Vacated(MachineId Machine, Token Token, TimeSpan KillTimeout, long Index);

/// <summary>Failures of one service on one machine, since the last that counts. Index is the log index of the newest: cool-downs count from its application.</summary>
public sealed record FailureRecord(int Count, long Index, string Reason);

/// <summary>One service with all that outlives its grants. Retired: no longer defined, kept until nothing runs.</summary>
public sealed record ServiceState(
    ServiceDefinition Definition, Assignment? Assignment, Vacated? Vacated, ImmutableSortedDictionary<MachineId, FailureRecord> Failures, bool Retired)
{
    /// <summary>Where the last release of a requested move wanted it to go; placement honours it once.</summary>
    public MachineId? NextTarget { get; init; }

    /// <summary>
    /// Machines that were lost as its master, or could not stop it, and are not confirmed to be off: whoever starts it fences them first. Kept only where the service
    /// requires fencing; null, not empty, when there is none.
    /// </summary>
    public ImmutableSortedSet<MachineId>? Unfenced { get; init; }

    /// <summary>Why it is as it is: the newest sentence about it.</summary>
    [JsonRequired]
    public string Reason { get; init; } = "";

    internal ServiceState WithUnfenced(MachineId machine) => Definition.RequiresFencing ? this with { Unfenced = (Unfenced ?? []).Add(machine) } : this;

    internal ServiceState WithoutUnfenced(MachineId machine) => Unfenced?.Remove(machine) is { Count: > 0 } left ? this with { Unfenced = left } : this with { Unfenced = null };
}

/// <summary>Something that the cluster agreed happened: one sentence, with the index that makes it unique and ordered.</summary>
public sealed record ClusterEvent(long Index, Term Term, string Kind, ServiceName? Service, MachineId? Machine, Token? Token, string Sentence);

/// <summary>What the cluster agrees on after applying the log up to <see cref="AppliedIndex"/>. Immutable; every collection is sorted.</summary>
public sealed record ClusterState
{
    public const int EventsKept = 200;

    public static readonly ClusterState Empty = new();

    [JsonRequired]
    public long AppliedIndex { get; init; }

    [JsonRequired]
    public Term AppliedTerm { get; init; }

    [JsonRequired]
    public ClusterId Cluster { get; init; } = ClusterId.None;

    [JsonRequired]
    public long EpochSeconds { get; init; }

    [JsonRequired]
    public TimeSpan Lease { get; init; }

    [JsonRequired]
    public ImmutableSortedDictionary<MachineId, Member> Members { get; init; } = ImmutableSortedDictionary<MachineId, Member>.Empty;

    [JsonRequired]
    public ImmutableSortedDictionary<SessionId, Session> Sessions
    {
        get;
        init
        {
            field = value;
            // Null: the JSON reader makes the object before it looks for what is missing, and then refuses it.
            SessionList = value is null ? [] : [.. value.Values];
        }
    } = ImmutableSortedDictionary<SessionId, Session>.Empty;

    /// <summary><see cref="Sessions"/> in their order, to go through: it is done many times per heartbeat, and an array costs a tenth of what a tree does.</summary>
    [System.Text.Json.Serialization.JsonIgnore]
    public ImmutableArray<Session> SessionList { get; private init; } = [];

    [JsonRequired]
    public ImmutableSortedDictionary<ServiceName, ServiceState> Services { get; init; } = ImmutableSortedDictionary<ServiceName, ServiceState>.Empty;

    /// <summary>The highest token ever granted per service; outlives the service's removal (rule 17).</summary>
    [JsonRequired]
    public ImmutableSortedDictionary<ServiceName, Token> LastTokens { get; init; } = ImmutableSortedDictionary<ServiceName, Token>.Empty;

    [JsonRequired]
    public ImmutableSortedSet<MachineId> Drained { get; init; } = [];

    [JsonRequired]
    public bool Paused { get; init; }

    /// <summary>What all members can do. Commands that need more are not proposed; never falls.</summary>
    public int FeatureLevel { get; init; } = 1;

    [JsonRequired]
    public ImmutableList<ClusterEvent> Events { get; init; } = [];

    /// <summary>The last entry that this state contains.</summary>
    [System.Text.Json.Serialization.JsonIgnore]
    public Raft.LogPosition Position => new(AppliedIndex, AppliedTerm);

    /// <summary>The machine's live session, or null.</summary>
    public Session? SessionOf(MachineId machine)
    {
        foreach (var session in SessionList)
        {
            if (session.Machine == machine)
            {
                return session;
            }
        }

        return null;
    }

    public Token LastTokenOf(ServiceName service) => LastTokens.TryGetValue(service, out var token) ? token : Token.None;
}
