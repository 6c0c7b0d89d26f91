namespace Clustd.Drivers.Processes;

/// <summary>
/// What a guard leaves behind when it is killed. The driver process is a subreaper, so whatever the guard held becomes its child.
/// Which of its children are those: guards and apps live in sessions of their own, and no process can join a session that exists; everything
/// else that this process starts shares its session.
/// </summary>
internal static class Orphans
{
    private static readonly Lock Gate = new();
    private static readonly HashSet<int> Guards = [];
    private static readonly HashSet<int> LetGo = [];
    private static readonly bool IsSubreaper = LinuxCalls.BecomeSubreaper();

    /// <summary>Starts a guard so that no search in between can take it for an orphan.</summary>
    public static int StartGuard(Func<int> start)
    {
        lock (Gate)
        {
            _ = IsSubreaper;
            int pid = start();
            Guards.Add(pid);
            return pid;
        }
    }

    /// <summary>Reaps a guard that has ended or is about to; then its number may belong to somebody else.</summary>
    public static void GuardEnded(int pid)
    {
        LinuxCalls.Reap(pid, block: true, out _, out _, out _);
        lock (Gate) Guards.Remove(pid);
    }

    /// <summary>What a script left in the background, and its dead guard can hold no more, lives on.</summary>
    public static void LetThemGo()
    {
        lock (Gate) LetGo.UnionWith(Find());
    }

    /// <summary>
    /// Kills every orphan until none is left. Null: nothing is left, which is proof, because an orphan has no other place to go.
    /// Otherwise who is left, or why it cannot be known.
    /// </summary>
    public static string? KillAll(TimeSpan limit)
    {
        if (!IsSubreaper) return "this process could not become a subreaper, so it cannot see what the guard left behind";
        long end = Clustd.Client.DriverClock.NowUs + (long)limit.TotalMicroseconds;
        int emptyLooks = 0;
        while (true)
        {
            List<int> orphans;
            lock (Gate)
            {
                orphans = Find();
                foreach (int orphan in orphans)
                {
                    foreach (int descendant in ProcessTree.Descendants(orphan)) LinuxCalls.kill(descendant, LinuxCalls.SIGKILL);
                    LinuxCalls.kill(orphan, LinuxCalls.SIGKILL);
                    LinuxCalls.Reap(orphan, block: false, out _, out _, out _);
                }
            }
            // Twice: the kernel's list of children may miss one while it changes under the reader.
            if (orphans.Count == 0 && ++emptyLooks == 2) return null;
            if (orphans.Count > 0) emptyLooks = 0;
            if (Clustd.Client.DriverClock.NowUs > end)
                return string.Join(", ", orphans.Where(ProcessTree.IsAlive).Take(5).Select(ProcessTree.Describe));
            Thread.Sleep(1);
        }
    }

    private static List<int> Find()
    {
        int ourSession = LinuxCalls.getsid(0);
        var children = ProcessTree.Children(Environment.ProcessId);
        LetGo.IntersectWith(children);
        return [.. children.Where(pid => !Guards.Contains(pid) && !LetGo.Contains(pid) && ProcessTree.Look(pid) is { } look && look.Session != ourSession)];
    }
}
