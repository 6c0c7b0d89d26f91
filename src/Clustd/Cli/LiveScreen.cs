using System.Text;
using Spectre.Console;

namespace Clustd.Cli;

/// <summary>
/// Draws a view again and again in the same place, on the terminal's other screen, so that what was there before comes back at the end. Spectre lays out
/// each frame; its own Live display is not used, because it loses its place when the window is resized or is lower than the view.
/// </summary>
/// <remarks>
/// Flicker-free: a frame is written in one piece, over the one before, and nothing is erased before it is written; terminals that know
/// synchronized output (mode 2026) show it at once, the others ignore the request.
/// </remarks>
internal sealed class LiveScreen : IDisposable
{
    private const string Enter = "\e[?1049h\e[?25l\e[H\e[2J";
    private const string Leave = "\e[?25h\e[?1049l";

    private readonly Terminal _terminal;
    private string _shown = "";

    public LiveScreen(Terminal terminal)
    {
        _terminal = terminal;
        Write(Enter);
    }

    /// <summary>Shows what is painted; what does not fit into the window's height is left out, and that is said.</summary>
    public void Draw(Action<IAnsiConsole> paint)
    {
        var (width, height) = _terminal.SizeNow?.Invoke() ?? (_terminal.Width, _terminal.Height);
        var frame = Frame(Lines(_terminal, width, paint), height);
        if (frame == _shown) return;
        _shown = frame;
        Write(frame);
    }

    /// <summary>The lines of a frame, as wide as `width` at most.</summary>
    internal static List<string> Lines(Terminal terminal, int width, Action<IAnsiConsole> paint)
    {
        using var text = new StringWriter { NewLine = "\n" };
        paint(terminal.OpenTables(text, width));
        return [.. text.ToString().ReplaceLineEndings("\n").TrimEnd('\n').Split('\n').Select(line => line.TrimEnd(' '))];
    }

    internal static string Frame(IReadOnlyList<string> lines, int height)
    {
        var shown = lines.Count <= height ? lines : [.. lines.Take(height - 1), $"({lines.Count - height + 1} more lines: make the window higher)"];
        var frame = new StringBuilder("\e[?2026h\e[H");
        foreach (var (index, line) in shown.Index())
        {
            // Erased behind the text, not before it; and no line break after the last one, which would scroll.
            frame.Append(line).Append("\e[K").Append(index < shown.Count - 1 ? "\r\n" : "");
        }

        return frame.Append("\e[J\e[?2026l").ToString();
    }

    public void Dispose() => Write(Leave);

    private void Write(string text)
    {
        _terminal.Out.Write(text);
        _terminal.Out.Flush();
    }
}
