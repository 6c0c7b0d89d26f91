using Microsoft.Extensions.Logging;

namespace Clustd.Client.Hosting;

/// <summary>The driver that the program is to the daemon: one for all its services. Starts the workers of a service in their order, stops them in reverse.</summary>
internal sealed partial class ClustdDriver(DriverClient client, string host, IReadOnlyList<MasterRegistration> registrations, IServiceProvider services, ILogger logger)
    : DriverMachine(client, host)
{
    // Per service, in the order in which they were started. Only the one thread of a service touches its list; the lock is for the dictionary.
    private readonly Dictionary<string, List<MasterWorker>> running = new(StringComparer.Ordinal);

    protected override async Task TriggerAsync(Trigger trigger, CancellationToken cancellationToken)
    {
        List<MasterWorker> workers;
        lock (running)
        {
            if (!running.TryGetValue(trigger.Service, out workers!))
                running.Add(trigger.Service, workers = []);
        }
        if (trigger.IsMaster)
            await StartAsync(trigger, workers, cancellationToken);
        else
            await StopAsync(trigger, workers, cancellationToken);
    }

    protected override void Log(DriverLogLevel level, string text) => LogSdk(logger, level switch
    {
        DriverLogLevel.Debug => LogLevel.Debug,
        DriverLogLevel.Info => LogLevel.Information,
        DriverLogLevel.Warning => LogLevel.Warning,
        _ => LogLevel.Error,
    }, text);

    private async Task StartAsync(Trigger trigger, List<MasterWorker> workers, CancellationToken cancellationToken)
    {
        // A start that is repeated after a stop that failed: what is left of it goes first.
        await StopAsync(trigger, workers, cancellationToken);
        LogStarts(logger, trigger.Service, trigger.Token, trigger.Reason);
        foreach (var registration in registrations.Where(registration => registration.Service is null || registration.Service == trigger.Service))
        {
            cancellationToken.ThrowIfCancellationRequested();
            workers.Add(await MasterWorker.StartAsync(registration, services, trigger.Lease!, (worker, reason) => Failed(trigger, reason)));
        }
    }

    private async Task StopAsync(Trigger trigger, List<MasterWorker> workers, CancellationToken cancellationToken)
    {
        if (workers.Count == 0)
            return;
        if (!trigger.IsMaster)
            LogStops(logger, trigger.Service, trigger.Token, trigger.Reason);
        if (trigger.Kill)
        {
            await Task.WhenAll(workers.Select(worker => worker.StopAsync(cancellationToken))); // Order is a courtesy that there is no time for.
            workers.Clear();
        }
        while (workers.Count > 0)
        {
            await workers[^1].StopAsync(cancellationToken);
            workers.RemoveAt(workers.Count - 1);
        }
    }

    private void Failed(Trigger trigger, string reason)
    {
        LogFailed(logger, trigger.Service, trigger.Token, reason);
        _ = ReportAsync();

        async Task ReportAsync()
        {
            try
            {
                await ReportFailedAsync(trigger.Service, reason, trigger.Lease!.CancellationToken);
            }
            catch (OperationCanceledException)
            {
                // It is being stopped anyway.
            }
            catch (InvalidOperationException e)
            {
                LogNotReported(logger, trigger.Service, e.Message);
            }
        }
    }

    [LoggerMessage(1, LogLevel.Information, "'{Service}' starts here under token {Token}: {Reason}")]
    private static partial void LogStarts(ILogger logger, string service, long token, string reason);

    [LoggerMessage(2, LogLevel.Information, "'{Service}' stops here (token {Token}): {Reason}")]
    private static partial void LogStops(ILogger logger, string service, long token, string reason);

    [LoggerMessage(3, LogLevel.Error, "'{Service}' (token {Token}) cannot go on here: {Reason}. The daemon is told.")]
    private static partial void LogFailed(ILogger logger, string service, long token, string reason);

    [LoggerMessage(4, LogLevel.Error, "The daemon did not take the failure of '{Service}': {Reason}")]
    private static partial void LogNotReported(ILogger logger, string service, string reason);

    [LoggerMessage(EventId = 5, Message = "{Text}")]
    private static partial void LogSdk(ILogger logger, LogLevel level, string text);
}
