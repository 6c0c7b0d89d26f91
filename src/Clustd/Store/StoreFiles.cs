using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Clustd.Store;

/// <summary>The files of a data directory: their names, and what must be done beside SQLite to make them appear whole and private.</summary>
internal sealed partial class StoreFiles(string directory)
{
    private const UnixFileMode PrivateFile = UnixFileMode.UserRead | UnixFileMode.UserWrite;
    private const int OpenCloseOnExec = 0x80000;

    // Room for the handful of commits of a goodbye: each takes two or three WAL frames of 4 kB.
    private const int BallastBytes = 512 * 1024;

    public string Directory { get; } = Path.GetFullPath(directory);

    public string Database => Path.Combine(Directory, "state.db");

    public string WriteAheadLog => Database + "-wal";

    /// <summary>The database under construction: it gets its name when it is whole, so an empty `state.db` is always damage.</summary>
    public string NewDatabase => Database + ".new";

    public string Lock => Path.Combine(Directory, "lock");

    public string Ballast => Path.Combine(Directory, "ballast");

    public void CreateDirectory()
    {
        try
        {
            System.IO.Directory.CreateDirectory(Directory, PrivateFile | UnixFileMode.UserExecute);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw Unwritable(Directory, "The data directory", "created", e);
        }
    }

    /// <summary>Makes an empty private file. SQLite gives its WAL and index the permissions of the database file.</summary>
    public void CreatePrivate(string path)
    {
        try
        {
            foreach (var leftover in (string[])[path, path + "-wal", path + "-shm", path + "-journal"])
            {
                File.Delete(leftover);
            }

            new FileStream(path, new FileStreamOptions { Mode = FileMode.CreateNew, Access = FileAccess.Write, UnixCreateMode = PrivateFile }).Dispose();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw Unwritable(path, "The store", "created", e);
        }
    }

    /// <summary>Gives the finished database its name: contents first, then the name, then the directory that holds it.</summary>
    public void Publish()
    {
        try
        {
            using (var handle = File.OpenHandle(NewDatabase, FileMode.Open, FileAccess.ReadWrite))
            {
                RandomAccess.FlushToDisk(handle);
            }

            File.Move(NewDatabase, Database, overwrite: false);
            SyncDirectory();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw Unwritable(Database, "The store", "created", e);
        }
    }

    /// <summary>
    /// Keeps 512 kB of disk in reserve. Once the disk is full, SQLite can neither delete nor checkpoint: dropping this file is what
    /// lets the daemon write its goodbye.
    /// </summary>
    public void LayBallast()
    {
        try
        {
            if (File.Exists(Ballast) && new FileInfo(Ballast).Length >= BallastBytes)
            {
                return;
            }

            // Random, because a file system that compresses would reserve nothing for zeros.
            var reserve = new byte[BallastBytes];
            new Random().NextBytes(reserve);
            using var stream = new FileStream(Ballast, new FileStreamOptions { Mode = FileMode.Create, Access = FileAccess.Write, UnixCreateMode = PrivateFile });
            stream.Write(reserve);
            stream.Flush(flushToDisk: true);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            DropBallast(); // half a reserve would only make a full disk fuller
            throw Unwritable(Ballast, "The disk reserve of 512 kB", "written", e);
        }
    }

    /// <summary>True if there was a reserve to drop.</summary>
    public bool DropBallast()
    {
        try
        {
            var existed = File.Exists(Ballast);
            File.Delete(Ballast);
            return existed;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return false; // whoever asks has a full disk to report already
        }
    }

    public static StoreUnwritableException Unwritable(string path, string what, string verb, Exception cause)
    {
        const int noSpace = 28;
        var full = (cause.HResult & 0xFFFF) == noSpace || cause.Message.StartsWith("No space left", StringComparison.Ordinal);
        return new StoreUnwritableException(
            path,
            full
                ? $"{what} {path} cannot be {verb}: the disk is full. Free some space on it and start clustd again."
                : $"{what} {path} cannot be {verb}: {cause.Message} Give the user that runs clustd write permission there, or name another `server.data_dir`.",
            full,
            cause);
    }

    // A renamed file is only there for good once its directory is on disk. .NET opens no directories.
    private void SyncDirectory()
    {
        var descriptor = Open(Directory, OpenCloseOnExec);
        if (descriptor < 0)
        {
            throw new IOException(Marshal.GetLastPInvokeErrorMessage());
        }

        using var handle = new SafeFileHandle(descriptor, ownsHandle: true);
        if (Fsync(descriptor) < 0)
        {
            throw new IOException(Marshal.GetLastPInvokeErrorMessage());
        }
    }

    [LibraryImport("libc", EntryPoint = "open", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int Open(string path, int flags);

    [LibraryImport("libc", EntryPoint = "fsync", SetLastError = true)]
    private static partial int Fsync(int descriptor);
}
