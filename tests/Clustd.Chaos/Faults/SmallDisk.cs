using Clustd.EndToEnd.Harness;

namespace Clustd.Chaos.Faults;

/// <summary>A machine's data directory on a file system of its own, so small that it can be filled: a tmpfs. What is synced there is as durable as the harness.</summary>
internal sealed class SmallDisk : IDisposable
{
    private const string Size = "24m";
    private readonly string _directory;

    public SmallDisk(string directory)
    {
        _directory = directory;
        Directory.CreateDirectory(directory);
        Tool.Run("mount", "-t", "tmpfs", "-o", $"size={Size},mode=700", Leftovers.Prefix + System.Environment.ProcessId, directory);
    }

    /// <summary>Why this cannot be had here; null: it can.</summary>
    public static string? WhyNot { get; } = Tool.WhyNot("needs the right to mount a tmpfs", () =>
    {
        var directory = Path.Combine(Path.GetTempPath(), $"{Leftovers.Prefix}{System.Environment.ProcessId}-mount");
        using (new SmallDisk(directory))
        {
        }

        Directory.Delete(directory);
    });

    private string Filler => Path.Combine(_directory, "filler");

    /// <summary>Of everything that is mounted here.</summary>
    public static IReadOnlyList<string> Mounts() => [.. File.ReadLines("/proc/self/mounts").Select(line => line.Split(' ')[1])];

    public static void Unmount(string directory) => Tool.Run("umount", "-l", directory);

    /// <summary>Takes the last byte.</summary>
    public void Fill()
    {
        using var filler = new FileStream(Filler, FileMode.Append, FileAccess.Write, FileShare.ReadWrite, bufferSize: 0);
        foreach (var size in (int[])[1 << 20, 1 << 12, 1])
        {
            var block = new byte[size];
            try
            {
                while (true) filler.Write(block);
            }
            catch (IOException)
            {
                // Full, for blocks of this size.
            }
        }
    }

    public void Free() => File.Delete(Filler);

    public void Dispose() => Unmount(_directory);
}
