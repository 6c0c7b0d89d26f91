using Microsoft.Data.Sqlite;
using SQLitePCL;

namespace Clustd.Store;

/// <summary>Turns what SQLite reports into what happened, why, and what to do.</summary>
internal static class StoreFailure
{
    public static StoreException Explain(SqliteException failure, string path, string verb) => failure.SqliteErrorCode switch
    {
        raw.SQLITE_CORRUPT or raw.SQLITE_NOTADB => Corrupt(path, "file", failure.Message, failure),
        raw.SQLITE_FULL => new StoreUnwritableException(
            path, $"The store {path} cannot be {verb}: the disk is full. Free some space on it and start clustd again.", diskFull: true, failure),
        raw.SQLITE_BUSY or raw.SQLITE_LOCKED => new StoreUnwritableException(
            path,
            $"The store {path} cannot be {verb}: another program has held its write lock for seconds. End that program (fuser {path} names it) and start clustd again.",
            inner: failure),
        raw.SQLITE_READONLY or raw.SQLITE_CANTOPEN or raw.SQLITE_PERM => new StoreUnwritableException(
            path,
            $"The store {path} cannot be {verb}: {failure.Message} Give the user that runs clustd read and write permission there, or name another `server.data_dir`.",
            inner: failure),
        _ => new StoreUnwritableException(
            path,
            $"The store {path} cannot be {verb}: {failure.Message} (extended code {failure.SqliteExtendedErrorCode}). " +
            "Look for disk errors in the kernel's log; once the disk is well, start clustd again.",
            inner: failure),
    };

    /// <param name="place">"log row 17", "meta row hard_state", "write-ahead log" or "file".</param>
    /// <param name="why">Half a sentence: what is wrong there.</param>
    public static StoreCorruptException Corrupt(string path, string place, string why, Exception? inner = null) => new(
        path,
        place,
        $"The store {path} is damaged{(place is "file" or "write-ahead log" ? "" : $" in {place}")}: {why.TrimEnd('.')}. clustd does not start with it, because a machine that forgot " +
        "a vote or an entry could elect a second leader. Move the data directory away and start again: the machine then joins as a new member.",
        inner);
}
