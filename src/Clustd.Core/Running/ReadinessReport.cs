using Clustd.Core.Cluster;
using Clustd.Core.Raft;

namespace Clustd.Core.Running;

/// <summary>Keeps the machine's report to the leader: a new version whenever its content changes.</summary>
internal sealed class ReadinessReport(MachineSettings settings, ListedDrivers drivers)
{
    private readonly SortedDictionary<ServiceName, ServiceReadiness> _services = [];
    // The random high bits keep versions of different incarnations apart; the sign bit stays clear.
    public MachineReport Current { get; private set; } = new(((long)(settings.Incarnation & 0x3FFF_FFFF) << 32) + 1, false, [], settings.Proposal, settings.FeatureLevel);

    /// <summary>Both are of one incarnation, and `version` was the earlier one.</summary>
    public static bool IsOlder(long version, long other) => version < other && version >> 32 == other >> 32;

    /// <summary>What was looked at since the last <see cref="Close"/> has changed.</summary>
    public bool IsNews { get; private set; }

    /// <summary>
    /// Looks at one service anew. Also at those that are not defined yet: the leader must know who has drivers before it places them for the first time.
    /// </summary>
    public void Look(ServiceName name, ClusterState state, IReadOnlyList<DriverInstance> instances, Func<DriverInstance, bool> isActive)
    {
        if (Readiness(name, state, instances, isActive) is not { } readiness)
        {
            IsNews |= _services.Remove(name);
        }
        else if (!_services.TryGetValue(name, out var before) || before != readiness)
        {
            _services[name] = readiness;
            IsNews = true;
        }
    }

    /// <summary>A new version, if what was looked at has changed.</summary>
    public void Close(bool leaving, bool wantsNoVote, string? stalled)
    {
        if (IsNews || leaving != Current.Leaving || wantsNoVote != Current.WantsNoVote || stalled != Current.Stalled)
        {
            IsNews = false;
            Current = new MachineReport(Current.Version + 1, leaving, [.. _services.Values], settings.Proposal, settings.FeatureLevel, stalled) { WantsNoVote = wantsNoVote };
        }
    }

    private ServiceReadiness? Readiness(ServiceName name, ClusterState state, IReadOnlyList<DriverInstance> instances, Func<DriverInstance, bool> isActive)
    {
        var missing = new SortedSet<DriverName>(drivers.Of(name));
        var hasDriver = missing.Count > 0;
        var present = new List<DriverName>();
        foreach (var instance in instances)
        {
            if (!instance.Answerable || !instance.Follows(name, state))
            {
                continue;
            }

            hasDriver = true;
            if (isActive(instance) && !(instance.Calls.TryGetValue(name, out var calls) && calls.StopFailed))
            {
                present.Add(instance.Name);
            }
        }

        if (!hasDriver)
        {
            return null;
        }

        if (state.Services.TryGetValue(name, out var service))
        {
            missing.UnionWith(service.Definition.Drivers);
        }

        missing.ExceptWith(present);
        return new ServiceReadiness(name, true, missing.Count == 0 && present.Count > 0, string.Join(", ", missing));
    }
}
