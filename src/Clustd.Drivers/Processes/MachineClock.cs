using System.Runtime.InteropServices;

namespace Clustd.Drivers.Processes;

/// <summary>
/// MONOTONIC_RAW + (BOOTTIME − MONOTONIC) in µs: counts sleep, is not slewed, and is the same in every process of the machine.
/// </summary>
internal static unsafe partial class MachineClock
{
    private const int Monotonic = 1, MonotonicRaw = 4, BootTime = 7;

    public static long NowMicros() => (Nanoseconds(MonotonicRaw) + Nanoseconds(BootTime) - Nanoseconds(Monotonic)) / 1000;

    private static long Nanoseconds(int clock)
    {
        long* time = stackalloc long[2];
        clock_gettime(clock, time);
        return time[0] * 1_000_000_000 + time[1];
    }

    [LibraryImport("libc"), SuppressGCTransition] private static partial int clock_gettime(int clock, long* time);
}
