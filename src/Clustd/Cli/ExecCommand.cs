using System.CommandLine;
using Clustd.Config;
using Clustd.Drivers;
using Clustd.Drivers.Processes;

namespace Clustd.Cli;

/// <summary>`clustd exec --service NAME -- CMD ARGS`: runs a command while this machine is the master. See docs/drivers/exec.md.</summary>
internal static class ExecCommand
{
    // As timeout(1), env(1) and the shells have them; below 125 every code is the command's own.
    public const int LostControl = 125, CannotRun = 126, NotFound = 127;

    /// <summary>With --once: the mastership was lost. EX_TEMPFAIL of sysexits.h: try again later.</summary>
    public const int MastershipLost = 75;

    public static Command Make(Terminal terminal)
    {
        var service = KnownNames.ServiceOption("Of which service; without it, the cluster's default service");
        var order = new Option<int>("--order") { Description = "Drivers of a service start ascending and stop descending", HelpName = "N" };
        var name = new Option<string?>("--name") { Description = "One of a name runs on a machine at a time; without it, SERVICE-exec", HelpName = "NAME" };
        var stopTimeout = new Option<string?>("--stop-timeout") { Description = "How long a planned stop may take, 10s; the service must grant it", HelpName = "TIME" };
        var once = new Option<bool>("--once", "--exit-on-loss") { Description = $"End with {MastershipLost} when the mastership is lost, instead of waiting for it again" };
        var quiet = new Option<bool>("--quiet", "-q") { Description = "Say nothing on stderr but errors" };
        var words = new Argument<string[]>("CMD") { Description = "The command and its arguments, behind --", Arity = ArgumentArity.OneOrMore };
        var command = new Command("exec", "Run a command while this machine is the master: clustd exec --service web -- CMD") { service, order, name, stopTimeout, once, quiet, words };
        command.SetAction(async (parsed, cancellationToken) =>
        {
            var result = ConfigLoader.LoadDrivers(parsed.GetValue(CommonOptions.Config), ConfigSurroundings.OfThisProcess());
            var file = result.Config ?? throw new CommandException(ExitCodes.Usage, string.Join("\n       ", result.Errors));
            var options = new ExecOptions
            {
                Command = parsed.GetValue(words)!,
                Service = parsed.GetValue(service),
                Name = parsed.GetValue(name) ?? $"{parsed.GetValue(service) ?? ServiceConfig.DefaultName}-exec",
                Order = parsed.GetValue(order),
                Required = false,
                StopTimeout = Timeout(parsed.GetValue(stopTimeout)),
                EndsOnLoss = parsed.GetValue(once),
            };
            if (WhyNotFound(options.Command[0]) is { } missing) throw new CommandException(NotFound, missing);
            return await new ExecRun(file, options, new ExecWords(terminal, parsed.GetValue(quiet))).RunAsync(cancellationToken);
        });
        return command;
    }

    /// <summary>128+n for a signal, as a shell would say it.</summary>
    public static int CodeOf(ChildExit exit) => exit.Signal == 0 ? exit.Code : 128 + exit.Signal;

    // Now, and not after hours of waiting in the moment in which it is needed.
    internal static string? WhyNotFound(string command)
    {
        if (command.Length == 0) return "Cannot run the command: its name is empty. Give a command behind `--`.";
        var isFound = command.Contains('/')
            ? File.Exists(command)
            : (Environment.GetEnvironmentVariable("PATH") ?? "/usr/local/bin:/usr/bin:/bin").Split(':').Any(folder => File.Exists(Path.Combine(folder.Length == 0 ? "." : folder, command)));
        return isFound ? null : $"Cannot run '{ProblemList.Show(command)}': there is no such program{(command.Contains('/') ? "" : " in $PATH")}. Correct the command; for words of a shell use `sh -c '...'`.";
    }

    private static TimeSpan? Timeout(string? text) => text is null ? null
        : ConfigDuration.Parse(text, out _) is { } time && time > TimeSpan.Zero ? time
        : throw new CommandException(ExitCodes.Usage, $"Cannot read --stop-timeout '{ProblemList.Show(text)}': it is no time above 0 with its unit. Write for example 10s or 500ms.");
}
