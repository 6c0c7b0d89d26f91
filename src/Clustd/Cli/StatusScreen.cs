using System.Globalization;
using Clustd.Http;
using Spectre.Console;

namespace Clustd.Cli;

/// <summary>A <see cref="StatusView"/> for people: what matters most first, and readable in a terminal of 60 columns.</summary>
internal static class StatusScreen
{
    // From here on a service's reason fits beside it.
    private const int WideColumns = 100;

    // The darker one of the two yellows: the brighter cannot be read on a light background.
    private static readonly Color Warning = Color.Olive;

    /// <param name="showsWhole">Tokens as programs see them.</param>
    public static void Write(StatusView view, Terminal terminal, DateTimeOffset now, bool showsWhole = false) =>
        Paint(view, terminal.OpenTables(), now, showsWhole);

    /// <summary>The same on any console of Spectre's, as wide as that is.</summary>
    public static void Paint(StatusView view, IAnsiConsole console, DateTimeOffset now, bool showsWhole)
    {
        var wide = console.Profile.Width >= WideColumns;
        Header(view, console);
        if (view.Services.Count > 0) Services(view, console, wide, now, showsWhole);
        if (view.Machines.Count > 0)
        {
            console.WriteLine();
            Machines(view, console);
        }

        if (view.Drivers.Count > 0) Drivers(view, console, wide);
        if (view.WaitsFor is { } waits) Paragraph(console, Style.Plain, $"Waits for: {waits}");
        foreach (var sentence in view.Warnings.Select(warning => warning.Sentence).Distinct())
        {
            Paragraph(console, Coloured(Warning), $"! {sentence}");
        }
    }

    private static void Header(StatusView view, IAnsiConsole console)
    {
        var quorum = view.Quorum.Have is { } have ? $"{have} of {view.Quorum.Voters} voters, {view.Quorum.Need} needed" : "unknown";
        console.Write(new Text($"cluster {view.Cluster ?? "not formed"}, leader {view.Leader ?? "none"}, term {view.Term}, quorum {quorum}\n", Coloured(decoration: Decoration.Bold)));
        var knowledge = view.Consistency == StatusView.Linearizable ? "confirmed by a majority" : view.KnownAgoMs is { } age ? $"this is {Span(TimeSpan.FromMilliseconds(age))} old" : "no leader was heard yet";
        var session = view.Warnings.Any(warning => warning.Code == "no-daemon") ? "it does not answer now, and what runs there is not known"
            : view.SessionLeftMs > 0 ? $"session held, {Span(TimeSpan.FromMilliseconds(view.SessionLeftMs))} left of {Span(TimeSpan.FromMilliseconds(view.LeaseMs))}" : "no session: runs nothing";
        var leaving = view.IsLeaving ? ", saying goodbye" : "";
        console.Write(new Text($"seen from {view.Self} ({view.Role}{leaving}): {knowledge}; {session}\n"));
        if (view.Process is { } process)
        {
            console.Write(new Text(string.Create(
                CultureInfo.InvariantCulture,
                $"its loop ({process.LoopPriority}) was at most {process.LoopLatenessMs:0.#} ms late in the last minute, p99 {process.LoopLatenessP99Ms:0.#} ms; its disk commits in {process.StoreCommitMedianMs:0.#} ms, p99 {process.StoreCommitP99Ms:0.#} ms\n")));
        }

        Watchdogs(view, console);
    }

    private static void Watchdogs(StatusView view, IAnsiConsole console)
    {
        foreach (var watchdog in view.Watchdogs)
        {
            var what = watchdog.Identity is { } identity ? $"watchdog {watchdog.Device} ({identity}) resets this machine" : $"{watchdog.Device} starts this daemon again";
            console.Write(new Text($"{what} {Span(TimeSpan.FromMilliseconds(watchdog.TimeoutMs))} after its last decision; fed {Span(TimeSpan.FromMilliseconds(watchdog.FedAgoMs))} ago\n"));
        }
    }

    private static void Services(StatusView view, IAnsiConsole console, bool wide, DateTimeOffset now, bool showsWhole)
    {
        string[] names = ["SERVICE", "MASTER", "TOKEN", "STATE", "FOR"];
        var table = NewTable(wide ? [.. names, "WHY"] : names);
        foreach (var service in view.Services)
        {
            var cells = new List<Text>
            {
                Cell(service.Name), Cell(service.Master ?? "none", service.Master is null or StatusView.Unknown ? Color.Red : null),
                Cell(TokenText.Of(service.Token, "-", showsWhole)), Cell(service.State, ColourOf(service.State)),
                Cell(service.Since is { } since && now >= since ? Span(now - since) : "-"),
            };
            if (wide) cells.Add(new Text(Why(service)));
            table.AddRow(cells);
        }

        console.WriteLine();
        console.Write(table);
        if (wide) return;
        foreach (var service in view.Services.Where(service => Why(service).Length > 0))
        {
            console.Write(new Padder(new Text($"{service.Name}: {Why(service)}"), new Padding(2, 0, 0, 0)));
        }
    }

