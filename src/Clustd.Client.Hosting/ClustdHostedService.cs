using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;

namespace Clustd.Client.Hosting;

/// <summary>Connects the program to its daemon while the host runs; when the host stops, stops the workers, says so, and disconnects.</summary>
internal sealed partial class ClustdHostedService(
    IOptions<ClustdOptions> options, IEnumerable<MasterRegistration> registrations, ClustdState state, IServiceProvider services, ILogger<ClustdDriver> logger) : IHostedService
{
    // A refusal needs a change (a secret, a time limit), but of the daemon's file as often as of ours: look again now and then.
    private static readonly TimeSpan RefusedPause = TimeSpan.FromSeconds(5);

    private readonly CancellationTokenSource stopping = new();
    private ClustdDriver? driver;
    private Task? connecting;

    /// <summary>Returns before the daemon is reached: a program may do more than being master, and a daemon that is down must not keep it from starting.</summary>
    public Task StartAsync(CancellationToken cancellationToken)
    {
        var workers = registrations.ToList();
        driver = new ClustdDriver(ClientOf(options.Value, workers), options.Value.Host, workers, services, logger);
        state.Driver = driver;
        connecting = ConnectAsync(driver);
        return Task.CompletedTask;
    }

    public async Task StopAsync(CancellationToken cancellationToken)
    {
        await stopping.CancelAsync();
        if (driver is not null)
            await driver.DisposeAsync().AsTask().WaitAsync(cancellationToken);
        if (connecting is not null)
            await connecting.WaitAsync(cancellationToken);
    }

    private async Task ConnectAsync(ClustdDriver driver)
    {
        while (!stopping.IsCancellationRequested)
        {
            try
            {
                await driver.ConnectAsync(CancellationToken.None); // Disposing ends it.
                state.Problem = null;
                return;
            }
            catch (DriverRefusedException e) when (!stopping.IsCancellationRequested)
            {
                state.Problem = e.Message;
                LogRefused(logger, e.Message);
                await Task.Delay(RefusedPause, stopping.Token).ContinueWith(static _ => { }, TaskScheduler.Default);
            }
            catch (Exception e) when (e is DriverRefusedException or ObjectDisposedException)
            {
                return; // The host stops.
            }
        }
    }

    private static DriverClient ClientOf(ClustdOptions options, List<MasterRegistration> workers)
    {
        var named = workers.Select(worker => worker.Service).Distinct(StringComparer.Ordinal).ToList();
        if (named.Contains(null) && named.Count > 1)
        {
            throw new InvalidOperationException(
                $"Cannot tell for which service to run {workers.First(worker => worker.Service is null).WorkerName}: others name theirs, and it names none. Name the service of every worker: AddClustdMaster<T>(\"web\").");
        }
        var client = new DriverClient
        {
            Secret = SecretOf(options),
            Name = options.Name ?? options.Id,
            Services = [.. named.OfType<string>()],
            Order = options.Order,
            Stop = options.Stop,
            StopTimeout = options.StopTimeout,
            KillTimeout = options.KillTimeout,
        };
        client = options.Id is { } id ? client with { Id = id } : client;
        return options.ConfigureDriver is { } configure ? configure(client) : client;
    }

    private static string SecretOf(ClustdOptions options)
    {
        if (options.Secret is { Length: > 0 } && options.SecretFile is { Length: > 0 })
            throw new InvalidOperationException("Cannot tell which secret to use: both Clustd:Secret and Clustd:SecretFile are set. Remove one.");
        if (options.Secret is { Length: > 0 } secret)
            return secret;
        if (options.SecretFile is not { Length: > 0 } path)
            throw new InvalidOperationException("Cannot connect to clustd without a secret. Set Clustd:Secret or Clustd:SecretFile to the value of cluster.secret of the daemon.");
        try
        {
            return File.ReadAllText(path).Trim();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new InvalidOperationException($"Cannot read the secret: {e.Message} Correct Clustd:SecretFile, or its permissions.", e);
        }
    }

    [LoggerMessage(10, LogLevel.Error, "{Reason} It is tried again every 5 s.")]
    private static partial void LogRefused(ILogger logger, string reason);
}
