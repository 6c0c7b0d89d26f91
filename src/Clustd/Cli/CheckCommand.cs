using System.CommandLine;
using Clustd.Config;

namespace Clustd.Cli;

/// <summary>`clustd check`: is the file valid, and what does it promise, in words.</summary>
internal static class CheckCommand
{
    public static Command Make(Terminal terminal)
    {
        var command = new Command("check", "Check the configuration, and say what it promises");
        command.SetAction(parsed => Check(parsed.GetValue(CommonOptions.Config), ConfigSurroundings.OfThisProcess(), terminal));
        return command;
    }

    internal static int Check(string? path, ConfigSurroundings surroundings, Terminal terminal)
    {
        var daemon = ConfigLoader.Load(path, surroundings);
        var drivers = ConfigLoader.LoadDrivers(path, surroundings);
        // For a daemon's file both say the same; for a driver file the first one only says that it is one.
        var isDriverFile = daemon.Config is null && (drivers.Config is not null || !drivers.Errors.SequenceEqual(daemon.Errors));
        if (isDriverFile) CheckReport.Write(drivers, terminal.Out);
        else CheckReport.Write(daemon, terminal.Out);
        return (isDriverFile ? drivers.Errors : daemon.Errors).Count == 0 ? ExitCodes.Done : ExitCodes.Usage;
    }
}
