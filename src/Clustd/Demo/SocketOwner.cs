using System.Globalization;

namespace Clustd.Demo;

/// <summary>Which process is at the other end of a loopback connection: the proxy must know whose traffic it carries.</summary>
internal static class SocketOwner
{
    private const string Established = "01"; // include/net/tcp_states.h

    /// <summary>The pid among <paramref name="candidates"/> that holds the connection from <paramref name="itsPort"/> to <paramref name="ourPort"/>; null: none of them.</summary>
    public static int? Find(int itsPort, int ourPort, IEnumerable<int> candidates)
    {
        // A socket that may speak IPv6 too is listed there, with an IPv4 address inside.
        if ((InodeOf("/proc/net/tcp", itsPort, ourPort) ?? InodeOf("/proc/net/tcp6", itsPort, ourPort)) is not { } inode) return null;
        foreach (var pid in candidates)
        {
            if (Holds(pid, $"socket:[{inode}]")) return pid;
        }

        return null;
    }

    private static string? InodeOf(string table, int localPort, int remotePort)
    {
        if (!File.Exists(table)) return null;
        var (local, remote) = (":" + localPort.ToString("X4", CultureInfo.InvariantCulture), ":" + remotePort.ToString("X4", CultureInfo.InvariantCulture));
        foreach (var line in File.ReadLines(table))
        {
            // sl local_address rem_address st tx:rx tr:when retrnsmt uid timeout inode
            var fields = line.Split(' ', StringSplitOptions.RemoveEmptyEntries);
            if (fields.Length > 9 && fields[3] == Established && fields[1].EndsWith(local, StringComparison.Ordinal) && fields[2].EndsWith(remote, StringComparison.Ordinal)) return fields[9];
        }

        return null;
    }

    private static bool Holds(int pid, string socket)
    {
        try
        {
            return Directory.EnumerateFileSystemEntries($"/proc/{pid}/fd").Any(entry => LinkOf(entry) == socket);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return false; // it has ended
        }
    }

    private static string? LinkOf(string entry)
    {
        try
        {
            return new FileInfo(entry).LinkTarget;
        }
        catch (IOException)
        {
            return null; // closed since it was listed
        }
    }
}
