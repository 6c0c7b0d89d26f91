using System.Collections.Immutable;
using Clustd.Core.Cluster;
using Clustd.Core.Raft;

namespace Clustd.Core.Leading;

/// <summary>What placement sees besides the agreed state. AppliedAt says when this machine applied a log index (its own clock).</summary>
public sealed record PlacementView(ClusterState State, SortedDictionary<MachineId, MachineReport> Reports, Func<long, Instant> AppliedAt, Instant Now);

/// <summary>One decision about one service. Command null: no action, because of Reason. Either way the reason is a sentence.</summary>
public sealed record PlacementDecision(ServiceName Service, Command? Command, string Reason);
