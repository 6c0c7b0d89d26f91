using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using Clustd.Http;

namespace Clustd.Cli;

/// <summary>`clustd move web [cm-2]`: asks, then follows the service until it runs somewhere else.</summary>
internal static class MoveCommand
{
    private static readonly TimeSpan LookEvery = TimeSpan.FromMilliseconds(20);

    public static Command Make(Terminal terminal)
    {
        var service = KnownNames.Service("What is to move");
        var machine = KnownNames.MachineOrNone("Where to; without it, where placement says");
        var output = CommonOptions.Output();
        var command = new Command("move", "Move a service to another machine") { service, machine, output };
        command.SetAction(async (parsed, cancellationToken) =>
        {
            using var api = DaemonApi.Of(CommonOptions.LoadConfig(parsed));
            var moved = await MoveAsync(api, parsed.GetValue(service)!, parsed.GetValue(machine), cancellationToken);
            terminal.Out.WriteLine(parsed.GetValue(output) is null ? moved.Sentence() : JsonSerializer.Serialize(moved, CliJson.Default.MoveView));
            return ExitCodes.Done;
        });
        return command;
    }

    /// <summary>Returns when the service runs elsewhere.</summary>
    /// <exception cref="CommandException">It was refused, aborted, or did not start anywhere in time.</exception>
    public static async Task<MoveView> MoveAsync(DaemonApi api, string service, string? target, CancellationToken cancellationToken)
    {
        var before = ServiceOf((await api.StatusAsync(cancellationToken)).View, service);
        var since = (await api.EventsAsync(0, cancellationToken)).View.LastIndex;
        var outcome = await api.MoveAsync(service, target, cancellationToken);
        if (!outcome.Done) throw new CommandException(ExitCodes.Refused, outcome.Sentence);

        while (true)
        {
            var now = ServiceOf((await api.StatusAsync(cancellationToken)).View, service);
            var events = (await api.EventsAsync(since, cancellationToken)).View.Events.Where(each => each.Service == service).ToList();
            if (events.LastOrDefault(each => each.Kind is "move-aborted" or "failed" or "stuck") is { } trouble && now is not { State: "running" or "starting" })
            {
                throw new CommandException(ExitCodes.Refused, trouble.Sentence);
            }

            if (events.LastOrDefault(each => each.Kind == "move-aborted") is { } aborted) throw new CommandException(ExitCodes.Refused, aborted.Sentence);
            if (now is { State: "running", Token: { } token, Master: { } master } && token != before?.Token)
            {
                return new MoveView(service, before?.Master, master, before?.Token, token, GapMs(events, before?.Token, token));
            }

            await Task.Delay(LookEvery, cancellationToken);
        }
    }

    /// <summary>From the release of the old token to the new one running, both as the asked machine saw them; null: it did not see both.</summary>
    internal static double? GapMs(IReadOnlyList<EventView> events, long? oldToken, long newToken)
    {
        var stopped = events.FirstOrDefault(each => each.Kind == "released" && each.Token == oldToken)?.At;
        var started = events.FirstOrDefault(each => each.Kind == "running" && each.Token == newToken)?.At;
        return stopped is { } from && started is { } to && to >= from ? (to - from).TotalMilliseconds : null;
    }

    private static ServiceStatus? ServiceOf(StatusView view, string service) => view.Services.FirstOrDefault(each => each.Name == service);
}

/// <summary>A move that was done. Null is what could not be known.</summary>
internal sealed record MoveView(string Service, string? From, string To, long? FromToken, long Token, double? GapMs)
{
    /// <summary>"web: cm-1 -> cm-2, token 5 -> 6, gap 3.2 ms".</summary>
    public string Sentence()
    {
        var gap = GapMs is { } known ? string.Create(CultureInfo.InvariantCulture, $", gap {known:0.0} ms") : "";
        return $"{Service}: {From ?? "nowhere"} -> {To}, token {TokenText.Of(FromToken, "none")} -> {TokenText.Of(Token)}{gap}";
    }
}
