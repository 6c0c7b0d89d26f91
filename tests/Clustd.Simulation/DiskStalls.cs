namespace Clustd.Simulation;

/// <summary>Disks that do not answer for seconds, or for as long as there are faults: the leader's, the master's, anybody's; alone or when something else must be decided.</summary>
internal sealed class DiskStalls(World world, Chance chance)
{
    public const string Pattern = "disk stalls";

    private long Lease => world.Scenario.LeaseMicroseconds;

    public void Begin()
    {
        var phase = world.Phase;
        world.Events.At(Math.Max(2_500_000, world.Phase.Begins) + chance.Between(0, Lease * 2), () => StrikeAgain(phase));
        world.Events.At(world.Phase.Ends, Heal);
    }

    private void StrikeAgain(Phase phase)
    {
        if (!world.IsChaos || phase != world.Phase)
        {
            return;
        }

        world.Injections.Strike(world.Injections.Next("d"), Pattern, Strike);
        world.Events.After(chance.Between(Lease * 5, Lease * 15), () => StrikeAgain(phase));
    }

    private void Strike()
    {
        var leader = world.Checks.Leader is { } known ? world.MachineOf(known.Machine) : chance.Of(world.Machines);
        var master = world.Acting.MasterOf(chance.Of(world.Scenario.Services).Name) is { } id ? world.MachineOf(id) : chance.Of(world.Machines);
        switch (chance.Between(0, 4))
        {
            case 0:
                Stall(chance.Of(world.Machines));
                break;
            case 1:
                Stall(master);
                break;
            case 2:
                Stall(leader);
                break;
            default:
                // The case that hurts: something must be decided, and who leads cannot.
                Stall(leader);
                if (master != leader)
                {
                    world.Events.After(chance.Between(0, Lease), () => CrashAndBoot(master));
                }

                break;
        }
    }

    private void Stall(SimulatedMachine machine)
    {
        var length = chance.Happens(0.4) ? world.Phase.Ends - world.Events.Now : chance.Skewed(Lease / 4, Lease * 10);
        var until = Math.Min(world.Events.Now + length, world.Phase.Ends);
        world.NoteFault($"{machine.Id}'s disk does not answer until {until / 1e6:0.000000}");
        machine.Disk.StalledUntil = Math.Max(machine.Disk.StalledUntil, until);
        world.Changed();
        world.Events.At(until, world.Changed);
    }

    private void CrashAndBoot(SimulatedMachine machine)
    {
        if (!world.IsChaos || !machine.HostIsUp)
        {
            return;
        }

        world.NoteFault($"{machine.Id} loses its power");
        machine.CrashHost();
        world.Changed();
        world.Events.At(Math.Min(world.Phase.Ends, world.Events.Now + chance.Between(Lease * 4, Lease * 10)), () =>
        {
            machine.BootHost();
            world.Network.HostIsBack(machine.Index);
            machine.StartDaemon();
            world.Changed();
        });
    }

    private void Heal() => world.Changed();
}
