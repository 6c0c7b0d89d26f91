using Clustd.Drivers.Processes;

namespace Clustd.Guard;

/// <summary>
/// A cgroup (version 2) for the app alone, where this process may make one: then one write kills everything in it at once, a fork bomb
/// included. Only a second net: without one the guard finds its descendants through /proc.
/// </summary>
internal sealed class OwnCgroup
{
    private readonly string _directory;

    private OwnCgroup(string directory) => _directory = directory;

    /// <summary>The file into which a process writes 0 to join.</summary>
    public string Procs => _directory + "/cgroup.procs";

    public static OwnCgroup? TryCreate()
    {
        try
        {
            string? mount = File.ReadLines("/proc/self/mountinfo").Where(line => line.Contains(" - cgroup2 ")).Select(line => line.Split(' ')[4]).FirstOrDefault();
            string? ours = File.ReadLines("/proc/self/cgroup").FirstOrDefault(line => line.StartsWith("0::", StringComparison.Ordinal))?[3..];
            if (mount is null || ours is null) return null;
            string directory = $"{mount}{ours.TrimEnd('/')}/clustd-guard-{LinuxCalls.getpid()}";
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

    public void Kill()
    {
        int descriptor = LinuxCalls.open(_directory + "/cgroup.kill", 1 /* O_WRONLY */ | LinuxCalls.O_CLOEXEC, 0);
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
}
