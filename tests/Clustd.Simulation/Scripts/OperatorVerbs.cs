using System.Collections.Immutable;
using Clustd.Core;
using Clustd.Core.Raft;

namespace Clustd.Simulation.Scripts;

/// <summary>What operators and readers do, and the passing of time.</summary>
internal static class OperatorVerbs
{
    private static long _reads;

    public static readonly ImmutableArray<Verb> All =
    [
        new("run DURATION", Run),
        new("form [leader MACHINE]", Form),
        new("stop MACHINE", arguments => Post(arguments.Machine(), new Input.GoodbyeRequested("it was told to stop (SIGTERM)."))),
        new("restart MACHINE", arguments => Post(arguments.Machine(), new Input.RestartRequested("an operator asked for it."))),
        new("move SERVICE [MACHINE] [via MACHINE]", Move),
        new("drain MACHINE", arguments => Ask(arguments, new Request.Drain(IdOf(arguments.Machine()), true))),
        new("undrain MACHINE", arguments => Ask(arguments, new Request.Drain(IdOf(arguments.Machine()), false))),
        new("pause", arguments => Ask(arguments, new Request.Pause(true))),
        new("unpause", arguments => Ask(arguments, new Request.Pause(false))),
        new("leader MACHINE", arguments => Ask(arguments, new Request.TransferLeadership(IdOf(arguments.Machine())))),
        new("add MACHINE", arguments => Ask(arguments, new Request.AddMachine(IdOf(arguments.Machine())))),
        new("remove MACHINE", arguments => Ask(arguments, new Request.RemoveMachine(IdOf(arguments.Machine())))),
        new("read via MACHINE", Read),
        new("status MACHINE", arguments => Status(arguments.Machine())),
    ];

    public static MachineId IdOf(int machine) => new(ScriptSetup.NameOf(machine));

    private static Action<Stage> Run(Arguments arguments)
    {
        var duration = arguments.Microseconds();
        return stage => stage.Run(duration);
    }

    // The long beginning of most stories, in one line; the story's clock starts when all is well.
    private static Action<Stage> Form(Arguments arguments)
    {
        int? leader = arguments.Has("leader") ? arguments.Machine() : null;
        return stage =>
        {
            _ = stage.World;
            stage.Recorder.IsSilent = true;
            FaultVerbs.StartAll(stage, stage.Setup.First);
            if (!stage.RunUntil(() => stage.IsSettled, 30_000_000))
            {
                throw new UnexpectedException("the cluster has not formed within 30 s.");
            }

            if (leader is { } wanted)
            {
                stage.Run(1_000_000);
                stage.Ask(new Request.TransferLeadership(IdOf(wanted)), null);
            }

            stage.Run(10_000_000); // A service that has just started is left alone for a while.
            stage.Recorder.IsSilent = false;
            stage.Recorder.Zero = stage.World.Events.Now;
            stage.Mark();
            var services = stage.State.Services.Values.Select(service => $"{service.Definition.Name} is on {service.Assignment!.Machine} under token {service.Assignment.Token}");
            stage.Recorder.Say($"formed by {string.Join(", ", stage.State.Members.Keys)}; {stage.Leader?.Id.Value ?? "nobody"} leads in term {stage.State.AppliedTerm}; {string.Join("; ", services)}");
        };
    }

    private static Action<Stage> Post(int machine, Input input) => stage => stage.Do(() => stage.Machine(machine).Post(input));

    private static Action<Stage> Move(Arguments arguments)
    {
        var service = new ServiceName(arguments.Word("the name of a service"));
        MachineId? target = arguments.IsAtEnd || arguments.Sees("via") ? null : IdOf(arguments.Machine());
        return Ask(arguments, new Request.Move(service, target));
    }

    private static Action<Stage> Ask(Arguments arguments, Request request)
    {
        int? via = arguments.Has("via") ? arguments.Machine() : null;
        return stage => stage.Ask(request, via);
    }

    private static Action<Stage> Read(Arguments arguments)
    {
        arguments.Must("via");
        var machine = arguments.Machine();
        return stage => stage.Answered($"b{Interlocked.Increment(ref _reads)}", id => stage.Machine(machine).Post(new Input.BarrierRequested(id)));
    }

    /// <summary>What this machine knows by itself, as `clustd status` has it: `unknown` when that is older than a lease.</summary>
    private static Action<Stage> Status(int index) => stage =>
    {
        var machine = stage.Machine(index);
        if (machine.Core is not { } core)
        {
            stage.Recorder.Say($"{machine.Id}: no daemon runs");
            return;
        }

        var view = core.View(machine.LocalNow);
        if (view.WaitsFor is { } waits)
        {
            stage.Recorder.Say($"{machine.Id}: {waits}");
            return;
        }

        var hold = view.HoldLeft > TimeSpan.Zero ? $"holds its session for another {Words(view.HoldLeft)}" : "holds no session";
        var age = view.KnownFor is { } known ? $"what it knows is {Words(known)} old" : "it has heard of nobody";
        stage.Recorder.Say($"{machine.Id}: {view.Role.ToString().ToLowerInvariant()} in term {view.Term}, leader {view.Leader?.Value ?? "unknown"}; {hold}; {age}");
        foreach (var member in view.Members.Where(member => member.Learner || member.Witness))
        {
            stage.Recorder.Say($"    {member.Machine} is a {(member.Witness ? "witness" : "")}{(member.Learner ? "learner" : "")}");
        }

        var isOld = view.KnownFor is null || view.KnownFor > stage.Setup.Lease;
        foreach (var (name, service) in view.State.Services)
        {
            var local = view.LocalServices.FirstOrDefault(local => local.Service == name);
            var agreed = isOld ? "master unknown"
                : service.Assignment is { } held ? $"master {held.Machine}, token {held.Token}, {held.State.ToString().ToLowerInvariant()}"
                : "no master";
            string? reason = isOld ? local?.Reason : view.Reasons.FirstOrDefault(reason => reason.Service == name).Sentence ?? service.Reason;
            stage.Recorder.Say($"    {name}: {agreed}{(string.IsNullOrEmpty(reason) ? "" : $"; {reason}")}");
        }
    };

    private static string Words(TimeSpan time) => Recorder.Seconds((long)time.TotalMicroseconds);
}
