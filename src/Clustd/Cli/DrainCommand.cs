using System.CommandLine;
using Clustd.Http;

namespace Clustd.Cli;

/// <summary>`clustd drain cm-1`, `clustd undrain cm-1`: empties a machine for maintenance, and lets it run services again.</summary>
internal static class DrainCommand
{
    private static readonly TimeSpan LookEvery = TimeSpan.FromMilliseconds(50);

    public static Command Drain(Terminal terminal)
    {
        var wait = new Option<bool>("--wait") { Description = "Return when nothing runs there any more" };
        var command = Make("drain", "Move all services away from a machine, and bring no new ones", drained: true, terminal, wait);
        command.Add(wait);
        return command;
    }

    public static Command Undrain(Terminal terminal) => Make("undrain", "Let a drained machine run services again", drained: false, terminal, wait: null);

    private static Command Make(string name, string description, bool drained, Terminal terminal, Option<bool>? wait)
    {
        var machine = KnownNames.Machine("Which one");
        var output = CommonOptions.Output();
        var command = new Command(name, description) { machine, output };
        command.SetAction(async (parsed, cancellationToken) =>
        {
            using var api = DaemonApi.Of(CommonOptions.LoadConfig(parsed));
            var id = parsed.GetValue(machine)!;
            var since = (await api.EventsAsync(0, cancellationToken)).View.LastIndex;
            var outcome = await api.AskAsync("drain", new DrainBody { Machine = id, Drained = drained }, ApiJson.Default.DrainBody, cancellationToken);
            if (outcome.Done && wait is not null && parsed.GetValue(wait)) await UntilEmptyAsync(api, id, since, terminal, cancellationToken);
            return Decision.Show(outcome, parsed.GetValue(output) is not null, terminal);
        });
        return command;
    }

    /// <summary>Returns when no service is on the machine; says on stderr what keeps one there.</summary>
    /// <exception cref="CommandException">A service is stuck there: that needs a person.</exception>
    private static async Task UntilEmptyAsync(DaemonApi api, string machine, long since, Terminal terminal, CancellationToken cancellationToken)
    {
        while (true)
        {
            var view = (await api.StatusAsync(cancellationToken)).View;
            // What is not known now is not empty: whoever waits is about to pull a plug.
            var there = view.Services.Where(service => service.Master == machine || (service.Master == StatusView.Unknown && service.LastKnown?.Master == machine)).ToList();
            if (there.Find(service => service.State == "stuck") is { } stuck)
            {
                throw new CommandException(ExitCodes.Refused, $"{machine} is drained, but '{stuck.Name}' is stuck there: {stuck.Reason}");
            }

            if (there.Count == 0 && view.IsKnown && view.Machines.FirstOrDefault(each => each.Id == machine)?.Drained == true) return;
            var news = (await api.EventsAsync(since, cancellationToken)).View;
            foreach (var aborted in news.Events.Where(each => each.Kind == "move-aborted" && each.Machine == machine)) terminal.Warn(aborted.Sentence);
            since = Math.Max(since, news.LastIndex);
            await Task.Delay(LookEvery, cancellationToken);
        }
    }
}
