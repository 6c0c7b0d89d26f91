using Clustd.Drivers;
using Clustd.Watchdogs;

namespace Clustd.Config;

/// <summary>Reads `watchdog:`.</summary>
internal sealed class WatchdogReader(ProblemList problems)
{
    /// <param name="services">Of the same file; null if it names none, then the cluster's count, and the daemon says of each that does not fit.</param>
    /// <returns>Null: the file has none.</returns>
    public WatchdogConfig? Read(ConfigSection top, TimeSpan lease, IReadOnlyList<ServiceConfig>? services, IReadOnlyList<DriverOptions> drivers)
    {
        if (top.Mapping(ConfigKeys.Watchdog) is not { } mapping) return null;
        var section = new ConfigSection(mapping, ConfigKeys.WatchdogSection, ConfigKeys.In(ConfigKeys.WatchdogSection), problems);
        var device = section.Text(ConfigKeys.WatchdogDevice)!;
        if (!Path.IsPathRooted(device))
        {
            problems.Error(section.PlaceOf(ConfigKeys.WatchdogDevice), "'watchdog.device' is no full path", $"'{ProblemList.Show(device)}' does not begin with '/'", "Write `device: /dev/watchdog`.");
        }

        var shortest = (services ?? [ServiceConfig.Default]).OrderBy(service => service.KillTimeout).ThenBy(service => service.Name, StringComparer.Ordinal).First();
        var longest = WatchdogTiming.LongestFor(lease, shortest.KillTimeout);
        var (given, at) = (section.DurationOrNull(ConfigKeys.WatchdogTimeout), section.PlaceOf(ConfigKeys.WatchdogTimeout));
        if (given is { } timeout && timeout.Ticks % TimeSpan.TicksPerSecond != 0)
        {
            problems.Error(at, "'watchdog.timeout' is no whole number of seconds", $"a watchdog cannot count {ConfigDuration.Text(timeout)}", $"Write `timeout: {ConfigDuration.Text(TimeSpan.FromSeconds(Math.Ceiling(timeout.TotalSeconds)))}`.");
        }
        else if (longest < WatchdogTiming.TimeoutMin || given > longest)
        {
            var wanted = given ?? WatchdogTiming.TimeoutMin;
            var needed = TimeSpan.FromMilliseconds(Math.Ceiling(new WatchdogTiming(wanted).KillTimeoutMin(lease).TotalMilliseconds - 1e-6));
            problems.Error(at, given is null ? "'watchdog' does not fit the services" : "'watchdog.timeout' is too long",
                $"after {ConfigDuration.Text(wanted)}{(given is null ? ", the least that a watchdog counts," : "")} the machine would be reset too late for service '{shortest.Name}', whose kill_timeout is {ConfigDuration.Text(shortest.KillTimeout)} (lease {ConfigDuration.Text(lease)})",
                longest >= WatchdogTiming.TimeoutMin ? $"Choose at most {ConfigDuration.Text(longest)}, or raise kill_timeout to {ConfigDuration.Text(needed)} or more." : $"Raise kill_timeout to {ConfigDuration.Text(needed)} or more.");
        }

        var config = new WatchdogConfig(device, given ?? (longest > WatchdogTiming.TimeoutMin ? longest : WatchdogTiming.TimeoutMin));
        if (!problems.HasErrors) CheckDrivers(top, config, services ?? [ServiceConfig.Default], drivers);
        return config;
    }

    // Whoever sends KILL does it shortly before kill_timeout is over, and then the machine is being reset already.
    private void CheckDrivers(ConfigSection top, WatchdogConfig config, IReadOnlyList<ServiceConfig> services, IReadOnlyList<DriverOptions> drivers)
    {
        var room = new WatchdogTiming(config.Timeout).Room;
        foreach (var service in services)
        {
            var most = service.KillTimeout - room;
            var late = drivers.Where(driver => driver.Service == service.Name && driver.StopsForCertain && (driver.KillTimeout ?? service.KillTimeout) > most).Select(driver => driver.EffectiveName).ToList();
            if (late.Count == 0) continue;
            problems.Warning(top.PlaceOf(ConfigKeys.Watchdog), $"What {string.Join(", ", late)} must kill when a lease is over may be killed by the watchdog first, with the machine",
                $"it resets the machine up to {ConfigDuration.Text(room)} before the kill_timeout of service '{service.Name}' is over",
                $"Set `kill_timeout: {ConfigDuration.Text(TimeSpan.FromMilliseconds(Math.Floor(most.TotalMilliseconds)))}` for the driver, or raise that of the service.");
        }
    }
}
