using System.Diagnostics;
using System.Runtime.InteropServices;

namespace Clustd.Client;

/// <summary>
/// The clock that leases are counted on, microseconds. On Linux: MONOTONIC_RAW + (BOOTTIME - MONOTONIC), which counts sleep and is not slewed
/// by NTP, and which is the same in every process of the machine. Elsewhere <see cref="Stopwatch"/>, which on macOS stands still while the
/// machine sleeps: a driver there must not be trusted to stop when its machine was suspended.
/// </summary>
public static partial class DriverClock
{
    private const int ClockMonotonic = 1;
    private const int ClockMonotonicRaw = 4;
    private const int ClockBootTime = 7;

    // Time spent asleep since boot, ns. It only grows, and each measurement below can only be too small: the largest seen is the best.
    private static long asleepNs = MeasureAsleepNs();

    /// <summary>Whether this clock runs on while the machine sleeps.</summary>
    public static bool CountsSleep { get; } = OperatingSystem.IsLinux() || OperatingSystem.IsWindows();

    /// <summary>Now, microseconds since an arbitrary start. Read it after an input was dequeued, never before: the process may freeze in between.</summary>
    public static long NowUs => OperatingSystem.IsLinux() ? NowLinuxNs() / 1_000 : (long)(Stopwatch.GetTimestamp() * (1e6 / Stopwatch.Frequency));

    private static long NowLinuxNs()
    {
        var asleep = AsleepNs();
        var known = Volatile.Read(ref asleepNs);
        while (asleep > known)
        {
            var before = Interlocked.CompareExchange(ref asleepNs, asleep, known);
            known = before == known ? asleep : before;
        }
        return ReadNs(ClockMonotonicRaw) + known;
    }

    // BOOTTIME first: being preempted between the two makes the difference too small for once, never too large, and a clock that ran
    // ahead for a moment would make a stamp look younger than it is.
    private static long AsleepNs()
    {
        var boot = ReadNs(ClockBootTime);
        return boot - ReadNs(ClockMonotonic);
    }

    // The best of several, so that the first reading of a new process is not behind those of its parent by a preemption.
    private static long MeasureAsleepNs() => OperatingSystem.IsLinux() ? Enumerable.Range(0, 8).Max(_ => AsleepNs()) : 0;

    private static long ReadNs(int clock)
    {
        // All three clocks exist since Linux 2.6.39; a failure means that memory is not what we think it is.
        if (ClockGetTime(clock, out var time) != 0)
            throw new UnreachableException($"clock_gettime({clock}) failed with error {Marshal.GetLastPInvokeError()}.");
        return time.Seconds * 1_000_000_000L + time.Nanoseconds;
    }

    [StructLayout(LayoutKind.Sequential)]
    private struct TimeSpec
    {
        public nint Seconds;
        public nint Nanoseconds;
    }

    [LibraryImport("libc", EntryPoint = "clock_gettime")]
    [SuppressGCTransition]
    private static partial int ClockGetTime(int clock, out TimeSpec time);
}
