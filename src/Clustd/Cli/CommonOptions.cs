using System.CommandLine;
using Clustd.Config;

namespace Clustd.Cli;

/// <summary>Options that several commands share, and the configuration that they lead to.</summary>
internal static class CommonOptions
{
    public static Option<string?> Config { get; } = new("--config") { Description = "The configuration", HelpName = "FILE", Recursive = true };

    /// <summary>A new one for each command: an option has one parent.</summary>
    public static Option<string?> Output()
    {
        var output = new Option<string?>("--output", "-o") { Description = "json: for programs", HelpName = "json" };
        output.AcceptOnlyFromAmong("json");
        return output;
    }

    /// <summary>The configuration of this machine's daemon.</summary>
    /// <exception cref="CommandException">It has errors: all of them are in the message.</exception>
    public static ClustdConfig LoadConfig(ParseResult parsed) => LoadConfig(ConfigLoader.Load(parsed.GetValue(Config), ConfigSurroundings.OfThisProcess()));

    internal static ClustdConfig LoadConfig(ConfigResult result) =>
        result.Config ?? throw new CommandException(ExitCodes.Usage, string.Join("\n       ", result.Errors));
}
