using Microsoft.Extensions.Hosting;

namespace Clustd.Client.Hosting;

/// <summary>
/// A worker that runs only while this machine is the master of its service. A new object is made for every time that it becomes so. Register it by
/// <c>services.AddClustdMaster&lt;T&gt;()</c>, which takes any <see cref="BackgroundService"/> as well; this base class adds the lease
/// to the signature, so that it is not forgotten.
/// </summary>
public abstract class ClustdMasterService : BackgroundService
{
    internal Lease? Granted { get; set; }

    /// <summary>
    /// The work. Returns only when it is asked to: one that ends by itself, or throws, is reported to the daemon as failed, and another machine may take over.
    /// </summary>
    /// <param name="lease">What it may act under. Ask <see cref="Lease.IsValid"/> before what must not be done twice, and send <see cref="Lease.Token"/> along.</param>
    /// <param name="cancellationToken">
    /// Cancelled when it is to stop. It has the service's <c>stop_timeout</c> then, or its <c>kill_timeout</c> when the lease is over; what has not returned by that
    /// deadline makes the program end itself, unless it is told not to.
    /// </param>
    protected abstract Task ExecuteAsync(Lease lease, CancellationToken cancellationToken);

    /// <summary>Calls <see cref="ExecuteAsync(Lease, CancellationToken)"/>, on the thread pool: one that blocks from the start must not look like a start that hangs.</summary>
    protected sealed override Task ExecuteAsync(CancellationToken stoppingToken) =>
        Task.Run(() => ExecuteAsync(Granted ?? throw new InvalidOperationException($"Cannot run {GetType().Name}: it was not started by clustd. Register it by AddClustdMaster, not by AddHostedService."), stoppingToken), CancellationToken.None);
}
