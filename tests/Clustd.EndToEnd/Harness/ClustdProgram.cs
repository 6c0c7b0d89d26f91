using System.Diagnostics;

namespace Clustd.EndToEnd.Harness;

/// <summary>How one command ended.</summary>
public sealed record Finished(int ExitCode, string Out, string Error, TimeSpan Took);

/// <summary>The built program: $CLUSTD_BIN, or the one that was built with these tests.</summary>
public static class ClustdProgram
{
    public static string Path { get; } = Environment.GetEnvironmentVariable("CLUSTD_BIN") is { Length: > 0 } given
        ? System.IO.Path.GetFullPath(given)
        : System.IO.Path.Combine(AppContext.BaseDirectory, "clustd");

    /// <summary>Runs a command to its end, or kills it after <paramref name="limit"/>.</summary>
    public static async Task<Finished> RunAsync(IEnumerable<string> command, IReadOnlyDictionary<string, string>? environment = null, TimeSpan? limit = null)
    {
        var start = StartInfo(command, environment);
        (start.RedirectStandardOutput, start.RedirectStandardError, start.RedirectStandardInput) = (true, true, true);
        var since = Stopwatch.GetTimestamp();
        using var process = Process.Start(start)!;
        process.StandardInput.Close();
        var output = process.StandardOutput.ReadToEndAsync();
        var error = process.StandardError.ReadToEndAsync();
        try
        {
            await process.WaitForExitAsync().WaitAsync(limit ?? Eventually.Patience);
        }
        catch (TimeoutException)
        {
            process.Kill(entireProcessTree: true);
            throw new TimeoutException($"Still running after {(limit ?? Eventually.Patience).TotalSeconds:0} s: {string.Join(' ', command)}\n{await error}");
        }

        return new Finished(process.ExitCode, await output, await error, Stopwatch.GetElapsedTime(since));
    }

    public static Task EndOf(Process process) => process.WaitForExitAsync().WaitAsync(Eventually.Patience);

    /// <summary>Without variables of clustd's own: what the caller's shell sets must not reach the tests.</summary>
    public static ProcessStartInfo StartInfo(IEnumerable<string> command, IReadOnlyDictionary<string, string>? environment)
    {
        var words = command.ToList();
        var start = new ProcessStartInfo(words[0], words.Skip(1)) { UseShellExecute = false };
        foreach (var name in start.Environment.Keys.Where(name => name.StartsWith("CLUSTD_", StringComparison.Ordinal) || name == "STATE_DIRECTORY").ToList())
            start.Environment.Remove(name);
        foreach (var (name, value) in environment ?? new Dictionary<string, string>()) start.Environment[name] = value;
        return start;
    }
}
