using System.Collections.Immutable;
using Clustd.Core;
using Clustd.Core.Cluster;
using Clustd.Core.Raft;
using Clustd.Core.Running;
using Clustd.Http;

namespace Clustd.Tests.Http;

/// <summary>Views of one machine, cm-1, of a cluster of three with the service 'web'.</summary>
internal static class Views
{
    public static readonly ServiceName Web = new("web");
    public static readonly TimeSpan Lease = TimeSpan.FromSeconds(1);

    public static ProcessStatus Process { get; } = new(2.5, 0.3, "SCHED_FIFO 1", 0, 11.8, 48_318_382, 1.1, 3.9, 9.2);

    /// <summary>cm-1 follows cm-2, on which 'web' runs under token 7; heard 20 ms ago.</summary>
    public static MachineView Follower { get; } = new(
        new MachineId("cm-1"),
        new StoreId("s1"),
        new ClusterId("c-1"),
        null,
        Role.Follower,
        new Term(3),
        new MachineId("cm-2"),
        [.. Members(3).Values],
        [new MachineId("cm-2"), new MachineId("cm-3")],
        null,
        TimeSpan.FromMilliseconds(20),
        StateWith("cm-2"),
        TimeSpan.FromMilliseconds(900),
        [new LocalServiceView(Web, LocalPhase.Standby, Token.None, "cm-2 is the master.")],
        [],
        [],
        false);

    /// <summary>cm-1 leads and runs 'web'.</summary>
    public static MachineView Leader { get; } = Follower with
    {
        Role = Role.Leader,
        Leader = new MachineId("cm-1"),
        VotersHeard = 3,
        State = StateWith("cm-1"),
        LocalServices = [new LocalServiceView(Web, LocalPhase.Running, new Token(7), "Running.")],
        Reasons = [(Web, "no action, because it runs where it may.")],
    };

    /// <summary>The same machine, 12 s after it heard the last of the others.</summary>
    public static MachineView CutOff { get; } = Leader with
    {
        Role = Role.Follower,
        Leader = new MachineId("cm-2"),
        VotersHeard = null,
        KnownFor = TimeSpan.FromSeconds(12),
        HoldLeft = TimeSpan.Zero,
        LocalServices = [new LocalServiceView(Web, LocalPhase.Standby, Token.None, "The lease is over.")],
    };

    /// <summary>Started anew from its disk, and alone.</summary>
    public static MachineView Restarted { get; } = CutOff with { Leader = null, KnownFor = null, Connected = [] };

    /// <summary>Waiting for others before the cluster forms.</summary>
    public static MachineView Unformed { get; } = Follower with
    {
        Cluster = ClusterId.None,
        WaitsFor = "waiting for 1 of 3: 10.0.0.3:3001",
        Leader = null,
        Term = Term.Zero,
        Members = [],
        Connected = [new MachineId("cm-2")],
        KnownFor = null,
        State = ClusterState.Empty,
        HoldLeft = TimeSpan.Zero,
        LocalServices = [],
    };

    public static ClusterState StateWith(string master, AssignmentState state = AssignmentState.Running) => ClusterState.Empty with
    {
        Cluster = new ClusterId("c-1"),
        Lease = Lease,
        Members = Members(3),
        Sessions = Members(3).Keys.Select((machine, index) => new Session(new SessionId(index + 2), machine, new StoreId("s" + (index + 1)), Lease)).ToImmutableSortedDictionary(session => session.Id, session => session),
        Services = ImmutableSortedDictionary<ServiceName, ServiceState>.Empty.Add(Web, Service(master, state)),
        Events =
        [
            new ClusterEvent(5, new Term(3), "assigned", Web, new MachineId(master), new Token(7), $"{master} is preferred."),
            new ClusterEvent(9, new Term(3), "running", Web, new MachineId(master), new Token(7), $"'web' runs on {master}."),
        ],
    };

    public static ServiceState Service(string master, AssignmentState state = AssignmentState.Running)
    {
        var machine = new MachineId(master);
        var assignment = new Assignment(machine, new SessionId(2), new Token(7), TimeSpan.FromMilliseconds(500), state, null, "It is preferred.", 9);
        return new ServiceState(new ServiceDefinition { Name = Web }, assignment, null, ImmutableSortedDictionary<MachineId, FailureRecord>.Empty, false) { Reason = "It is preferred." };
    }

    public static MachineView With(this MachineView view, ServiceState service) => view with { State = view.State with { Services = view.State.Services.SetItem(Web, service) } };

    public static DriverView Driver(string name, bool stopsForCertain) => new(new DriverName(name), "i1", [Web], true, true, true, stopsForCertain, null);

    public static ImmutableSortedDictionary<MachineId, Member> Members(int count) => Enumerable.Range(1, count)
        .Select(number => new Member(new MachineId($"cm-{number}"), new StoreId($"s{number}"), $"10.0.0.{number}:3001", false))
        .ToImmutableSortedDictionary(member => member.Machine, member => member);
}
