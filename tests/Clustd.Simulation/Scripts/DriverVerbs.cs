using System.Collections.Immutable;
using Clustd.Core;

namespace Clustd.Simulation.Scripts;

/// <summary>What drivers and their apps do by themselves. In this world a driver does what it is told unless a script says otherwise.</summary>
internal static class DriverVerbs
{
    private static readonly (string Words, Func<Arguments, Action<SimulatedDriver>> Read)[] Doings =
    [
        ("dies", _ => driver => driver.Kill()),
        ("starts", _ => driver => driver.Start()),
        ("works again", _ => driver => driver.Trouble = DriverTrouble.None),
        ("fails to start with", arguments => Trouble(arguments.Word("an error, in quotes"), (trouble, error) => trouble with { StartError = error })),
        ("fails to stop with", arguments => Trouble(arguments.Word("an error, in quotes"), (trouble, error) => trouble with { StopError = error })),
        ("hangs when told to start", _ => Trouble(true, (trouble, hangs) => trouble with { HangsInStart = hangs })),
        ("hangs when told to stop", _ => Trouble(true, (trouble, hangs) => trouble with { HangsInStop = hangs })),
        ("loses its connection for", LosesConnection),
        ("loses its app:", arguments => App(arguments.Word("how the app ends, in quotes"))),
    ];

    public static readonly ImmutableArray<Verb> All =
    [
        new($"on MACHINE driver NAME {string.Join(" | ", Doings.Select(doing => doing.Words))} | has a second instance", On),
        new("act MACHINE SERVICE", Act),
    ];

    private static Action<Stage> On(Arguments arguments)
    {
        var machine = arguments.Machine();
        arguments.Must("driver");
        var name = new DriverName(arguments.Word("the name of a driver"));
        if (arguments.Has("has a second instance"))
        {
            return stage => stage.Do(() => stage.Machine(machine).AddDriver(stage.World.Scenario.Drivers.First(plan => plan.Name == name), "-second").Start());
        }

        foreach (var (words, read) in Doings)
        {
            if (arguments.Has(words))
            {
                var what = read(arguments);
                return stage => stage.Do(() => what(stage.Machine(machine).Drivers.Find(driver => driver.Name == name)
                    ?? throw new UnexpectedException($"{ScriptSetup.NameOf(machine)} has no driver {name}. Its drivers are {string.Join(", ", stage.Machine(machine).Drivers.Select(driver => driver.Name))}.")));
            }
        }

        throw arguments.Wrong($"what driver {name} does is missing, or is none of what drivers do");
    }

    // Several at once, until it works again.
    private static Action<SimulatedDriver> Trouble<T>(T value, Func<DriverTrouble, T, DriverTrouble> with) => driver => driver.Trouble = with(driver.Trouble, value);

    private static Action<SimulatedDriver> App(string how) => driver => driver.AppEnds(how);

    private static Action<SimulatedDriver> LosesConnection(Arguments arguments)
    {
        var duration = arguments.Microseconds();
        return driver => driver.StayAway(duration);
    }

    // Whether the outside resource takes it is part of the story.
    private static Action<Stage> Act(Arguments arguments)
    {
        var machine = arguments.Machine();
        var service = new ServiceName(arguments.Word("the name of a service"));
        return stage =>
        {
            var act = stage.Acts.FirstOrDefault(act => act.Machine.Index == machine && act.Service == service)
                ?? throw new UnexpectedException($"nothing runs for {service} on {ScriptSetup.NameOf(machine)}, so nothing can act.");
            var refused = stage.World.Acting.Refused;
            stage.World.Acting.Try(act);
            if (stage.World.Acting.Refused == refused)
            {
                stage.Recorder.Say($"the resource accepts what {act.Machine.Id} does under token {act.Token}");
            }
        };
    }
}
