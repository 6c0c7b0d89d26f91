using System.CommandLine;
using Clustd.Config;

namespace Clustd.Cli;

/// <summary>`clustd secret`: a new one, 256 bits.</summary>
internal static class SecretCommand
{
    public static Command Make(Terminal terminal)
    {
        var command = new Command("secret", "Print a new secret");
        command.SetAction(_ =>
        {
            terminal.Out.WriteLine(SecretGenerator.New());
            return ExitCodes.Done;
        });
        return command;
    }
}
