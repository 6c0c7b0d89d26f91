using System.Globalization;
using Clustd.Core;

namespace Clustd.Cli;

/// <summary>The log of `run` and `drivers`: a line for each event, <c>HH:mm:ss.fff level sentence</c>, in local time, to stderr.</summary>
internal sealed class SaidLine(Terminal terminal, string prefix = "")
{
    private readonly Lock _gate = new();

    public void Say(Severity severity, string sentence) => Say(DateTime.Now, severity, sentence);

    /// <param name="at">When it was said, local time.</param>
    public void Say(DateTime at, Severity severity, string sentence)
    {
        var line = Format(at, severity, prefix + sentence.ReplaceLineEndings(" "));
        var painted = severity switch
        {
            Severity.Warning => terminal.Yellow(line, terminal.ColourError),
            Severity.Error => terminal.Red(line, terminal.ColourError),
            _ => line,
        };
        lock (_gate)
        {
            terminal.Error.WriteLine(painted);
        }
    }

    /// <summary>Levels have one width, so that sentences begin in one column.</summary>
    public static string Format(DateTime at, Severity severity, string sentence)
    {
        var level = severity switch
        {
            Severity.Debug => "debug",
            Severity.Information => "info ",
            Severity.Warning => "warn ",
            _ => "error",
        };
        return string.Create(CultureInfo.InvariantCulture, $"{at:HH:mm:ss.fff} {level} {sentence}");
    }
}
