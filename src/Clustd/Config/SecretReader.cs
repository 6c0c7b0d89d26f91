using System.Text;

namespace Clustd.Config;

/// <summary>Fetches a secret from where the configuration says it is. No message ever holds the secret or a part of it.</summary>
internal static class SecretReader
{
    private const string FilePrefix = "file:";
    private const string CredentialPrefix = "credential:";
    private const int SizeMaxBytes = 4096;

    /// <summary>Null: the secret could not be read, and why stands among the errors.</summary>
    public static string? Read(string written, string keyName, Place at, string folder, ConfigSurroundings surroundings, ProblemList problems)
    {
        if (written.StartsWith(FilePrefix, StringComparison.Ordinal))
        {
            var path = written[FilePrefix.Length..].Trim();
            if (path.Length > 0 && !path.Contains('\0')) return ReadFile(Path.Combine(folder, path), keyName, at, problems);
            problems.Error(at, $"{keyName} names no file", "nothing stands behind 'file:'", "Write `file:/PATH`.");
            return null;
        }
        if (!written.StartsWith(CredentialPrefix, StringComparison.Ordinal)) return written;

        var name = written[CredentialPrefix.Length..].Trim();
        if (name.Length == 0 || name is "." or ".." || name.IndexOfAny(['/', '\0']) >= 0)
        {
            problems.Error(at, $"{keyName} names no credential", "what stands behind 'credential:' is not the name of one",
                "Write `credential:NAME` as in LoadCredential=NAME:/PATH of the unit.");
            return null;
        }
        if (surroundings.Variable("CREDENTIALS_DIRECTORY") is not { } directory)
        {
            problems.Error(at, $"{keyName} cannot be read", "$CREDENTIALS_DIRECTORY is not set: systemd sets it for units with LoadCredential=",
                $"Add `LoadCredential={name}:/PATH` to the unit, or use `file:/PATH`.");
            return null;
        }
        return ReadFile(Path.Combine(directory, name), keyName, at, problems);
    }

    private static string? ReadFile(string path, string keyName, Place at, ProblemList problems)
    {
        try
        {
            var text = Encoding.UTF8.GetString(ConfigFile.ReadBytes(path, SizeMaxBytes) ?? throw new IOException($"it has more than {SizeMaxBytes} bytes")).Trim();
            if (text.Length > 0) return text;
            problems.Error(at, $"{keyName} is empty", $"{ProblemList.Show(path)} holds nothing",
                $"Write one into it: `clustd secret > {ProblemList.Show(path)}`.");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or ArgumentException or NotSupportedException)
        {
            problems.Error(at, $"{keyName} cannot be read", ConfigFile.Reason(path, e),
                "Correct the path, or make the file readable for the user that clustd runs as.");
        }
        return null;
    }
}
