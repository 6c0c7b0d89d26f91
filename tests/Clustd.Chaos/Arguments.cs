using System.Collections.Immutable;
using System.Globalization;
using Clustd.Chaos.History;

namespace Clustd.Chaos;

/// <summary>A command line that cannot be done; the message says why, and what can.</summary>
public sealed class UsageException(string message) : Exception(message);

/// <summary>What the command line asks for.</summary>
public sealed record Arguments
{
    public const string Usage = """
        ./test chaos [--minutes M] [--seed S] [--sizes 3,5] [--lease 1s] [--round-seconds 150] [--only KIND,KIND]
        ./test chaos --plan [--seed S]     what would be done, without doing it
        ./test chaos --check FILE          judges the history of an earlier run again
        """;

    public double Minutes { get; init; } = 5;

    public int Seed { get; init; } = Random.Shared.Next(1, 1_000_000);

    public ImmutableArray<int> Sizes { get; init; } = [3, 5];

    public TimeSpan Lease { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>A cluster is given up for a new one after this long: failures add up (cool-downs double), and a fresh one has none.</summary>
    public TimeSpan Round { get; init; } = TimeSpan.FromSeconds(150);

    /// <summary>Only faults of these kinds; empty: all.</summary>
    public ImmutableArray<FaultKind> Only { get; init; } = [];

    public bool IsPlan { get; init; }

    /// <summary>A history to judge.</summary>
    public string? Check { get; init; }

    public static Arguments Parse(IReadOnlyList<string> words)
    {
        var arguments = new Arguments();
        for (var at = 0; at < words.Count; at++)
        {
            arguments = words[at] switch
            {
                "--minutes" => arguments with { Minutes = Number(Next()) },
                "--seed" => arguments with { Seed = (int)Number(Next()) },
                "--sizes" => arguments with { Sizes = [.. Next().Split(',').Select(word => Size(word))] },
                "--lease" => arguments with { Lease = Duration(Next()) },
                "--round-seconds" => arguments with { Round = TimeSpan.FromSeconds(Number(Next())) },
                "--only" => arguments with { Only = [.. Next().Split(',').Select(Kind)] },
                "--plan" => arguments with { IsPlan = true },
                "--check" => arguments with { Check = Next() },
                _ => throw new UsageException($"There is no option {words[at]}.\n{Usage}"),
            };

            string Next() => at + 1 < words.Count ? words[++at] : throw new UsageException($"{words[at]} needs a value.\n{Usage}");
        }

        return arguments;
    }

    private static double Number(string word) =>
        double.TryParse(word, CultureInfo.InvariantCulture, out var number) && number > 0 ? number : throw new UsageException($"{word} is no number above 0.\n{Usage}");

    private static int Size(string word) =>
        int.TryParse(word, CultureInfo.InvariantCulture, out var size) && size is >= 3 and <= 9 ? size : throw new UsageException($"A cluster has 3 to 9 machines here, not {word}.\n{Usage}");

    private static TimeSpan Duration(string word) =>
        word.EndsWith("ms", StringComparison.Ordinal) ? TimeSpan.FromMilliseconds(Number(word[..^2]))
        : word.EndsWith('s') ? TimeSpan.FromSeconds(Number(word[..^1]))
        : throw new UsageException($"{word} is no duration, such as 1s or 500ms.\n{Usage}");

    private static FaultKind Kind(string word)
    {
        var kinds = Enum.GetValues<FaultKind>().ToDictionary(FaultEffects.Text);
        return kinds.TryGetValue(word, out var kind) ? kind : throw new UsageException($"There is no fault {word}. There are {string.Join(", ", kinds.Keys)}.");
    }
}
