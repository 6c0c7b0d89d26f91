using System.Text.Json;
using Clustd.Chaos.History;
using Clustd.Chaos.Plan;
using Clustd.Chaos.Run;
using Clustd.EndToEnd.Harness;

namespace Clustd.Chaos.Faults;

/// <summary>Someone at a shell on one of the machines. What each command was answered is written down: that is what must not be lost.</summary>
internal sealed class Operator(Cluster cluster)
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(25);

    // A mark that could not be taken back would switch off what is checked; every machine is asked in turn, for longer than faults last.
    private static readonly TimeSpan UndoPatience = TimeSpan.FromMinutes(2);

    /// <summary>On which machine: one whose daemon is meant to run.</summary>
    public Machine On(PlannedFault planned)
    {
        var up = cluster.Keepers.Where(keeper => keeper.IsUp).ToList();
        return (up.Count == 0 ? cluster.Keepers[0] : up[planned.OtherPick % up.Count]).Machine;
    }

    /// <summary>Repeats a command until it is done.</summary>
    public async Task<int> UndoAsync(string verb, params string[] arguments)
    {
        var until = ActObserver.Now + (long)UndoPatience.TotalMicroseconds;
        for (var attempt = 0; ActObserver.Now < until; attempt++)
        {
            var machine = cluster.Keepers[attempt % cluster.Keepers.Count];
            if (machine.IsUp && await RunAsync(machine.Machine, verb, arguments) == 0) return 0;
            await Task.Delay(300);
        }

        return 1;
    }

    /// <summary>The exit code; -1: it did not end in time.</summary>
    public async Task<int> RunAsync(Machine machine, string verb, params string[] arguments)
    {
        var hasJson = verb is "move";
        string[] command = ["ip", "netns", "exec", machine.Namespace!, ClustdProgram.Path, verb, "--config", machine.ConfigPath, .. hasJson ? (string[])["-o", "json"] : [], .. arguments];
        var at = ActObserver.Now;
        var subject = verb is "stop" or "restart" ? machine.Id : arguments.FirstOrDefault() ?? "";
        try
        {
            var finished = await ClustdProgram.RunAsync(command, machine.Environment, Patience);
            var said = (finished.ExitCode == 0 ? finished.Out : finished.Error).Trim();
            cluster.History.Add(new Commanded(at, ActObserver.Now, machine.Id, verb, subject, finished.ExitCode, hasJson && finished.ExitCode == 0 ? TokenOf(finished.Out) : null, said));
            return finished.ExitCode;
        }
        catch (TimeoutException)
        {
            cluster.History.Add(new Commanded(at, ActObserver.Now, machine.Id, verb, subject, -1, null, "no answer in time"));
            return -1;
        }
    }

    private static long? TokenOf(string json) =>
        JsonDocument.Parse(json).RootElement.TryGetProperty("token", out var token) && token.ValueKind == JsonValueKind.Number ? token.GetInt64() : null;
}
