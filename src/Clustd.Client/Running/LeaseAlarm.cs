using System.ComponentModel;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Clustd.Client.Running;

/// <summary>
/// Lets the lease thread sleep until a time is up or someone rings. On Linux by a timer on BOOTTIME, which counts sleep: a machine that was suspended
/// past the end of its lease finds out the moment it wakes, and nobody has to look again and again meanwhile. Elsewhere by an ordinary wait.
/// </summary>
internal sealed partial class LeaseAlarm : IDisposable
{
    private const int ClockBootTime = 7;
    private const int NonBlocking = 0x800; // EFD_NONBLOCK and TFD_NONBLOCK
    private const int CloseOnExec = 0x80000; // EFD_CLOEXEC and TFD_CLOEXEC
    private const short PollIn = 1;
    private const int Interrupted = 4;

    private readonly SafeFileHandle? bell;
    private readonly SafeFileHandle? timer;
    private readonly ManualResetEventSlim? elsewhere;

    public LeaseAlarm()
    {
        if (OperatingSystem.IsLinux())
        {
            bell = Own(EventFd(0, NonBlocking | CloseOnExec));
            timer = Own(TimerFdCreate(ClockBootTime, NonBlocking | CloseOnExec));
        }
        else
            elsewhere = new ManualResetEventSlim();
    }

    /// <summary>Whether the time runs on while the machine sleeps. If not, sleep in short pieces and look at the clock after each.</summary>
    public bool CountsSleep => timer is not null;

    /// <summary>Ends the present <see cref="Sleep"/>, or else the next one at once. Any thread; after <see cref="Dispose"/> it does nothing.</summary>
    public void Ring()
    {
        var held = false;
        try
        {
            elsewhere?.Set();
            if (bell is null)
                return;
            bell.DangerousAddRef(ref held); // Else the number could be another file's by now.
            ulong one = 1;
            _ = Write((int)bell.DangerousGetHandle(), ref one, sizeof(ulong)); // Fails only when the counter is full: it rings already.
        }
        catch (ObjectDisposedException)
        {
            // The thread has ended: there is nobody left to wake.
        }
        finally
        {
            if (held)
                bell!.DangerousRelease();
        }
    }

    /// <summary>Returns after so many microseconds, when rung, or for no reason. One thread only.</summary>
    public unsafe void Sleep(long microseconds)
    {
        if (microseconds <= 0)
            return;
        if (bell is null || timer is null)
        {
            elsewhere!.Wait((int)Math.Clamp(microseconds / 1_000, 1, int.MaxValue)); // Early rather than late; then in steps of a millisecond.
            elsewhere.Reset();
            return;
        }
        var setting = new TimerSetting { Seconds = (nint)(microseconds / 1_000_000), Nanoseconds = (nint)(microseconds % 1_000_000 * 1_000) };
        Check(TimerFdSetTime((int)timer.DangerousGetHandle(), 0, ref setting, IntPtr.Zero));
        var polled = stackalloc PollDescriptor[2];
        polled[0] = new PollDescriptor { Descriptor = (int)bell.DangerousGetHandle(), Wanted = PollIn };
        polled[1] = new PollDescriptor { Descriptor = (int)timer.DangerousGetHandle(), Wanted = PollIn };
        if (Poll(polled, 2, -1) < 0 && Marshal.GetLastPInvokeError() != Interrupted)
            Check(-1);
        // Setting the timer anew makes it unreadable again, so only a bell that rang must be emptied.
        if (polled[0].Happened != 0)
            _ = Read((int)bell.DangerousGetHandle(), out _, sizeof(ulong));
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        bell?.Dispose();
        timer?.Dispose();
        elsewhere?.Dispose();
    }

    private static SafeFileHandle Own(int descriptor)
    {
        Check(descriptor);
        return new SafeFileHandle(descriptor, ownsHandle: true);
    }

    private static void Check(int result)
    {
        if (result < 0)
            throw new Win32Exception(Marshal.GetLastPInvokeError());
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
