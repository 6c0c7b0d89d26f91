using System.Runtime.InteropServices;

namespace Clustd.EndToEnd.Harness;

/// <summary>What a process of a machine is there for.</summary>
public enum Role
{
    Daemon,
    Drivers,
    Guard,
    AddressGuard,
    App,
}

/// <summary>A living process that belongs to a machine: it inherited the machine's mark, whoever is its parent now.</summary>
public sealed partial record RunningProcess(int Pid, Role Role, string Machine)
{
    /// <summary>In the environment of every process of a machine: the machine's directory.</summary>
    public const string Mark = "E2E_MACHINE";

    public const int SIGKILL = 9, SIGTERM = 15, SIGCONT = 18, SIGSTOP = 19;

    /// <summary>All whose mark begins so. A zombie has no environment any more and is not among them.</summary>
    public static IReadOnlyList<RunningProcess> MarkedWith(string directory)
    {
        var found = new List<RunningProcess>();
        foreach (var entry in Directory.EnumerateDirectories("/proc"))
        {
            if (!int.TryParse(Path.GetFileName(entry), out var pid)) continue;
            try
            {
                var marks = File.ReadAllText($"{entry}/environ").Split('\0');
                if (marks.FirstOrDefault(line => line.StartsWith(Mark + "=", StringComparison.Ordinal)) is { } mark && mark[(Mark.Length + 1)..] is var machine
                    && (machine == directory || machine.StartsWith(directory + "/", StringComparison.Ordinal)))
                {
                    found.Add(new RunningProcess(pid, RoleOf(File.ReadAllText($"{entry}/cmdline").Split('\0')), machine));
                }
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                // It ended while we looked, or is another user's.
            }
        }

        return found;
    }

    public void Signal(int signal) => kill(Pid, signal);

    private static Role RoleOf(string[] commandLine) => commandLine switch
    {
        [var program, "run", ..] when IsClustd(program) => Role.Daemon,
        [var program, "drivers", ..] when IsClustd(program) => Role.Drivers,
        [var program, "guard", "--addresses", ..] when IsClustd(program) => Role.AddressGuard,
        [var program, "guard", var last, ..] when IsClustd(program) && last != "--launch" => Role.Guard,
        _ => Role.App,
    };

    private static bool IsClustd(string program) => Path.GetFileName(program) == "clustd";

    [LibraryImport("libc")]
    private static partial int kill(int pid, int signal);
}
