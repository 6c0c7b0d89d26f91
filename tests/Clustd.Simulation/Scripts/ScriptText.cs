using System.Text;

namespace Clustd.Simulation.Scripts;

/// <summary>
/// A script as a text. A line that begins with `#` is prose, one that begins with a blank is output of the command before it, and every other line that is not
/// empty is a command. Output is what the last rewriting put there; it plays no part when the script runs.
/// </summary>
internal sealed class ScriptText
{
    public const string Indent = "  ";

    private readonly List<string> _lines;

    private ScriptText(string file, List<string> lines)
    {
        File = file;
        _lines = lines;
    }

    /// <summary>As messages name it.</summary>
    public string File { get; }

    /// <summary>What the file holds now, output included.</summary>
    public string Golden => string.Join('\n', _lines) + "\n";

    /// <summary>The commands and their lines, counted from 1.</summary>
    public IEnumerable<(int Line, string Text)> Commands => _lines.Index().Where(line => IsCommand(line.Item)).Select(line => (line.Index + 1, line.Item));

    public static ScriptText Parse(string file, string text) => new(file, [.. text.TrimEnd('\n').Split('\n').Select(line => line.TrimEnd())]);

    /// <summary>The same prose and commands, each command with this output.</summary>
    public string With(IReadOnlyDictionary<int, IReadOnlyList<string>> outputs)
    {
        var text = new StringBuilder();
        foreach (var (index, line) in _lines.Index().Where(line => !IsOutput(line.Item)))
        {
            text.Append(line).Append('\n');
            foreach (var output in outputs.GetValueOrDefault(index + 1, []))
            {
                text.Append(Indent).Append(output).Append('\n');
            }
        }

        return text.ToString();
    }

    /// <summary>Null when both are the same; else the first line that differs, among its neighbours.</summary>
    public static string? Difference(string file, string golden, string actual)
    {
        var (was, now) = (golden.Split('\n'), actual.Split('\n'));
        var at = 0;
        while (at < Math.Min(was.Length, now.Length) && was[at] == now[at])
        {
            at++;
        }

        if (at == was.Length && at == now.Length)
        {
            return null;
        }

        const int Around = 4;
        var from = Math.Max(0, at - Around);
        return $"""
            {file}, line {at + 1}: the story goes another way than it is written there.

            {Lines("    ", now, from, at)}
            {Lines("  - ", was, at, Math.Min(was.Length, at + Around))}
            {Lines("  + ", now, at, Math.Min(now.Length, at + Around))}

            Lines with - are the file's, lines with + are what happens now. If that is right, rewrite the file with `./test sim --rewrite-scenarios` and read the difference.
            """;
    }

    private static string Lines(string mark, string[] lines, int from, int to) => string.Join('\n', lines[from..to].Select(line => mark + line));

    private static bool IsOutput(string line) => line.StartsWith(' ');

    private static bool IsCommand(string line) => line.Length > 0 && !IsOutput(line) && !line.StartsWith('#');
}
