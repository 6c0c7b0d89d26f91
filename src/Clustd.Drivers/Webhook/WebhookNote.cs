using System.Globalization;
using System.Text;

namespace Clustd.Drivers.Webhook;

/// <summary>Which start the receiver was told last, and how far it was taken back.</summary>
/// <param name="Round">From 1; grows when the same grant is started once more after a stop, so that an id never stands for two events.</param>
internal readonly record struct ToldStart(long Token, int Round, ToldState State);

internal enum ToldState
{
    /// <summary>The receiver has it, or may have it.</summary>
    Started,

    /// <summary>The receiver may have been told the stop: its answer is missing.</summary>
    Stopping,

    /// <summary>It has taken the stop, or has never had the start.</summary>
    Stopped,
}

/// <summary>
/// What this machine may have told the receiver: a file beside <c>drivers.lock</c>. A driver process that follows one that died tells the stop of that start; a standby, which has told none, tells
/// nothing. Without the note it would tell "stop" of a token that another machine holds.
/// </summary>
/// <param name="path">Null: there is no folder, and it is kept in memory alone.</param>
internal sealed class WebhookNote(string? path)
{
    private ToldStart? _last;
    private bool _isRead;

    /// <summary>Null: nothing was ever told from here.</summary>
    /// <exception cref="DriverFailedException">The file cannot be read.</exception>
    public ToldStart? Last
    {
        get
        {
            if (!_isRead && path is not null) _last = Read(path);
            _isRead = true;
            return _last;
        }
    }

    /// <summary>Before the receiver is told a start. The same grant, told again: the same round, unless a stop came between.</summary>
    /// <exception cref="DriverFailedException">It cannot be written, and the start must not happen.</exception>
    public ToldStart Begin(long token)
    {
        ToldStart next = Last is not { } last || last.Token != token ? new(token, 1, ToldState.Started)
            : last.State == ToldState.Started ? last
            : new(token, last.Round + 1, ToldState.Started);
        Set(next);
        return next;
    }

    /// <summary>Before the receiver is told a stop, and after it has taken it.</summary>
    /// <exception cref="DriverFailedException">It cannot be written.</exception>
    public void Set(ToldStart told)
    {
        if (path is not null && told != Last) Write(path, told);
        (_last, _isRead) = (told, true);
    }

    private static void Write(string path, ToldStart told)
    {
        try
        {
            Directory.CreateDirectory(Path.GetDirectoryName(path)!);
            using (var file = new FileStream(path + ".new", FileMode.Create, FileAccess.Write))
            {
                file.Write(Encoding.UTF8.GetBytes(string.Create(CultureInfo.InvariantCulture, $"{told.Token} {told.Round} {Word(told.State)}\n")));
                file.Flush(flushToDisk: true); // Else the renamed file may be an empty one after a power cut.
            }
            File.Move(path + ".new", path, overwrite: true);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new DriverFailedException($"Cannot note what is told of token {told.Token}: {e.Message} A stop could be forgotten over a restart. Make {path} writable.", e);
        }
    }

    private static ToldStart? Read(string path)
    {
        try
        {
            // Anything else is not ours: there is nothing that we could take back.
            return File.ReadAllText(path).Split([' ', '\n'], StringSplitOptions.RemoveEmptyEntries) is [var token, var round, var state]
                && long.TryParse(token, NumberStyles.None, CultureInfo.InvariantCulture, out long tokenRead)
                && int.TryParse(round, NumberStyles.None, CultureInfo.InvariantCulture, out int roundRead)
                && States.FirstOrDefault(each => Word(each) == state, (ToldState)(-1)) is var stateRead && stateRead >= 0
                ? new ToldStart(tokenRead, roundRead, stateRead)
                : null;
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

    private static readonly ToldState[] States = [ToldState.Started, ToldState.Stopping, ToldState.Stopped];

    private static string Word(ToldState state) => state switch { ToldState.Started => "started", ToldState.Stopping => "stopping", _ => "stopped" };
}
