using System.CommandLine;
using System.Security.Cryptography;
using System.Text;
using Clustd.Client;
using Clustd.Config;
using Clustd.Core;
using Clustd.Drivers;

namespace Clustd.Cli;

/// <summary>`clustd drivers`: the drivers of a daemon's file, or of a driver file of 2018, in a process of their own.</summary>
internal static class DriversCommand
{
    public static Command Make(Terminal terminal)
    {
        var command = new Command("drivers", "Run the drivers of this machine, or of a driver file");
        command.SetAction((parsed, cancellationToken) => RunAsync(parsed.GetValue(CommonOptions.Config), ConfigSurroundings.OfThisProcess(), terminal, cancellationToken));
        return command;
    }

    private static async Task<int> RunAsync(string? path, ConfigSurroundings surroundings, Terminal terminal, CancellationToken cancellationToken)
    {
        var result = ConfigLoader.LoadDrivers(path, surroundings);
        var file = result.Config ?? throw new CommandException(ExitCodes.Usage, string.Join("\n       ", result.Errors));
        var daemon = ConfigLoader.Load(path, surroundings).Config;
        // Its daemon has said them already, if it is the daemon's file.
        if (daemon is null)
        {
            foreach (var warning in result.Warnings) terminal.Warn(warning.ToString());
        }

        if (file.Drivers.Count == 0)
        {
            throw new CommandException(ExitCodes.Usage, $"There is nothing to run: {file.Path ?? "the configuration"} lists no drivers. Add `drivers: [ shell: {{ run: COMMAND }} ]`.");
        }

        var said = new SaidLine(terminal, "drivers: ");
        var host = new DriverHost { Address = file.Host.Authority, Secret = file.Secret, Log = (level, line) => said.Say(SeverityOf(level), line) };
        var directory = daemon?.Server.DataDirectory ?? StateDirectory(file, surroundings);
        _ = StartupPages.ReleaseAsync(RunCommand.AtRestAfter, cancellationToken);
        return await new DriverProcess(host, directory, file.Drivers).RunAsync(cancellationToken);
    }

    // One driver process per FILE: a script driver and another one may well serve the same daemon.
    private static string StateDirectory(DriverFileConfig file, ConfigSurroundings surroundings)
    {
        if (surroundings.Environment.TryGetValue("STATE_DIRECTORY", out var state) && state.Length > 0) return state.Split(':')[0];
        var name = Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(file.Path ?? surroundings.WorkingDirectory)))[..12];
        var home = surroundings.HomeDirectory.StartsWith('/') ? Path.Combine(surroundings.HomeDirectory, ".local/state/clustd") : Path.GetTempPath();
        return Path.Combine(home, $"drivers-{name}");
    }

    private static Severity SeverityOf(DriverLogLevel level) => level switch
    {
        DriverLogLevel.Debug => Severity.Debug,
        DriverLogLevel.Info => Severity.Information,
        DriverLogLevel.Warning => Severity.Warning,
        _ => Severity.Error,
    };
}
