using System.Globalization;
using System.Text.Json;
using Clustd.Http;
using Spectre.Console;

namespace Clustd.Cli;

/// <summary>
/// `clustd status --watch`: asks the daemon again and again until Ctrl-C. On a terminal it draws the status in place; elsewhere it writes a line for each
/// change, or with -o json the status whenever it has changed.
/// </summary>
internal sealed class StatusWatch(DaemonApi api, Terminal terminal, bool showsWhole, bool asJson)
{
    private static readonly TimeSpan AskEvery = TimeSpan.FromMilliseconds(250);

    // Far above what an answer takes; until then the last one ages on the screen, and is unknown when it is older than the lease.
    private static readonly TimeSpan AnswerLimit = TimeSpan.FromSeconds(2);

    private readonly SortedDictionary<string, string> _told = new(StringComparer.Ordinal);
    private WatchedStatus _status = new(null, DateTimeOffset.MinValue, null);
    private string _lastJson = "";

    public async Task<int> RunAsync(CancellationToken cancellationToken)
    {
        using var signals = new StopSignals(cancellationToken);
        using var screen = terminal.IsLive && !asJson ? new LiveScreen(terminal) : null;
        var asking = AskAsync(signals.Token);
        try
        {
            while (true)
            {
                await Task.WhenAny(asking, Task.Delay(AskEvery, signals.Token));
                signals.Token.ThrowIfCancellationRequested();
                if (asking.IsCompleted)
                {
                    _status = await asking;
                    asking = AskLaterAsync(signals.Token);
                }

                if (screen is not null) screen.Draw(Paint);
                else Tell(DateTimeOffset.UtcNow);
            }
        }
        catch (OperationCanceledException) when (signals.Token.IsCancellationRequested)
        {
            return ExitCodes.Done;
        }
    }

    internal void Paint(IAnsiConsole console)
    {
        var now = DateTimeOffset.UtcNow;
        var clock = now.ToLocalTime().ToString("HH:mm:ss", CultureInfo.InvariantCulture);
        console.Write(new Text($"{clock}  Ctrl-C ends\n\n", new Style(decoration: Decoration.Dim)));
        if (_status.At(now) is { } view) StatusScreen.Paint(view, console, now, showsWhole);
        else console.Write(new Text(_status.Problem ?? "The daemon is asked ...", _status.Problem is null ? Style.Plain : new Style(Color.Red)));
    }

    private async Task<WatchedStatus> AskLaterAsync(CancellationToken cancellationToken)
    {
        await Task.Delay(AskEvery, cancellationToken);
        return await AskAsync(cancellationToken);
    }

    private async Task<WatchedStatus> AskAsync(CancellationToken cancellationToken)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        limit.CancelAfter(AnswerLimit);
        try
        {
            var view = (await api.StatusAsync(limit.Token)).View;
            return new WatchedStatus(view, DateTimeOffset.UtcNow, null);
        }
        catch (CommandException e)
        {
            return _status with { Problem = e.Message };
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            return _status with { Problem = $"The daemon does not answer: nothing came within {AnswerLimit.TotalSeconds:0} s. It may be frozen or overloaded; look at its process and its log." };
        }
    }

    private void Tell(DateTimeOffset now)
    {
        if (_status.At(now) is not { } view)
        {
            if (_status.Problem is { } problem) TellOf([("daemon", problem)], now);
            return;
        }

        var news = WatchedStatus.News(view, showsWhole);
        if (!asJson)
        {
            TellOf(_status.Problem is null && _told.ContainsKey("daemon") ? [("daemon", "answers"), .. news] : news, now);
            return;
        }

        var key = string.Join('\n', news);
        if (key == _lastJson) return;
        _lastJson = key;
        terminal.Out.WriteLine(JsonSerializer.Serialize(view, ApiJson.Default.StatusView));
    }

    private void TellOf(IReadOnlyList<(string Subject, string Text)> news, DateTimeOffset now)
    {
        foreach (var (subject, text) in news)
        {
            if (_told.TryGetValue(subject, out var before) && before == text) continue;
            _told[subject] = text;
            var clock = now.ToLocalTime().ToString("HH:mm:ss.fff", CultureInfo.InvariantCulture);
            terminal.Out.WriteLine($"{clock}  {subject}: {text.ReplaceLineEndings(" ")}");
        }

        // What is over is news as well: a warning, a service, a machine that is no more.
        foreach (var gone in _told.Keys.Where(subject => subject != "daemon" && news.All(each => each.Subject != subject) && news.Count > 1).ToList())
        {
            _told.Remove(gone);
            terminal.Out.WriteLine($"{now.ToLocalTime().ToString("HH:mm:ss.fff", CultureInfo.InvariantCulture)}  {gone}: no more");
        }
    }
}
