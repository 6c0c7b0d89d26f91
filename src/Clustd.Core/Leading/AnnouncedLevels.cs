using Clustd.Core.Cluster;

namespace Clustd.Core.Leading;

/// <summary>
/// Which feature level each machine has announced, by its Hello or its report. Known only while the connection lives: a machine comes back from
/// a restart as whatever version was installed meanwhile, and says so anew.
/// </summary>
internal sealed class AnnouncedLevels(MachineSettings settings)
{
    private readonly SortedDictionary<MachineId, int> _announced = [];

    /// <summary>Null: it has not said anything on this connection.</summary>
    public int? Of(MachineId machine) => machine == settings.Self ? settings.FeatureLevel : _announced.TryGetValue(machine, out var level) ? level : null;

    public void Announced(MachineId machine, int level) => _announced[machine] = level;

    public void Forget(MachineId machine) => _announced.Remove(machine);

    /// <summary>The level that all members can do, as far as is known just now; 1 when one of them is not heard.</summary>
    public int Common(Raft.Raft raft, Instant now)
    {
        var levels = raft.Members.Values.Select(member => IsHere(member, raft, now) ? Of(member.Machine) ?? 1 : 1).Order().ToList();
        if (settings.PlantedBug.Is(PlantedBug.LevelByMajority))
        {
            return levels[levels.Count - Raft.Quorum.Of(levels.Count)];
        }

        return levels[0];
    }

    // Heard of late: a connection may be dead, and the machine another version, before the socket says so. One that came back with another store is not
    // heard until it is taken in anew, which the level may have to rise for: what it says of itself counts.
    private static bool IsHere(Member member, Raft.Raft raft, Instant now) =>
        raft.IsHeard(member.Machine, now) || (raft.StoreOf(member.Machine) is var store && store != StoreId.None && store != member.Store);

    /// <summary>Why a command cannot be proposed yet, in three parts; null when it can.</summary>
    public string? WhyNot(Command command, ClusterState state)
    {
        var needed = FeatureLevels.Of(command);
        if (needed <= state.FeatureLevel)
        {
            return null;
        }

        var older = state.Members.Keys.Where(machine => Of(machine) < needed).ToList();
        var silent = state.Members.Keys.Where(machine => Of(machine) is null).ToList();
        return older.Count > 0 ? $"Refused: {string.Join(", ", older)} {(older.Count == 1 ? "runs" : "run")} an older version, which could not read this. Upgrade {(older.Count == 1 ? "it" : "them")} first."
            : silent.Count > 0 ? $"Refused: {string.Join(", ", silent)} {(silent.Count == 1 ? "is" : "are")} not connected, and may run an older version, which could not read this. Start {(silent.Count == 1 ? "it" : "them")} first."
            : "Refused: the cluster is just changing over to the new version. Ask again in a moment.";
    }
}
