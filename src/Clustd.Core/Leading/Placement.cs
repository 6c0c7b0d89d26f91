using System.Collections.Immutable;
using Clustd.Core.Cluster;
using Clustd.Core.Raft;

namespace Clustd.Core.Leading;

/// <summary>What placement sees besides the agreed state. AppliedAt says when this machine applied a log index (its own clock).</summary>
public sealed record PlacementView(ClusterState State, SortedDictionary<MachineId, MachineReport> Reports, Func<long, Instant> AppliedAt, Instant Now);

/// <summary>One decision about one service. Command null: no action, because of Reason. Either way the reason is a sentence.</summary>
public sealed record PlacementDecision(ServiceName Service, Command? Command, string Reason);

/// <summary>What the cluster's services should be. Command null: no action, because of Reason.</summary>
public sealed record ServicesDecision(Command.DefineServices? Command, string Reason);

/// <summary>Who should run what, and why. Runs on the leader only, after its no-op was applied.</summary>
public static class Placement
{
    public static ImmutableArray<PlacementDecision> Decide(PlacementView view, out Instant wakeAt)
    {
        wakeAt = Instant.Never;
        return [];
    }

    /// <summary>Why this machine may not run the service, as a sentence; null if it may.</summary>
    public static string? WhyNot(PlacementView view, ServiceState service, MachineId machine) => null;

    public static ServicesDecision DefineServices(PlacementView view) => new(null, "No action, because no machine has reported.");
}
