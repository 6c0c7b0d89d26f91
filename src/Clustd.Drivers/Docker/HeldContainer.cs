using Clustd.Client;
using Clustd.Drivers.Holding;

namespace Clustd.Drivers.Docker;

/// <summary>Stops a container, over connections of its own.</summary>
internal sealed class HeldContainer(string container, string socket) : IHeld
{
    private static readonly TimeSpan Second = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan Look = TimeSpan.FromMilliseconds(20);

    public async Task StopAsync(TimeSpan courtesy, CancellationToken cancellationToken)
    {
        using var engine = new Engine(socket);
        var state = await engine.InspectAsync(container, cancellationToken).ConfigureAwait(false);
        if (state is null || state.IsStopped) return;
        // What is paused could not act on a signal, and must not run on when it wakes up.
        if (state.State.Paused) await KillAsync(cancellationToken).ConfigureAwait(false);
        else if (courtesy < Second) await AskForEndAsync(engine, courtesy, cancellationToken).ConfigureAwait(false);
        await engine.StopAsync(container, courtesy, cancellationToken).ConfigureAwait(false);
        state = await engine.InspectAsync(container, cancellationToken).ConfigureAwait(false);
        if (state is { IsStopped: false }) throw new DriverFailedException($"{container} is {state.Words} after its stop: somebody starts it again. See `docker inspect {container}`.");
    }

    public async Task KillAsync(CancellationToken cancellationToken)
    {
        using var engine = new Engine(socket);
        await engine.KillAsync(container, "SIGKILL", cancellationToken).ConfigureAwait(false);
        if (await engine.InspectAsync(container, cancellationToken).ConfigureAwait(false) is { State.Paused: true }) await engine.UnpauseAsync(container, cancellationToken).ConfigureAwait(false);
    }

    // Engines count whole seconds.
    private async Task AskForEndAsync(Engine engine, TimeSpan courtesy, CancellationToken cancellationToken)
    {
        long end = DriverClock.NowUs + (long)courtesy.TotalMicroseconds;
        await engine.KillAsync(container, "SIGTERM", cancellationToken).ConfigureAwait(false);
        while (DriverClock.NowUs < end && await engine.InspectAsync(container, cancellationToken).ConfigureAwait(false) is { IsStopped: false })
            await Task.Delay(Look, cancellationToken).ConfigureAwait(false);
    }
}
