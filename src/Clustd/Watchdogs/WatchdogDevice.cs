using System.Runtime.InteropServices;
using System.Text;
using Clustd.Drivers.Processes;

namespace Clustd.Watchdogs;

/// <summary>The kernel's watchdog behind a file like /dev/watchdog: Documentation/watchdog/watchdog-api.rst of Linux.</summary>
internal sealed unsafe partial class WatchdogDevice : IWatchdogDevice
{
    private const int O_WRONLY = 1;
    private const int ENOENT = 2, ENXIO = 6, EACCES = 13, EPERM = 1, EBUSY = 16, ENODEV = 19;

    private const uint WDIOC_GETSUPPORT = 0x80285700, WDIOC_GETBOOTSTATUS = 0x80045702, WDIOC_SETTIMEOUT = 0xC0045706, WDIOC_GETTIMEOUT = 0x80045707;
    private const uint WDIOF_CARDRESET = 0x20, WDIOF_SETTIMEOUT = 0x80, WDIOF_MAGICCLOSE = 0x100, WDIOF_ALARMONLY = 0x400;

    private int _descriptor;

    private WatchdogDevice(int descriptor) => _descriptor = descriptor;

    public WatchdogAbilities Abilities
    {
        get
        {
            Support support;
            if (ioctl(_descriptor, WDIOC_GETSUPPORT, &support) != 0) throw Failed("does not answer like a watchdog (WDIOC_GETSUPPORT)");
            int boot = 0; // Drivers that do not know say so with an error, or with 0.
            if (ioctl(_descriptor, WDIOC_GETBOOTSTATUS, &boot) != 0) boot = 0;
            var identity = new ReadOnlySpan<byte>(support.Identity, Support.IdentityLength);
            var end = identity.IndexOf((byte)0);
            return new WatchdogAbilities(
                Encoding.ASCII.GetString(end < 0 ? identity : identity[..end]).Trim(),
                (support.Options & WDIOF_SETTIMEOUT) != 0,
                (support.Options & WDIOF_MAGICCLOSE) != 0,
                (support.Options & WDIOF_ALARMONLY) != 0,
                (boot & WDIOF_CARDRESET) != 0);
        }
    }

    public int Timeout
    {
        get
        {
            int seconds;
            return ioctl(_descriptor, WDIOC_GETTIMEOUT, &seconds) == 0 ? seconds : throw Failed("does not say its timeout (WDIOC_GETTIMEOUT)");
        }
    }

    /// <summary>Opens it, which arms it: from here the machine is reset unless it is fed.</summary>
    /// <exception cref="WatchdogUnavailableException">It cannot be opened; three parts.</exception>
    public static IWatchdogDevice Open(string path)
    {
        // Not to wait for a reader, should somebody have put a pipe there.
        var descriptor = LinuxCalls.open(path, O_WRONLY | LinuxCalls.O_NONBLOCK | LinuxCalls.O_CLOEXEC, 0);
        return descriptor >= 0 ? new WatchdogDevice(descriptor) : throw new WatchdogUnavailableException($"Cannot open the watchdog {path}: {WhyNot(LinuxCalls.Errno)}");
    }

    public void SetTimeout(int seconds)
    {
        if (ioctl(_descriptor, WDIOC_SETTIMEOUT, &seconds) != 0) throw Failed("refuses that timeout (WDIOC_SETTIMEOUT)");
    }

    public void Feed() => Write((byte)'\0');

    public void Disarm() => Write((byte)'V');

    public void Dispose()
    {
        if (_descriptor >= 0) LinuxCalls.close(_descriptor);
        _descriptor = -1;
    }

    private static string WhyNot(int errno) => errno switch
    {
        ENOENT or ENXIO or ENODEV => "there is no such device. Load its driver, `modprobe softdog` if this machine has no hardware for it, correct 'watchdog.device', or remove 'watchdog'.",
        EACCES or EPERM => "this user may not. Give the user of the daemon the right to write to it (docs/drivers/watchdog.md has the lines for udev and systemd), or remove 'watchdog'.",
        EBUSY => "another program has it. That is systemd with RuntimeWatchdogSec=, sbd or watchdogd: `clustd driver test watchdog`, as root, says which. Stop that, or name another device in 'watchdog.device'.",
        _ => $"{Marshal.GetPInvokeErrorMessage(errno)}. Correct 'watchdog.device', or remove 'watchdog'.",
    };

    private void Write(byte letter)
    {
        if (LinuxCalls.Write(_descriptor, [letter]) != 1) throw Failed("does not take what is written to it");
    }

    private static IOException Failed(string what) => new($"{what}: {LinuxCalls.ErrnoText}");

    [LibraryImport("libc", SetLastError = true)] private static partial int ioctl(int descriptor, nuint request, void* argument);

    /// <summary>struct watchdog_info.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private struct Support
    {
        public const int IdentityLength = 32;

        public uint Options;
        public uint FirmwareVersion;
        public fixed byte Identity[IdentityLength];
    }
}

/// <summary>The machine's watchdog was asked for, and cannot be had as asked. The message has three parts.</summary>
public sealed class WatchdogUnavailableException(string message, Exception? inner = null) : Exception(message, inner);
