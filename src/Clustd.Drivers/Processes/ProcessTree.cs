using System.Globalization;

namespace Clustd.Drivers.Processes;

/// <summary>What /proc says about processes: children, state, session. A zombie counts as dead: its reaper is merely slow.</summary>
internal static class ProcessTree
{
    /// <summary>
    /// Every living or dead descendant of <paramref name="root"/>, nearest first. A snapshot: who kills by it repeats until there is nobody left,
    /// and who wants proof asks the kernel whether a subreaper still has any child.
    /// </summary>
    public static List<int> Descendants(int root)
    {
        var found = new List<int>();
        var seen = new HashSet<int>();
        AddChildren(root, found, seen);
        for (int i = 0; i < found.Count; i++) AddChildren(found[i], found, seen);
        return found;
    }

    public static List<int> Children(int parent)
    {
        var found = new List<int>();
        AddChildren(parent, found, []);
        return found;
    }

    /// <summary>State letter, parent and session of a process; null when there is no such process.</summary>
    public static (char State, int Parent, int Session)? Look(int pid)
    {
        try
        {
            // pid (name) S ppid pgrp session ...: the name may hold anything, so count from the last parenthesis.
            string stat = File.ReadAllText($"/proc/{pid}/stat");
            var fields = stat.AsSpan(stat.LastIndexOf(')') + 2);
            Span<Range> parts = stackalloc Range[5];
            fields.Split(parts, ' ');
            return (fields[0], Number(fields[parts[1]]), Number(fields[parts[3]]));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    public static bool IsAlive(int pid) => Look(pid) is { State: not ('Z' or 'X') };

    /// <summary>For messages: <c>1234 (nginx)</c>.</summary>
    public static string Describe(int pid)
    {
        try
        {
            return $"{pid} ({File.ReadAllText($"/proc/{pid}/comm").Trim()})";
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return pid.ToString(CultureInfo.InvariantCulture);
        }
    }

    private static void AddChildren(int parent, List<int> found, HashSet<int> seen)
    {
        string[] threads;
        try
        {
            threads = Directory.GetDirectories($"/proc/{parent}/task");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return; // it ended meanwhile: its children have a new parent, the next look finds them there
        }
        foreach (string thread in threads)
        {
            string children;
            try
            {
                children = File.ReadAllText(thread + "/children");
            }
            catch (FileNotFoundException) when (!KernelListsChildren)
            {
                AddChildrenByScan(parent, found, seen);
                return;
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                continue;
            }
            foreach (var part in children.AsSpan().Split(' '))
                if (int.TryParse(children.AsSpan(part), out int pid) && seen.Add(pid)) found.Add(pid);
        }
    }

    // Kernels without CONFIG_PROC_CHILDREN: ask every process for its parent.
    private static void AddChildrenByScan(int parent, List<int> found, HashSet<int> seen)
    {
        foreach (string directory in Directory.GetDirectories("/proc"))
            if (int.TryParse(Path.GetFileName(directory.AsSpan()), out int pid) && Look(pid) is { } look && look.Parent == parent && seen.Add(pid))
                found.Add(pid);
    }

    private static readonly bool KernelListsChildren = File.Exists($"/proc/{Environment.ProcessId}/task/{Environment.ProcessId}/children");

    private static int Number(ReadOnlySpan<char> text) => int.Parse(text, CultureInfo.InvariantCulture);
}
