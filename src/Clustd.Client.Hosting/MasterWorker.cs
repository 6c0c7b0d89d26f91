using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;

namespace Clustd.Client.Hosting;

/// <summary>One worker that was registered, and for which service; null: the one that the daemon names.</summary>
internal sealed record MasterRegistration(string? Service, string WorkerName, Func<IServiceProvider, BackgroundService> Make);

/// <summary>One worker for one time of being master: made, started, watched, stopped for certain.</summary>
internal sealed class MasterWorker
{
    private readonly AsyncServiceScope scope;
    private readonly BackgroundService service;
    private readonly Lease lease;
    private Task? stopping;

    private MasterWorker(MasterRegistration registration, AsyncServiceScope scope, BackgroundService service, Lease lease)
    {
        Name = registration.WorkerName;
        this.scope = scope;
        this.service = service;
        this.lease = lease;
    }

    public string Name { get; }

    /// <summary>Makes and starts it. What fails here is a failed start.</summary>
    public static async Task<MasterWorker> StartAsync(MasterRegistration registration, IServiceProvider services, Lease lease, Action<MasterWorker, string> ended)
    {
        var scope = services.CreateAsyncScope();
        MasterWorker worker;
        try
        {
            scope.ServiceProvider.GetRequiredService<GrantedLease>().Lease = lease;
            var service = registration.Make(scope.ServiceProvider);
            if (service is ClustdMasterService master)
                master.Granted = lease;
            worker = new MasterWorker(registration, scope, service, lease);
        }
        catch
        {
            await scope.DisposeAsync();
            throw;
        }
        // Not with the trigger's token: the worker would be linked to it and outlives the start. What StartAsync throws leaves a half-started worker behind:
        // it is stopped like any other before it is given up.
        try
        {
            await worker.service.StartAsync(CancellationToken.None);
        }
        catch
        {
            await worker.StopAsync(CancellationToken.None);
            throw;
        }
        _ = worker.WatchAsync(ended);
        return worker;
    }

    /// <summary>
    /// Completes when the worker's own code has returned, and only then: that is what "stopped" means. Cancelling ends the waiting, not the stop.
    /// </summary>
    public async Task StopAsync(CancellationToken cancellationToken)
    {
        if (stopping is null or { IsFaulted: true } or { IsCanceled: true })
            stopping = StopOnceAsync();
        await stopping.WaitAsync(cancellationToken);
    }

    private async Task StopOnceAsync()
    {
        await service.StopAsync(CancellationToken.None);
        if (service.ExecuteTask is { } work)
            await Task.WhenAny(work); // Not its outcome: whatever it is, nothing runs any more.
        service.Dispose();
        await scope.DisposeAsync();
    }

    // A worker that ends although nobody asked it to has failed: nothing does the service's work here any more.
    private async Task WatchAsync(Action<MasterWorker, string> ended)
    {
        if (service.ExecuteTask is not { } work)
            return; // Its StartAsync was overridden and runs nothing that could be watched.
        await Task.WhenAny(work);
        if (lease.CancellationToken.IsCancellationRequested || stopping is not null)
            return;
        ended(this, work.Exception?.GetBaseException() is { } failure ? $"{Name} failed: {failure.Message}" : $"{Name} ended by itself");
    }
}
