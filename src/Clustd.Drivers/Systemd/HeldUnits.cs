using Clustd.Drivers.Holding;

namespace Clustd.Drivers.Systemd;

/// <summary>Stops units, the last one first, over a connection of its own.</summary>
internal sealed class HeldUnits(IReadOnlyList<string> units, string? address) : IHeld
{
    public async Task StopAsync(TimeSpan courtesy, CancellationToken cancellationToken)
    {
        using var bus = await SystemdBus.ConnectAsync(address, cancellationToken).ConfigureAwait(false);
        foreach (string unit in units.Reverse())
        {
            string result = await bus.StopAsync(unit, cancellationToken).ConfigureAwait(false);
            var state = await bus.LookAsync(unit, cancellationToken).ConfigureAwait(false);
            if (!state.IsStopped) throw new DriverFailedException($"{unit} is {state.Words} after its stop ({result}): somebody starts it again. See `systemctl status {unit}`.");
        }
    }

    public async Task KillAsync(CancellationToken cancellationToken)
    {
        using var bus = await SystemdBus.ConnectAsync(address, cancellationToken).ConfigureAwait(false);
        foreach (string unit in units.Reverse()) await bus.KillAsync(unit, cancellationToken).ConfigureAwait(false);
    }
}
