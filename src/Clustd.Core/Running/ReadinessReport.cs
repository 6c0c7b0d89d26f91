using System.Collections.Immutable;
using Clustd.Core.Cluster;
using Clustd.Core.Raft;

namespace Clustd.Core.Running;

/// <summary>Keeps the machine's report to the leader: a new version whenever its content changes.</summary>
internal sealed class ReadinessReport(MachineSettings settings)
{
    // The random high bits keep versions of different incarnations apart; the sign bit stays clear.
    public MachineReport Current { get; private set; } = new(((long)(settings.Incarnation & 0x3FFF_FFFF) << 32) + 1, false, [], settings.Proposal);

    public void Update(ClusterState state, IReadOnlyList<DriverInstance> instances, Func<DriverInstance, bool> isActive, bool leaving, bool wantsNoVote)
    {
        var services = ImmutableArray.CreateBuilder<ServiceReadiness>();
        foreach (var name in Names(state, instances))
        {
            var named = state.Services.TryGetValue(name, out var service) ? service.Definition.Drivers : [];
            var listed = settings.Drivers.Where(driver => driver.Service == name).Select(driver => driver.Name).ToList();
            var registered = instances.Where(instance => instance.Answerable && instance.Follows(name, state)).ToList();
            if (listed.Count == 0 && registered.Count == 0)
            {
                continue;
            }

            var present = registered
                .Where(instance => isActive(instance) && !(instance.Calls.TryGetValue(name, out var calls) && calls.StopFailed))
                .Select(instance => instance.Name)
                .ToList();
            var missing = new SortedSet<DriverName>(listed.Concat(named));
            missing.ExceptWith(present);
            services.Add(new ServiceReadiness(name, true, missing.Count == 0 && present.Count > 0, string.Join(", ", missing)));
        }

        if (leaving != Current.Leaving || wantsNoVote != Current.WantsNoVote || !services.SequenceEqual(Current.Services))
        {
            Current = new MachineReport(Current.Version + 1, leaving, services.ToImmutable(), settings.Proposal) { WantsNoVote = wantsNoVote };
        }
    }

    // Also of services that are not defined yet: the leader must know who has drivers before it places them for the first time.
    private SortedSet<ServiceName> Names(ClusterState state, IReadOnlyList<DriverInstance> instances) =>
        [.. state.Services.Keys, .. settings.Drivers.Select(driver => driver.Service), .. instances.SelectMany(instance => instance.FollowedIn(state))];
}
