namespace Clustd.Config;

/// <summary>
/// One thing wrong (or doubtful) in a configuration: where, what, why, what to do. <paramref name="File"/> is a path or the name of an environment variable;
/// <paramref name="Line"/> and <paramref name="Column"/> count from 1, 0 means that there is no such place. <paramref name="What"/> and
/// <paramref name="Why"/> carry no final dot, <paramref name="Do"/> is a sentence.
/// </summary>
public sealed record ConfigProblem(string File, int Line, int Column, string What, string Why, string Do)
{
    public override string ToString() => Line > 0 ? $"{File}:{Line}:{Column}: {Message}" : $"{File}: {Message}";

    /// <summary>The three parts without the place.</summary>
    public string Message => $"{What}: {Why}. {Do}";
}

/// <summary>A loaded configuration or all that keeps it from being one. <see cref="Config"/> is null exactly if there are errors.</summary>
public sealed record ConfigResult
{
    public ClustdConfig? Config { get; init; }
    public IReadOnlyList<ConfigProblem> Errors { get; init; } = [];
    public IReadOnlyList<ConfigProblem> Warnings { get; init; } = [];

    /// <summary>The file that was read, or looked for; null when it was text.</summary>
    public string? Path { get; init; }
}

/// <summary>The same for a driver file.</summary>
public sealed record DriverFileResult
{
    public DriverFileConfig? Config { get; init; }
    public IReadOnlyList<ConfigProblem> Errors { get; init; } = [];
    public IReadOnlyList<ConfigProblem> Warnings { get; init; } = [];
    public string? Path { get; init; }
}
