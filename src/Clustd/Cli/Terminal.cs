using Spectre.Console;

namespace Clustd.Cli;

/// <summary>Where a command writes to: text, width and whether colour is welcome. Tests give their own.</summary>
public sealed record Terminal(TextWriter Out, TextWriter Error)
{
    // What is redirected has no width of its own; a file is read in a wide window more often than in a narrow one.
    private const int RedirectedWidth = 120;

    /// <summary>Columns of <see cref="Out"/>.</summary>
    public int Width { get; init; } = RedirectedWidth;

    /// <summary>Lines of <see cref="Out"/> that can be seen at once.</summary>
    public int Height { get; init; } = 24;

    /// <summary>
    /// Whether <see cref="Out"/> is a screen on which something can be drawn anew in place. A file, a pipe and a dumb terminal are none: they get lines.
    /// </summary>
    public bool IsLive { get; init; }

    /// <summary>The size at this moment, columns and lines: people resize windows while they watch.</summary>
    public Func<(int Width, int Height)>? SizeNow { get; init; }

    public bool ColourOut { get; init; }

    public bool ColourError { get; init; }

    public static Terminal OfThisProcess()
    {
        // https://no-color.org: any value but the empty one.
        var colour = string.IsNullOrEmpty(Environment.GetEnvironmentVariable("NO_COLOR")) && Environment.GetEnvironmentVariable("TERM") is not (null or "dumb");
        return new(new BrokenPipeWriter(Console.Out), new BrokenPipeWriter(Console.Error))
        {
            Width = Console.IsOutputRedirected ? RedirectedWidth : ScreenSize().Width,
            Height = Console.IsOutputRedirected ? 24 : ScreenSize().Height,
            SizeNow = Console.IsOutputRedirected ? null : ScreenSize,
            IsLive = !Console.IsOutputRedirected && Environment.GetEnvironmentVariable("TERM") is not (null or "dumb"),
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
    public IAnsiConsole OpenTables() => OpenTables(Out, Width);

    /// <summary>The same, onto something else: a frame that is not shown yet.</summary>
    public IAnsiConsole OpenTables(TextWriter writer, int width)
    {
        var console = AnsiConsole.Create(new AnsiConsoleSettings
        {
            Ansi = ColourOut ? AnsiSupport.Yes : AnsiSupport.No,
            ColorSystem = ColourOut ? ColorSystemSupport.Standard : ColorSystemSupport.NoColors,
            Interactive = InteractionSupport.No,
            Out = new AnsiConsoleOutput(writer),
        });
        console.Profile.Width = width;
        return console;
    }

    // A terminal that does not know its size (a serial line) says 0.
    private static (int Width, int Height) ScreenSize() => (Console.WindowWidth > 0 ? Math.Max(Console.WindowWidth, 20) : 80, Console.WindowHeight > 0 ? Math.Max(Console.WindowHeight, 5) : 24);

    private static string Paint(string text, int code, bool colour) => colour ? $"\e[{code}m{text}\e[0m" : text;
}
