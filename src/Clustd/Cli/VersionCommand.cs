using System.CommandLine;
using System.Runtime.InteropServices;
using System.Text.Json;

namespace Clustd.Cli;

/// <summary>`clustd version`.</summary>
internal static class VersionCommand
{
    public static Command Make(Terminal terminal)
    {
        var output = CommonOptions.Output();
        var command = new Command("version", "Print the version") { output };
        command.SetAction(parsed =>
        {
            var version = new VersionView(ProductVersion.Text, RuntimeInformation.FrameworkDescription, RuntimeInformation.RuntimeIdentifier);
            terminal.Out.WriteLine(parsed.GetValue(output) is null
                ? $"clustd {version.Version} ({version.Runtime}, {version.Platform})"
                : JsonSerializer.Serialize(version, CliJson.Default.VersionView));
            return ExitCodes.Done;
        });
        return command;
    }
}

/// <summary>`version -o json`.</summary>
internal sealed record VersionView(string Version, string Runtime, string Platform);
