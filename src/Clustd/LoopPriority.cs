using System.Runtime.InteropServices;

namespace Clustd;

/// <summary>
/// What the loop's thread was permitted. On Linux .NET's thread priorities do nothing; the scheduling policy and the niceness of a thread do. Without
/// either all stays correct, and a busy machine makes the loop later.
/// </summary>
/// <param name="IsRealTime">SCHED_FIFO, priority 1: before everything that is not real-time. Root, CAP_SYS_NICE or RLIMIT_RTPRIO (LimitRTPRIO in the unit).</param>
/// <param name="Niceness">0 is ordinary, -20 the highest. Root, CAP_SYS_NICE or RLIMIT_NICE (LimitNICE in the unit).</param>
public readonly partial record struct LoopPriority(bool IsRealTime, int Niceness)
{
    private const int OfThread = 0; // PRIO_PROCESS with a thread id is that thread alone, on Linux
    private const int Fifo = 1; // SCHED_FIFO
    private const int ResetOnFork = 0x40000000; // SCHED_RESET_ON_FORK: what this thread starts is ordinary again

    /// <summary>For people: "SCHED_FIFO 1", "nice -20" or "ordinary".</summary>
    public override string ToString() => IsRealTime ? "SCHED_FIFO 1" : Niceness < 0 ? $"nice {Niceness}" : "ordinary";

    /// <summary>Raises the calling thread as far as permitted.</summary>
    public static LoopPriority Raise()
    {
        var thread = GetThreadId();
        var parameter = new SchedulingParameter { Priority = 1 };
        if (SetScheduler(thread, Fifo | ResetOnFork, ref parameter) == 0) return new LoopPriority(true, 0);
        for (var niceness = -20; niceness < 0; niceness++)
        {
            if (SetPriority(OfThread, thread, niceness) == 0) return new LoopPriority(false, niceness);
        }

        return default;
    }

    [StructLayout(LayoutKind.Sequential)]
    private struct SchedulingParameter
    {
        public int Priority;
    }

    [LibraryImport("libc", EntryPoint = "gettid")]
    private static partial int GetThreadId();

    [LibraryImport("libc", EntryPoint = "setpriority", SetLastError = true)]
    private static partial int SetPriority(int which, int who, int niceness);

    [LibraryImport("libc", EntryPoint = "sched_setscheduler", SetLastError = true)]
    private static partial int SetScheduler(int thread, int policy, ref SchedulingParameter parameter);
}