    private static string Why(ServiceStatus service) => service.LastKnown is { } last
        ? $"{service.Reason} Last known{(last.AgoMs is { } ago ? $", {Span(TimeSpan.FromMilliseconds(ago))} ago" : "")}: {last.State}{(last.Master is { } master ? $" on {master}" : "")}.".TrimStart()
        : service.Placement is { } placement && placement != service.Reason ? $"{service.Reason} {placement}".Trim() : service.Reason;

    internal static void Machines(StatusView view, IAnsiConsole console)
    {
        var table = NewTable("MACHINE", "STATE", "ADDRESS", "");
        foreach (var machine in view.Machines)
        {
            string[] remarks =
            [
                .. machine.IsSelf ? ["this one"] : (string[])[], .. machine.IsLeader == true ? ["leader"] : (string[])[],
                .. machine.Witness ? ["witness"] : (string[])[], .. machine.Drained == true ? ["drained"] : (string[])[],
                .. machine.LastKnown is { AgoMs: { } ago } last ? [$"{last.State} {Span(TimeSpan.FromMilliseconds(ago))} ago"] : (string[])[],
            ];
            table.AddRow(Cell(machine.Id), Cell(machine.State, ColourOf(machine.State)), Cell(machine.Address), new Text(string.Join(", ", remarks)));
        }

        console.Write(table);
    }

    private static void Drivers(StatusView view, IAnsiConsole console, bool wide)
    {
        var table = NewTable([$"DRIVERS OF {view.Self}", "SERVICES", "STATE", "STOPS", .. wide ? ["LAST ERROR"] : (string[])[]]);
        foreach (var driver in view.Drivers)
        {
            var state = !driver.Connected ? "gone" : driver.Active ? "connected" : "waits";
            List<Text> cells = [Cell(driver.Name), new Text(driver.Services.Count == 0 ? "default" : string.Join(", ", driver.Services)), Cell(state, ColourOf(state)), Cell(driver.Stop)];
            if (wide) cells.Add(new Text(driver.LastError ?? "-"));
            table.AddRow(cells);
        }

        console.WriteLine();
        console.Write(table);
        if (wide) return;
        foreach (var driver in view.Drivers.Where(driver => driver.LastError is not null))
        {
            console.Write(new Padder(new Text($"{driver.Name}: {driver.LastError}"), new Padding(2, 0, 0, 0)));
        }
    }

    private static Table NewTable(params string[] columns)
    {
        var table = new Table().Border(TableBorder.None);
        foreach (var (index, name) in columns.Index())
        {
            var column = new TableColumn(new Text(name, Coloured(decoration: Decoration.Bold))) { Padding = new Padding(0, 0, index == columns.Length - 1 ? 0 : 2, 0) };
            table.AddColumn(column);
        }

        return table;
    }

    // Folded where there is no room: nothing is ever cut off.
    private static Text Cell(string text, Color? colour = null) => new(text, colour is { } known ? Coloured(known) : Style.Plain) { Overflow = Overflow.Fold };

    private static void Paragraph(IAnsiConsole console, Style style, string text)
    {
        console.WriteLine();
        console.Write(new Text(text + "\n", style));
    }

    private static Style Coloured(Color? colour = null, Decoration decoration = Decoration.None) => new(colour, decoration: decoration);

    private static Color? ColourOf(string state) => state switch
    {
        "alive" or "running" or "connected" => Color.Green,
        "stuck" or "cut-off" or "away" or "unknown" or "gone" or "unassigned" => Color.Red,
        _ => Warning,
    };

    /// <summary>"12 ms", "3.4 s", "5 min", "2 h", "3 d": two digits are enough for a glance.</summary>
    internal static string Span(TimeSpan span) => span switch
    {
        { TotalMilliseconds: < 1000 } => string.Create(CultureInfo.InvariantCulture, $"{Math.Max(0, Math.Floor(span.TotalMilliseconds)):0} ms"),
        { TotalSeconds: < 10 } => string.Create(CultureInfo.InvariantCulture, $"{span.TotalSeconds:0.#} s"),
        { TotalSeconds: < 120 } => string.Create(CultureInfo.InvariantCulture, $"{Math.Floor(span.TotalSeconds):0} s"),
        { TotalMinutes: < 120 } => string.Create(CultureInfo.InvariantCulture, $"{Math.Floor(span.TotalMinutes):0} min"),
        { TotalHours: < 48 } => string.Create(CultureInfo.InvariantCulture, $"{Math.Floor(span.TotalHours):0} h"),
        _ => string.Create(CultureInfo.InvariantCulture, $"{Math.Floor(span.TotalDays):0} d"),
    };
}
