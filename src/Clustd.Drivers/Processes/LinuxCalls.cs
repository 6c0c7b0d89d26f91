using System.Runtime.InteropServices;

namespace Clustd.Drivers.Processes;

/// <summary>The system calls that holding a process needs and .NET does not offer. Linux only; each returns what libc returns (-1 and errno).</summary>
internal static unsafe partial class LinuxCalls
{
    public const int SIGHUP = 1, SIGINT = 2, SIGKILL = 9, SIGPIPE = 13, SIGTERM = 15, SIGCHLD = 17, SIGCONT = 18;
    public const int EINTR = 4, EAGAIN = 11;
    public const int O_RDONLY = 0, O_RDWR = 2, O_CREAT = 0x40, O_NONBLOCK = 0x800, O_CLOEXEC = 0x80000;
    public const short POLLIN = 1, POLLOUT = 4;

    private const int PR_SET_PDEATHSIG = 1, PR_SET_CHILD_SUBREAPER = 36;
    private const int WNOHANG = 1, __WALL = 0x40000000;
    private const int CLOCK_BOOTTIME = 7;
    private const int F_SETFD = 2, F_GETFL = 3, F_SETFL = 4, F_DUPFD_CLOEXEC = 1030, FD_CLOEXEC = 1;
    private const int LOCK_EX = 2, LOCK_NB = 4;

    // Above every number that a child is given (0 to 4), so that a dup2 in the child never overwrites a source that is still needed.
    private const int FirstOwnDescriptor = 20;

    public static int Errno => Marshal.GetLastPInvokeError();

    public static string ErrnoText => Marshal.GetPInvokeErrorMessage(Errno);

    /// <summary>A pipe whose ends close on exec: (read, write).</summary>
    public static (int Read, int Write) Pipe()
    {
        int* ends = stackalloc int[2];
        if (pipe2(ends, O_CLOEXEC) != 0) throw new IOException($"Cannot make a pipe: {ErrnoText}. Raise the limit of open files (ulimit -n).");
        return (MoveUp(ends[0]), MoveUp(ends[1]));
    }

    public static int MoveUp(int descriptor)
    {
        int moved = fcntl(descriptor, F_DUPFD_CLOEXEC, FirstOwnDescriptor);
        if (moved < 0) throw new IOException($"Cannot open one more file: {ErrnoText}. Raise the limit of open files (ulimit -n).");
        close(descriptor);
        return moved;
    }

