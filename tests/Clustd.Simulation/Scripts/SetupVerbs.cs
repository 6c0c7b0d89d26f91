using System.Collections.Immutable;
using Clustd.Core;
using Clustd.Core.Cluster;

namespace Clustd.Simulation.Scripts;

/// <summary>What the world of a script is like. Without them: three machines, `lease: 2s`, a service `web` with one driver, `app`, whose app a guard holds.</summary>
internal static class SetupVerbs
{
    public static readonly ImmutableArray<Verb> All =
    [
        new("machines NUMBER [witness MACHINE...] [newcomer MACHINE...]", Machines),
        new("lease DURATION", arguments => Set(arguments.Duration(), (setup, lease) => setup with { Lease = lease })),
        new("grace DURATION", arguments => Set(arguments.Duration(), (setup, grace) => setup with { RestartGrace = grace })),
        new("seed NUMBER", arguments => Set(arguments.Number("a seed"), (setup, seed) => setup with { Seed = (ulong)seed })),
        new("snapshots every NUMBER entries", Snapshots),
        new("clock MACHINE PPM", arguments => Set((arguments.Machine(), arguments.Number("a rate in parts per million")), (setup, clock) => setup with { Clocks = setup.Clocks.SetItem(clock.Item1, clock.Item2) })),
        new("version MACHINE LEVEL", arguments => Set((arguments.Machine(), arguments.Number("a feature level")), (setup, version) => setup with { Versions = setup.Versions.SetItem(version.Item1, version.Item2) })),
        new("list MACHINE names MACHINE...", List),
        new("service NAME [kill_timeout|stop_timeout|start_timeout DURATION] [prefer MACHINE...] [machines MACHINE...] [failback] [apart_from SERVICE] [takeover]", Service),
        new("driver NAME for SERVICE [order NUMBER] [best-effort] [without guard] [not listed] [kills late]", Driver),
    ];

    private static Action<Stage> Set<T>(T value, Func<ScriptSetup, T, ScriptSetup> with) => stage => stage.Setup = with(stage.Setup, value);

    private static Action<Stage> Machines(Arguments arguments)
    {
        var count = arguments.Number("a number of machines");
        if (count is < 1 or > 9)
        {
            throw arguments.Wrong($"{count} machines are not between 1 and 9");
        }

        var all = arguments.Knowing(count);
        var (witnesses, newcomers) = (new List<int>(), new List<int>());
        while (!all.IsAtEnd)
        {
            if (all.Has("witness"))
            {
                witnesses.AddRange(all.SomeMachines());
            }
            else
            {
                all.Must("newcomer");
                newcomers.AddRange(all.SomeMachines());
            }
        }

        return Set((count, witnesses, newcomers), (setup, value) => setup with { Machines = value.count, Witnesses = [.. value.witnesses], Newcomers = [.. value.newcomers] });
    }

    private static Action<Stage> Snapshots(Arguments arguments)
    {
        arguments.Must("every");
        var count = arguments.Number("a number of entries");
        arguments.Must("entries");
        return Set(count, (setup, every) => setup with { SnapshotEvery = every });
    }

    private static Action<Stage> List(Arguments arguments)
    {
        var machine = arguments.Machine();
        arguments.Must("names");
        return Set((machine, arguments.SomeMachines()), (setup, list) => setup with { Lists = setup.Lists.SetItem(list.machine, list.Item2) });
    }

    private static Action<Stage> Service(Arguments arguments)
    {
        var definition = new ServiceDefinition { Name = new ServiceName(arguments.Word("the name of a service")) };
        while (!arguments.IsAtEnd)
        {
            definition = arguments.Word("a setting") switch
            {
                "kill_timeout" => definition with { KillTimeout = arguments.Duration() },
                "stop_timeout" => definition with { StopTimeout = arguments.Duration() },
                "start_timeout" => definition with { StartTimeout = arguments.Duration() },
                "prefer" => definition with { Prefer = Ids(arguments) },
                "machines" => definition with { Machines = Ids(arguments) },
                "failback" => definition with { Failback = true },
                "apart_from" => definition with { ApartFrom = [new ServiceName(arguments.Word("the name of a service"))] },
                "takeover" => definition with { OnStopFailure = OnStopFailure.Takeover },
                var other => throw arguments.Wrong($"'{other}' is no setting of a service"),
            };
        }

        return Set(definition, (setup, service) => setup with { Services = setup.Services.Add(service) });
    }

    private static Action<Stage> Driver(Arguments arguments)
    {
        var name = arguments.Word("the name of a driver");
        arguments.Must("for");
        var plan = ScriptSetup.App with { Name = new DriverName(name), Service = new ServiceName(arguments.Word("the name of a service")) };
        while (!arguments.IsAtEnd)
        {
            plan = arguments.Has("order") ? plan with { Order = arguments.Number("an order") }
                : arguments.Has("best-effort") ? plan with { StopsForCertain = false, Guarded = false }
                : arguments.Has("without guard") ? plan with { Guarded = false }
                : arguments.Has("not listed") ? plan with { IsListed = false }
                : arguments.Has("kills late") ? plan with { KillPromptness = 1, KillLateness = 1 }
                : throw arguments.Wrong($"'{arguments.Word("a property")}' is no property of a driver");
        }

        return Set(plan, (setup, driver) => setup with { Drivers = setup.Drivers.Add(driver) });
    }

    private static ImmutableArray<MachineId> Ids(Arguments arguments) => [.. arguments.SomeMachines().Select(index => new MachineId(ScriptSetup.NameOf(index)))];
}
