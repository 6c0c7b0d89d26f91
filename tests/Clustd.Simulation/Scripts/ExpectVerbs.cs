using System.Collections.Immutable;
using System.Globalization;
using Clustd.Core;
using Clustd.Core.Cluster;

namespace Clustd.Simulation.Scripts;

/// <summary>
/// What must be so: now, or within a time from the last thing that the script did. Waits until it is, says how long that took, and fails the story otherwise.
/// </summary>
internal static class ExpectVerbs
{
    private const string Usage = "expect CONDITION [within DURATION]";

    private static readonly (string Words, Func<Arguments, Func<Stage, bool>> Read)[] Conditions =
    [
        ("master", Master),
        ("no master", NoMaster),
        ("no cluster", _ => stage => stage.State.Members.IsEmpty),
        ("no leader", _ => stage => stage.Leader is null),
        ("some leader", _ => stage => stage.Leader is not null),
        ("leader", Leader),
        ("stuck", arguments => Of(Service(arguments), (stage, service) => stage.State.Services[service].Assignment?.State == AssignmentState.Stuck)),
        ("level", Level),
        ("voter", arguments => Member(arguments, member => member is { Learner: false })),
        ("learner", arguments => Member(arguments, member => member is { Learner: true })),
        ("no member", arguments => Member(arguments, member => member is null)),
        ("thawed", arguments => Of(arguments.Machine(), (stage, machine) => stage.Machine(machine).DaemonFrozenUntil <= stage.World.Events.Now)),
        ("down", arguments => Of(arguments.Machine(), (stage, machine) => !stage.Machine(machine).IsRunning)),
        ("session", arguments => Of(arguments.Machine(), (stage, machine) => Holds(stage.Machine(machine)))),
        ("no session", arguments => Of(arguments.Machine(), (stage, machine) => !Holds(stage.Machine(machine)))),
    ];

    public static readonly ImmutableArray<Verb> All =
    [
        new(Usage, Expect),
        new("undisturbed SERVICE", arguments => Undisturbed(Service(arguments))),
        new("outage SERVICE at most DURATION", Outage),
    ];

    private static Action<Stage> Expect(Arguments arguments)
    {
        foreach (var (words, read) in Conditions)
        {
            if (arguments.Has(words))
            {
                var isSo = read(arguments);
                long? within = arguments.Has("within") ? arguments.Microseconds() : null;
                return stage => Wait(stage, () => isSo(stage), within);
            }
        }

        throw arguments.Wrong($"this is no condition. Conditions begin with {string.Join(", ", Conditions.Select(condition => $"'{condition.Words}'"))}");
    }

    private static void Wait(Stage stage, Func<bool> isSo, long? within)
    {
        var end = within is { } limit ? stage.MarkedAt + limit : stage.World.Events.Now;
        if (!stage.RunUntil(isSo, end))
        {
            throw new UnexpectedException(within is null ? "it is not so." : $"it is not so {Recorder.Seconds(within.Value)} after the last thing that was done.");
        }

        stage.Recorder.Say(within is null ? "yes" : string.Create(CultureInfo.InvariantCulture, $"yes, after {Recorder.Seconds(stage.World.Events.Now - stage.MarkedAt)}"));
    }

    private static Func<Stage, bool> Of<T>(T what, Func<Stage, T, bool> isSo) => stage => isSo(stage, what);

    private static Func<Stage, bool> Master(Arguments arguments)
    {
        var service = Service(arguments);
        arguments.Must("is");
        var machine = arguments.Machine();
        return stage => stage.State.Services.GetValueOrDefault(service)?.Assignment is { State: AssignmentState.Running } held && held.Machine == OperatorVerbs.IdOf(machine)
            && stage.Acts.Any(act => act.Service == service && act.Token == held.Token);
    }

    private static Func<Stage, bool> NoMaster(Arguments arguments) => Of(Service(arguments), (stage, service) => !stage.World.Acting.IsActing(service));

    private static Func<Stage, bool> Leader(Arguments arguments)
    {
        arguments.Must("is");
        return Of(arguments.Machine(), (stage, machine) => stage.Leader?.Index == machine);
    }

    private static Func<Stage, bool> Level(Arguments arguments)
    {
        arguments.Must("is");
        return Of(arguments.Number("a feature level"), (stage, level) => stage.State.FeatureLevel == level);
    }

    private static Func<Stage, bool> Member(Arguments arguments, Func<Member?, bool> isSo)
    {
        var machine = arguments.Machine();
        return stage => isSo(stage.State.Members.GetValueOrDefault(OperatorVerbs.IdOf(machine)));
    }

    private static bool Holds(SimulatedMachine machine) => machine.Core is { } core && core.Hold.IsHeld(machine.LocalNow);

    /// <summary>Since the last thing that was done, nothing has begun or ended to act for it: P5.</summary>
    private static Action<Stage> Undisturbed(ServiceName service) => stage =>
    {
        var changes = stage.Recorder.ChangesOf(service);
        if (changes > 0 || !stage.World.Acting.IsActing(service))
        {
            throw new UnexpectedException($"{service} was disturbed: since the last thing that was done it began or ended {changes} times.");
        }

        stage.Recorder.Say($"yes: what runs for {service} has not noticed");
    };

    private static Action<Stage> Outage(Arguments arguments)
    {
        var service = Service(arguments);
        arguments.Must("at most");
        var limit = arguments.Microseconds();
        return stage =>
        {
            var longest = stage.Recorder.LongestOf(service, stage.World.Events.Now);
            if (longest > limit)
            {
                throw new UnexpectedException($"{service} had no master for {Recorder.Seconds(longest)}, more than {Recorder.Seconds(limit)}.");
            }

            stage.Recorder.Say($"yes: {service} had no master for {Recorder.Seconds(longest)} at most");
        };
    }

    private static ServiceName Service(Arguments arguments) => new(arguments.Word("the name of a service"));
}
