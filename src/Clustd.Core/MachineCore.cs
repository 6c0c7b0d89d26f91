using Clustd.Core.Cluster;
using Clustd.Core.Leading;
using Clustd.Core.Raft;
using Clustd.Core.Running;

namespace Clustd.Core;

/// <summary>
/// One machine's decisions, whole and pure: consensus, sessions, placement, local services. One loop owns it, feeds it inputs one at a
/// time and performs what it returns. The same class runs in the daemon and in the simulator.
/// </summary>
public sealed class MachineCore
{
    private readonly List<Output> _outputs = [];

    public MachineCore(MachineSettings settings, StoredState stored, Instant now)
    {
        Settings = settings;
        Store = stored.Store;
        WakeAt = now;
    }

    public MachineSettings Settings { get; }

    public StoreId Store { get; }

    /// <summary>When the core wants a <see cref="Input.Tick"/> at the latest.</summary>
    public Instant WakeAt { get; private set; }

    /// <summary>What the cluster has agreed on, as far as this machine has applied it.</summary>
    public ClusterState State { get; private set; } = ClusterState.Empty;

    /// <summary>Takes one input at `now` on this machine's clock and returns what is to be done, in order. The list is valid until the next call.</summary>
    public IReadOnlyList<Output> Step(Input input, Instant now)
    {
        _outputs.Clear();
        return _outputs;
    }
}
