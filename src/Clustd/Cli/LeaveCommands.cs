using System.CommandLine;
using Clustd.Config;
using Clustd.Drivers.Processes;
using Clustd.Http;

namespace Clustd.Cli;

/// <summary>
/// `clustd restart` and `clustd stop`: the local daemon ends, in order to be started again or for good. Both return when its process is gone, so that
/// whoever calls them can start the next one.
/// </summary>
internal static class LeaveCommands
{
    private static readonly TimeSpan LookEvery = TimeSpan.FromMilliseconds(20);

    public static Command MakeRestart(Terminal terminal)
    {
        var command = new Command("restart", "End this machine's daemon for a restart: what runs here goes on meanwhile");
        command.SetAction((parsed, cancellationToken) => RestartAsync(CommonOptions.LoadConfig(parsed), "an operator restarts it.", terminal, cancellationToken));
        return command;
    }

    public static Command MakeStop(Terminal terminal)
    {
        var auto = new Option<bool>("--auto") { Description = "For ExecStop of a systemd unit: as `restart` if systemd restarts it" };
        var unit = new Option<string?>("--unit") { Description = "The unit; without it, the one that this command runs in", HelpName = "NAME" };
        var command = new Command("stop", "Stop what runs here, hand over, and end this machine's daemon") { auto, unit };
        command.SetAction(async (parsed, cancellationToken) =>
        {
            var config = CommonOptions.LoadConfig(parsed);
            if (!parsed.GetValue(auto)) return await StopAsync(config, "an operator stops it.", terminal, cancellationToken);

            var own = SystemdUnit.UnitOfProcess("self");
            var name = parsed.GetValue(unit) is { } given ? given.Contains('.', StringComparison.Ordinal) ? given : given + ".service" : own?.Name ?? "clustd.service";
            var job = await SystemdUnit.JobOfAsync(name, own?.IsUser ?? false, cancellationToken);
            try
            {
                if (job.Type == "restart")
                {
                    terminal.Out.WriteLine($"A restart: {job.Why}.");
                    return await RestartAsync(config, "systemd restarts it.", terminal, cancellationToken);
                }

                // A goodbye is right for every stop, and costs a restart no more than a planned move; a grace would leave a stopped machine's services alone for its whole length.
                terminal.Out.WriteLine(job.Type is null ? $"It is not known whether this is a restart: {job.Why}. So it is taken for a stop." : $"A stop: {job.Why}.");
                return await StopAsync(config, "systemd stops it.", terminal, cancellationToken);
            }
            catch (CommandException e) when (e.ExitCode == ExitCodes.NoQuorum)
            {
                terminal.Out.WriteLine($"Nothing to stop. {e.Message}"); // systemd runs ExecStop also when the daemon has ended by itself.
                return ExitCodes.Done;
            }
        });
        return command;
    }

    private static async Task<int> RestartAsync(ClustdConfig config, string reason, Terminal terminal, CancellationToken cancellationToken)
    {
        using var api = DaemonApi.Of(config);
        var leaving = await api.LeaveAsync("/v1/restart", reason, cancellationToken);
        if (!leaving.Done) throw new CommandException(ExitCodes.Refused, leaving.Sentence);

        terminal.Out.WriteLine(leaving.Sentence);
        var starter = await StarterAsync(config, leaving.ProcessId, cancellationToken); // Asked while the process can still be looked at.
        await GoneAsync(leaving.ProcessId, cancellationToken);
        terminal.Out.WriteLine($"The daemon has ended. {starter}");
        return ExitCodes.Done;
    }

    private static async Task<int> StopAsync(ClustdConfig config, string reason, Terminal terminal, CancellationToken cancellationToken)
    {
        using var api = DaemonApi.Of(config);
        var leaving = await api.LeaveAsync("/v1/goodbye", reason, cancellationToken);
        if (!leaving.Done) throw new CommandException(ExitCodes.Refused, leaving.Sentence);

        terminal.Out.WriteLine(leaving.Sentence);
        await GoneAsync(leaving.ProcessId, cancellationToken);
        terminal.Out.WriteLine("The daemon has ended.");
        return ExitCodes.Done;
    }

    /// <summary>Who starts the daemon again, as a sentence.</summary>
    private static async Task<string> StarterAsync(ClustdConfig config, int processId, CancellationToken cancellationToken)
    {
        if (SystemdUnit.UnitOfProcess($"{processId}") is not { } unit)
        {
            return $"Start it again: `clustd run{(config.Path is { } path ? $" --config {path}" : "")}`.";
        }

        var systemctl = unit.IsUser ? "systemctl --user" : "systemctl";
        return await SystemdUnit.StartsAgainAsync(unit.Name, unit.IsUser, cancellationToken)
            ? $"systemd starts {unit.Name} again by itself."
            : $"Start it again: `{systemctl} start {unit.Name}`. With `{systemctl} restart {unit.Name}` in place of `clustd restart` systemd does both.";
    }

    private static async Task GoneAsync(int processId, CancellationToken cancellationToken)
    {
        while (ProcessTree.IsAlive(processId)) await Task.Delay(LookEvery, cancellationToken);
    }
}
