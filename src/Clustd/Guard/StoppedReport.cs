using Clustd.Client;
using Clustd.Client.Protocol;
using Clustd.Drivers.Processes;

namespace Clustd.Guard;

/// <summary>
/// Tells the daemon that what a dead driver had is gone, so that the next machine need not wait for the lease. Brief: when it cannot be
/// said within a few seconds, the daemon has long counted the driver's lease down by itself.
/// </summary>
internal static class StoppedReport
{
    private static readonly TimeSpan LimitOfAll = TimeSpan.FromSeconds(3);
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(100);

    /// <param name="deed">What the guard has done: "stopped the app and saw nothing left of it".</param>
    public static void Send(GuardReport report, string deed)
    {
        using var limit = new CancellationTokenSource(LimitOfAll);
        var proof = new StoppedParams
        {
            Name = report.Driver, Instance = report.Instance, Service = report.Service, Token = report.Token,
            Reason = $"the driver process died; its guard {deed}",
        };
        SendAsync(report, proof, limit.Token).GetAwaiter().GetResult();
    }

    private static async Task SendAsync(GuardReport report, StoppedParams proof, CancellationToken cancellationToken)
    {
        while (!cancellationToken.IsCancellationRequested)
        {
            try
            {
                await StopProof.SendAsync(report.Host, report.Secret, proof, cancellationToken).ConfigureAwait(false);
                return;
            }
            catch (DriverRefusedException)
            {
                return; // a daemon that knows better: another secret, or the token is long gone
            }
            catch (Exception)
            {
                // Not reachable just now (it may be restarting): the pause, then again. Nobody is left to log to: the driver is dead.
            }
            await Task.Delay(Pause, CancellationToken.None).ConfigureAwait(false);
        }
    }
}
