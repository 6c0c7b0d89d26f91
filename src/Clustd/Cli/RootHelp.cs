using System.CommandLine;
using System.CommandLine.Help;
using System.CommandLine.Invocation;

namespace Clustd.Cli;

/// <summary>`clustd --help`: the few commands one meets first, then the others. A subcommand's help is the library's.</summary>
internal static class RootHelp
{
    private const int FirstCount = 6;

    public static void Write(Terminal terminal)
    {
        var commands = CommandLine.Root(terminal).Subcommands.Where(command => !command.Hidden).ToList();
        var column = commands.Max(command => command.Name.Length) + 2;
        var writer = terminal.Out;
        writer.WriteLine("clustd keeps exactly one copy of an app active on a few servers, and says why.");
        writer.WriteLine();
        writer.WriteLine("  clustd COMMAND [--config FILE]      clustd COMMAND --help");
        writer.WriteLine();
        foreach (var command in commands.Take(FirstCount))
        {
            writer.WriteLine($"  {terminal.Bold(command.Name.PadRight(column), terminal.ColourOut)}{command.Description}");
        }

        writer.WriteLine();
        foreach (var command in commands.Skip(FirstCount))
        {
            writer.WriteLine($"  {command.Name.PadRight(column)}{command.Description}");
        }

        writer.WriteLine();
        writer.WriteLine("The configuration is --config FILE, else $CLUSTD_CONFIG, ./config.yml, /etc/clustd/config.yml.");
        writer.WriteLine("Exit codes: 0 done, 1 refused or failed, 2 usage or configuration, 3 no daemon or no quorum.");
    }

    public sealed class Action(Terminal terminal) : SynchronousCommandLineAction
    {
        private readonly HelpAction _ofSubcommands = new();

        public override int Invoke(ParseResult parseResult)
        {
            if (parseResult.CommandResult.Command is not RootCommand)
            {
                return _ofSubcommands.Invoke(parseResult);
            }

            Write(terminal);
            return ExitCodes.Done;
        }
    }
}
