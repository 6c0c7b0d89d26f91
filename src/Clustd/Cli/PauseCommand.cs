using System.CommandLine;
using Clustd.Http;

namespace Clustd.Cli;

/// <summary>`clustd pause`, `clustd unpause`: whether anything moves by itself.</summary>
internal static class PauseCommand
{
    public static Command Pause(Terminal terminal) => Make("pause", "Stop all automatic moves, failovers included", paused: true, terminal);

    public static Command Unpause(Terminal terminal) => Make("unpause", "End the pause", paused: false, terminal);

    private static Command Make(string name, string description, bool paused, Terminal terminal)
    {
        var output = CommonOptions.Output();
        var command = new Command(name, description) { output };
        command.SetAction(async (parsed, cancellationToken) =>
        {
            using var api = DaemonApi.Of(CommonOptions.LoadConfig(parsed));
            var outcome = await api.AskAsync("pause", new PauseBody { Paused = paused }, ApiJson.Default.PauseBody, cancellationToken);
            return Decision.Show(outcome, parsed.GetValue(output) is not null, terminal);
        });
        return command;
    }
}
