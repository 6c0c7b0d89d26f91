using System.CommandLine;
using System.Globalization;
using Clustd.Http;

namespace Clustd.Cli;

/// <summary>`clustd events`: what the cluster decided of late, and why.</summary>
internal static class EventsCommand
{
    private static readonly TimeSpan FollowEvery = TimeSpan.FromMilliseconds(250);

    public static Command Make(Terminal terminal)
    {
        var since = new Option<long>("--since") { Description = "Only events above this index", HelpName = "INDEX" };
        var follow = new Option<bool>("--follow", "-f") { Description = "Go on until Ctrl-C" };
        var output = CommonOptions.Output();
        var command = new Command("events", "Show what the cluster decided of late, and why") { since, follow, output };
        command.SetAction(async (parsed, cancellationToken) =>
        {
            using var api = DaemonApi.Of(CommonOptions.LoadConfig(parsed));
            var last = parsed.GetValue(since);
            while (true)
            {
                var (view, json) = await api.EventsAsync(last, cancellationToken);
                if (parsed.GetValue(output) is not null)
                {
                    if (view.Events.Count > 0 || !parsed.GetValue(follow)) terminal.Out.WriteLine(json);
                }
                else
                {
                    foreach (var each in view.Events) terminal.Out.WriteLine(terminal.IsLive ? Line(each, terminal) : Line(each)); // a line each for grep
                }

                last = view.LastIndex;
                if (!parsed.GetValue(follow)) return ExitCodes.Done;
                await Task.Delay(FollowEvery, cancellationToken);
            }
        });
        return command;
    }

    /// <summary>"  17  21:14:03.120  session-opened  sentence": an event that this daemon did not see happen has no time.</summary>
    internal static string Line(EventView each)
    {
        var at = each.At is { } known ? known.ToLocalTime().ToString("HH:mm:ss.fff", CultureInfo.InvariantCulture) : "-";
        return string.Create(CultureInfo.InvariantCulture, $"{each.Index,6}  {at,-12}  {each.Kind,-15}  {each.Sentence}");
    }

    /// <summary>The same within the terminal's width: where it is narrow the sentence stands below, moved in.</summary>
    internal static string Line(EventView each, Terminal terminal)
    {
        var head = Line(each with { Sentence = "" });
        return terminal.Width >= head.Length + SentenceColumnsMin
            ? head + WrappedText.Of(each.Sentence, terminal.Width, indent: head.Length)
            : $"{head.TrimEnd()}\n        {WrappedText.Of(each.Sentence, terminal.Width, indent: 8)}";
    }

    private const int SentenceColumnsMin = 44;
}
