using System.Collections.Immutable;

namespace Clustd.Simulation.Scripts;

/// <summary>
/// A command of the scripts. Usage begins with its first word, by which it is found. Read takes the arguments apart, and returns what is to be done: so a whole
/// script is read, and its mistakes are told, before anything of it runs.
/// </summary>
internal sealed record Verb(string Usage, Func<Arguments, Action<Stage>> Read)
{
    /// <summary>All of them. To add one, add it to the list of its kind.</summary>
    public static readonly ImmutableArray<Verb> All = [.. SetupVerbs.All, .. FaultVerbs.All, .. OperatorVerbs.All, .. DriverVerbs.All, .. ExpectVerbs.All];

    public string Name => Usage.Split(' ')[0];

    /// <summary>Those that say what the world is like, and come before anything happens.</summary>
    public bool IsSetup => SetupVerbs.All.Contains(this);

    public static Verb Find(string file, int line, string command)
    {
        var word = command.Split(' ')[0];
        foreach (var verb in All)
        {
            if (verb.Name == word)
            {
                return verb;
            }
        }

        var nearest = All.MinBy(verb => Distance(verb.Name, word))!;
        var advice = Distance(nearest.Name, word) <= 2
            ? $"Write '{nearest.Usage}'"
            : $"The commands are {string.Join(", ", All.Select(verb => verb.Name).Distinct().Order(StringComparer.Ordinal))}; begin a line of prose with '#', and output with two blanks";
        throw new ScriptException(file, line, $"'{word}' is no command. {advice}.");
    }

    // Letters to insert, leave out or change (Levenshtein).
    private static int Distance(string a, string b)
    {
        var row = Enumerable.Range(0, b.Length + 1).ToArray();
        for (var i = 1; i <= a.Length; i++)
        {
            var (diagonal, previous) = (row[0], row[0] = i);
            for (var j = 1; j <= b.Length; j++)
            {
                (diagonal, row[j]) = (row[j], Math.Min(Math.Min(row[j], row[j - 1]) + 1, diagonal + (a[i - 1] == b[j - 1] ? 0 : 1)));
            }
        }

        return row[^1];
    }
}
