using System.Diagnostics;
using Clustd.Drivers.Holding;
using Clustd.Drivers.Systemd;
using Xunit;

namespace Clustd.Tests.Drivers.Systemd;

/// <summary>
/// The real systemd, as a user's instance on a bus of its own, with the test's units: in a cgroup of its own, and in a mount namespace in which it believes that the machine was booted by systemd. Its processes are ordinary ones here.
/// </summary>
public sealed class RealSystemd : IAsyncLifetime
{
    private const string Program = "/lib/systemd/systemd";

    private readonly string _directory = Directory.CreateTempSubdirectory("clustd-systemd-").FullName;
    private Process? _systemd;
    private string _lastError = "";
    private string? _cgroup;

    /// <summary>Null: it runs.</summary>
    public string? WhyNot { get; private set; }

    public string Bus => $"unix:path={_directory}/bus";

    /// <summary>dbus-daemon's process; systemd talks to a bus only if it has started it itself.</summary>
    public int BusPid => int.Parse(File.ReadLines(Directory.GetDirectories(_cgroup!, "dbus.service", SearchOption.AllDirectories).Single() + "/cgroup.procs").First(), System.Globalization.CultureInfo.InvariantCulture);

    public string Acts => Path.Combine(_directory, "acts");

    public async ValueTask InitializeAsync()
    {
        WhyNot = !Environment.IsPrivilegedProcess ? "a systemd of the test's own needs root"
            : !File.Exists(Program) ? "systemd is not there: install systemd"
            : PrivateBus.WhyNot ?? (Mount() is null ? "there is no cgroup2 file system here" : null);
        if (WhyNot is not null) return;
        await File.WriteAllTextAsync(Path.Combine(_directory, "bus.conf"), PrivateBus.Config("systemd:"));
        WriteUnits(Path.Combine(_directory, "config", "systemd", "user"));
        _cgroup = $"{Mount()}/clustd-test-{Environment.ProcessId}";
        Directory.CreateDirectory(_cgroup);
        _systemd = Process.Start(new ProcessStartInfo("unshare", ["--mount", "--propagation", "private", "/bin/sh", "-c", """
            echo $$ > "$0/cgroup.procs" && mount -t tmpfs tmpfs /run && mkdir -p /run/systemd/system /run/user/0 && exec /lib/systemd/systemd --user --unit=basic.target
            """, _cgroup])
        {
            Environment =
            {
                ["XDG_RUNTIME_DIR"] = "/run/user/0", ["XDG_CONFIG_HOME"] = Path.Combine(_directory, "config"), ["DBUS_SESSION_BUS_ADDRESS"] = Bus,
                ["SYSTEMD_LOG_LEVEL"] = "err", ["ACTS"] = Acts,
            },
            RedirectStandardError = true,
        })!;
        var said = _systemd.StandardError.ReadToEndAsync();
        var deadline = DateTime.UtcNow.AddSeconds(20);
        while (!await AnswersAsync())
        {
            if (_systemd.HasExited || DateTime.UtcNow > deadline)
            {
                WhyNot = $"systemd does not run here: {(_systemd.HasExited ? await said : _lastError)}";
                return;
            }
            await Task.Delay(50);
        }
    }

    public async ValueTask DisposeAsync()
    {
        if (_cgroup is not null)
        {
            await Scratch.Eventually(() => Cgroup.At(_cgroup) is not { } left || (left.Kill() is null && left.IsEmpty), "the end of systemd");
            foreach (string each in Directory.GetDirectories(_cgroup, "*", SearchOption.AllDirectories).OrderByDescending(path => path.Length)) Directory.Delete(each);
            Directory.Delete(_cgroup);
        }
        _systemd?.Dispose();
        Directory.Delete(_directory, recursive: true);
    }

    internal async Task<UnitState> LookAsync(string unit)
    {
        using var bus = await SystemdBus.ConnectAsync(Bus, TestContext.Current.CancellationToken);
        return await bus.LookAsync(unit, TestContext.Current.CancellationToken);
    }

