using Clustd.Core;

namespace Clustd.Simulation;

/// <summary>What happens to a machine's store and program while no daemon uses them.</summary>
internal sealed partial class SimulatedMachine
{
    /// <summary>Its disk was set back, and nobody has put that right yet.</summary>
    public bool WasSetBack { get; set; }

    /// <summary>Why its daemon ends as soon as it is started; null: it does not.</summary>
    public string? CannotStart { get; set; }

    /// <summary>Its disk fails and an empty one takes its place; its daemon is not running.</summary>
    public void WipeDisk() => Disk.Wipe(_wipes.Bits());

    /// <summary>When an older binary was last installed, µs.</summary>
    public long DowngradedAt { get; private set; } = long.MinValue / 2;

    /// <summary>The next start of the daemon is of this version.</summary>
    public void Install(int level)
    {
        DowngradedAt = level < FeatureLevel ? _world.Events.Now : DowngradedAt;
        FeatureLevel = level;
    }

    /// <summary>The daemon ends; an operator does what its sentence says, moves the data directory away and starts it again.</summary>
    private void ReplaceWhatWasSetBack(Output.StoreRefused refused)
    {
        _world.Note(Id.Value, $"ends: {refused.Reason}");
        KillDaemon();
        _world.Changed();
        _world.Events.After(_world.Scenario.LeaseMicroseconds / 2, () =>
        {
            KillDaemon();
            WipeDisk();
            WasSetBack = false;
            StartDaemon();
            _world.Changed();
        });
    }
}
