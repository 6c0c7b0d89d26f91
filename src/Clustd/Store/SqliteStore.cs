using System.Diagnostics;
using System.Security.Cryptography;
using Clustd.Core;
using Clustd.Events;
using Microsoft.Data.Sqlite;
using SQLitePCL;

namespace Clustd.Store;

/// <summary>
/// What this machine must remember: `state.db` in the data directory, one SQLite file that people can read with sqlite3. When
/// <see cref="Write"/> returns, all of it is on disk (WAL, synchronous=FULL); when it throws, nothing more may be written, because
/// what a failed fsync left behind is unknown (the kernel marks such pages clean: a second fsync would "succeed").
/// One connection, used by one thread at a time: <see cref="StoreWriter"/>'s.
/// </summary>
public sealed class SqliteStore : IDisposable
{
    // A person with sqlite3 may hold the write lock for a moment; beyond this many seconds clustd gives up and leaves.
    private const int LockWaitSeconds = 5;

    private readonly StoreFiles _files;
    private readonly DirectoryLock _lock;
    private readonly SqliteConnection _connection;
    private readonly StoreStatements _statements;
    private long _lastIndex;
    private bool _broken;

    private SqliteStore(StoreFiles files, DirectoryLock directoryLock, SqliteConnection connection)
    {
        _files = files;
        _lock = directoryLock;
        _connection = connection;
        Stored = StoreVerification.Load(connection, files.Database, out var format);
        if (format < StoreSchema.FormatWithSnapshot)
        {
            StoreSchema.Upgrade(connection);
        }

        _lastIndex = Stored.LastIndex;
        _statements = new StoreStatements(connection);
    }

    /// <summary>What the store held when it was opened, verified row by row. Not updated by writes.</summary>
    public StoredState Stored { get; }

    public StoreId Id => Stored.Store;

    /// <summary>Path of `state.db`, for <see cref="EventHistory"/> and messages.</summary>
    public string DatabasePath => _files.Database;

    /// <summary>Opens the store, or creates it with a new random <see cref="StoreId"/> when the directory has none.</summary>
    /// <param name="dataDirectory">Created with mode 0700 when missing.</param>
    /// <param name="holder">Who works here, for the message that a second daemon gets: "clustd daemon cm-1".</param>
    /// <exception cref="StoreInUseException">Another process works in this directory.</exception>
    /// <exception cref="StoreCorruptException">Something on disk is not what was written.</exception>
    /// <exception cref="StoreTooNewException">A newer clustd wrote it.</exception>
    /// <exception cref="StoreUnwritableException">No permission, no space, or a failing disk.</exception>
    public static SqliteStore Open(string dataDirectory, string holder)
    {
        Batteries_V2.Init();
        var files = new StoreFiles(dataDirectory);
        files.CreateDirectory();
        var directoryLock = DirectoryLock.TryTake(files.Lock, holder, out var heldBy)
            ?? throw new StoreInUseException(
                files.Lock,
                $"The data directory {files.Directory} is in use by {heldBy}. Each machine needs a directory of its own. " +
                "Stop that process, or name another `server.data_dir`.");
        SqliteConnection? connection = null;
        try
        {
            RefuseDamagedFiles(files);
            if (!File.Exists(files.Database))
            {
                Create(files);
            }

            connection = Connect(files.Database);
            var store = new SqliteStore(files, directoryLock, connection);
            files.LayBallast();
            return store;
        }
        catch (Exception e)
        {
            connection?.Dispose();
            directoryLock.Dispose();
            if (e is SqliteException failure)
            {
                throw StoreFailure.Explain(failure, files.Database, "opened");
            }

            if (e is IOException or UnauthorizedAccessException)
            {
                throw StoreFiles.Unwritable(files.Database, "The store", "opened", e);
            }

            throw;
        }
    }

    /// <summary>Makes all of it durable in one transaction: batches in order, then events. All or nothing.</summary>
    /// <exception cref="StoreException">
    /// With DiskFull: nothing was written, and after <see cref="DropBallast"/> the same call may be tried again. Any other: the store takes no more writes.
    /// </exception>
    public void Write(IReadOnlyList<Output.Persist> batches, IReadOnlyList<RecordedEvent> events)
    {
        if (_broken)
        {
            throw new UnreachableException("The store was written after a failed write: what is on disk is not known any more.");
        }

        var last = _lastIndex;
        try
        {
            _statements.Begin();
            foreach (var batch in batches)
            {
                last = Write(batch, last);
            }

            foreach (var happened in events)
            {
                _statements.InsertEvent(happened);
            }

            _statements.Commit();
            _lastIndex = last;
        }
        catch (SqliteException failure)
        {
            throw GiveUp(failure);
        }
    }

