using Clustd.Drivers.Processes;

namespace Clustd.Cli;

/// <summary>This very program, to be started again with another command: as `clustd`, or as `dotnet clustd.dll`.</summary>
internal static class OwnProgram
{
    /// <summary>Program and arguments.</summary>
    public static IReadOnlyList<string> With(params IEnumerable<string> arguments)
    {
        var guard = GuardCommand.OfThisProgram(); // It knows how; only its last word is another one.
        return [guard.File, .. guard.Arguments.SkipLast(1), .. arguments];
    }

    /// <summary>The same for a shell.</summary>
    public static string ShellLine(params IEnumerable<string> arguments) => string.Join(' ', With(arguments).Select(Quoted));

    /// <summary>Starts it in a session of its own, so that neither a Ctrl-C nor a closed terminal reaches it, with nothing to read.</summary>
    /// <param name="hide">Which of our variables it is not to see.</param>
    /// <param name="environment">Lines that replace or add to ours.</param>
    /// <param name="output">Descriptor of its stdout and stderr; null: ours.</param>
    public static int Start(IEnumerable<string> arguments, Func<string, bool> hide, IReadOnlyDictionary<string, string> environment, int? output = null)
    {
        var command = With(arguments);
        List<string> lines =
        [
            .. ChildStart.InheritedEnvironment(name => hide(name) || environment.ContainsKey(name)),
            .. environment.Select(pair => $"{pair.Key}={pair.Value}"),
        ];
        var nothing = LinuxCalls.MoveUp(LinuxCalls.open("/dev/null", LinuxCalls.O_RDWR | LinuxCalls.O_CLOEXEC, 0));
        try
        {
            return ChildStart.Spawn(command[0], command, lines, [(nothing, 0), (output ?? 1, 1), (output ?? 2, 2)], ownSession: true);
        }
        finally
        {
            LinuxCalls.close(nothing);
        }
    }

    private static string Quoted(string word) => $"'{word.Replace("'", "'\\''")}'";
}
