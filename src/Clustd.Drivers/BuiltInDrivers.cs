using Clustd.Client;
using Clustd.Drivers.Cloudflare;
using Clustd.Drivers.Dns;
using Clustd.Drivers.Docker;
using Clustd.Drivers.Fencing;
using Clustd.Drivers.Ocf;
using Clustd.Drivers.Shell;
using Clustd.Drivers.Systemd;
using Clustd.Drivers.Vip;
using Clustd.Drivers.Webhook;

namespace Clustd.Drivers;

/// <summary>What ships. To add a driver: a file with its options record and its <see cref="DriverMachine"/>, and a line here.</summary>
public static class BuiltInDrivers
{
    /// <summary>Nothing is connected, begun or looked at yet.</summary>
    public static DriverMachine Create(DriverOptions options, DriverHost host) => options switch
    {
        ShellDriverOptions shell => new ShellDriver(shell, host),
        VipDriverOptions vip => new VipDriver(vip, host),
        FenceDriverOptions fence => new FenceDriver(fence, host),
        WebhookDriverOptions webhook => new WebhookDriver(webhook, host),
        OcfDriverOptions ocf => new OcfDriver(ocf, host),
        CloudflareDriverOptions cloudflare => new CloudflareDriver(cloudflare, host),
        DnsDriverOptions dns => new DnsDriver(dns, host),
        SystemdDriverOptions systemd => new SystemdDriver(systemd, host),
        DockerDriverOptions docker => new DockerDriver(docker, host),
        _ => throw new ArgumentException($"There is no driver for {options.GetType().Name}: it is not in the list of built-in drivers. Add it there."),
    };
}
