using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using Clustd.Cli;

namespace Clustd.Demo;

/// <summary>`clustd demo`: see it work in a minute, on one host, without root.</summary>
internal static class DemoCommand
{
    private const int LogLinesShown = 12;

    public static Command Make(Terminal terminal)
    {
        var once = new Option<bool>("--once") { Description = "Tell it line by line, as where there is no terminal" };
        var keep = new Option<bool>("--keep") { Description = "Keep the folder with configurations, data and logs" };
        var lease = new Option<int>("--lease") { Description = "Lease in ms", HelpName = "MS", DefaultValueFactory = _ => 1000 };
        lease.Validators.Add(result =>
        {
            if (result.GetValueOrDefault<int>() is < 100 or > 10_000) result.AddError("--lease takes 100 to 10000 ms");
        });
        var output = CommonOptions.Output();
        var command = new Command("demo", "Three machines on this host: a kill, a cut, a move, and what an observer saw") { once, keep, lease, output };
        command.SetAction((parsed, cancellationToken) =>
            PlayAsync(
                TimeSpan.FromMilliseconds(parsed.GetValue(lease)), parsed.GetValue(keep), parsed.GetValue(output) is not null, terminal with { IsLive = terminal.IsLive && !parsed.GetValue(once) }, cancellationToken));
        return command;
    }

    private static async Task<int> PlayAsync(TimeSpan lease, bool keep, bool json, Terminal terminal, CancellationToken cancellationToken)
    {
        using var signals = new StopSignals(cancellationToken); // What was started must be ended first.
        var folder = Directory.CreateTempSubdirectory("clustd-demo-").FullName;
        // With -o json stdout is for the report alone.
        var (writer, colour) = json ? (terminal.Error, terminal.ColourError) : (terminal.Out, terminal.ColourOut);
        var isLive = terminal.IsLive && !json;
        var story = new List<(TimeSpan At, string Sentence)>();
        void Tell(TimeSpan at, string sentence) =>
            writer.WriteLine($"{terminal.Faint(string.Create(CultureInfo.InvariantCulture, $"{at.TotalSeconds,5:0.0} s"), colour)}  {WrappedText.Of(sentence, terminal.Width, indent: 9)}");

        if (!isLive) writer.WriteLine(Opening(folder, terminal));
        var script = new DemoScript(folder, lease, (at, sentence) =>
        {
            lock (story) story.Add((at, sentence));
            if (!isLive) Tell(at, sentence);
        });
        try
        {
            var report = isLive ? await new DemoView(script, folder, story, terminal).PlayAsync(signals.Token) : await script.PlayAsync(signals.Token);
            if (isLive)
            {
                // The screen of the play is gone; what happened stays to be read.
                writer.WriteLine(Opening(folder, terminal));
                story.ForEach(each => Tell(each.At, each.Sentence));
            }

            if (json) terminal.Out.WriteLine(JsonSerializer.Serialize(report, CliJson.Default.DemoReport));
            else report.Write(terminal);
            if (!report.Ok) ShowLogs(script, terminal);
            return report.Ok ? ExitCodes.Done : ExitCodes.Refused;
        }
        catch (OperationCanceledException) when (signals.Token.IsCancellationRequested)
        {
            terminal.Complain("The demo was interrupted: all that it had started is ended. Start it again with `clustd demo`.");
            return ExitCodes.Refused;
        }
        finally
        {
            await script.DisposeAsync();
            if (!keep) Directory.Delete(folder, recursive: true);
        }
    }

    private static string Opening(string folder, Terminal terminal) =>
        WrappedText.Of($"Three machines of a cluster on this host, no root needed; all they write is in {folder}.", terminal.Width, indent: 0);

    private static void ShowLogs(DemoScript script, Terminal terminal)
    {
        foreach (var machine in script.Machines.Where(machine => File.Exists(machine.LogPath)))
        {
            terminal.Error.WriteLine($"--- the end of the log of {machine.Id}");
            foreach (var line in File.ReadLines(machine.LogPath).TakeLast(LogLinesShown)) terminal.Error.WriteLine(line);
        }
    }
}
