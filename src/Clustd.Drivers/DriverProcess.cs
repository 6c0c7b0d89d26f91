using System.Runtime.InteropServices;
using Clustd.Client;
using Clustd.Drivers.Shell;

namespace Clustd.Drivers;

/// <summary>
/// What <c>clustd drivers</c> runs: all drivers of this machine in a process of their own, so that the daemon can be restarted while the
/// apps run on, and so that a user's script cannot hurt the daemon. Talks to the daemon only through the SDK.
/// </summary>
/// <param name="host">Whom the drivers talk to, with which secret, and where they log.</param>
/// <param name="dataDirectory">Holds <c>drivers.lock</c>, and what drivers note.</param>
/// <param name="drivers">From the file.</param>
public sealed class DriverProcess(DriverHost host, string dataDirectory, IReadOnlyList<DriverOptions> drivers)
{
    // A refusal needs a change (a secret, a time limit), but of the daemon's file as often as of ours: look again now and then.
    private static readonly TimeSpan RefusedPause = TimeSpan.FromSeconds(5);

    private static readonly TimeSpan CleanLimit = TimeSpan.FromSeconds(15);

    /// <summary>Runs until SIGTERM, SIGINT or cancellation; then stops every app with proof. Returns the exit code: 0 done, 1 refused.</summary>
    public async Task<int> RunAsync(CancellationToken cancellationToken)
    {
        using DriverLock? taken = DriverLock.TryTake(dataDirectory, out int holderPid);
        if (taken is null)
        {
            host.Log(DriverLogLevel.Error,
                $"Cannot start the drivers: process {holderPid} runs them already for {dataDirectory}. It serves a restarted daemon as well; stop it first if you want to replace it.");
            return 1;
        }
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        using var term = StopOn(PosixSignal.SIGTERM, stop);
        using var interrupt = StopOn(PosixSignal.SIGINT, stop);

        // Stops descend, so the list ascends and is walked backwards at the end.
        var machines = drivers.OrderBy(options => options.Order).Select(options => BuiltInDrivers.Create(options, host with { DataDirectory = dataDirectory })).ToList();
        host.Log(DriverLogLevel.Info, $"{machines.Count} driver{(machines.Count == 1 ? "" : "s")} for the daemon at {host.Address}");
        await Task.WhenAll(machines.Select(machine => KeepConnectedAsync(machine, stop.Token))).ConfigureAwait(false);

        host.Log(DriverLogLevel.Info, "stopping all drivers");
        int code = 0;
        foreach (DriverMachine machine in machines.AsEnumerable().Reverse())
        {
            try
            {
                await machine.DisposeAsync().ConfigureAwait(false);
                if (machine is ShellDriver shell) await shell.FlushOutputAsync().ConfigureAwait(false);
                if (machine is StateDriver state) await state.EndWatchAsync().ConfigureAwait(false);
            }
            catch (Exception e)
            {
                host.Log(DriverLogLevel.Error, $"{machine.Client.Name}: {e.Message}");
                code = 1;
            }
        }
        return code;
    }

    private async Task KeepConnectedAsync(DriverMachine machine, CancellationToken stopping)
    {
        if (machine is StateDriver state) await CleanAsync(state, stopping).ConfigureAwait(false);
        while (!stopping.IsCancellationRequested)
        {
            try
            {
                // Not RunAsync: it would stop all drivers at once, and not in their order.
                await machine.ConnectAsync(stopping).ConfigureAwait(false);
                await Task.Delay(Timeout.InfiniteTimeSpan, stopping).ConfigureAwait(false);
            }
            catch (OperationCanceledException) when (stopping.IsCancellationRequested)
            {
                return;
            }
            catch (DriverRefusedException e)
            {
                host.Log(DriverLogLevel.Error, $"{machine.Client.Name}: {e.Message}");
                await Task.Delay(RefusedPause, stopping).ContinueWith(_ => { }, TaskScheduler.Default).ConfigureAwait(false);
            }
        }
    }

    private async Task CleanAsync(StateDriver driver, CancellationToken stopping)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(stopping);
        limit.CancelAfter(CleanLimit);
        try
        {
            await driver.CleanAsync(limit.Token).ConfigureAwait(false);
        }
        catch (Exception e) when (e is DriverFailedException or OperationCanceledException)
        {
            // The daemon is connected all the same: it says what this machine is, and the stop that comes then fails aloud.
            if (!stopping.IsCancellationRequested) host.Log(DriverLogLevel.Error, $"{driver.Client.Name}: {(e is DriverFailedException ? e.Message : $"what an earlier driver process may have left was not stopped within {CleanLimit.TotalSeconds:0} s. See what it waits for.")}");
        }
    }

    private static PosixSignalRegistration StopOn(PosixSignal signal, CancellationTokenSource stop) =>
        PosixSignalRegistration.Create(signal, context =>
        {
            context.Cancel = true; // not the runtime's way out, which would leave the apps to their guards
            stop.Cancel();
        });
}
