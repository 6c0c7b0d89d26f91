namespace Clustd.Drivers.Processes;

/// <summary>
/// A cgroup (version 2) for the app of one guard alone, where one may be made: then one write kills everything in it at once, a fork bomb
/// included. Only a second net: without one the guard finds its descendants through /proc.
/// </summary>
internal sealed class OwnCgroup
{
    private const int O_WRONLY = 1;
    private const string Prefix = "clustd-guard-";

    private readonly string _directory;

    private OwnCgroup(string directory) => _directory = directory;

    /// <summary>The file into which a process writes 0 to join.</summary>
    public string Procs => _directory + "/cgroup.procs";

    /// <summary>For a guard: makes the cgroup of the guard <paramref name="guardPid"/>; null where that is not possible.</summary>
    public static OwnCgroup? TryCreate(int guardPid)
    {
        try
        {
            if (DirectoryOf(guardPid) is not { } directory) return null;
            RemoveLeftBehind(Path.GetDirectoryName(directory)!);
            Directory.CreateDirectory(directory);
            if (File.Exists(directory + "/cgroup.kill")) return new OwnCgroup(directory); // kernel 5.14
            Directory.Delete(directory);
            return null;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    /// <summary>For a driver: what a dead guard left, if it had one. Driver and guard are in the same cgroup, so its name is known.</summary>
    public static OwnCgroup? Of(int guardPid) => DirectoryOf(guardPid) is { } directory && Directory.Exists(directory) ? new OwnCgroup(directory) : null;

    public void Kill()
    {
        int descriptor = LinuxCalls.open(_directory + "/cgroup.kill", O_WRONLY | LinuxCalls.O_CLOEXEC, 0);
        if (descriptor < 0) return;
        LinuxCalls.WriteAll(descriptor, "1"u8);
        LinuxCalls.close(descriptor);
    }

    public void Remove()
    {
        try
        {
            Directory.Delete(_directory);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // Somebody else put a process there, or took the directory away: an empty cgroup left behind harms nobody.
        }
    }

    // Of guards that were killed together with their driver process, so that nobody was left to remove them. The kernel keeps those that are not empty.
    private static void RemoveLeftBehind(string parent)
    {
        foreach (string directory in Directory.EnumerateDirectories(parent, Prefix + "*"))
        {
            if (!Directory.Exists($"/proc/{Path.GetFileName(directory)[Prefix.Length..]}")) new OwnCgroup(directory).Remove();
        }
    }

    private static string? DirectoryOf(int guardPid)
    {
        try
        {
            string? mount = File.ReadLines("/proc/self/mountinfo").FirstOrDefault(line => line.Contains(" - cgroup2 ", StringComparison.Ordinal))?.Split(' ')[4];
            string? ours = File.ReadLines("/proc/self/cgroup").FirstOrDefault(line => line.StartsWith("0::", StringComparison.Ordinal))?[3..];
            return mount is null || ours is null ? null : $"{mount}{ours.TrimEnd('/')}/{Prefix}{guardPid}";
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }
}
