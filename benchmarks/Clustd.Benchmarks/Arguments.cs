using System.Globalization;

namespace Clustd.Benchmarks;

/// <summary>What was asked for, and where <c>benchmarks/run</c> has put what it built.</summary>
internal sealed class Arguments
{
    public const string Usage = """
        usage: benchmarks/run [--runs N] [--only NAME[,NAME...]] [--peers] [--report]
          --runs N    how often each is measured; 20 unless said
          --only ...  only these: crash, cut, silent, freeze, move, cold-start, idle, services, keepalived, etcd
          --peers     also keepalived and etcd, under the same faults
          --report    measure nothing; write RESULTS.md anew from what was measured before
        """;

    private const int RunsUsual = 20;

    private Arguments()
    {
    }

    public int Runs { get; private set; } = RunsUsual;

    public IReadOnlyList<string> Only { get; private set; } = [];

    public bool Peers { get; private set; }

    public bool ReportOnly { get; private set; }

    public string Command { get; private set; } = "benchmarks/run";

    /// <summary>Of the repository.</summary>
    public string Root { get; } = Given("BENCHMARKS_ROOT");

    public string Commit { get; } = Given("BENCHMARKS_COMMIT");

    public string Probe { get; } = Given("BENCHMARKS_PROBE");

    public string App { get; } = Given("BENCHMARKS_APP");

    /// <summary>What the app is, for people.</summary>
    public string AppSentence { get; } = Given("BENCHMARKS_APP_SENTENCE");

    /// <summary>Null when all is well, else what is wrong.</summary>
    public static string? Parse(IReadOnlyList<string> args, out Arguments arguments)
    {
        arguments = new Arguments { Command = string.Join(' ', args.Prepend("benchmarks/run")) };
        for (var index = 0; index < args.Count; index++)
        {
            switch (args[index], args.ElementAtOrDefault(index + 1))
            {
                case ("--runs", { } number) when int.TryParse(number, CultureInfo.InvariantCulture, out var runs) && runs > 0:
                    arguments.Runs = runs;
                    index++;
                    break;
                case ("--only", { } names) when names.Split(',').All(Suite.Names.Contains):
                    arguments.Only = names.Split(',');
                    index++;
                    break;
                case ("--peers", _):
                    arguments.Peers = true;
                    break;
                case ("--report", _):
                    arguments.ReportOnly = true;
                    break;
                default:
                    return $"Cannot take `{args[index]}` here.";
            }
        }

        return null;
    }

    public bool Wants(string name) => Only.Count == 0 || Only.Contains(name);

    /// <summary>A peer that is named is wanted without <c>--peers</c>.</summary>
    public bool WantsPeer(string name) => Only.Contains(name) || (Peers && Only.Count == 0);

    private static string Given(string name) =>
        Environment.GetEnvironmentVariable(name) is { Length: > 0 } value ? value : throw new InvalidOperationException($"{name} is not set. Start the benchmarks with `benchmarks/run`, which sets it.");
}
