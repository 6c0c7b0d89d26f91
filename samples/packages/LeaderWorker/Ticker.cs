using Clustd.Client;
using Clustd.Client.Hosting;
using Microsoft.Extensions.Logging;

namespace LeaderWorker;

public sealed class Ticker(ILogger<Ticker> logger) : ClustdMasterService
{
    protected override async Task ExecuteAsync(Lease lease, CancellationToken cancellationToken)
    {
        for (var tick = 1; lease.IsValid; tick++)
        {
            logger.LogInformation("tick {Tick}, token {Token}", tick, lease.Token);
            await Task.Delay(TimeSpan.FromSeconds(1), cancellationToken);
        }
    }
}
