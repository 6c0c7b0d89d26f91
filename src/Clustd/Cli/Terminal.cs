using Spectre.Console;

namespace Clustd.Cli;

/// <summary>Where a command writes to: text, width and whether colour is welcome. Tests give their own.</summary>
public sealed record Terminal(TextWriter Out, TextWriter Error)
{
    // What is redirected has no width of its own; a file is read in a wide window more often than in a narrow one.
    private const int RedirectedWidth = 120;

    /// <summary>Columns of <see cref="Out"/>.</summary>
    public int Width { get; init; } = RedirectedWidth;

    public bool ColourOut { get; init; }

    public bool ColourError { get; init; }

    public static Terminal OfThisProcess()
    {
        // https://no-color.org: any value but the empty one.
        var colour = string.IsNullOrEmpty(Environment.GetEnvironmentVariable("NO_COLOR")) && Environment.GetEnvironmentVariable("TERM") is not (null or "dumb");
        return new(new BrokenPipeWriter(Console.Out), new BrokenPipeWriter(Console.Error))
        {
            Width = Console.IsOutputRedirected ? RedirectedWidth : Math.Max(Console.WindowWidth, 20),
            ColourOut = colour && !Console.IsOutputRedirected,
            ColourError = colour && !Console.IsErrorRedirected,
        };
    }

    /// <summary>An error: what happened; why; what to do.</summary>
    public void Complain(string message) => Error.WriteLine($"{Red("error:", ColourError)} {message}");

    public void Warn(string message) => Error.WriteLine($"{Yellow("warning:", ColourError)} {message}");

    public string Red(string text, bool colour) => Paint(text, 31, colour);

    public string Green(string text, bool colour) => Paint(text, 32, colour);

    public string Yellow(string text, bool colour) => Paint(text, 33, colour);

    public string Bold(string text, bool colour) => Paint(text, 1, colour);

    public string Faint(string text, bool colour) => Paint(text, 2, colour);

    /// <summary>For tables.</summary>
    public IAnsiConsole OpenTables()
    {
        var console = AnsiConsole.Create(new AnsiConsoleSettings
        {
            Ansi = ColourOut ? AnsiSupport.Yes : AnsiSupport.No,
            ColorSystem = ColourOut ? ColorSystemSupport.Standard : ColorSystemSupport.NoColors,
            Interactive = InteractionSupport.No,
            Out = new AnsiConsoleOutput(Out),
        });
        console.Profile.Width = Width;
        return console;
    }

    private static string Paint(string text, int code, bool colour) => colour ? $"\e[{code}m{text}\e[0m" : text;
}
