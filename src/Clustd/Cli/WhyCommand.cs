using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using Clustd.Http;

namespace Clustd.Cli;

/// <summary>`clustd why [SERVICE|EVENT]`: the reason of the present state as sentences, and what led to it.</summary>
internal static class WhyCommand
{
    public static Command Make(Terminal terminal)
    {
        var subject = KnownNames.ServiceOrMachineOrEvent("A service, a machine, or the index of an event; without it: every service");
        var output = CommonOptions.Output();
        var command = new Command("why", "Say why things are as they are, and what led to it") { subject, output };
        command.SetAction(async (parsed, cancellationToken) =>
        {
            using var api = DaemonApi.Of(CommonOptions.LoadConfig(parsed));
            var view = (await api.StatusAsync(cancellationToken)).View;
            var events = (await api.EventsAsync(0, cancellationToken)).View;
            var now = DateTimeOffset.UtcNow;
            var asked = parsed.GetValue(subject);
            List<WhyView> reports = asked is null ? [.. view.Services.Select(service => WhyReport.OfService(view, events, service, now))] : [WhyReport.Of(view, events, asked, now)];
            if (parsed.GetValue(output) is not null) terminal.Out.WriteLine(JsonSerializer.Serialize(reports, CliJson.Default.ListWhyView));
            else Write(reports, terminal);
            if (StatusCommand.WhyNoQuorum(view) is not { } why) return ExitCodes.Done;
            terminal.Complain(why);
            return ExitCodes.NoQuorum;
        });
        return command;
    }

    internal static void Write(IReadOnlyList<WhyView> reports, Terminal terminal)
    {
        foreach (var (index, report) in reports.Index())
        {
            if (index > 0) terminal.Out.WriteLine();
            foreach (var (line, sentence) in report.Sentences.Index())
            {
                var indent = line == 0 ? 0 : 2;
                var text = WrappedText.Of(sentence, terminal.Width, indent);
                terminal.Out.WriteLine(line == 0 ? terminal.Bold(text, terminal.ColourOut) : new string(' ', indent) + text);
            }

            if (report.Events.Count == 0) continue;
            terminal.Out.WriteLine();
            foreach (var each in report.Events) terminal.Out.WriteLine(EventsCommand.Line(each, terminal));
        }
    }
}

/// <summary>`why -o json` is a list of these: sentences, the answer first, and the events that led to it, oldest first.</summary>
internal sealed record WhyView(string Subject, IReadOnlyList<string> Sentences, IReadOnlyList<EventView> Events);

/// <summary>Puts together why something is as it is. Pure: what the daemon said comes in.</summary>
internal static class WhyReport
{
    private const int EventsShown = 8;

    /// <exception cref="CommandException">There is nothing of that name.</exception>
    public static WhyView Of(StatusView view, EventsView events, string asked, DateTimeOffset now)
    {
        if (view.Services.FirstOrDefault(service => service.Name == asked) is { } found) return OfService(view, events, found, now);
        if (view.Machines.FirstOrDefault(machine => machine.Id == asked) is { } machine) return OfMachine(view, events, machine);
        if (long.TryParse(asked, NumberStyles.None, CultureInfo.InvariantCulture, out var index)) return OfEvent(events, index);

        throw new CommandException(
            ExitCodes.Refused,
            $"Cannot say why '{Config.ProblemList.Show(asked)}': there is no such service or machine, and it is no number of an event. The services are: {Names(view.Services.Select(service => service.Name))}; `clustd events` numbers the events.");
    }

