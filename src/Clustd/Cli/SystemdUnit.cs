using System.ComponentModel;
using System.Diagnostics;

namespace Clustd.Cli;

/// <summary>What systemd is about to do with a unit. Null: it cannot be known; Why says so.</summary>
internal sealed record SystemdJob(string? Type, string Why);

/// <summary>What `systemctl`, found on the PATH, says of a unit. It only asks.</summary>
internal static class SystemdUnit
{
    // A manager that is busy shutting down may not answer, and ExecStop is counted against TimeoutStopSec.
    private static readonly TimeSpan AnswerLimit = TimeSpan.FromSeconds(3);

    /// <summary>The unit that a process belongs to, by its control group ("0::/system.slice/clustd.service"), and whether a user's manager runs it; null: none.</summary>
    public static (string Name, bool IsUser)? UnitOf(string cgroup)
    {
        foreach (var line in cgroup.Split('\n'))
        {
            var parts = line.Split('/');
            if (parts.LastOrDefault(part => part.EndsWith(".service", StringComparison.Ordinal)) is { } name)
            {
                var isUser = parts.Any(part => part.StartsWith("user@", StringComparison.Ordinal));
                // A session of a login hangs under the user's manager itself, which is no unit of ours.
                return isUser && name.StartsWith("user@", StringComparison.Ordinal) ? null : (name, isUser);
            }
        }

        return null;
    }

    /// <summary>As <see cref="UnitOf(string)"/>, of a living process.</summary>
    public static (string Name, bool IsUser)? UnitOfProcess(string process)
    {
        try
        {
            return UnitOf(File.ReadAllText($"/proc/{process}/cgroup"));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    /// <summary>The job that systemd has for the unit now: "restart", "stop", "start", or "none".</summary>
    public static async Task<SystemdJob> JobOfAsync(string unit, bool isUser, CancellationToken cancellationToken)
    {
        // While a restart job stops the unit, its line reads "4711 clustd.service restart running".
        var (lines, why) = await AskAsync(isUser, ["list-jobs", "--no-legend", "--no-pager", "--plain", unit], cancellationToken);
        if (lines is null)
        {
            return new SystemdJob(null, why);
        }

        foreach (var line in lines)
        {
            var words = line.Split(' ', StringSplitOptions.RemoveEmptyEntries);
            if (words.Length >= 3 && words[1] == unit)
            {
                return new SystemdJob(words[2], $"systemd's job for {unit} is {words[2]}");
            }
        }

        return new SystemdJob("none", $"systemd has no job for {unit}");
    }

    /// <summary>Whether systemd starts the unit again when its daemon ends with <see cref="ExitCodes.StartAgain"/>; false also when it cannot be known.</summary>
    public static async Task<bool> StartsAgainAsync(string unit, bool isUser, CancellationToken cancellationToken)
    {
        var (lines, _) = await AskAsync(isUser, ["show", "--property=Restart", "--property=RestartForceExitStatus", unit], cancellationToken);
        return lines?.Any(line => line.Trim() is "Restart=always" or "Restart=on-failure"
            || (line.StartsWith("RestartForceExitStatus=", StringComparison.Ordinal) && line["RestartForceExitStatus=".Length..].Split(' ').Contains($"{ExitCodes.StartAgain}"))) == true;
    }

    private static async Task<(string[]? Lines, string Why)> AskAsync(bool isUser, string[] arguments, CancellationToken cancellationToken)
    {
        var start = new ProcessStartInfo("systemctl") { RedirectStandardOutput = true, RedirectStandardError = true, RedirectStandardInput = true };
        foreach (var argument in (string[])[.. isUser ? ["--user"] : (string[])[], .. arguments]) start.ArgumentList.Add(argument);
        try
        {
            using var process = Process.Start(start)!;
            process.StandardInput.Close();
            try
            {
                var error = process.StandardError.ReadToEndAsync(cancellationToken);
                var text = await process.StandardOutput.ReadToEndAsync(cancellationToken).WaitAsync(AnswerLimit, cancellationToken);
                await process.WaitForExitAsync(cancellationToken).WaitAsync(AnswerLimit, cancellationToken);
                if (process.ExitCode == 0) return (text.Split('\n', StringSplitOptions.RemoveEmptyEntries), "");
                var said = (await error).Split('\n')[0].Trim();
                return (null, $"`systemctl {arguments[0]}` failed{(said.Length > 0 ? $": {said.TrimEnd('.')}" : "")}");
            }
            catch (TimeoutException)
            {
                process.Kill();
                return (null, $"`systemctl {arguments[0]}` did not answer within {AnswerLimit.TotalSeconds:0} s");
            }
        }
        catch (Win32Exception e)
        {
            return (null, $"`systemctl` cannot be run: {e.Message.TrimEnd('.')}");
        }
    }
}
