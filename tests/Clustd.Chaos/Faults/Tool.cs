using System.Diagnostics;

namespace Clustd.Chaos.Faults;

/// <summary>Runs a tool of the system to its end.</summary>
internal static class Tool
{
    /// <summary>Throws with the tool's words if it fails.</summary>
    public static void Run(string program, params string[] arguments) => Run(program, input: null, arguments);

    public static void Run(string program, string? input, string[] arguments)
    {
        using var process = Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardError = true, RedirectStandardOutput = true, RedirectStandardInput = true })!;
        if (input is not null) process.StandardInput.Write(input);
        process.StandardInput.Close();
        var output = process.StandardOutput.ReadToEndAsync();
        var error = process.StandardError.ReadToEnd();
        process.WaitForExit();
        if (process.ExitCode != 0) throw new IOException($"`{program} {string.Join(' ', arguments)}` failed: {error.Trim()} {output.Result.Trim()}");
    }

    /// <summary>Null: it works; else why not.</summary>
    public static string? WhyNot(string what, Action attempt)
    {
        try
        {
            attempt();
            return null;
        }
        catch (Exception e) when (e is IOException or System.ComponentModel.Win32Exception or UnauthorizedAccessException)
        {
            return $"{what}: {e.Message}";
        }
    }
}