    /// <summary>As somebody with systemctl does.</summary>
    internal async Task SomebodyAsync(Func<SystemdBus, Task> does)
    {
        using var bus = await SystemdBus.ConnectAsync(Bus, TestContext.Current.CancellationToken);
        await does(bus);
    }

    internal async Task StopAllAsync()
    {
        if (WhyNot is not null) return;
        foreach (string unit in new[] { "web.service", "worker.service", "stubborn.service", "always.service", "leaving.service", "crashing.service" })
        {
            using var bus = await SystemdBus.ConnectAsync(Bus, CancellationToken.None);
            await bus.KillAsync(unit, CancellationToken.None);
            await bus.StopAsync(unit, CancellationToken.None);
        }
        File.Delete(Acts);
    }

    /// <summary>The first process of a unit; 0: none.</summary>
    internal static int PidOf(UnitState state) =>
        Cgroup.Named(state.ControlGroup) is { } cgroup && File.ReadLines(cgroup.Directory + "/cgroup.procs").FirstOrDefault() is { } line ? int.Parse(line, System.Globalization.CultureInfo.InvariantCulture) : 0;

    private async Task<bool> AnswersAsync()
    {
        try
        {
            return (await LookAsync("web.service")).IsStopped;
        }
        catch (Clustd.Drivers.DriverFailedException e)
        {
            _lastError = e.Message;
            return false;
        }
    }

    private static string? Mount() => File.ReadLines("/proc/self/mountinfo").FirstOrDefault(line => line.Contains(" - cgroup2 ", StringComparison.Ordinal))?.Split(' ')[4];

    private void WriteUnits(string directory)
    {
        Directory.CreateDirectory(directory);
        void Unit(string name, string service, string more = "") => File.WriteAllText(Path.Combine(directory, name), $"[Unit]\nDescription=of a test\nStartLimitIntervalSec=0\n[Service]\n{service}\n{more}");
        string Tells(string name) => $"ExecStartPre=/bin/sh -c 'echo start {name} >> $ACTS'\nExecStopPost=/bin/sh -c 'echo stop {name} >> $ACTS'\n";
        File.WriteAllText(Path.Combine(directory, "dbus.socket"), $"[Socket]\nListenStream={_directory}/bus\n");
        Unit("dbus.service", $"ExecStart=/usr/bin/dbus-daemon --nofork --nopidfile --config-file={_directory}/bus.conf", "[Unit]\nRequires=dbus.socket\nAfter=dbus.socket\n");
        Directory.CreateDirectory(Path.Combine(directory, "basic.target.wants"));
        File.CreateSymbolicLink(Path.Combine(directory, "basic.target.wants", "dbus.service"), Path.Combine(directory, "dbus.service"));
        Unit("web.service", Tells("web") + "ExecStart=/bin/sleep 1000");
        Unit("worker.service", Tells("worker") + "ExecStart=/bin/sleep 1000");
        Unit("stubborn.service", "ExecStart=/bin/sh -c 'trap \"\" TERM; while :; do sleep 1; done'\nTimeoutStopSec=100");
        Unit("always.service", "ExecStart=/bin/sleep 1000\nRestart=always\nRestartSec=20ms");
        Unit("leaving.service", "ExecStart=/bin/sh -c 'setsid sleep 1000 & exec sleep 1000'\nKillMode=process");
        Unit("broken.service", "ExecStart=/bin/false");
        Unit("crashing.service", "ExecStart=/bin/sh -c 'sleep 0.3; exit 7'");
        Unit("oneshot.service", "Type=oneshot\nExecStart=/bin/true");
        Unit("enabled.service", "ExecStart=/bin/sleep 1000", "[Install]\nWantedBy=never.target\n");
        Directory.CreateDirectory(Path.Combine(directory, "never.target.wants"));
        File.CreateSymbolicLink(Path.Combine(directory, "never.target.wants", "enabled.service"), Path.Combine(directory, "enabled.service"));
        File.CreateSymbolicLink(Path.Combine(directory, "masked.service"), "/dev/null");
    }
}
