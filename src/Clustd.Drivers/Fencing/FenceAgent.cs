using System.ComponentModel;
using System.Diagnostics;
using System.Text;
using Clustd.Drivers.Processes;

namespace Clustd.Drivers.Fencing;

/// <summary>What an agent ended with. Output: its last lines, without secrets.</summary>
internal sealed record AgentEnd(int Code, string Output);

/// <summary>
/// One call of a fence agent by its programming interface (FenceAgentAPI of ClusterLabs): <c>key=value</c> lines on standard input, so that no password stands in a list of processes; 0 is success, and for
/// <c>status</c> 0 is on, 2 is off.
/// </summary>
internal sealed class FenceAgent(FenceDriverOptions options)
{
    public const int IsOff = 2;

    private const int OutputCharsMax = 2_000, LinesShown = 3;

    private static readonly string[] Folders = ["/usr/sbin", "/usr/local/sbin", "/sbin", "/usr/bin"];

    /// <summary>The agent's file; null: there is none.</summary>
    public string? Path { get; } = Find(options.Agent);

    /// <summary>Runs it to its end; when cancelled, it and what it started are killed.</summary>
    /// <exception cref="DriverFailedException">It is not there, or cannot be run.</exception>
    /// <exception cref="OperationCanceledException">It was cancelled.</exception>
    public async Task<AgentEnd> RunAsync(string action, CancellationToken cancellationToken)
    {
        using var process = Start();
        var output = new StringBuilder();
        void Add(string? line)
        {
            lock (output)
            {
                if (line is not null && output.Length < OutputCharsMax) output.AppendLine(line);
            }
        }

        process.OutputDataReceived += (_, line) => Add(line.Data);
        process.ErrorDataReceived += (_, line) => Add(line.Data);
        process.BeginOutputReadLine();
        process.BeginErrorReadLine();
        try
        {
            await TellAsync(process, action, cancellationToken).ConfigureAwait(false);
            await process.WaitForExitAsync(cancellationToken).ConfigureAwait(false);
        }
        catch (OperationCanceledException)
        {
            Kill(process);
            throw;
        }

        lock (output) return new AgentEnd(process.ExitCode, Shown(output.ToString()));
    }

    private Process Start()
    {
        if (Path is null)
            throw new DriverFailedException($"There is no fence agent '{options.Agent}': it is neither in PATH nor in {Folders[0]}. Install it (on Debian: `apt-get install fence-agents`), or correct `agent`.");
        var start = new ProcessStartInfo(Path) { RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true };
        foreach (string key in start.Environment.Keys.Where(AppEnvironment.IsOurs).ToList()) start.Environment.Remove(key);
        try
        {
            return Process.Start(start)!;
        }
        catch (Win32Exception e)
        {
            throw new DriverFailedException($"The fence agent {Path} could not be run: {e.Message}. Make it executable for the user of `clustd drivers`.", e);
        }
    }

    private async Task TellAsync(Process process, string action, CancellationToken cancellationToken)
    {
        var lines = new StringBuilder($"action={action}\n");
        foreach (var (key, value) in options.Arguments) lines.Append($"{key}={value}\n");
        if (options.Password is { } password) lines.Append($"password={password}\n");
        try
        {
            await process.StandardInput.WriteAsync(lines, cancellationToken).ConfigureAwait(false);
            process.StandardInput.Close();
        }
        catch (IOException)
        {
            // It has ended without reading: its exit code says what is wrong.
        }
    }

    private static void Kill(Process process)
    {
        try
        {
            process.Kill(entireProcessTree: true);
        }
        catch (Exception e) when (e is InvalidOperationException or Win32Exception or AggregateException)
        {
            // It has ended meanwhile.
        }
    }

    // The last lines say what went wrong. Agents repeat what they were given.
    private string Shown(string output)
    {
        var shown = string.Join(" / ", output.Split('\n', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries).TakeLast(LinesShown));
        return options.Password is { Length: > 0 } password ? shown.Replace(password, "(hidden)", StringComparison.Ordinal) : shown;
    }

    private static string? Find(string agent)
    {
        if (agent.Contains('/')) return File.Exists(agent) ? agent : null;
        var path = Environment.GetEnvironmentVariable("PATH")?.Split(':', StringSplitOptions.RemoveEmptyEntries) ?? [];
        return path.Concat(Folders).Select(folder => System.IO.Path.Combine(folder, agent)).FirstOrDefault(File.Exists);
    }
}
