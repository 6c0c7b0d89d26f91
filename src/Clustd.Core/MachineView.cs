using System.Collections.Immutable;
using Clustd.Core.Cluster;
using Clustd.Core.Raft;
using Clustd.Core.Running;

namespace Clustd.Core;

/// <summary>
/// One machine as it sees itself and the cluster. KnownFor is the age of its knowledge: null when it never heard a leader; what it shows of
/// others is worth no more than that. VotersHeard is known to a leader only.
/// </summary>
public sealed record MachineView(
    MachineId Self,
    StoreId Store,
    ClusterId Cluster,
    string? WaitsFor,
    Role Role,
    Term Term,
    MachineId? Leader,
    ImmutableArray<Member> Members,
    ImmutableArray<MachineId> Connected,
    int? VotersHeard,
    TimeSpan? KnownFor,
    ClusterState State,
    TimeSpan HoldLeft,
    ImmutableArray<LocalServiceView> LocalServices,
    ImmutableArray<DriverView> Drivers,
    ImmutableArray<(ServiceName Service, string Sentence)> Reasons,
    bool IsLeaving)
{
    /// <summary>Machines that do not keep up, each with the rest of a sentence that begins with its name: this one, and on a leader those that said so.</summary>
    public ImmutableArray<(MachineId Machine, string Sentence)> Stalls { get; init; } = [];

    /// <summary>This daemon ends in order to be started again; its drivers go on.</summary>
    public bool IsRestarting { get; init; }

    /// <summary>Restart graces that are open, of whatever machine.</summary>
    public ImmutableArray<GraceView> Graces { get; init; } = [];

    /// <summary>Those of the members that vote.</summary>
    public IEnumerable<Member> Voters => Members.Where(member => !member.Learner);
}

/// <summary>A machine that restarts, or has just done so: nobody takes over from it for so long. Left may be negative: it is over, and not yet ended.</summary>
public sealed record GraceView(MachineId Machine, TimeSpan Left);
