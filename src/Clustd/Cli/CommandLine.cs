using System.CommandLine;
using System.CommandLine.Help;
using Clustd.Config;
using Clustd.Drivers;

namespace Clustd.Cli;

/// <summary>The command line: what there is, and what becomes of what goes wrong. Each command is a file of its own.</summary>
public static class CommandLine
{
    /// <summary>Runs one command line and returns its <see cref="ExitCodes"/>.</summary>
    public static async Task<int> RunAsync(string[] args, Terminal terminal)
    {
        var root = Root(terminal);
        if (args.Length == 0)
        {
            RootHelp.Write(terminal);
            return ExitCodes.Usage;
        }

        var parsed = root.Parse(args);
        if (parsed.Errors.Count > 0)
        {
            return Misused(parsed, root, terminal);
        }

        try
        {
            return await parsed.InvokeAsync(new InvocationConfiguration
            {
                Output = terminal.Out,
                Error = terminal.Error,
                EnableDefaultExceptionHandler = false,
                ProcessTerminationTimeout = null, // `run` and `demo` have their own way out.
            });
        }
        catch (CommandException e)
        {
            terminal.Complain(e.Message);
            return e.ExitCode;
        }
    }

    internal static RootCommand Root(Terminal terminal)
    {
        var root = new RootCommand("Keeps exactly one copy of an app active on a few servers.");
        root.Add(CommonOptions.Config);
        // The first six in the order in which one meets them; RootHelp shows them so.
        foreach (var command in (Command[])
            [
                InitCommand.Make(terminal), RunCommand.Make(terminal), StatusCommand.Make(terminal), MoveCommand.Make(terminal), WhyCommand.Make(terminal),
                Demo.DemoCommand.Make(terminal),
                DriversCommand.Make(terminal), DriverCommand.Make(terminal), ExecCommand.Make(terminal), CheckCommand.Make(terminal), SecretCommand.Make(terminal), EventsCommand.Make(terminal),
                DrainCommand.Drain(terminal), DrainCommand.Undrain(terminal), PauseCommand.Pause(terminal), PauseCommand.Unpause(terminal),
                LeaveCommands.MakeRestart(terminal), LeaveCommands.MakeStop(terminal), MachineCommand.Make(terminal), LeaderCommand.Make(terminal), CompletionCommand.Make(terminal), CompletionCommand.Complete(terminal), VersionCommand.Make(terminal),
            ])
        {
            root.Add(command);
        }

        root.Options.OfType<HelpOption>().Single().Action = new RootHelp.Action(terminal);
        root.Options.OfType<VersionOption>().Single().Description = "Print the version";
        return root;
    }

    private static int Misused(ParseResult parsed, RootCommand root, Terminal terminal)
    {
        var command = parsed.CommandResult.Command;
        var name = command is RootCommand ? "clustd" : $"clustd {command.Name}";
        if (command is RootCommand && parsed.UnmatchedTokens is [var word, ..] && !word.StartsWith('-'))
        {
            var commands = root.Subcommands.Where(each => !each.Hidden).Select(each => each.Name);
            var nearest = Suggestion.Nearest(word, commands) is { } found ? $"Did you mean `clustd {found}`?" : "`clustd --help` lists all.";
            terminal.Complain($"Cannot run `clustd {ProblemList.Show(word)}`: there is no such command. {nearest}");
            return ExitCodes.Usage;
        }

        var faults = string.Join("; ", parsed.Errors.Select(error => OneLine(error.Message)).Distinct());
        terminal.Complain($"Cannot run `{name}`: {faults}. See `{name} --help`.");
        return ExitCodes.Usage;
    }

    // The library breaks some of its messages into lines with tabs.
    private static string OneLine(string message) => string.Join(' ', message.Split(default(char[]), StringSplitOptions.RemoveEmptyEntries)).TrimEnd('.');
}
