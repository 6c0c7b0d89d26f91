using Clustd.Client;
using Clustd.Drivers.Processes;

namespace Clustd.Drivers.Shell;

/// <summary>
/// <c>start:</c> and <c>stop:</c> scripts, as in 2018: the exit code decides. What a start script leaves in the background lives on; a script
/// that does not end in time is killed with all its descendants. That a stop script stopped anything is its own word: best effort.
/// </summary>
internal sealed class ScriptPair(
    string name, string? start, string? stop, GuardCommand guard, Func<Trigger, string, GuardSpec> describe, Action<string> output, Action<DriverLogLevel, string> log)
{
    private bool _isClean; // whether this process has seen to it that nothing of an earlier one still runs
    private long? _startedToken;

    public async Task StartAsync(Trigger trigger, CancellationToken cancellationToken)
    {
        if (_startedToken == trigger.Token) return; // told twice: a reconnect
        if (!_isClean) await CleanAsync(trigger, cancellationToken).ConfigureAwait(false);
        if (start is not null) await RunAsync("Start", start, trigger, cancellationToken).ConfigureAwait(false);
        _startedToken = trigger.Token;
    }

    public async Task StopAsync(Trigger trigger, CancellationToken cancellationToken)
    {
        _startedToken = null;
        if (stop is not null) await RunAsync("Stop", stop, trigger, cancellationToken).ConfigureAwait(false);
        _isClean = true;
    }

    // A driver process that has just started and is told "start" may follow one that died in the middle of it.
    private async Task CleanAsync(Trigger trigger, CancellationToken cancellationToken)
    {
        _isClean = true;
        if (stop is null) return;
        try
        {
            await RunAsync("Stop", stop, trigger with { IsMaster = false, Reason = "clean slate before the first start" }, cancellationToken).ConfigureAwait(false);
        }
        catch (AppFailedException e)
        {
            // Many stop scripts fail when nothing is running; if something is, the start script will say so.
            log(DriverLogLevel.Warning, $"{e.Message} Going on: most likely nothing was running.");
        }
    }

    private async Task RunAsync(string which, string script, Trigger trigger, CancellationToken cancellationToken)
    {
        switch (await GuardedRun.RunAsync(guard, describe(trigger, script), trigger.Limit, output, cancellationToken).ConfigureAwait(false))
        {
            case GuardedRunEnd.TimedOut end:
                throw new AppFailedException(
                    $"{which} script of '{name}' did not end within {trigger.Limit.TotalSeconds:0.###} s: {end.Fate}. Make it faster, or raise the timeout of the service.");
            case GuardedRunEnd.NotRun end:
                throw new AppFailedException($"{which} script of '{name}' could not be run: {end.Reason}");
            case GuardedRunEnd.Ended { Exit.Succeeded: false } end:
                string lines = end.Lines is { Count: > 0 } last ? $" Its last lines: {string.Join(" / ", last)}" : "";
                throw new AppFailedException($"{which} script of '{name}' failed: {end.Exit.Sentence}.{lines}");
        }
    }
}
