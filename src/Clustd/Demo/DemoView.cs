using System.Globalization;
using Clustd.Cli;
using Clustd.Client;
using Clustd.Http;
using Spectre.Console;

namespace Clustd.Demo;

/// <summary>
/// The demo on a terminal, while it is played: the machines, who leads, who is master, what is done to whom, and the clock that runs meanwhile. What it
/// shows of acts is the observer's; of leaders, each machine's own word.
/// </summary>
internal sealed class DemoView(DemoScript script, string folder, List<(TimeSpan At, string Sentence)> story, Terminal terminal)
{
    private static readonly TimeSpan DrawEvery = TimeSpan.FromMilliseconds(50);
    private static readonly TimeSpan AskEvery = TimeSpan.FromMilliseconds(100);
    private static readonly TimeSpan AnswerLimit = TimeSpan.FromMilliseconds(500);
    // Between two acts 5 ms pass; a busy host may make it some more.
    private const long ActsNowUs = 100_000;
    private const int SentencesShown = 2;
    private static readonly (string Name, int Width)[] Columns = [("MACHINE", 7), ("IS", 8), ("LEADER", 7), ("WEB", 16)];

    private readonly Lock _gate = new();
    private readonly SortedDictionary<string, StatusView?> _said = new(StringComparer.Ordinal);

    /// <summary>Plays the script and draws it until it has ended.</summary>
    public async Task<DemoReport> PlayAsync(CancellationToken cancellationToken)
    {
        using var over = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        var playing = script.PlayAsync(cancellationToken);
        var asking = AskAsync(over.Token);
        using (var screen = new LiveScreen(terminal))
        {
            while (!playing.IsCompleted)
            {
                screen.Draw(console => Paint(console, DriverClock.NowUs));
                await Task.WhenAny(playing, Task.Delay(DrawEvery, CancellationToken.None));
            }
        }

        await over.CancelAsync();
        await asking.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        return await playing;
    }

    internal void Paint(IAnsiConsole console, long nowUs)
    {
        var width = console.Profile.Width;
        var observer = script.Observer;
        console.Write(new Text(string.Create(CultureInfo.InvariantCulture, $"clustd demo, {script.Elapsed.TotalSeconds:0.0} s: three machines on this host\n"), Bold));
        console.Write(new Text($"all they write is in {folder}. Ctrl-C ends\n\n", new Style(decoration: Decoration.Dim)));
        Machines(console, nowUs, width);
        console.Write(new Text("\n"));
        Now(console, nowUs);
        var worst = DemoObserver.WorstOverlapMs(observer.Reigns);
        console.Write(worst is > 0
            ? new Text($"two masters at once: for {DemoReport.Ms(worst)}\n", new Style(Color.Red, decoration: Decoration.Bold))
            : new Text(string.Create(CultureInfo.InvariantCulture, $"overlap 0 ms: two masters at once never, of {observer.Reigns.Sum(reign => reign.Acts)} acts seen\n"), new Style(Color.Green)));
        if (script.Steps.Count > 0)
        {
            console.Write(new Text("\n"));
            console.Write(DemoReport.TableOf(script.Steps));
        }

        (TimeSpan, string)[] last;
        lock (story) last = [.. story.TakeLast(SentencesShown)];
        if (last.Length > 0) console.Write(new Text("\n"));
        foreach (var (at, sentence) in last)
        {
            console.Write(new Text(string.Create(CultureInfo.InvariantCulture, $"{at.TotalSeconds,5:0.0} s  {WrappedText.Of(sentence, width, indent: 9)}\n"), new Style(decoration: Decoration.Dim)));
        }
    }

    private static Style Bold { get; } = new(decoration: Decoration.Bold);

