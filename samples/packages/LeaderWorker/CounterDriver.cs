using Clustd.Client;

namespace LeaderWorker;

/// <summary>A driver by hand, without a host: counts while it is master.</summary>
public sealed class CounterDriver(DriverClient client, string host) : DriverMachine(client, host)
{
    private Task counting = Task.CompletedTask;

    public long Count { get; private set; }

    public bool IsCounting => !counting.IsCompleted;

    protected override async Task TriggerAsync(Trigger trigger, CancellationToken cancellationToken)
    {
        if (trigger.IsMaster)
            counting = CountAsync(trigger.Lease);
        else
            await counting; // The lease's token was cancelled; a stop returns when it has happened.
    }

    private async Task CountAsync(Lease lease)
    {
        while (!lease.CancellationToken.IsCancellationRequested)
        {
            if (lease.IsValid) // At every act, and as close to it as can be.
                Count++;
            await Task.Delay(1).ConfigureAwait(false);
        }
    }
}