    public static void SetNonBlocking(int descriptor) => fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL, 0) | O_NONBLOCK);

    public static void SetCloseOnExec(int descriptor) => fcntl(descriptor, F_SETFD, FD_CLOEXEC);

    /// <summary>Bytes read; 0 at the end of the file; -1 and errno.</summary>
    public static int Read(int descriptor, Span<byte> into)
    {
        fixed (byte* start = into)
        {
            nint count;
            do count = read(descriptor, start, (nuint)into.Length); while (count < 0 && Errno == EINTR);
            return (int)count;
        }
    }

    public static int Write(int descriptor, ReadOnlySpan<byte> from)
    {
        fixed (byte* start = from)
        {
            nint count;
            do count = write(descriptor, start, (nuint)from.Length); while (count < 0 && Errno == EINTR);
            return (int)count;
        }
    }

    /// <summary>Writes all of it to a blocking descriptor; false when the other end is closed.</summary>
    public static bool WriteAll(int descriptor, ReadOnlySpan<byte> from)
    {
        while (from.Length > 0)
        {
            int count = Write(descriptor, from);
            if (count <= 0) return false;
            from = from[count..];
        }
        return true;
    }

    /// <summary>Waits until one of them is ready. Negative <paramref name="timeoutMicros"/>: for ever.</summary>
    public static int Poll(Span<PollDescriptor> descriptors, long timeoutMicros)
    {
        var timeout = new TimeSpec { Seconds = timeoutMicros / 1_000_000, Nanoseconds = timeoutMicros % 1_000_000 * 1000 };
        fixed (PollDescriptor* start = descriptors)
            return ppoll(start, (nuint)descriptors.Length, timeoutMicros < 0 ? null : &timeout, null);
    }

    public static bool BecomeSubreaper() => prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0;

    public static bool DieWithParent() => prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) == 0;

    /// <summary>A descriptor that becomes readable when the process ends, or -1 where the kernel (before 5.3) has none.</summary>
    public static int OpenProcess(int pid) => (int)syscall(434, pid, 0, 0, 0);

    /// <summary>Marks every descriptor from <paramref name="first"/> on as to be closed by exec. Best effort (kernel 5.11).</summary>
    public static void CloseOnExecFrom(int first) => syscall(436, first, uint.MaxValue, 4, 0);

    /// <summary>A timer on the clock that counts sleep: it fires at once when a machine wakes up too late.</summary>
    public static int CreateTimer() => MoveUp(timerfd_create(CLOCK_BOOTTIME, O_NONBLOCK | O_CLOEXEC));

    /// <summary>Fires once after <paramref name="micros"/>; a negative value disarms it.</summary>
    public static void SetTimer(int timer, long micros)
    {
        // 0 would disarm: what is due now is due in a nanosecond.
        var due = micros < 0 ? default : new TimeSpec { Seconds = micros / 1_000_000, Nanoseconds = Math.Max(1, micros % 1_000_000 * 1000) };
        TimeSpec* value = stackalloc TimeSpec[2];
        value[0] = default; // no repetition
        value[1] = due;
        timerfd_settime(timer, 0, value, null);
    }

    /// <summary>Reaps one ended child. False when there is none; <paramref name="noChildren"/> when there is no child at all, alive or dead.</summary>
    public static bool Reap(int pid, bool block, out int ended, out ChildExit exit, out bool noChildren)
    {
        int status;
        int result;
        // __WALL: also children that were cloned without SIGCHLD; without it they would count as "no child".
        do result = waitpid(pid, &status, __WALL | (block ? 0 : WNOHANG)); while (result < 0 && Errno == EINTR);
        noChildren = result < 0;
        ended = result > 0 ? result : 0;
        exit = result > 0 ? ChildExit.FromWaitStatus(status) : default;
        return result > 0;
    }

    /// <summary>True when this process now holds the lock of the open file.</summary>
    public static bool TryLock(int descriptor) => flock(descriptor, LOCK_EX | LOCK_NB) == 0;

    public static void ResetSignals()
    {
        for (int signalNumber = 1; signalNumber <= 64; signalNumber++) signal(signalNumber, 0);
        ulong* none = stackalloc ulong[16]; // sigset_t: 1024 bits
        for (int i = 0; i < 16; i++) none[i] = 0;
        sigprocmask(2 /* SIG_SETMASK */, none, null);
    }

    public static void IgnoreSignal(int signalNumber) => signal(signalNumber, 1);

    public static void DefaultSignal(int signalNumber) => signal(signalNumber, 0);

    [LibraryImport("libc", SetLastError = true)] public static partial int kill(int pid, int signalNumber);
    [LibraryImport("libc", SetLastError = true)] public static partial int close(int descriptor);
    [LibraryImport("libc", SetLastError = true)] public static partial int setsid();
    [LibraryImport("libc")] public static partial int getsid(int pid);
    [LibraryImport("libc")] public static partial int getppid();
    [LibraryImport("libc")] public static partial int getpid();
    [LibraryImport("libc")] public static partial uint geteuid();
    [LibraryImport("libc")] public static partial void _exit(int code);
    [LibraryImport("libc", SetLastError = true)] public static partial int setuid(uint uid);
    [LibraryImport("libc", SetLastError = true)] public static partial int setgid(uint gid);
    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)] public static partial int initgroups(string user, uint gid);
    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)] public static partial int chdir(string path);
    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)] public static partial int open(string path, int flags, int mode);
    [LibraryImport("libc", SetLastError = true)] public static partial int ftruncate(int descriptor, long length);
    [LibraryImport("libc", SetLastError = true)] public static partial int execve(byte* path, byte** argv, byte** env);
    [LibraryImport("libc", StringMarshalling = StringMarshalling.Utf8)] public static partial PasswordEntry* getpwnam(string name);
    [LibraryImport("libc")] public static partial PasswordEntry* getpwuid(uint uid);

    [LibraryImport("libc")] public static partial int posix_spawn(int* pid, byte* path, void* actions, void* attributes, byte** argv, byte** env);
    [LibraryImport("libc")] public static partial int posix_spawn_file_actions_init(void* actions);
    [LibraryImport("libc")] public static partial int posix_spawn_file_actions_destroy(void* actions);
    [LibraryImport("libc")] public static partial int posix_spawn_file_actions_adddup2(void* actions, int from, int to);
    [LibraryImport("libc")] public static partial int posix_spawnattr_init(void* attributes);
    [LibraryImport("libc")] public static partial int posix_spawnattr_destroy(void* attributes);
    [LibraryImport("libc")] public static partial int posix_spawnattr_setflags(void* attributes, short flags);
    [LibraryImport("libc")] public static partial int posix_spawnattr_setsigmask(void* attributes, ulong* mask);

    [LibraryImport("libc", SetLastError = true)] private static partial int pipe2(int* ends, int flags);
    [LibraryImport("libc", SetLastError = true)] private static partial int fcntl(int descriptor, int command, nint argument);
    [LibraryImport("libc", SetLastError = true)] private static partial nint read(int descriptor, byte* into, nuint count);
    [LibraryImport("libc", SetLastError = true)] private static partial nint write(int descriptor, byte* from, nuint count);
    [LibraryImport("libc", SetLastError = true)] private static partial int ppoll(PollDescriptor* descriptors, nuint count, TimeSpec* timeout, void* mask);
    [LibraryImport("libc", SetLastError = true)] private static partial int prctl(int option, nuint a, nuint b, nuint c, nuint d);
    [LibraryImport("libc", SetLastError = true)] private static partial nint syscall(nint number, nint a, nuint b, nuint c, nuint d);
    [LibraryImport("libc", SetLastError = true)] private static partial int waitpid(int pid, int* status, int options);
    [LibraryImport("libc", SetLastError = true)] private static partial int timerfd_create(int clock, int flags);
    [LibraryImport("libc", SetLastError = true)] private static partial int timerfd_settime(int timer, int flags, TimeSpec* value, TimeSpec* old);
    [LibraryImport("libc", SetLastError = true)] private static partial int flock(int descriptor, int operation);
    [LibraryImport("libc")] private static partial nint signal(int signalNumber, nint handler);
    [LibraryImport("libc")] private static partial int sigprocmask(int how, ulong* mask, ulong* old);

    [StructLayout(LayoutKind.Sequential)]
    public struct PollDescriptor
    {
        public int Descriptor;
        public short Events;
        public short Ready;
    }

    [StructLayout(LayoutKind.Sequential)]
    private struct TimeSpec
    {
        public long Seconds;
        public long Nanoseconds;
    }

    /// <summary>struct passwd of glibc and musl on 64-bit Linux.</summary>
    [StructLayout(LayoutKind.Sequential)]
    public struct PasswordEntry
    {
        public byte* Name;
        public byte* Password;
        public uint Uid;
        public uint Gid;
        public byte* Comment;
        public byte* Home;
        public byte* Shell;
    }
}