    private void Machines(IAnsiConsole console, long nowUs, int width)
    {
        var newest = script.Observer.Newest;
        var grid = new Table().Border(TableBorder.None);
        foreach (var (name, columnWidth) in Columns)
        {
            // Of a width of their own, so that the clock beside them stands still.
            grid.AddColumn(new TableColumn(new Text(name, Bold)) { Padding = new Padding(0, 0, 2, 0), NoWrap = true, Width = columnWidth });
        }

        var slices = Math.Clamp(width - Columns.Sum(column => column.Width + 2) - 1, 0, 100);
        if (slices > 0) grid.AddColumn(new TableColumn(new Text(string.Create(CultureInfo.InvariantCulture, $"{(slices < 15 ? "" : "ACTS, ")}last {slices * DemoObserver.SliceUs / 1e6:0.0} s"), Bold)) { Padding = new Padding(0, 0, 0, 0), NoWrap = true });
        foreach (var machine in script.Machines)
        {
            StatusView? said;
            lock (_gate) said = _said.GetValueOrDefault(machine.Id);
            var isActing = newest?.Machine == machine.Id && nowUs - newest.LastUs < ActsNowUs;
            var condition = machine.Condition == "up" && said is null ? "starting" : machine.Condition;
            List<Text> cells =
            [
                new(machine.Id), new(condition, new Style(condition switch { "up" => Color.Green, "killed" => Color.Red, _ => Color.Olive })),
                new(said is null ? "-" : !said.IsKnown || said.Leader is null or StatusView.Unknown ? "unknown" : said.Leader == machine.Id ? "leads" : said.Leader),
                isActing ? new Text($"MASTER {TokenText.Of(newest!.Token)}", new Style(Color.Green, decoration: Decoration.Bold)) : new Text(said is { SessionLeftMs: > 0 } ? "standby" : "-"),
            ];
            if (slices > 0) cells.Add(new Text(Strip(script.Observer, machine.Id, nowUs, slices), new Style(Color.Green)));
            grid.AddRow(cells);
        }

        console.Write(grid);
    }

    /// <summary>A tenth of a second each, the present on the right: where a machine acted. Where two did, the old one has the left half, the new one the right.</summary>
    internal static string Strip(DemoObserver observer, string machine, long nowUs, int count)
    {
        var own = observer.SlicesOf(machine);
        var reigns = observer.Reigns;
        // The slice that is not over yet is left out: it would flicker.
        var end = nowUs / DemoObserver.SliceUs;
        return string.Concat(Enumerable.Range(0, count).Select(index =>
        {
            var slice = end - count + index;
            if (!own.Contains(slice)) return '·';
            var ends = reigns.Any(reign => reign.Machine == machine && reign.LastUs / DemoObserver.SliceUs == slice && reigns.Any(other => other.Machine != machine && other.FirstUs / DemoObserver.SliceUs == slice));
            var begins = reigns.Any(reign => reign.Machine == machine && reign.FirstUs / DemoObserver.SliceUs == slice && reigns.Any(other => other.Machine != machine && other.LastUs / DemoObserver.SliceUs == slice));
            return ends ? '▌' : begins ? '▐' : '█';
        }));
    }

    private void Now(IAnsiConsole console, long nowUs)
    {
        var scene = script.Scene;
        console.Write(new Text($"> {scene.Sentence}\n", Bold));
        if (scene is not { FaultUs: { } fault, OldToken: { } oldToken })
        {
            console.Write(new Text("\n"));
            return;
        }

        var reigns = script.Observer.Reigns;
        var old = reigns.LastOrDefault(reign => reign.Token == oldToken);
        var taken = reigns.FirstOrDefault(reign => reign.Token > oldToken);
        var since = ((taken?.FirstUs ?? nowUs) - fault) / 1000.0;
        var gap = old is null ? 0 : ((taken?.FirstUs ?? nowUs) - old.LastUs) / 1000.0;
        console.Write(taken is null
            ? new Text($"  {DemoReport.Ms(since)} since then (promised: {DemoReport.Ms(script.Bound.TotalMilliseconds)} and the app's start); nobody has acted for {DemoReport.Ms(gap)}\n", new Style(Color.Olive))
            : new Text($"  {taken.Machine} took over {DemoReport.Ms(since)} after that; nobody acted for {DemoReport.Ms(gap)}\n", new Style(Color.Green)));
    }

    private async Task AskAsync(CancellationToken cancellationToken)
    {
        while (true)
        {
            await Task.WhenAll(script.Machines.ToArray().Select(machine => AskAsync(machine, cancellationToken)));
            await Task.Delay(AskEvery, cancellationToken);
        }
    }

    private async Task AskAsync(DemoMachine machine, CancellationToken cancellationToken)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        limit.CancelAfter(AnswerLimit);
        StatusView? said;
        try
        {
            said = await machine.StatusAsync(limit.Token);
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            said = null;
        }

        lock (_gate) _said[machine.Id] = said;
    }
}
