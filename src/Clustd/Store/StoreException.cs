namespace Clustd.Store;

/// <summary>The store cannot be used. The message has three parts: what happened; why; what to do.</summary>
public abstract class StoreException : Exception
{
    protected StoreException(string path, string message, Exception? inner)
        : base(message, inner)
    {
        Path = path;
    }

    /// <summary>The file or directory that the message is about.</summary>
    public string Path { get; }
}

/// <summary>Another process works in this data directory.</summary>
public sealed class StoreInUseException(string path, string message) : StoreException(path, message, null);

/// <summary>
/// What is on disk is not what was written. Nothing is repaired: a machine that forgot a vote or an entry must not speak as the
/// voter that it was.
/// </summary>
public sealed class StoreCorruptException(string path, string place, string message, Exception? inner = null) : StoreException(path, message, inner)
{
    /// <summary>Where in the file: "log row 17", "meta row hard_state", "write-ahead log" or "file".</summary>
    public string Place { get; } = place;
}

/// <summary>Written by a newer clustd than this one.</summary>
public sealed class StoreTooNewException(string path, string message, Exception? inner = null) : StoreException(path, message, inner);

/// <summary>The store cannot be written: no permission, no space, a failing disk.</summary>
public sealed class StoreUnwritableException(string path, string message, bool diskFull = false, Exception? inner = null)
    : StoreException(path, message, inner)
{
    public bool DiskFull { get; } = diskFull;
}
