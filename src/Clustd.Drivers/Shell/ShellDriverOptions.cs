namespace Clustd.Drivers.Shell;

/// <summary>
/// The shell driver: either <see cref="Run"/>, an app that is started, supervised and stopped for certain, or <see cref="Start"/> and
/// <see cref="Stop"/>, two scripts as in 2018, whose word has to be taken.
/// </summary>
public sealed record ShellDriverOptions : DriverOptions
{
    public override string Kind => "shell";

    public override bool StopsForCertain => Run is not null;

    /// <summary>Command line of an app that stays in the foreground, for the shell.</summary>
    public string? Run { get; init; }

    /// <summary>Command line that is run when this machine becomes the master; its exit code decides.</summary>
    public string? Start { get; init; }

    /// <summary>Command line that is run when this machine is no longer the master, and once when the driver connects.</summary>
    public string? Stop { get; init; }

    /// <summary>Working directory; null: the driver process's own.</summary>
    public string? WorkingDirectory { get; init; }

    /// <summary>Added to the environment that the driver process has.</summary>
    public IReadOnlyDictionary<string, string> Environment { get; init; } = new SortedDictionary<string, string>(StringComparer.Ordinal);

    /// <summary>Runs the command lines with <c>-c</c>.</summary>
    public string Shell { get; init; } = "/bin/sh";

    /// <summary>Name or number of the user to run as; needs root. Null: the driver process's own.</summary>
    public string? User { get; init; }

    public override IEnumerable<string> Unprinted => Environment.Select(pair => $"{pair.Key}={pair.Value}");

    /// <summary>Three-part messages about what does not fit together; empty when all is well.</summary>
    public IReadOnlyList<string> Validate()
    {
        var errors = new List<string>();
        if (Run is null && Start is null && Stop is null)
            errors.Add("The shell driver has nothing to run: neither `run` nor `start` and `stop` are given. Add `run: './my-app'`.");
        if (Run is not null && (Start is not null || Stop is not null))
            errors.Add("The shell driver has both `run` and `start` or `stop`: a supervised app needs no scripts. Keep one of the two.");
        if (Run is not null && string.IsNullOrWhiteSpace(Run))
            errors.Add("The shell driver's `run` is empty: there is nothing to start. Give a command line, for example './my-app --port 8080'.");
        if (!Shell.StartsWith('/'))
            errors.Add($"The shell driver's `shell` is '{Shell}': it must be an absolute path. Write for example /bin/bash.");
        return errors;
    }
}
