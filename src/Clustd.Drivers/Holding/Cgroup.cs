using System.Globalization;
using Clustd.Drivers.Processes;

namespace Clustd.Drivers.Holding;

/// <summary>
/// A cgroup that somebody else has made, systemd or an engine: says whether anything is in it, and kills that. Version 2, and version 1 where there is nothing else.
/// </summary>
internal sealed class Cgroup
{
    private const int O_WRONLY = 1;

    private Cgroup(string directory) => Directory = directory;

    /// <summary>"/sys/fs/cgroup/system.slice/web.service".</summary>
    public string Directory { get; }

    /// <summary>A directory that <see cref="Of"/> or <see cref="Named"/> has found, perhaps in another process. Null: it is none that may be killed.</summary>
    public static Cgroup? At(string directory) => MayBeKilled(directory) ? new Cgroup(directory) : null;

    /// <summary>By the name that systemd gives it, "/system.slice/web.service". Null: there is none, or it is none that may be killed.</summary>
    public static Cgroup? Named(string name) =>
        name.Length < 2 ? null : Mounts().Select(mount => At(mount + name)).FirstOrDefault(found => found is not null && System.IO.Directory.Exists(found.Directory));

    /// <summary>That of a process. Null: it has none for itself and its like.</summary>
    public static Cgroup? Of(int pid)
    {
        try
        {
            // Version 2 has one line, "0::/x". Under version 1 every controller has its own: any that is not the root will do.
            var lines = File.ReadAllLines($"/proc/{pid}/cgroup").OrderByDescending(line => line.StartsWith("0::", StringComparison.Ordinal));
            return lines.Select(line => Named(line[(line.IndexOf(':', line.IndexOf(':') + 1) + 1)..])).FirstOrDefault(found => found is not null);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    /// <summary>Whether nothing runs in it or below it. One that is gone is empty.</summary>
    public bool IsEmpty
    {
        get
        {
            try
            {
                return File.ReadLines(Directory + "/cgroup.events").Contains("populated 0");
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                return !System.IO.Directory.Exists(Directory) || Processes().Count == 0;
            }
        }
    }

    /// <summary>SIGKILL to all in it. Null, or why that could not be done.</summary>
    public string? Kill()
    {
        int descriptor = LinuxCalls.open(Directory + "/cgroup.kill", O_WRONLY | LinuxCalls.O_CLOEXEC, 0);
        if (descriptor >= 0)
        {
            bool written = LinuxCalls.WriteAll(descriptor, "1"u8);
            string why = written ? "" : LinuxCalls.ErrnoText;
            LinuxCalls.close(descriptor);
            if (written) return null;
            if (System.IO.Directory.Exists(Directory)) return why;
        }
        // Before kernel 5.14, or version 1: one by one; who looks again until it is empty gets those that were born meanwhile.
        string? failed = null;
        foreach (int pid in Processes())
            if (LinuxCalls.kill(pid, LinuxCalls.SIGKILL) != 0 && ProcessTree.IsAlive(pid)) failed = LinuxCalls.ErrnoText;
        return failed;
    }

    /// <summary>For messages: the first of those that run in it.</summary>
    public string Describe() => string.Join(", ", Processes().Take(5).Select(ProcessTree.Describe)) is { Length: > 0 } some ? some : Directory;

    /// <summary>Whether this process may kill what is in it; it is not tried.</summary>
    public string? WhyNotKillable()
    {
        if (Environment.IsPrivilegedProcess || !System.IO.Directory.Exists(Directory)) return null;
        int descriptor = LinuxCalls.open(Directory + "/cgroup.kill", O_WRONLY | LinuxCalls.O_CLOEXEC, 0);
        if (descriptor < 0) return LinuxCalls.ErrnoText;
        LinuxCalls.close(descriptor);
        return null;
    }

    private List<int> Processes()
    {
        var found = new List<int>();
        try
        {
            foreach (string file in System.IO.Directory.EnumerateFiles(Directory, "cgroup.procs", SearchOption.AllDirectories))
                foreach (string line in File.ReadLines(file))
                    if (int.TryParse(line, NumberStyles.None, CultureInfo.InvariantCulture, out int pid)) found.Add(pid);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // It is being taken down: the next look finds it gone.
        }
        return found;
    }

    // Never the root, and never one that this process is in itself: a manager that says so is wrong, or is another machine's.
    private static bool MayBeKilled(string directory)
    {
        if (directory.Contains("/..", StringComparison.Ordinal) || !Mounts().Any(mount => directory.StartsWith(mount + "/", StringComparison.Ordinal) && directory.Length > mount.Length + 1)) return false;
        string self = Environment.ProcessId.ToString(CultureInfo.InvariantCulture);
        try
        {
            return !System.IO.Directory.EnumerateFiles(directory, "cgroup.procs", SearchOption.AllDirectories).Any(file => File.ReadLines(file).Contains(self));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return true;
        }
    }

    // Version 2 first, then systemd's own hierarchy of version 1, then the others.
    private static IEnumerable<string> Mounts() =>
        File.ReadLines("/proc/self/mountinfo").Where(line => line.Contains(" - cgroup", StringComparison.Ordinal))
            .OrderBy(line => line.Contains(" - cgroup2 ", StringComparison.Ordinal) ? 0 : line.Contains("name=systemd", StringComparison.Ordinal) ? 1 : 2)
            .Select(line => line.Split(' ')[4]);
}
