namespace Clustd.Drivers.Processes;

/// <summary>How to start <c>clustd guard</c>.</summary>
/// <param name="File">Path of the program.</param>
/// <param name="Arguments">What comes before and including <c>guard</c>.</param>
public sealed record GuardCommand(string File, IReadOnlyList<string> Arguments)
{
    /// <summary>
    /// This very program with <c>guard</c>: right inside <c>clustd drivers</c>, whether it was started as <c>clustd</c> or as <c>dotnet clustd.dll</c>.
    /// </summary>
    public static GuardCommand OfThisProgram()
    {
        string program = Environment.ProcessPath ?? "/proc/self/exe";
        bool isHost = Path.GetFileNameWithoutExtension(program) == "dotnet";
        return new(program, isHost ? [Environment.GetCommandLineArgs()[0], "guard"] : ["guard"]);
    }
}
