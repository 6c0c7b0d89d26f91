using System.Text;

namespace Clustd.Config;

/// <summary>From a path to text: finds, reads and decodes a file, and says why if it cannot.</summary>
internal static class ConfigFile
{
    // A configuration has some kilobytes; this keeps a wrong path (a log, a disk image) from being parsed.
    private const int SizeMaxBytes = 256 * 1024;

    /// <summary>Null: the file could not be read, and why stands among the errors.</summary>
    public static string? ReadText(string path, string shownAs, ProblemList problems)
    {
        var at = new Place(shownAs, 0, 0);
        try
        {
            if (ReadBytes(path, SizeMaxBytes) is { } bytes) return Decode(bytes, shownAs, problems);
            problems.Error(at, "The file is too large", $"it has more than {SizeMaxBytes / 1024} kB, a configuration has a few",
                "Give the path of the configuration with --config.");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or ArgumentException or NotSupportedException)
        {
            problems.Error(at, "The configuration cannot be read", Reason(path, e), "Correct the path, or write a file with `clustd init ADDRESS...`.");
        }
        return null;
    }

    /// <summary>Null if it has more than <paramref name="sizeMaxBytes"/>; never reads more than that (/dev/zero has no end).</summary>
    public static byte[]? ReadBytes(string path, int sizeMaxBytes)
    {
        using var file = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite);
        var buffer = new byte[sizeMaxBytes + 1];
        var size = file.ReadAtLeast(buffer, buffer.Length, throwOnEndOfStream: false);
        return size > sizeMaxBytes ? null : buffer[..size];
    }

    public static string Reason(string path, Exception e) => e switch
    {
        _ when Directory.Exists(path) => $"{ProblemList.Show(path)} is a folder",
        FileNotFoundException or DirectoryNotFoundException => $"{ProblemList.Show(path)} does not exist",
        UnauthorizedAccessException => $"this user may not read {ProblemList.Show(path)}",
        _ => ProblemList.Show(e.Message.TrimEnd('.')),
    };

    private static string? Decode(byte[] bytes, string shownAs, ProblemList problems)
    {
        if (bytes is [0xFF, 0xFE, ..] or [0xFE, 0xFF, ..])
        {
            problems.Error(new Place(shownAs, 1, 1), "The file is not UTF-8", "it begins like UTF-16", "Save it as UTF-8.");
            return null;
        }
        ReadOnlySpan<byte> content = bytes is [0xEF, 0xBB, 0xBF, ..] ? bytes.AsSpan(3) : bytes;
        var (line, column) = (1, 1);
        for (var rest = content; !rest.IsEmpty;)
        {
            if (Rune.DecodeFromUtf8(rest, out var rune, out var used) != System.Buffers.OperationStatus.Done)
            {
                problems.Error(new Place(shownAs, line, column), "The file is not UTF-8", $"the byte 0x{rest[0]:x2} here begins no character",
                    "Save it as UTF-8.");
                return null;
            }
            (line, column) = rune.Value == '\n' ? (line + 1, 1) : (line, column + 1);
            rest = rest[used..];
        }
        return Encoding.UTF8.GetString(content);
    }
}
