using System.Runtime.InteropServices;
using Clustd.Client;
using Clustd.Config;
using Clustd.Drivers;
using Clustd.Drivers.Processes;
using Clustd.Http;

namespace Clustd.Cli;

/// <summary>One `clustd exec` from its start to its exit code.</summary>
internal sealed class ExecRun(DriverFileConfig file, ExecOptions options, ExecWords words)
{
    private static readonly TimeSpan LookEvery = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan HandOverLimit = TimeSpan.FromSeconds(3);

    private readonly DaemonApi _api = DaemonApi.Of(file);
    private volatile string _service = options.Service ?? ServiceConfig.DefaultName;
    private PosixSignal? _signal; // the one that told us to end

    public async Task<int> RunAsync(CancellationToken cancellationToken)
    {
        using var signals = new StopSignals(cancellationToken) { Came = signal => _signal = signal, Again = EndAtOnce };
        var host = new DriverHost { Address = file.Host.Authority, Secret = file.Secret, Log = Log };
        var driver = new ExecDriver(options, host, Told);
        using var telling = CancellationTokenSource.CreateLinkedTokenSource(signals.Token);
        try
        {
            // Before the daemon hears of us: a service that does not exist is not to appear in anybody's status.
            if (await WaitsForAsync(driver, signals.Token) is { } sentence) words.Say(sentence);
            await driver.ConnectAsync(signals.Token);
            var waiting = TellWhatIsWaitedForAsync(driver, telling.Token);
            var first = await Task.WhenAny(driver.Completion, waiting, Task.Delay(System.Threading.Timeout.InfiniteTimeSpan, signals.Token));
            if (first == waiting) await waiting; // It ends by itself only with what makes waiting senseless.
            if (driver.Completion.IsCompleted && !signals.Token.IsCancellationRequested) await HandOverAsync(driver, await driver.Completion);
        }
        catch (OperationCanceledException) when (signals.Token.IsCancellationRequested)
        {
            // Told to end while waiting for a daemon.
        }
        catch (DriverRefusedException e)
        {
            throw new CommandException(ExitCodes.Refused, e.Message, e);
        }
        finally
        {
            await telling.CancelAsync();
            await driver.DisposeAsync();
            _api.Dispose();
        }

        return driver.Completion.IsCompletedSuccessfully ? CodeOf(await driver.Completion) : CodeOf(driver, _signal);
    }

    private int CodeOf(ExecEnd end)
    {
        switch (end)
        {
            case ExecEnd.Ended ended:
                return ExecCommand.CodeOf(ended.Exit);
            case ExecEnd.Lost lost:
                words.Say($"the mastership of '{_service}' is lost, and --once says not to wait for it again. {lost.Reason}");
                return ExecCommand.MastershipLost;
            case ExecEnd.NotStarted notStarted:
                throw new CommandException(ExecCommand.CannotRun, notStarted.Message);
            case ExecEnd.Failed failed:
                throw new CommandException(ExecCommand.LostControl, failed.Message);
            default:
                throw new System.Diagnostics.UnreachableException(end.ToString());
        }
    }

    // Stopped by a signal to us: the command's own word if it was running, else what a shell says of one that a signal ended.
    private static int CodeOf(ExecDriver driver, PosixSignal? signal)
    {
        if (driver.IsRunning) throw new CommandException(ExecCommand.LostControl, "The command did not stop in time. Its guard goes on, and the daemon counts it as running until the guard has proven otherwise; see `clustd status`.");
        var number = signal switch { PosixSignal.SIGINT => 2, PosixSignal.SIGHUP => 1, _ => 15 };
        return driver.LastStop is { } exit ? ExecCommand.CodeOf(exit) : 128 + number;
    }

    private void Told(Trigger trigger)
    {
        _service = trigger.Service;
        words.Say(trigger.IsMaster
            ? $"this machine is the master of '{trigger.Service}', token {TokenText.Of(trigger.Token)}: {options.Command[0]} starts"
            : $"{options.Command[0]} is stopped: {(_signal is { } signal ? $"{signal} came" : trigger.Reason.TrimEnd('.'))}");
    }

