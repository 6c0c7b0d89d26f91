using System.Text;

namespace Clustd.Config;

/// <summary>Collects what is wrong, so that a user sees all of it at once.</summary>
internal sealed class ProblemList
{
    // Whoever gets a hundred messages has one cause; more would only hide the first.
    private const int ErrorsMax = 100;

    private readonly List<ConfigProblem> errors = [];
    private readonly List<ConfigProblem> warnings = [];

    public IReadOnlyList<ConfigProblem> Errors => Sorted(errors);
    public IReadOnlyList<ConfigProblem> Warnings => Sorted(warnings);
    public bool HasErrors => errors.Count > 0;

    public void Error(Place at, string what, string why, string @do) => Add(errors, at, what, why, @do);

    public void Warning(Place at, string what, string why, string @do) => Add(warnings, at, what, why, @do);

    /// <summary>A value as it may stand in a message: short, on one line, without control characters.</summary>
    public static string Show(string value, int lengthMax = 60)
    {
        var text = new StringBuilder();
        foreach (var rune in value.EnumerateRunes().Take(lengthMax)) text.Append(Rune.IsControl(rune) ? "?" : rune.ToString());
        return value.Length > text.Length ? $"{text}..." : text.ToString();
    }

    private static void Add(List<ConfigProblem> list, Place at, string what, string why, string @do)
    {
        var problem = new ConfigProblem(at.File, at.Line, at.Column, what, why, @do);
        if (list.Count < ErrorsMax && !list.Contains(problem)) list.Add(problem);
    }

    private static IReadOnlyList<ConfigProblem> Sorted(List<ConfigProblem> problems) => [.. problems.OrderBy(p => p.Line).ThenBy(p => p.Column)];
}
