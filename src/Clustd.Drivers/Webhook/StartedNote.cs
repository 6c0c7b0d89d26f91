using System.Globalization;

namespace Clustd.Drivers.Webhook;

/// <summary>
/// Which start this machine may have told the receiver and not taken back: a file beside <c>drivers.lock</c>. A driver process that follows one that died tells the stop of that start; a
/// standby, which has told none, tells nothing. Without the note it would tell "stop" of a token that another machine holds.
/// </summary>
/// <param name="path">Null: there is no folder, and it is kept in memory alone.</param>
internal sealed class StartedNote(string? path)
{
    private long? _token;
    private bool _isRead;

    /// <summary>The token of that start, or null.</summary>
    /// <exception cref="DriverFailedException">The file cannot be read.</exception>
    public long? Token
    {
        get
        {
            if (!_isRead && path is not null) _token = Read(path);
            _isRead = true;
            return _token;
        }
    }

    /// <summary>Before the receiver is told.</summary>
    /// <exception cref="DriverFailedException">It cannot be written, and the start must not happen.</exception>
    public void Begin(long token)
    {
        if (path is not null)
        {
            try
            {
                Directory.CreateDirectory(Path.GetDirectoryName(path)!);
                File.WriteAllText(path + ".new", token.ToString(CultureInfo.InvariantCulture) + "\n");
                File.Move(path + ".new", path, overwrite: true);
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                throw new DriverFailedException($"Cannot note that token {token} is about to be told: {e.Message} A stop could be forgotten over a restart. Make {path} writable.", e);
            }
        }
        (_token, _isRead) = (token, true);
    }

    /// <summary>After the receiver has taken the stop.</summary>
    public void End()
    {
        (_token, _isRead) = (null, true);
        if (path is null) return;
        try
        {
            File.Delete(path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // Told once more after the next restart, with the same id: the receiver has seen it.
        }
    }

    private static long? Read(string path)
    {
        try
        {
            // Anything else is not ours: there is nothing that we could take back.
            return long.TryParse(File.ReadAllText(path).Trim(), NumberStyles.None, CultureInfo.InvariantCulture, out long token) ? token : null;
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            return null;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new DriverFailedException($"Cannot read what was told before: {e.Message} A start may be left to take back. Make {path} readable.", e);
        }
    }
}
