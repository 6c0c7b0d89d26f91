using System.Collections.Immutable;
using System.Globalization;

namespace Clustd.Simulation.Scripts;

/// <summary>The words of one command, taken one by one; whatever is wrong with one is said with the line and what to write instead.</summary>
internal sealed class Arguments(string file, int line, string text, string usage, int machines)
{
    private readonly List<string> _words = Words(text);
    private int _next = 1;

    private int _machines = machines;

    public bool IsAtEnd => _next >= _words.Count;

    /// <summary>Takes the next words if they are these.</summary>
    public bool Has(string words)
    {
        var wanted = words.Split(' ');
        if (_next + wanted.Length > _words.Count || !wanted.SequenceEqual(_words.GetRange(_next, wanted.Length)))
        {
            return false;
        }

        _next += wanted.Length;
        return true;
    }

    /// <summary>Whether this word is next; it stays.</summary>
    public bool Sees(string word) => !IsAtEnd && _words[_next] == word;

    public void Must(string words)
    {
        if (!Has(words))
        {
            throw Wrong($"{Here} where '{words}' belongs");
        }
    }

    /// <summary>The same, after it has become known how many machines there are.</summary>
    public Arguments Knowing(int count)
    {
        _machines = count;
        return this;
    }

    public string Word(string what) => IsAtEnd ? throw Wrong($"the line ends where {what} belongs") : _words[_next++];

    /// <summary>Index of a machine of the story.</summary>
    public int Machine()
    {
        var word = Word("a machine");
        return MachineOf(word) ?? throw Wrong($"'{word}' is no machine of this story. Its machines are {string.Join(", ", Enumerable.Range(0, _machines).Select(ScriptSetup.NameOf))}");
    }

    /// <summary>One or more, up to a word that names none.</summary>
    public ImmutableArray<int> SomeMachines()
    {
        var some = ImmutableArray.CreateBuilder<int>();
        do
        {
            some.Add(Machine());
        }
        while (!IsAtEnd && MachineOf(_words[_next]) is not null);
        return some.ToImmutable();
    }

    public int Number(string what) =>
        Word(what) is var word && int.TryParse(word, NumberStyles.Integer, CultureInfo.InvariantCulture, out var number) ? number : throw Wrong($"'{word}' is not {what}. Write a whole number");

    /// <summary>"500ms", "2s", "1.5s", "10min".</summary>
    public TimeSpan Duration()
    {
        var word = Word("a duration");
        foreach (var (unit, seconds) in (ReadOnlySpan<(string, double)>)[("ms", 0.001), ("min", 60), ("s", 1)])
        {
            if (word.EndsWith(unit, StringComparison.Ordinal) && double.TryParse(word[..^unit.Length], NumberStyles.Float, CultureInfo.InvariantCulture, out var count))
            {
                return TimeSpan.FromSeconds(count * seconds);
            }
        }

        throw Wrong($"'{word}' is no duration. Write it like 500ms, 2s, 1.5s or 10min");
    }

    public long Microseconds() => (long)Duration().TotalMicroseconds;

    public void End()
    {
        if (!IsAtEnd)
        {
            throw Wrong($"{Here} after the end of the command");
        }
    }

    public ScriptException Wrong(string what) => new(file, line, $"{what}. Usage: {usage}");

    private string Here => IsAtEnd ? "the line ends" : $"'{_words[_next]}' stands";

    private int? MachineOf(string word) =>
        word.StartsWith("cm-", StringComparison.Ordinal) && int.TryParse(word.AsSpan(3), NumberStyles.None, CultureInfo.InvariantCulture, out var number) && number >= 1 && number <= _machines ? number - 1 : null;

    // Quotes hold words together.
    private static List<string> Words(string text) =>
        [.. text.Split('"').SelectMany((part, index) => index % 2 == 1 ? [part] : part.Split(' ', StringSplitOptions.RemoveEmptyEntries))];
}