    /// <summary>
    /// The next `clustd exec` of this service, if one waits on another machine, takes it now and not when the leader next looks. If none waits the daemon
    /// refuses, and the service stays here, running nothing: it is not passed round among machines that would only do the work again.
    /// </summary>
    private async Task HandOverAsync(ExecDriver driver, ExecEnd end)
    {
        if (end is ExecEnd.Lost) return;
        using var limit = new CancellationTokenSource(HandOverLimit);
        try
        {
            await driver.ReportEventAsync(DriverLogLevel.Info, $"'{options.Command[0]}' of '{_service}' has ended: {(end is ExecEnd.Ended ended ? ended.Exit.Sentence : "it could not go on")}.", limit.Token);
            if ((await _api.MoveAsync(_service, null, limit.Token)).Done) await driver.Released.WaitAsync(limit.Token);
        }
        catch (Exception e) when (e is OperationCanceledException or CommandException or InvalidOperationException)
        {
            // Not to be had just now: whoever waits gets it when this driver is gone and the leader looks.
        }
    }

    // Returns with an exception only: waiting for a service that does not exist would be waiting for ever.
    private async Task TellWhatIsWaitedForAsync(ExecDriver driver, CancellationToken cancellationToken)
    {
        while (true)
        {
            if (!driver.IsRunning && !driver.Completion.IsCompleted && await WaitsForAsync(driver, cancellationToken) is { } sentence) words.Say(sentence);
            await Task.Delay(LookEvery, cancellationToken);
        }
    }

    private async Task<string?> WaitsForAsync(ExecDriver driver, CancellationToken cancellationToken)
    {
        try
        {
            var view = (await _api.StatusAsync(cancellationToken)).View;
            if (driver.IsRunning || driver.Completion.IsCompleted || cancellationToken.IsCancellationRequested) return null;
            if (!view.IsKnown) return $"waiting: {view.WaitsFor ?? view.Warnings.FirstOrDefault()?.Sentence ?? "nothing is known of the cluster yet"}";
            var service = view.Services.FirstOrDefault(each => each.Name == _service) ?? (options.Service is null && view.Services.Count == 1 ? view.Services[0] : null);
            if (service is null)
            {
                throw new CommandException(ExitCodes.Refused, $"Cannot wait for '{_service}': the cluster has no such service. The services are: {string.Join(", ", view.Services.Select(each => each.Name).DefaultIfEmpty("none"))}. Correct --service, or add it under `services` in the file of every machine.");
            }

            _service = service.Name;
            var where = service.Master is { } master ? $"it is {service.State} on {master}, token {TokenText.Of(service.Token, "unknown")}" : $"it has no master ({service.State})";
            return $"waiting to become the master of '{service.Name}': {where}";
        }
        catch (CommandException e) when (e.ExitCode == ExitCodes.NoQuorum)
        {
            return $"waiting for the daemon: {e.Message}";
        }
        catch (CommandException e) when (e.Message.Contains("another secret", StringComparison.Ordinal))
        {
            return $"waiting to become the master of '{_service}'"; // A driver's own token does not open the API; the driver itself will be told if it is wrong.
        }
    }

    private void Log(DriverLogLevel level, string text)
    {
        // A failed start ends exec with its own sentence. The rest of an SDK's line is a stack trace, for whoever writes drivers.
        if (level < DriverLogLevel.Warning || text.StartsWith("Starting '", StringComparison.Ordinal)) return;
        var line = text.Split('\n')[0];
        if (level == DriverLogLevel.Error) words.Warn(line);
        else words.Say(line);
    }

    // The second signal: the guard, which no terminal's signal reaches, sees our end and kills the command within kill_timeout.
    private void EndAtOnce(PosixSignal signal)
    {
        words.Say("ends at once; the guard kills the command");
        LinuxCalls._exit(128 + (signal switch { PosixSignal.SIGINT => 2, PosixSignal.SIGHUP => 1, _ => 15 }));
    }
}

/// <summary>What exec says on stderr: where the command's own words go too, so it says who speaks.</summary>
internal sealed class ExecWords(Terminal terminal, bool isQuiet)
{
    private string _last = "";

    public void Say(string sentence)
    {
        if (isQuiet || _last == sentence) return;
        _last = sentence;
        terminal.Error.WriteLine($"{terminal.Faint("clustd exec:", terminal.ColourError)} {sentence}");
    }

    public void Warn(string sentence) => terminal.Warn(sentence);
}
