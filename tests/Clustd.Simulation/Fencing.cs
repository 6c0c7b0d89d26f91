using Clustd.Core;
using Clustd.Core.Cluster;

namespace Clustd.Simulation;

/// <summary>
/// Who may still run a service that requires fencing, by the log alone: a token that was granted and neither released with proof nor, after its machine was lost,
/// turned off. Nobody may act under a later token on another machine (F3). Also the power switch.
/// </summary>
internal sealed class Fencing(World world)
{
    private readonly Dictionary<ServiceName, SortedDictionary<Token, MachineId>> _open = [];
    private readonly Chance _boots = Chance.Of(world.Scenario.Seed, "fencing");

    public long TurnedOff { get; private set; }

    /// <summary>An entry is committed.</summary>
    public void Committed(Command command)
    {
        switch (command)
        {
            case Command.Assign assign when world.Scenario.Services.Any(service => service.Name == assign.Service && service.RequiresFencing):
                OpenOf(assign.Service)[assign.Token] = assign.Machine;
                break;
            case Command.Release { MayStillRun: false } release:
                OpenOf(release.Service).Remove(release.Token);
                break;
            case Command.ConfirmFenced confirm:
                Forget(confirm.Machine);
                break;
        }
    }

    /// <summary>What a fence agent does: the machine has no power from here on, and an operator boots it later.</summary>
    public void TurnOff(MachineId target, MachineId by)
    {
        var machine = world.MachineOf(target);
        Forget(target);
        TurnedOff++;
        if (!machine.HostIsUp)
        {
            world.Note(by.Value, $"fences {target}: it is off already");
            return;
        }

        world.Note(by.Value, $"fences {target}: it turns it off");
        machine.CrashHost();
        world.Changed();
        world.Events.After(_boots.Between(world.Scenario.LeaseMicroseconds / 2, world.Scenario.LeaseMicroseconds * 2), () =>
        {
            if (machine.HostIsUp)
            {
                return;
            }

            machine.BootHost();
            world.Network.HostIsBack(machine.Index);
            machine.StartDaemon();
            world.Changed();
        });
    }

    /// <summary>Somebody begins to act.</summary>
    public void Begins(SimulatedMachine machine, ServiceName service, Token token)
    {
        // Of what ran here itself, P2 sees to it that it has stopped.
        foreach (var own in OpenOf(service).Where(pair => pair.Key < token && pair.Value == machine.Id).Select(pair => pair.Key).ToList())
        {
            OpenOf(service).Remove(own);
        }

        foreach (var (open, holder) in OpenOf(service))
        {
            if (open < token && holder != machine.Id)
            {
                throw new ViolationException(
                    Invariant.FencedFirst, $"{machine.Id} acts for {service} under token {token}, and {holder}, which had it under {open}, was neither seen to stop it nor fenced");
            }
        }
    }

    private void Forget(MachineId machine)
    {
        foreach (var open in _open.Values)
        {
            foreach (var token in open.Where(pair => pair.Value == machine).Select(pair => pair.Key).ToList())
            {
                open.Remove(token);
            }
        }
    }

    private SortedDictionary<Token, MachineId> OpenOf(ServiceName service)
    {
        if (!_open.TryGetValue(service, out var open))
        {
            _open[service] = open = [];
        }

        return open;
    }
}
