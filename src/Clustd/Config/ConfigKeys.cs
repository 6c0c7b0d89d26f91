using Clustd.Config.Drivers;

namespace Clustd.Config;

/// <summary>
/// The one table of keys. To add a key: add it here (a driver's: to its kind in Drivers/), read it in the loader, add its row to docs/config.md and its line to docs/config.schema.json;
/// the tests say what is missing.
/// </summary>
public static class ConfigKeys
{
    public const string Top = "";
    public const string ServerSection = "server";
    public const string ClusterSection = "cluster";
    public const string ServiceSection = "services.NAME";
    public const string WatchdogSection = "watchdog";
    public const string DriverFileTop = "driver file";

    public static readonly SectionKey Server = new(Top, "server", ServerSection, IsList: false, "Where this machine listens and keeps its data.",
        "{ bind_port: 3001 }");
    public static readonly SectionKey Cluster = new(Top, "cluster", ClusterSection, IsList: false, "The cluster, and this machine's place in it.",
        "{ secret: 'file:/etc/clustd/secret' }");
    public static readonly SectionKey Services = new(Top, "services", ServiceSection, IsList: false, "The services by name; the same on all machines.",
        "{ web: { prefer: [cm-1] } }")
    { DefaultWords = "the cluster's; in a new cluster one, `default`" };
    public static readonly SectionKey Drivers = new(Top, "drivers", "drivers[]", IsList: true, "The built-in drivers of this machine.",
        "[ { shell: { run: ./web } } ]");

    public static readonly SectionKey Watchdog = new(Top, "watchdog", WatchdogSection, IsList: false, "A device that resets this machine when its daemon decides nothing any more; drivers/watchdog.md.",
        "{ device: /dev/watchdog }");

    public static readonly TextKey BindAddress = new(ServerSection, "bind_address", TextForm.Host, "0.0.0.0",
        "Address of the interface to listen on; `0.0.0.0` and `::` mean all.", "127.0.0.1");
    public static readonly NumberKey BindPort = new(ServerSection, "bind_port", 3001, 1, 65535, "The one port for machines, drivers, people and programs.",
        "3001");
    public static readonly TextKey RemoteAddress = new(ServerSection, "remote_address", TextForm.Address, null, "Where the other machines reach this one.",
        "ws://10.0.0.1:3001")
    { DefaultWords = "the entry of `cluster.machines` that is this machine" };
    public static readonly TextKey DataDir = new(ServerSection, "data_dir", TextForm.Path, null,
        "Folder of `state.db`; a relative path counts from the folder of the file.", "/var/lib/clustd")
    { DefaultWords = "`$STATE_DIRECTORY`, else `/var/lib/clustd/ID` if writable, else `~/.local/state/clustd/ID`" };

    public static readonly SwitchKey LegacyDrivers = new(ServerSection, "legacy_drivers", false,
        "Take drivers built on the clustd-lib of 2018, over loopback; legacy-drivers.md says what that weakens.", "true");

    public static readonly TextKey Secret = new(ClusterSection, "secret", TextForm.Secret, null,
        "What proves to a machine or a driver that the other belongs to the cluster.", "file:/etc/clustd/secret") { Must = true };
    public static readonly TextKey OldSecret = new(ClusterSection, "old_secret", TextForm.Secret, null,
        "Valid beside `secret` while it is being changed, machine by machine.", "file:/etc/clustd/secret.old");
    public static readonly TextKey Id = new(ClusterSection, "id", TextForm.Id, null, "Name of this machine; another one in each file.",
        "cm-1") { DefaultWords = "the host name" };
    public static readonly ListKey Machines = new(ClusterSection, "machines", TextForm.Address,
        "The other machines; one's own address may be among them and is ignored.", "[ws://10.0.0.1:3001, ws://10.0.0.2:3001]");
    public static readonly DurationKey Lease = new(ClusterSection, "lease", Seconds(2), Ms(100), TimeSpan.FromHours(1),
        "How long a machine that is cut off may still act; part of the failover bound; the same on all machines.", "1s");
    public static readonly SwitchKey Witness = new(ClusterSection, "witness", false, "This machine votes and runs nothing.", "true");
    public static readonly DurationKey RestartGrace = new(ClusterSection, "restart_grace", Seconds(15), Seconds(1), TimeSpan.FromHours(1),
        "How long the daemon may be away in an announced restart without a failover; at least the lease.", "15s")
    { DefaultWords = "15s, or the lease if that is longer" };

