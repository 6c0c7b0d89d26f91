using Clustd.Core.Cluster;

namespace Clustd.Simulation;

/// <summary>
/// Machines of two versions side by side, upgraded one by one by a restart of the daemon; now and then one goes back before the cluster's level has
/// risen. In the end all are of today's version, and the level must have risen.
/// </summary>
internal sealed class RollingUpgrades(World world, Chance chance)
{
    public const string Pattern = "rolling upgrade";

    private long Lease => world.Scenario.LeaseMicroseconds;

    public void Begin()
    {
        world.Events.At(2_500_000, InstallAgain);
        world.Events.At(world.Phase.Ends, () =>
        {
            foreach (var machine in world.Machines)
            {
                Install(machine, FeatureLevels.Own);
            }
        });
    }

    /// <summary>Everybody can do it and is here: it is in use.</summary>
    public void End()
    {
        // A lost Hello is said again only with the next connection.
        if (world.Scenario is { JudgesLiveness: true, LossShare: 0 } && world.Checks.Newest.FeatureLevel != FeatureLevels.Own)
        {
            throw new ViolationException(Invariant.LevelRises, $"all machines can do level {FeatureLevels.Own}, the cluster works with {world.Checks.Newest.FeatureLevel}");
        }
    }

    private void InstallAgain()
    {
        if (!world.IsChaos)
        {
            return;
        }

        world.Injections.Strike(world.Injections.Next("u"), Pattern, InstallAnother);
        world.Events.After(chance.Between(Lease, Lease * 8), InstallAgain);
    }

    private void InstallAnother()
    {
        var machine = chance.Of(world.Machines);
        if (machine.FeatureLevel < FeatureLevels.Own)
        {
            Install(machine, FeatureLevels.Own);
        }
        else if (world.Checks.HighestLevelProposed < FeatureLevels.Own && chance.Happens(0.4))
        {
            Install(machine, 1);
        }
    }

    private void Install(SimulatedMachine machine, int level)
    {
        if (machine.FeatureLevel == level)
        {
            return;
        }

        world.NoteFault($"{machine.Id} is restarted with a version of level {level}");
        machine.KillDaemon();
        machine.Install(level);
        world.Changed();
        world.Events.After(chance.Between(1_000, Lease / 4), () =>
        {
            machine.StartDaemon();
            world.Changed();
        });
    }
}