    public static WhyView OfService(StatusView view, EventsView events, ServiceStatus service, DateTimeOffset now)
    {
        var since = service.Since is { } at && now >= at ? $" for {StatusScreen.Span(now - at)}" : "";
        var sentences = new List<string>
        {
            service.Master switch
            {
                StatusView.Unknown => $"Where '{service.Name}' runs is not known to {view.Self}.",
                null => $"'{service.Name}' has no master: {service.State}{since}.",
                var master => $"'{service.Name}' is {service.State} on {master} under token {TokenText.Of(service.Token, "unknown")}{(since.Length > 0 ? "," : "")}{since}.",
            },
        };
        if (service.Reason.Length > 0) sentences.Add(service.Reason);
        if (service.LastKnown is { } last)
        {
            var age = last.AgoMs is { } ms ? $"{StatusScreen.Span(TimeSpan.FromMilliseconds(ms))} ago" : "before this daemon started";
            sentences.Add($"Last known, {age}: {last.State} on {last.Master ?? "no machine"}. {last.Reason}".TrimEnd());
        }

        if (service.Placement is { } placement && placement != service.Reason) sentences.Add(placement);
        else if (service.Placement is null && view is { IsKnown: true, Leader: { } leader } && leader != view.Self) sentences.Add($"What placement thinks of it now, its leader knows: `clustd why {service.Name}` on {leader}.");
        // What this machine does is news only where it differs from what was said: being a standby is what most machines are.
        if (service.Here is { Phase: not ("standby" or "running"), Reason.Length: > 0 } here) sentences.Add($"On {view.Self}: {here.Phase}, {here.Reason}");
        sentences.AddRange(view.Warnings.Where(warning => warning.Sentence.Contains($"'{service.Name}'", StringComparison.Ordinal)).Select(warning => warning.Sentence).Distinct().Except(sentences));
        return new WhyView(service.Name, sentences, Led(events, each => each.Service == service.Name));
    }

    private static WhyView OfMachine(StatusView view, EventsView events, MachineStatus machine)
    {
        var sentences = new List<string> { $"{machine.Id} is {machine.State}{(machine.Drained == true ? " and drained" : "")}{(machine.IsLeader == true ? ", and leads" : "")}." };
        var runs = view.Services.Where(service => service.Master == machine.Id).Select(service => service.Name).ToList();
        sentences.Add(runs.Count > 0 ? $"It is the master of {Names(runs)}." : view.IsKnown ? "It is the master of no service." : $"What it runs is not known to {view.Self}.");
        sentences.AddRange(view.Warnings.Where(warning => warning.Sentence.Contains(machine.Id, StringComparison.Ordinal)).Select(warning => warning.Sentence).Distinct());
        return new WhyView(machine.Id, sentences, Led(events, each => each.Machine == machine.Id));
    }

    private static WhyView OfEvent(EventsView events, long index)
    {
        var asked = events.Events.FirstOrDefault(each => each.Index == index)
            ?? throw new CommandException(ExitCodes.Refused, $"There is no event {index}: those that are kept go from {events.OldestIndex ?? 0} to {events.LastIndex}, with gaps. `clustd events` lists them.");
        // What led to it: the same service before it, and what befell the machine that it was on.
        var before = events.Events.Where(each => each.Index < index).ToList();
        var machine = asked.Machine ?? before.LastOrDefault(each => asked.Service is not null && each.Service == asked.Service)?.Machine;
        var led = before.Where(each => (asked.Service is not null && each.Service == asked.Service) || (machine is not null && each.Machine == machine && each.Service is null)).TakeLast(EventsShown - 1);
        return new WhyView(index.ToString(CultureInfo.InvariantCulture), [$"Event {index}: {asked.Sentence}"], [.. led, asked]);
    }

    // A service's own events, and those of sessions and leaders that came between: they are what usually set it off.
    private static List<EventView> Led(EventsView events, Func<EventView, bool> isOwn)
    {
        var own = events.Events.Where(isOwn).TakeLast(EventsShown).ToList();
        if (own.Count == 0) return own;
        return [.. events.Events.Where(each => each.Index >= own[0].Index && (isOwn(each) || each.Kind is "session-ended" or "drained" or "undrained" or "paused" or "unpaused")).TakeLast(EventsShown)];
    }

    private static string Names(IEnumerable<string> names) => string.Join(", ", names.DefaultIfEmpty("none"));
}