    public static readonly DurationKey StartTimeout = new(ServiceSection, "start_timeout", Seconds(30), Ms(100), TimeSpan.FromHours(1),
        "Limit for all drivers to start; then the next machine tries.", "30s");
    public static readonly DurationKey StopTimeout = new(ServiceSection, "stop_timeout", Seconds(10), Ms(10), TimeSpan.FromHours(1),
        "Limit for all drivers to stop when it is planned, while the lease lives.", "10s");
    public static readonly DurationKey KillTimeout = new(ServiceSection, "kill_timeout", Ms(500), Ms(10), TimeSpan.FromHours(1),
        "Limit for all drivers to stop once the lease is over, then they are killed; part of the failover bound.", "500ms");
    public static readonly ListKey Prefer = new(ServiceSection, "prefer", TextForm.Id, "Machines that should run it, the most wanted first.", "[cm-1, cm-2]");
    public static readonly SwitchKey Failback = new(ServiceSection, "failback", false, "Move back as soon as a preferred machine can run it.", "false");
    public static readonly ListKey ApartFrom = new(ServiceSection, "apart_from", TextForm.Id, "Services that must not share a machine with it.", "[bot]");
    public static readonly ListKey RequiredDrivers = new(ServiceSection, "drivers", TextForm.Id,
        "Drivers that must be connected on a machine before it can run it.", "[web-shell]");
    public static readonly ListKey AllowedMachines = new(ServiceSection, "machines", TextForm.Id, "The only machines that may run it.",
        "[cm-1, cm-2]") { DefaultWords = "all" };
    public static readonly ChoiceKey OnStopFailure = new(ServiceSection, "on_stop_failure", "block", ["block", "takeover", "fence"],
        "When a stop failed where killing is not certain: wait for the machine's session to end, take over all the same, or fence that machine first (needs `fencing: required`).", "block");
    public static readonly ChoiceKey Fencing = new(ServiceSection, "fencing", "none", ["none", "required"],
        "required: a machine that was lost as the master is turned off by a `fence` driver, and that is confirmed, before anything starts elsewhere.", "none");

    public static readonly TextKey WatchdogDevice = new(WatchdogSection, "device", TextForm.Path, "/dev/watchdog", "The device's file.", "/dev/watchdog1");
    public static readonly DurationKey WatchdogTimeout = new(WatchdogSection, "timeout", Seconds(1), Seconds(1), Seconds(60),
        "How long after the last decision the machine is reset, in whole seconds; it must fit `lease` and the shortest `kill_timeout`.", "1s")
    { DefaultWords = "the longest that fits" };

    public static readonly TextKey FileHost = new(DriverFileTop, "host", TextForm.Address, null, "The local daemon.", "ws://127.0.0.1:3001") { Must = true };
    public static readonly TextKey FileSecret = new(DriverFileTop, "secret", TextForm.Secret, null, "The cluster's secret, or the driver's own token.",
        "file:/etc/clustd/secret") { Must = true };
    public static readonly SectionKey FileScript = new(DriverFileTop, "script", ShellKind.SectionName, IsList: false, "One shell driver, as in 2018.",
        "{ start: ./start.sh, stop: ./stop.sh }");
    public static readonly SectionKey FileCloudflare = new(DriverFileTop, "cloudflare", CloudflareFile.SectionName, IsList: false, "One cloudflare driver, as in 2018.",
        "{ email: me@example.com, api_key: KEY, dns_record: { zone_id: ID, name: mydomain.com, value: 1.2.3.4 } }");
    public static readonly SectionKey FileDrivers = new(DriverFileTop, "drivers", "drivers[]", IsList: true, "Drivers as in the main file.",
        "[ { shell: { run: ./web } } ]");

    /// <summary>Every key, in the order of the documentation.</summary>
    public static readonly IReadOnlyList<ConfigKey> All =
    [
        Server, Cluster, Services, Drivers, Watchdog,
        BindAddress, BindPort, RemoteAddress, DataDir, LegacyDrivers,
        Secret, OldSecret, Id, Machines, Lease, Witness, RestartGrace,
        StartTimeout, StopTimeout, KillTimeout, Prefer, Failback, ApartFrom, RequiredDrivers, AllowedMachines, OnStopFailure, Fencing,
        WatchdogDevice, WatchdogTimeout,
        .. DriverKinds.All.SelectMany(kind => kind.Keys),
        FileHost, FileSecret, FileScript, FileCloudflare, FileDrivers,
        .. CloudflareFile.Keys,
    ];

    public static IEnumerable<ConfigKey> In(string section) => All.Where(key => key.Section == section);

    private static TimeSpan Ms(int count) => TimeSpan.FromMilliseconds(count);
    private static TimeSpan Seconds(int count) => TimeSpan.FromSeconds(count);
}
