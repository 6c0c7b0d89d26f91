using System.Diagnostics;
using System.Globalization;
using Clustd.EndToEnd.Harness;

namespace Clustd.Benchmarks.Subjects;

/// <summary>keepalived (VRRP) with adverts every 0.1 s and a script that starts and stops the app, as its documentation has it.</summary>
internal sealed class KeepalivedCluster(Tools tools) : Subject(new ClusterPlan(), tools)
{
    private readonly Dictionary<Machine, Process> _daemons = [];

    public override string Name => "keepalived, adverts every 0.1 s";

    public override IReadOnlyList<string> Cases { get; } = ["three machines"];

    /// <summary>Why it cannot be measured here; null: it can.</summary>
    public static string? WhyNot() => File.Exists("/usr/sbin/keepalived") ? null : "there is no /usr/sbin/keepalived; install Debian's keepalived, or run this as root, which does so";

    public override async Task MakeHealthyAsync()
    {
        foreach (var machine in Machines.All.Where(machine => !(_daemons.TryGetValue(machine, out var daemon) && !daemon.HasExited)))
        {
            if (_daemons.Remove(machine, out var old)) old.Dispose();
            WriteFiles(machine);
            _daemons[machine] = StartOn(machine, "keepalived.log", "/usr/sbin/keepalived", "-n", "-l", "-f", machine.ConfigPath,
                "-p", Path.Combine(machine.Home, "main.pid"), "-r", Path.Combine(machine.Home, "vrrp.pid"));
        }

        await OneActsAsync();
        await Task.Delay(1_500); // Ten adverts, and whatever a healed machine has still to settle.
        await OneActsAsync();
    }

    public override Task<bool> ArrangeAsync(string @case) => Task.FromResult(true);

    // Two masters that meet again settle it by priority, and the app that has acted all along goes on under its old number. The next run begins with one that started anew.
    public override void BeforeHealing(Machine lost) => lost.KillEverything();

    private void WriteFiles(Machine machine)
    {
        var script = Path.Combine(machine.Home, "notify.sh");
        var pid = Path.Combine(machine.Home, "app.pid");
        File.WriteAllText(script, $"""
            #!/bin/sh
            [ -f {pid} ] && kill -9 $(cat {pid}) 2>/dev/null
            rm -f {pid}
            [ "$1" = master ] || exit 0
            {RunningProcess.Mark}={machine.Home} E2E_ACTS={Acts.Pipe} E2E_PAUSE={Acts.Pause} CLUSTD_SERVICE=default CLUSTD_MACHINE={machine.Id} setsid {Tools.App} </dev/null >/dev/null 2>&1 &
            echo $! > {pid}

            """);
        File.SetUnixFileMode(script, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        // Version 3, because version 2 counts in whole seconds. Unicast, as it is used where multicast is not to be had: the frames are the same, the bridge has no say in who gets them.
        var others = string.Join("\n    ", Machines.All.Where(other => other != machine).Select(other => other.Address));
        var priority = 100 + (10 * (Machines.All.Count - Machines.All.ToList().IndexOf(machine)));
        File.WriteAllText(machine.ConfigPath, string.Create(CultureInfo.InvariantCulture, $$"""
            global_defs {
              router_id {{machine.Id}}
              vrrp_version 3
              script_user root
              enable_script_security
            }
            vrrp_instance benchmark {
              state BACKUP
              nopreempt
              interface eth0
              virtual_router_id 51
              priority {{priority}}
              advert_int 0.1
              unicast_src_ip {{machine.Address}}
              unicast_peer {
                {{others}}
              }
              virtual_ipaddress {
                10.99.250.1/32 dev eth0
              }
              notify_master "{{script}} master"
              notify_backup "{{script}} backup"
              notify_fault "{{script}} fault"
              notify_stop "{{script}} stop"
            }

            """));
    }

    public override async ValueTask DisposeAsync()
    {
        await base.DisposeAsync();
        foreach (var daemon in _daemons.Values) daemon.Dispose();
    }
}
