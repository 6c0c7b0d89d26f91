namespace Clustd.Config;

/// <summary>What `clustd check` prints: valid or not, the promises in words, warnings. The exit code is the caller's: 0 without errors, else 2.</summary>
public static class CheckReport
{
    public static void Write(ConfigResult result, TextWriter output)
    {
        var file = result.Path ?? "The configuration";
        if (result.Config is { } config)
        {
            output.WriteLine($"{file} is valid: machine {config.Cluster.Id} at {config.Server.RemoteAddress}, {Count(config.ClusterAddresses.Count, "machine")}, {Count(config.ServicesOrDefault.Count, "service")}, {Count(config.Drivers.Count, "built-in driver")}.");
            output.WriteLine();
            foreach (var sentence in FailoverBound.Sentences(config)) output.WriteLine($"  {sentence}");
        }
        else
        {
            output.WriteLine($"{file} is not valid: {Count(result.Errors.Count, "error")}.");
            WriteProblems("Errors", result.Errors, output);
        }
        WriteProblems("Warnings", result.Warnings, output);
    }

    /// <summary>The same for a driver file.</summary>
    public static void Write(DriverFileResult result, TextWriter output)
    {
        var file = result.Path ?? "The driver file";
        output.WriteLine(result.Config is { } config
            ? $"{file} is valid: {Count(config.Drivers.Count, "driver")} for the daemon at {config.Host.Authority}."
            : $"{file} is not valid: {Count(result.Errors.Count, "error")}.");
        WriteProblems("Errors", result.Errors, output);
        WriteProblems("Warnings", result.Warnings, output);
    }

    private static void WriteProblems(string title, IReadOnlyList<ConfigProblem> problems, TextWriter output)
    {
        if (problems.Count == 0) return;
        output.WriteLine();
        output.WriteLine($"{title}:");
        foreach (var problem in problems) output.WriteLine($"  {problem}");
    }

    private static string Count(int count, string noun) => $"{count} {noun}{(count == 1 ? "" : "s")}";
}
