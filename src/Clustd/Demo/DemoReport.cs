using System.Globalization;
using Clustd.Cli;
using Spectre.Console;

namespace Clustd.Demo;

/// <summary>One thing that the demo did. Times are the independent observer's.</summary>
/// <param name="SinceFaultMs">From the fault to the new master's first act; null: nothing was to take over.</param>
/// <param name="GapMs">From the old master's last act to the new one's first: nobody acts. It is <paramref name="OverlapMs"/> with the sign turned.</param>
/// <param name="OverlapMs">How long both acted; never above 0.</param>
internal sealed record DemoStep(
    string Step, bool Ok, string? From, string? To, long? FromToken, long? ToToken, double? SinceFaultMs, double? GapMs, double? OverlapMs, string Note);

/// <summary>What came of the demo; `demo -o json`.</summary>
internal sealed record DemoReport(
    bool Ok, double LeaseMs, double BoundMs, double ElapsedMs, int Acts, int Takeovers, double? WorstOverlapMs, string? Problem, IReadOnlyList<DemoStep> Steps)
{
    private const int SummaryColumns = 80;

    /// <summary>The table of takeovers.</summary>
    public static Table TableOf(IEnumerable<DemoStep> steps)
    {
        var table = new Table().Border(TableBorder.None);
        foreach (var name in (string[])["STEP", "AFTER", "GAP", "OVERLAP", "VERDICT"])
        {
            var column = new TableColumn(new Text(name, new Style(decoration: Decoration.Bold))) { Padding = new Padding(0, 0, name == "VERDICT" ? 0 : 2, 0) };
            table.AddColumn(name is "STEP" or "VERDICT" ? column : column.RightAligned());
        }

        foreach (var step in steps)
        {
            var overlap = step.OverlapMs is { } ms ? (ms <= 0 ? "none" : Ms(ms)) : "-";
            table.AddRow(
                new Text(step.Step), new Text(Ms(step.SinceFaultMs)), new Text(Ms(step.GapMs)), new Text(overlap),
                new Text($"{(step.Ok ? "ok" : "FAILED")}: {step.Note}", new Style(step.Ok ? Color.Green : Color.Red)));
        }

        return table;
    }

    public void Write(Terminal terminal)
    {
        terminal.Out.WriteLine();
        terminal.OpenTables().Write(TableOf(Steps));
        terminal.Out.WriteLine();
        var overlaps = WorstOverlapMs is { } worst and > 0 ? terminal.Red($"two masters acted at once for {Ms(worst)}", terminal.ColourOut) : terminal.Green("two masters at once: never", terminal.ColourOut);
        terminal.Out.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{Acts} acts seen, {Takeovers} takeovers; {overlaps}.{(terminal.Width < SummaryColumns ? '\n' : ' ')}{ElapsedMs / 1000:0.0} s in all."));
        terminal.Out.WriteLine(WrappedText.Of("AFTER: from the fault to the new master's first act. GAP: nobody acted. Both include the start of the app.", terminal.Width, indent: 0));
    }

    internal static string Ms(double? ms) => ms switch
    {
        null => "-",
        >= 1000 => string.Create(CultureInfo.InvariantCulture, $"{ms / 1000:0.00} s"),
        _ => string.Create(CultureInfo.InvariantCulture, $"{ms:0} ms"),
    };
}
