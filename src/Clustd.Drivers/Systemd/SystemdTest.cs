using System.Runtime.CompilerServices;
using Clustd.Drivers.Holding;

namespace Clustd.Drivers.Systemd;

/// <summary>What `clustd driver test` finds out about a systemd driver: asks systemd, changes nothing.</summary>
internal static class SystemdTest
{
    public static async IAsyncEnumerable<DriverFinding> FindAsync(SystemdDriverOptions options, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        var (bus, whyNot) = await TryAsync(() => SystemdBus.ConnectAsync(options.Bus, cancellationToken)).ConfigureAwait(false);
        if (bus is null)
        {
            yield return new(FindingLevel.Bad, "systemd", whyNot);
            yield break;
        }
        using (bus)
        {
            yield return new(FindingLevel.Good, "systemd", options.Bus is null ? "answers" : $"answers on {options.Bus}");
            if (Rights(options) is { } rights) yield return rights;
            foreach (string unit in options.Units)
            {
                var (state, why) = await TryAsync(() => bus.LookAsync(unit, cancellationToken)).ConfigureAwait(false);
                if (state is null)
                {
                    yield return new(FindingLevel.Bad, unit, why);
                    continue;
                }
                foreach (var finding in UnitRules.Of(state)) yield return finding;
                if (options.HasGuard && Cgroup.Named(state.ControlGroup)?.WhyNotKillable() is { } not)
                    yield return new(FindingLevel.Bad, unit, $"{unit} runs and could not be killed at the end of a lease: {Environment.UserName} may not ({not}). Run `clustd drivers` as root, or write `guard: false`.");
            }
        }
        if (!options.HasGuard)
            yield return new(FindingLevel.Doubtful, "guard", "`guard: false`: if the driver process is killed or frozen, the units run on, perhaps beside those of the next master. Remove that key.");
    }

    // Whether polkit would allow it, only an attempt can tell.
    private static DriverFinding? Rights(SystemdDriverOptions options) => Environment.IsPrivilegedProcess || options.Bus is not null
        ? null
        : new(FindingLevel.Doubtful, "rights", $"This is {Environment.UserName}, not root: units can be started and stopped only if a rule of polkit allows it the action org.freedesktop.systemd1.manage-units. Run `clustd drivers` as root.");

    private static async Task<(T? Value, string WhyNot)> TryAsync<T>(Func<Task<T>> call)
        where T : class
    {
        try
        {
            return (await call().ConfigureAwait(false), "");
        }
        catch (DriverFailedException e)
        {
            return (null, e.Message);
        }
    }
}
