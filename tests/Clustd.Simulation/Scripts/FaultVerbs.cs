using System.Collections.Immutable;
using Clustd.Core.Raft;

namespace Clustd.Simulation.Scripts;

/// <summary>What goes wrong, and how it is mended.</summary>
internal static class FaultVerbs
{
    public static readonly ImmutableArray<Verb> All =
    [
        new("start [MACHINE...]", Start),
        new("kill MACHINE...", arguments => Each(arguments.SomeMachines(), (_, machine) => machine.KillDaemon())),
        new("power off|on MACHINE...", Power),
        new("cut MACHINE... | MACHINE...  (or > for one direction)", Cut),
        new("heal", _ => stage => stage.Do(() => Heal(stage))),
        new("close MACHINE MACHINE", Close),
        new("freeze daemon|machine MACHINE for DURATION", Freeze),
        new("disk MACHINE stalls for DURATION | is wiped | is saved as NAME | is NAME | is full", Disk),
        new("network is in disorder by DURATION | is in order | holds echoes to MACHINE | holds no more | delivers what it held", Network),
        new("upgrade MACHINE to LEVEL", Upgrade),
    ];

    private static Action<Stage> Each(ImmutableArray<int> machines, Action<Stage, SimulatedMachine> what) => stage => stage.Do(() =>
    {
        foreach (var index in machines)
        {
            what(stage, stage.Machine(index));
        }
    });

    private static Action<Stage> Start(Arguments arguments)
    {
        var machines = arguments.IsAtEnd ? [] : arguments.SomeMachines();
        return stage => stage.Do(() => StartAll(stage, machines.IsEmpty ? stage.Setup.First : machines));
    }

    /// <summary>Machines that were never on are switched on first.</summary>
    public static void StartAll(Stage stage, IEnumerable<int> machines)
    {
        foreach (var index in machines)
        {
            var machine = stage.Machine(index);
            if (!machine.HostIsUp)
            {
                machine.BootHost();
            }

            machine.StartDaemon();
        }
    }

    private static Action<Stage> Power(Arguments arguments)
    {
        var isOn = arguments.Has("on");
        if (!isOn)
        {
            arguments.Must("off");
        }

        return Each(arguments.SomeMachines(), (stage, machine) =>
        {
            if (!isOn)
            {
                machine.CrashHost();
                return;
            }

            machine.BootHost();
            stage.World.Network.HostIsBack(machine.Index);
            machine.StartDaemon();
        });
    }

    private static Action<Stage> Cut(Arguments arguments)
    {
        var from = arguments.SomeMachines();
        var isOneWay = arguments.Has(">");
        if (!isOneWay)
        {
            arguments.Must("|");
        }

        var to = arguments.SomeMachines();
        return stage => stage.Do(() =>
        {
            foreach (var (a, b) in from.SelectMany(a => to.Select(b => (a, b))))
            {
                stage.Cut(a, b);
                if (!isOneWay)
                {
                    stage.Cut(b, a);
                }
            }
        });
    }

    private static void Heal(Stage stage)
    {
        foreach (var (from, to) in stage.Cuts)
        {
            stage.World.Network.Heal(from, to);
        }

        stage.Cuts.Clear();
    }

    private static Action<Stage> Close(Arguments arguments)
    {
        var (a, b) = (arguments.Machine(), arguments.Machine());
        return stage => stage.Do(() => stage.World.Network.Break(a, b));
    }

    private static Action<Stage> Freeze(Arguments arguments)
    {
        var isWhole = arguments.Has("machine");
        if (!isWhole)
        {
            arguments.Must("daemon");
        }

        var machine = arguments.Machine();
        arguments.Must("for");
        var duration = arguments.Microseconds();
        return stage => stage.Do(() => stage.Machine(machine).Freeze(duration, isWhole));
    }

    private static Action<Stage> Disk(Arguments arguments)
    {
        var machine = arguments.Machine();
        if (arguments.Has("stalls for"))
        {
            var duration = arguments.Microseconds();
            return stage => stage.Do(() =>
            {
                var until = stage.World.Events.Now + duration;
                stage.Machine(machine).Disk.StalledUntil = until;
                stage.World.Events.At(until, stage.World.Changed);
            });
        }

        arguments.Must("is");
        if (arguments.Has("wiped"))
        {
            return stage => stage.Do(() => stage.Machine(machine).WipeDisk());
        }

        if (arguments.Has("full"))
        {
            // As the daemon does: it has a reserve for exactly this goodbye.
            return stage => stage.Do(() => stage.Machine(machine).Post(new Core.Input.GoodbyeRequested("its disk is full")));
        }

        if (arguments.Has("saved as"))
        {
            var name = arguments.Word("a name for what the disk holds");
            return stage => stage.SaveDisk(machine, name);
        }

        var image = arguments.Word("the name of what was saved");
        return stage => stage.Do(() => stage.Machine(machine).Disk.Clone(
            stage.ImageOf(image) ?? throw new UnexpectedException($"no disk was saved as '{image}'. Save one first, with 'disk {ScriptSetup.NameOf(machine)} is saved as {image}'.")));
    }

    private static Action<Stage> Network(Arguments arguments)
    {
        if (arguments.Has("is in disorder by"))
        {
            var disorder = arguments.Microseconds();
            return stage => stage.Do(() => stage.World.Network.Disorder = disorder);
        }

        if (arguments.Has("is in order"))
        {
            return stage => stage.Do(() => stage.World.Network.Disorder = 0);
        }

        if (arguments.Has("holds echoes to"))
        {
            var machine = arguments.Machine();
            return stage => stage.Do(() => stage.World.Network.Holds = (_, to, message) => to == machine && message.Body is PeerBody.Echo);
        }

        if (arguments.Has("holds no more"))
        {
            return stage => stage.Do(() => stage.World.Network.Holds = null);
        }

        arguments.Must("delivers what it held");
        return stage => stage.Do(() => stage.Recorder.Say($"{stage.World.Network.DeliverHeld()} messages arrive late"));
    }

    private static Action<Stage> Upgrade(Arguments arguments)
    {
        var machine = arguments.Machine();
        arguments.Must("to");
        var level = arguments.Number("a feature level");
        return stage => stage.Do(() =>
        {
            stage.Machine(machine).KillDaemon();
            stage.Machine(machine).Install(level);
            stage.Machine(machine).StartDaemon();
        });
    }
}
