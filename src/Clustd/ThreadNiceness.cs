using System.Runtime.InteropServices;

namespace Clustd;

/// <summary>
/// On Linux .NET's thread priorities do nothing; niceness per thread does. Root and CAP_SYS_NICE may, others as far as RLIMIT_NICE
/// (LimitNICE in the unit file) lets them. Without it all stays correct, and a busy machine makes the loop later.
/// </summary>
internal static partial class ThreadNiceness
{
    private const int OfThread = 0; // PRIO_PROCESS with a thread id is that thread alone, on Linux

    /// <summary>Raises the calling thread as far as permitted; returns its niceness (0 is ordinary, -20 the highest).</summary>
    public static int Raise()
    {
        var thread = GetThreadId();
        for (var niceness = -20; niceness < 0; niceness++)
        {
            if (SetPriority(OfThread, thread, niceness) == 0)
            {
                return niceness;
            }
        }

        return 0;
    }

    [LibraryImport("libc", EntryPoint = "gettid")]
    private static partial int GetThreadId();

    [LibraryImport("libc", EntryPoint = "setpriority", SetLastError = true)]
    private static partial int SetPriority(int which, int who, int niceness);
}
