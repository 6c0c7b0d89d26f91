using System.CommandLine;
using System.Text.Json;
using Clustd.Http;

namespace Clustd.Cli;

/// <summary>`clustd machine list|add|remove|confirm-off`: who belongs to the cluster.</summary>
internal static class MachineCommand
{
    public static Command Make(Terminal terminal) =>
        new("machine", "List the machines, take one in, put one out, confirm that one is off")
        {
            List(terminal),
            Ask("add", "Take a machine in: its daemon runs, and waits with an empty store", "add-machine", new Argument<string>("NAME") { Description = "Its cluster.id" }, terminal),
            Ask("remove", "Put a machine out for good", "remove-machine", Named(), terminal),
            Ask("confirm-off", "Say that a machine is off for certain, where services wait until it is fenced", "confirm-off", Named(), terminal),
        };

    private static Argument<string> Named()
    {
        var machine = KnownNames.Machine("Its cluster.id");
        machine.HelpName = "NAME";
        return machine;
    }

    private static Command List(Terminal terminal)
    {
        var output = CommonOptions.Output();
        var command = new Command("list", "List the machines") { output };
        command.SetAction(async (parsed, cancellationToken) =>
        {
            using var api = DaemonApi.Of(CommonOptions.LoadConfig(parsed));
            var view = (await api.StatusAsync(cancellationToken)).View;
            if (parsed.GetValue(output) is null) StatusScreen.Machines(view, terminal.OpenTables());
            else terminal.Out.WriteLine(JsonSerializer.Serialize(new MachineListView(view.KnownAgoMs, view.IsKnown, view.Machines), CliJson.Default.MachineListView));
            if (StatusCommand.WhyNoQuorum(view) is not { } why) return ExitCodes.Done;
            terminal.Complain(why);
            return ExitCodes.NoQuorum;
        });
        return command;
    }

    private static Command Ask(string name, string description, string request, Argument<string> machine, Terminal terminal)
    {
        var output = CommonOptions.Output();
        var command = new Command(name, description) { machine, output };
        command.SetAction(async (parsed, cancellationToken) =>
        {
            using var api = DaemonApi.Of(CommonOptions.LoadConfig(parsed));
            var outcome = await api.AskAsync(request, new MachineBody { Machine = parsed.GetValue(machine)! }, ApiJson.Default.MachineBody, cancellationToken);
            return Decision.Show(outcome, parsed.GetValue(output) is not null, terminal);
        });
        return command;
    }
}

/// <summary>`machine list -o json`: as in the status.</summary>
internal sealed record MachineListView(long? KnownAgoMs, bool IsKnown, IReadOnlyList<MachineStatus> Machines);
