using System.Globalization;
using System.Runtime.InteropServices;

namespace Clustd;

/// <summary>
/// Most of what a program reads of its own file, it reads to start. The kernel keeps such pages mapped, and they count as this process's memory; here they
/// are let go. Whatever is needed again comes back from the page cache, without the disk, at about a microsecond for 16 pages.
/// </summary>
internal static partial class StartupPages
{
    private const int DontNeed = 4; // MADV_DONTNEED

    /// <summary>Lets go of them once the process has come to rest.</summary>
    /// <param name="after">From now on; long enough for a start on a slow machine.</param>
    public static async Task ReleaseAsync(TimeSpan after, CancellationToken cancellationToken)
    {
        await Task.Delay(after, cancellationToken).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        if (!cancellationToken.IsCancellationRequested) Release();
    }

    /// <summary>Lets go of them now. Any thread; costs a few milliseconds. Returns the bytes that were mapped there.</summary>
    public static long Release()
    {
        var released = 0L;
        try
        {
            foreach (var (start, end) in Droppable(File.ReadAllLines("/proc/self/smaps")))
            {
                if (Advise(start, (nuint)(end - start), DontNeed) == 0) released += end - start;
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // Without /proc there is nothing to be gained and nothing lost.
        }

        return released;
    }

    /// <summary>
    /// The mappings of files that nobody can have written to: read-only, and without a page of their own (relocated data has such pages, and dropping
    /// one would undo the relocation).
    /// </summary>
    internal static IEnumerable<(nint Start, nint End)> Droppable(IReadOnlyList<string> smaps)
    {
        (nint, nint)? candidate = null;
        foreach (var line in smaps)
        {
            var words = line.Split(' ', StringSplitOptions.RemoveEmptyEntries);
            if (words is [var range, ['r', '-', _, 'p'], _, _, var inode, ..] && range.IndexOf('-') is > 0 and var dash)
            {
                candidate = inode == "0" ? null : (Address(range[..dash]), Address(range[(dash + 1)..]));
            }
            else if (words is [_, { Length: 4 } permissions, _, _, _, ..] && permissions[3] is 'p' or 's')
            {
                candidate = null;
            }
            else if (words is ["Anonymous:", var own, ..] && candidate is { } found)
            {
                candidate = null;
                if (own == "0") yield return found;
            }
        }
    }

    private static nint Address(string hex) => nint.Parse(hex, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture);

    [LibraryImport("libc", EntryPoint = "madvise", SetLastError = true)]
    private static partial int Advise(nint start, nuint length, int advice);
}
