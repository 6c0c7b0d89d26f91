namespace Clustd.Chaos.Faults;

/// <summary>What a bad disk does to a store whose daemon is down.</summary>
internal static class StoreDamage
{
    public static readonly IReadOnlyList<string> Variants = ["bits flipped", "truncated", "wiped", "set back to an earlier copy"];

    /// <summary>Damages the files of a store; returns what was done, for people.</summary>
    /// <param name="variant">Of <see cref="Variants"/>.</param>
    /// <param name="copy">An earlier copy of the directory.</param>
    public static string Do(string directory, string variant, int pick, double level, string? copy)
    {
        switch (variant)
        {
            case "bits flipped":
                return Flip(Victim(directory, pick), pick, 1 + (int)(level * 20));
            case "truncated":
                var file = Victim(directory, pick);
                using (var stream = new FileStream(file, FileMode.Open, FileAccess.Write))
                {
                    var length = stream.Length;
                    stream.SetLength((long)(length * level));
                    return $"{Path.GetFileName(file)} truncated from {length} to {stream.Length} bytes";
                }

            case "set back to an earlier copy" when copy is not null:
                Wipe(directory);
                Copy(copy, directory);
                return "set back to an earlier copy";
            default:
                Wipe(directory);
                return "wiped";
        }
    }

    /// <summary>Takes the store away: the next daemon finds none.</summary>
    public static void Wipe(string directory)
    {
        foreach (var file in Directory.EnumerateFiles(directory, "state.db*")) File.Delete(file);
    }

    /// <summary>Copies the files of a store whose daemon is down.</summary>
    public static void Copy(string from, string to)
    {
        Directory.CreateDirectory(to);
        foreach (var file in Directory.EnumerateFiles(from, "state.db*")) File.Copy(file, Path.Combine(to, Path.GetFileName(file)), overwrite: true);
    }

    private static string Victim(string directory, int pick)
    {
        var files = Directory.EnumerateFiles(directory, "state.db*").Where(file => new FileInfo(file).Length > 0 && !file.EndsWith("-shm", StringComparison.Ordinal)).Order(StringComparer.Ordinal).ToList();
        return files[pick % files.Count];
    }

    private static string Flip(string file, int seed, int count)
    {
        var random = new Random(seed);
        var bytes = File.ReadAllBytes(file);
        for (var flip = 0; flip < count; flip++) bytes[random.Next(bytes.Length)] ^= (byte)(1 << random.Next(8));
        File.WriteAllBytes(file, bytes);
        return $"{count} bits of {Path.GetFileName(file)} ({bytes.Length} bytes) flipped";
    }
}
