using System.CommandLine;
using Clustd.Config;

namespace Clustd.Cli;

/// <summary>`clustd init 10.0.0.1 10.0.0.2 10.0.0.3`: one file for all machines, with a fresh secret.</summary>
internal static class InitCommand
{
    public static Command Make(Terminal terminal)
    {
        var addresses = new Argument<string[]>("ADDRESS") { Description = "Every machine, this one included: HOST or HOST:PORT", Arity = ArgumentArity.OneOrMore };
        var force = new Option<bool>("--force") { Description = "Overwrite the file" };
        var command = new Command("init", "Write a configuration for all machines: clustd init 10.0.0.1 10.0.0.2 10.0.0.3") { addresses, force };
        command.SetAction(parsed => Write(
            parsed.GetValue(addresses)!, parsed.GetValue(CommonOptions.Config) ?? "config.yml", parsed.GetValue(force), terminal));
        return command;
    }

    internal static int Write(IReadOnlyList<string> addresses, string path, bool overwrite, Terminal terminal)
    {
        string text;
        try
        {
            text = ConfigWriter.Write(addresses, SecretGenerator.New());
        }
        catch (ConfigWriterException e)
        {
            throw new CommandException(ExitCodes.Usage, e.Message, e);
        }

        try
        {
            WriteOwnerOnly(path, text, overwrite);
        }
        catch (IOException) when (!overwrite && File.Exists(path))
        {
            throw new CommandException(ExitCodes.Refused, $"Cannot write {path}: it exists, and with it the secret of a cluster. Name another file with --config, or overwrite it with --force.");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new CommandException(ExitCodes.Refused, $"Cannot write {path}: {e.Message.TrimEnd('.')}. Name a file in a folder that this user may write to with --config.", e);
        }

        terminal.Out.WriteLine($"""
            Wrote {path} for {addresses.Count} {(addresses.Count == 1 ? "machine" : "machines")}. It holds the cluster's secret: readable for its owner only.

            Next:
              1. Say in it what is to run: uncomment 'services' and 'drivers' at its end.
              2. Copy it to every machine, as /etc/clustd/config.yml.
              3. Run `clustd check`, then `clustd run`, on each. The cluster forms when all have met.
              4. Look: `clustd status`.

            {FailoverBound.Tolerance(addresses.Count)}
            """);
        return ExitCodes.Done;
    }

    // Never there half-written, and never readable for others, not even for a moment.
    private static void WriteOwnerOnly(string path, string text, bool overwrite)
    {
        var target = overwrite ? path + ".new" : path;
        if (overwrite) File.Delete(target);
        using (var file = new FileStream(target, new FileStreamOptions
        {
            Mode = FileMode.CreateNew,
            Access = FileAccess.Write,
            UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite,
        }))
        using (var writer = new StreamWriter(file))
        {
            writer.Write(text);
        }

        if (overwrite) File.Move(target, path, overwrite: true);
    }
}
