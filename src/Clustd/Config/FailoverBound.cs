using System.Globalization;
using Clustd.Core;
using Clustd.Drivers;

namespace Clustd.Config;

/// <summary>What a configuration promises, in words: for `check`, `status` and the line at start.</summary>
public static class FailoverBound
{
    /// <summary>The k of <see cref="LeaseTiming.Stretch"/>, to be printed: (1+ρ)/(1−ρ) with ρ = 1 %, the error of each clock's rate, rounded up.</summary>
    public const decimal ClockFactor = 1.0203m;

    /// <summary>k × (lease + kill_timeout), rounded up to the millisecond. To it come two commits, and an election if one is running just then.</summary>
    public static TimeSpan Of(TimeSpan lease, TimeSpan killTimeout) =>
        TimeSpan.FromMilliseconds(Math.Ceiling(LeaseTiming.Stretch(lease + killTimeout).TotalMilliseconds));

    /// <summary>All sentences: tolerance, then for each service its bound, then what weakens the promise.</summary>
    public static IReadOnlyList<string> Sentences(ClustdConfig config)
    {
        var services = config.ServicesOrDefault;
        return
        [
            Tolerance(config.ClusterAddresses.Count),
            .. services.Select(service => OfService(config, service)),
            RestartSentence(config),
            .. Watchdog(config),
            .. BestEffort(config),
        ];
    }

    /// <summary>"3 machines tolerate 1 failure.": with what to do where one more machine would change it.</summary>
    public static string Tolerance(int machines)
    {
        var failures = (machines - 1) / 2;
        var tolerate = $"{machines} {(machines == 1 ? "machine tolerates" : "machines tolerate")} {failures} {(failures == 1 ? "failure" : "failures")}";
        return machines switch
        {
            1 => $"{tolerate}; add two more: list all three under 'cluster.machines' on each.",
            2 => $"{tolerate}; add a witness: a third machine, however small, with `witness: true`, listed under 'cluster.machines' on all three.",
            _ when machines % 2 == 0 => $"{tolerate}, as {machines - 1} would; add a witness to tolerate {failures + 1}, or take one away.",
            _ => $"{tolerate}.",
        };
    }

    /// <summary>One line for each service whose drivers here may leave something running after the deadline (promise P2 does not hold for it).</summary>
    public static IReadOnlyList<string> BestEffort(ClustdConfig config) =>
        [.. from driver in config.Drivers
            where !driver.StopsForCertain
            group driver by driver.Service ?? ServiceConfig.DefaultName into service
            orderby service.Key
            select $"Service '{service.Key}' stops by best effort only ({string.Join(", ", service.Select(driver => driver.EffectiveName))}): {WhatMayOutlast(service)}"];

    private static string WhatMayOutlast(IEnumerable<DriverOptions> drivers) => drivers.Any(driver => driver.Kind == "shell")
        ? "what a start script left behind may still run while another machine starts. Use `run: COMMAND` to have it killed for certain."
        : "what it has done outside of this machine's processes may still stand while another machine starts. The page of each driver says what that means, and what is certain.";

    private static string OfService(ClustdConfig config, ServiceConfig service)
    {
        var (lease, kill) = (config.Cluster.Lease, service.KillTimeout);
        var sum = $"~ (lease {ConfigDuration.Text(lease)} + kill_timeout {ConfigDuration.Text(kill)}) × {ClockFactor.ToString(CultureInfo.InvariantCulture)}";
        return config.ClusterAddresses.Count < 3
            ? $"Service '{service.Name}': what runs here has stopped within {ConfigDuration.Text(lease + kill)} after this machine lost the majority; nothing takes over by itself."
            : $"Service '{service.Name}': another machine starts it within {ConfigDuration.Text(Of(lease, kill))} after its machine is lost or cut off, {sum}.";
    }

    private static IEnumerable<string> Watchdog(ClustdConfig config) => config.Watchdog is { } watchdog
        ? [$"The watchdog {watchdog.Device} resets this machine {ConfigDuration.Text(watchdog.Timeout)} after its daemon's last decision, and before anything runs here longer than lease and kill_timeout."]
        : [];

    private static string RestartSentence(ClustdConfig config)
    {
        var (grace, kill) = (config.Cluster.RestartGrace, config.ServicesOrDefault.Select(service => service.KillTimeout).DefaultIfEmpty().Max());
        var bound = config.ClusterAddresses.Count < 3 ? "" : $" (one that is lost during that is taken over from within {ConfigDuration.Text(Of(grace, kill))})";
        return $"A daemon that is back within its lease ({ConfigDuration.Text(config.Cluster.Lease)}), or from `clustd restart` within restart_grace ({ConfigDuration.Text(grace)}), moves nothing{bound}; one that is stopped in good order hands over at once.";
    }
}
