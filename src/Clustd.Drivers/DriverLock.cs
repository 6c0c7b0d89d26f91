using System.Globalization;
using System.Text;
using Clustd.Drivers.Processes;

namespace Clustd.Drivers;

/// <summary>
/// <c>drivers.lock</c> in the data directory: one driver process per daemon. Two would run every app twice on one machine. The kernel
/// lets go of it when the process ends, however it ends, so it is never stale.
/// </summary>
public sealed class DriverLock : IDisposable
{
    private const string FileName = "drivers.lock";
    private int _descriptor;

    private DriverLock(int descriptor) => _descriptor = descriptor;

    /// <summary>The lock, or null and who holds it.</summary>
    public static DriverLock? TryTake(string dataDirectory, out int holderPid)
    {
        holderPid = 0;
        Directory.CreateDirectory(dataDirectory);
        string path = Path.Combine(dataDirectory, FileName);
        int descriptor = LinuxCalls.open(path, LinuxCalls.O_RDWR | LinuxCalls.O_CREAT | LinuxCalls.O_CLOEXEC, 0x180 /* rw for the owner */);
        if (descriptor < 0)
            throw new IOException($"Cannot open {path}: {LinuxCalls.ErrnoText}. The driver process needs a data directory that it can write to.");
        if (!LinuxCalls.TryLock(descriptor))
        {
            holderPid = ReadPid(descriptor);
            LinuxCalls.close(descriptor);
            return null;
        }
        LinuxCalls.ftruncate(descriptor, 0);
        LinuxCalls.WriteAll(descriptor, Encoding.ASCII.GetBytes(Environment.ProcessId.ToString(CultureInfo.InvariantCulture) + "\n"));
        return new DriverLock(descriptor);
    }

    /// <summary>The driver process that serves this data directory, or null: a new daemon adopts it instead of starting a second one.</summary>
    public static int? HolderOf(string dataDirectory)
    {
        string path = Path.Combine(dataDirectory, FileName);
        int descriptor = LinuxCalls.open(path, LinuxCalls.O_RDWR | LinuxCalls.O_CLOEXEC, 0);
        if (descriptor < 0) return null;
        try
        {
            return LinuxCalls.TryLock(descriptor) ? null : ReadPid(descriptor);
        }
        finally
        {
            LinuxCalls.close(descriptor); // and with it the lock, if we got it for this moment
        }
    }

    public void Dispose()
    {
        if (_descriptor >= 0) LinuxCalls.close(_descriptor);
        _descriptor = -1;
    }

    private static int ReadPid(int descriptor)
    {
        Span<byte> text = stackalloc byte[16];
        int count = LinuxCalls.Read(descriptor, text);
        return count > 0 && int.TryParse(Encoding.ASCII.GetString(text[..count]), CultureInfo.InvariantCulture, out int pid) ? pid : 0;
    }
}
