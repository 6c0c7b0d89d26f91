using System.Text.Json;
using System.Text.Json.Serialization;
using Clustd.Core.Raft;

namespace Clustd.Http;

/// <summary>JSON of the API. Nulls are written: a reader need not guess whether a field was forgotten.</summary>
[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, RespectNullableAnnotations = true, MaxDepth = 16)]
[JsonSerializable(typeof(ApiProblem))]
[JsonSerializable(typeof(StatusView))]
[JsonSerializable(typeof(EventsView))]
[JsonSerializable(typeof(RequestOutcome))]
[JsonSerializable(typeof(MoveBody))]
[JsonSerializable(typeof(DrainBody))]
[JsonSerializable(typeof(PauseBody))]
[JsonSerializable(typeof(TransferLeadershipBody))]
[JsonSerializable(typeof(MachineBody))]
[JsonSerializable(typeof(GoodbyeBody))]
[JsonSerializable(typeof(LeavingView))]
public sealed partial class ApiJson : JsonSerializerContext;

/// <summary>Events of the cluster with an index above the one asked for, oldest first.</summary>
/// <param name="Consistency">As in the status.</param>
/// <param name="KnownAgoMs">Age of this knowledge, ms; null: no leader was heard since the daemon started.</param>
/// <param name="OldestIndex">Index of the oldest event that is still kept: what lies between this and the one asked for is gone.</param>
/// <param name="LastIndex">Ask with this as `since` for what comes next.</param>
public sealed record EventsView(string Consistency, long? KnownAgoMs, long? OldestIndex, long LastIndex, IReadOnlyList<EventView> Events);

/// <summary>One event. At is when this machine saw it, by its wall clock; null: not known.</summary>
public sealed record EventView(long Index, long Term, DateTimeOffset? At, string Kind, string? Service, string? Machine, long? Token, string Sentence);

// Unknown fields are refused: a move whose "target" is misspelt must not go somewhere else.

/// <summary>Body of /v1/requests/move.</summary>
[JsonUnmappedMemberHandling(JsonUnmappedMemberHandling.Disallow)]
public sealed record MoveBody
{
    public required string Service { get; init; }

    /// <summary>Null: wherever placement says.</summary>
    public string? Target { get; init; }
}

/// <summary>Body of /v1/requests/drain.</summary>
[JsonUnmappedMemberHandling(JsonUnmappedMemberHandling.Disallow)]
public sealed record DrainBody
{
    public required string Machine { get; init; }

    public required bool Drained { get; init; }
}

/// <summary>Body of /v1/requests/pause.</summary>
[JsonUnmappedMemberHandling(JsonUnmappedMemberHandling.Disallow)]
public sealed record PauseBody
{
    public required bool Paused { get; init; }
}

/// <summary>Body of /v1/requests/transfer-leadership.</summary>
[JsonUnmappedMemberHandling(JsonUnmappedMemberHandling.Disallow)]
public sealed record TransferLeadershipBody
{
    /// <summary>Null: whoever has the whole log.</summary>
    public string? Target { get; init; }
}

/// <summary>Body of /v1/requests/add-machine and /v1/requests/remove-machine.</summary>
[JsonUnmappedMemberHandling(JsonUnmappedMemberHandling.Disallow)]
public sealed record MachineBody
{
    public required string Machine { get; init; }
}

/// <summary>Body of /v1/goodbye and /v1/restart.</summary>
[JsonUnmappedMemberHandling(JsonUnmappedMemberHandling.Disallow)]
public sealed record GoodbyeBody
{
    /// <summary>Null: an operator asked for it.</summary>
    public string? Reason { get; init; }
}

/// <summary>The daemon is going to end, or not: then Sentence says why. ProcessId is the process whose end can be waited for.</summary>
public sealed record LeavingView(bool Done, string Sentence, int ProcessId);
