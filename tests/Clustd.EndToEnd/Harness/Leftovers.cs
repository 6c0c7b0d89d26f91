using System.Diagnostics;

namespace Clustd.EndToEnd.Harness;

/// <summary>Whatever a run leaves behind has a name that tells whose it was: a run that crashed is cleaned up after by the next one.</summary>
internal static partial class Leftovers
{
    private static readonly Lock Gate = new();
    private static bool _isClear;

    /// <summary>Once per run: kills and removes what is left of processes of this program that are no more.</summary>
    public static void Clear()
    {
        lock (Gate)
        {
            if (_isClear) return;
            _isClear = true;
            foreach (var directory in Directory.EnumerateDirectories(Path.GetTempPath(), Prefix + "*").Where(IsOrphaned))
            {
                Try(() =>
                {
                    Kill(directory);
                    Directory.Delete(directory, recursive: true);
                });
            }

            if (Directory.Exists("/run/netns"))
            {
                foreach (var name in Directory.EnumerateFiles("/run/netns", Prefix + "*").Where(IsOrphaned).Select(Path.GetFileName).ToList())
                    Try(() => NamespacedNetwork.Ip("netns", "del", name!));
            }
        }
    }

    /// <summary>Ends all processes that are marked with this directory.</summary>
    public static void Kill(string directory)
    {
        while (RunningProcess.MarkedWith(directory) is { Count: > 0 } left)
        {
            foreach (var process in left) process.Signal(RunningProcess.SIGKILL);
            Thread.Sleep(5);
        }
    }

    // Another user's leftovers are not ours to remove, and in nobody's way.
    private static void Try(Action remove)
    {
        try
        {
            remove();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or System.ComponentModel.Win32Exception)
        {
            Console.WriteLine($"Left behind by an earlier run, and not removed: {e.Message}");
        }
    }

    private static bool IsOrphaned(string path)
    {
        var name = Path.GetFileName(path)[Prefix.Length..].Split('-')[0];
        if (!int.TryParse(name, out var pid) || pid == Environment.ProcessId) return false;
        try
        {
            using var process = Process.GetProcessById(pid);
            return !File.ReadAllText($"/proc/{pid}/cmdline").Contains(Program, StringComparison.Ordinal);
        }
        catch (Exception e) when (e is ArgumentException or IOException)
        {
            return true;
        }
    }
}