    /// <summary>Frees the reserve on a full disk; true if there was one.</summary>
    public bool DropBallast() => _files.DropBallast();

    public void Dispose()
    {
        _statements.Dispose();
        _connection.Dispose();
        _lock.Dispose();
    }

    private long Write(Output.Persist batch, long last)
    {
        if (batch.TruncateFrom is { } from)
        {
            _statements.TruncateFrom(from);
            last = Math.Min(last, from - 1);
        }

        if (batch.Snapshot is { } snapshot)
        {
            _statements.ReplaceSnapshot(snapshot);
            last = Math.Max(last, snapshot.AppliedIndex);
        }

        foreach (var entry in batch.Entries)
        {
            if (entry.Index != last + 1)
            {
                throw new UnreachableException($"Log entry {entry.Index} was to be stored after {last}.");
            }

            _statements.InsertEntry(entry);
            last = entry.Index;
        }

        if (batch.HardState is { } hardState)
        {
            _statements.UpdateHardState(hardState);
        }

        return last;
    }

    private StoreException GiveUp(SqliteException failure)
    {
        var explained = StoreFailure.Explain(failure, _files.Database, "written");
        try
        {
            if (raw.sqlite3_get_autocommit(_connection.Handle) == 0)
            {
                _statements.Rollback();
            }
        }
        catch (SqliteException)
        {
            _broken = true; // the first failure is the one to tell
        }

        // A write that found no room never reached the disk, unlike a failed fsync: only it may be tried again.
        if (_broken || explained is not StoreUnwritableException { DiskFull: true })
        {
            _broken = true;
            _ = raw.sqlite3_db_config(_connection.Handle, raw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, out _);
        }

        return explained;
    }

    private static void RefuseDamagedFiles(StoreFiles files)
    {
        if (File.Exists(files.Database))
        {
            if (new FileInfo(files.Database).Length == 0)
            {
                throw StoreFailure.Corrupt(files.Database, "file", "it is empty, but it never is: it gets its name when it is complete");
            }

            if (File.Exists(files.WriteAheadLog) && WalVerification.FindDamage(File.ReadAllBytes(files.WriteAheadLog)) is { } damage)
            {
                throw StoreFailure.Corrupt(files.Database, "write-ahead log", damage);
            }
        }
        else if (File.Exists(files.WriteAheadLog))
        {
            // SQLite would play the old log into the new database.
            throw StoreFailure.Corrupt(files.Database, "file", $"it is missing while {files.WriteAheadLog} is there");
        }
    }

    private static void Create(StoreFiles files)
    {
        files.CreatePrivate(files.NewDatabase);
        using (var connection = Connect(files.NewDatabase))
        {
            StoreSchema.Create(connection, new StoreId(RandomNumberGenerator.GetHexString(16, lowercase: true)));
        }

        files.Publish();
    }

    private static SqliteConnection Connect(string path)
    {
        var connection = new SqliteConnection(new SqliteConnectionStringBuilder
        {
            DataSource = path,
            Mode = SqliteOpenMode.ReadWrite, // never creates: that is Create's, step by step
            Pooling = false, // a pooled connection would outlive Dispose
            DefaultTimeout = LockWaitSeconds,
        }.ToString());
        try
        {
            connection.Open();
            if (raw.sqlite3_db_readonly(connection.Handle, "main") == 1)
            {
                throw new StoreUnwritableException(
                    path,
                    $"The store {path} cannot be written: this user may only read it. Give the user that runs clustd write permission, or name another `server.data_dir`.");
            }

            // The index file of the WAL stays shared (no EXCLUSIVE locking), so that people can look inside while the daemon runs.
            connection.Execute("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA wal_autocheckpoint=500; PRAGMA journal_size_limit=1048576;");
            return connection;
        }
        catch
        {
            connection.Dispose();
            throw;
        }
    }
}
