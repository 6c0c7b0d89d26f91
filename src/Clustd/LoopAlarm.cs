using System.ComponentModel;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Clustd;

/// <summary>
/// Lets one thread sleep until a time is up or someone rings. To the microsecond, unlike Monitor.Wait, and on the kernel's BOOTTIME,
/// which counts sleep: a machine that was suspended past the end of its lease finds out the moment it wakes, not when the rest of a
/// timeout that stood still has run off.
/// </summary>
internal sealed partial class LoopAlarm : IDisposable
{
    private const int ClockBootTime = 7;
    private const int NonBlocking = 0x800; // EFD_NONBLOCK and TFD_NONBLOCK
    private const int CloseOnExec = 0x80000; // EFD_CLOEXEC and TFD_CLOEXEC
    private const short PollIn = 1;
    private const int Interrupted = 4;

    private readonly SafeFileHandle _bell = Own(EventFd(0, NonBlocking | CloseOnExec));
    private readonly SafeFileHandle _timer = Own(TimerFdCreate(ClockBootTime, NonBlocking | CloseOnExec));

    /// <summary>Ends the present <see cref="Sleep"/>, or else the next one at once. Any thread, and at any time: after <see cref="Dispose"/> it does nothing.</summary>
    public void Ring()
    {
        var isHeld = false;
        try
        {
            _bell.DangerousAddRef(ref isHeld); // Else the number could be another file's by now.
            ulong one = 1;
            _ = Write((int)_bell.DangerousGetHandle(), ref one, sizeof(ulong)); // fails only when the counter is full: it rings already
        }
        catch (ObjectDisposedException)
        {
            // There is nobody left to wake.
        }
        finally
        {
            if (isHeld) _bell.DangerousRelease();
        }
    }

    /// <summary>From now on <see cref="Sleep"/> ends after this duration, also one that has begun. Any thread that keeps others from doing so; not after <see cref="Dispose"/>.</summary>
    public void Set(TimeSpan duration)
    {
        if (duration <= TimeSpan.Zero)
        {
            return; // Zero would be never, for the kernel. Nobody sleeps then.
        }

        var setting = default(TimerSetting);
        setting.Seconds = (nint)(duration.Ticks / TimeSpan.TicksPerSecond);
        setting.Nanoseconds = (nint)(duration.Ticks % TimeSpan.TicksPerSecond * TimeSpan.NanosecondsPerTick);
        Check(TimerFdSetTime((int)_timer.DangerousGetHandle(), 0, ref setting, IntPtr.Zero));
    }

    /// <summary>Returns when the time that was <see cref="Set"/> is up, when rung, or for no reason. One thread only.</summary>
    public unsafe void Sleep()
    {
        var bell = (int)_bell.DangerousGetHandle();
        var timer = (int)_timer.DangerousGetHandle();
        var polled = stackalloc PollDescriptor[2];
        polled[0] = new PollDescriptor { Descriptor = bell, Wanted = PollIn };
        polled[1] = new PollDescriptor { Descriptor = timer, Wanted = PollIn };
        if (Poll(polled, 2, -1) < 0 && Marshal.GetLastPInvokeError() != Interrupted)
        {
            Check(-1);
        }

        // Setting the timer anew makes it unreadable again, so only a bell that rang must be emptied.
        if (polled[0].Happened != 0) _ = Read(bell, out _, sizeof(ulong));
    }

    public void Dispose()
    {
        _bell.Dispose();
        _timer.Dispose();
    }

    private static SafeFileHandle Own(int descriptor)
    {
        Check(descriptor);
        return new SafeFileHandle(descriptor, ownsHandle: true);
    }

    private static void Check(int result)
    {
        if (result < 0)
        {
            throw new Win32Exception(Marshal.GetLastPInvokeError());
        }
    }

    [StructLayout(LayoutKind.Sequential)]
    private struct TimerSetting
    {
        public nint IntervalSeconds;
        public nint IntervalNanoseconds;
        public nint Seconds;
        public nint Nanoseconds;
    }

    [StructLayout(LayoutKind.Sequential)]
    private struct PollDescriptor
    {
        public int Descriptor;
        public short Wanted;
        public short Happened;
    }

    [LibraryImport("libc", EntryPoint = "eventfd", SetLastError = true)]
    private static partial int EventFd(uint initial, int flags);

    [LibraryImport("libc", EntryPoint = "timerfd_create", SetLastError = true)]
    private static partial int TimerFdCreate(int clock, int flags);

    [LibraryImport("libc", EntryPoint = "timerfd_settime", SetLastError = true)]
    private static partial int TimerFdSetTime(int timer, int flags, ref TimerSetting setting, IntPtr former);

    [LibraryImport("libc", EntryPoint = "poll", SetLastError = true)]
    private static unsafe partial int Poll(PollDescriptor* polled, nuint count, int timeoutMilliseconds);

    [LibraryImport("libc", EntryPoint = "read", SetLastError = true)]
    private static partial nint Read(int descriptor, out ulong value, nuint size);

    [LibraryImport("libc", EntryPoint = "write", SetLastError = true)]
    private static partial nint Write(int descriptor, ref ulong value, nuint size);
}
