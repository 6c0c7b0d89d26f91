using System.Globalization;
using Clustd.Http;

namespace Clustd.Cli;

/// <summary>
/// The status as it may be shown some time after the daemon said it: younger than the lease as it is, older as unknown, with what was known last beside it.
/// Pure. A daemon that does not answer any more must not leave its last words standing as if they were true.
/// </summary>
/// <param name="View">What the daemon said; null: it has not said anything yet.</param>
/// <param name="SaidAt">When; on the watcher's clock.</param>
/// <param name="Problem">Why there is nothing newer, in three parts; null: the daemon answers.</param>
internal sealed record WatchedStatus(StatusView? View, DateTimeOffset SaidAt, string? Problem)
{
    public StatusView? At(DateTimeOffset now)
    {
        if (View is not { } view) return null;
        var since = now > SaidAt ? (long)(now - SaidAt).TotalMilliseconds : 0;
        if (Problem is null && (!view.IsKnown || (view.KnownAgoMs ?? 0) + since <= view.LeaseMs)) return view;
        var age = view.KnownAgoMs is { } ago ? ago + since : (long?)null;
        return view with
        {
            Leader = StatusView.Unknown,
            Quorum = view.Quorum with { Have = null, CountedBy = null },
            KnownAgoMs = age,
            IsKnown = false,
            SessionLeftMs = 0,
            Paused = null,
            WaitsFor = null,
            LoopLatenessMs = null,
            Machines = [.. view.Machines.Select(machine => machine with
            {
                State = StatusView.Unknown, Session = null, Drained = null, IsLeader = null, Connected = false,
                LastKnown = machine.LastKnown is { } last ? last with { AgoMs = last.AgoMs + since } : new MachineLastKnown(age, machine.State, machine.Session, machine.Drained ?? false),
            })],
            Services = [.. view.Services.Select(service => service with
            {
                Master = StatusView.Unknown, Token = null, State = StatusView.Unknown, Since = null, Reason = "", Takeover = StatusView.Unknown, Placement = null,
                Here = new LocalStatus(StatusView.Unknown, null, ""),
                LastKnown = service.LastKnown is { } last ? last with { AgoMs = last.AgoMs + since } : new ServiceLastKnown(age, service.Master, service.Token, service.State, service.Reason),
            })],
            Drivers = [],
            Warnings = [new StatusWarning("no-daemon", Problem ?? $"The daemon of {view.Self} has not answered for {StatusScreen.Span(TimeSpan.FromMilliseconds(since))}.")],
        };
    }

    /// <summary>What there is to tell, by subject: where a text differs from the one before, something has happened. Ages are no news.</summary>
    public static IReadOnlyList<(string Subject, string Text)> News(StatusView view, bool showsWhole)
    {
        var news = new List<(string, string)>();
        if (view.Warnings.FirstOrDefault(warning => warning.Code == "no-daemon") is { } lost) news.Add(("daemon", lost.Sentence));
        news.Add(("leader", view.Leader switch
        {
            null => "none",
            StatusView.Unknown => "unknown",
            var leader => string.Create(CultureInfo.InvariantCulture, $"{leader}, term {view.Term}"),
        }));
        foreach (var machine in view.Machines) news.Add(($"machine {machine.Id}", machine.State + (machine.Drained == true ? ", drained" : "")));
        foreach (var service in view.Services)
        {
            var where = service.Master switch
            {
                null => service.State,
                StatusView.Unknown => "unknown",
                var master => $"{service.State} on {master}, token {TokenText.Of(service.Token, "unknown", showsWhole)}",
            };
            news.Add(($"service {service.Name}", service.Reason.Length > 0 && service.Master != StatusView.Unknown ? $"{where}. {service.Reason}" : where));
        }

        foreach (var warning in view.Warnings.Where(warning => warning.Code != "no-daemon").DistinctBy(warning => warning.Code))
        {
            news.Add(($"warning {warning.Code}", warning.Code == "not-known" ? "nothing is known of the other machines" : warning.Sentence));
        }

        return news;
    }
}
