using System.Runtime.InteropServices;
using System.Text;
using Microsoft.Win32.SafeHandles;

namespace Clustd.Store;

/// <summary>
/// A file whose lock says that one process, the one named in it, works in this directory. The kernel drops the lock when its holder
/// dies, so a leftover file means nothing. Not FileShare.None: that would keep the next one from reading who holds it.
/// </summary>
public sealed partial class DirectoryLock : IDisposable
{
    // The same values on x64 and arm64.
    private const int OpenReadWrite = 0x2;
    private const int OpenCreate = 0x40;
    private const int OpenCloseOnExec = 0x80000;
    private const int OwnerOnly = 0x180; // 0600
    private const int LockExclusive = 2;
    private const int LockNonBlocking = 4;
    private const int Unlock = 8;
    private const int WouldBlock = 11;

    private readonly SafeFileHandle _handle;

    private DirectoryLock(SafeFileHandle handle) => _handle = handle;

    /// <summary>Takes the lock or returns null, with what its holder wrote into it in `holder`.</summary>
    /// <param name="path">The lock file, created when missing.</param>
    /// <param name="what">Who takes it, for people: "clustd daemon cm-1". The process id is added.</param>
    /// <param name="holder">"pid 4711 (clustd daemon cm-1)", or "another process" when the file does not say.</param>
    /// <exception cref="StoreUnwritableException">The file cannot be opened or locked.</exception>
    public static DirectoryLock? TryTake(string path, string what, out string holder)
    {
        var descriptor = Open(path, OpenReadWrite | OpenCreate | OpenCloseOnExec, OwnerOnly);
        if (descriptor < 0)
        {
            throw Unusable(path, "opened");
        }

        var handle = new SafeFileHandle(descriptor, ownsHandle: true);
        if (Flock(descriptor, LockExclusive | LockNonBlocking) < 0)
        {
            if (Marshal.GetLastPInvokeError() != WouldBlock)
            {
                var error = Unusable(path, "locked");
                handle.Dispose();
                throw error;
            }

            holder = ReadHolder(handle);
            handle.Dispose();
            return null;
        }

        holder = $"pid {Environment.ProcessId} ({what})";
        try
        {
            RandomAccess.SetLength(handle, 0);
            RandomAccess.Write(handle, Encoding.UTF8.GetBytes(holder + "\n"), 0);
        }
        catch (IOException)
        {
            // The text is for people only, and a full disk cannot take it: the lock itself holds.
        }

        return new DirectoryLock(handle);
    }

    public void Dispose()
    {
        // Closing alone would leave the lock with a child that was forked just now and has not come to its exec yet.
        if (!_handle.IsClosed)
        {
            _ = Flock((int)_handle.DangerousGetHandle(), Unlock);
        }

        _handle.Dispose();
    }

    private static string ReadHolder(SafeFileHandle handle)
    {
        Span<byte> text = stackalloc byte[256];
        var holder = Encoding.UTF8.GetString(text[..RandomAccess.Read(handle, text, 0)]).Trim();
        return holder.Length == 0 ? "another process" : holder;
    }

    private static StoreUnwritableException Unusable(string path, string verb) => new(
        path,
        $"The lock file {path} cannot be {verb}: {Marshal.GetLastPInvokeErrorMessage()}. " +
        "Give the user that runs clustd read and write permission there, or name another `server.data_dir`.");

    [LibraryImport("libc", EntryPoint = "open", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int Open(string path, int flags, int mode);

    [LibraryImport("libc", EntryPoint = "flock", SetLastError = true)]
    private static partial int Flock(int descriptor, int operation);
}
