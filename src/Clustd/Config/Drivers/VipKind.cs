using Clustd.Drivers;
using Clustd.Drivers.Vip;

namespace Clustd.Config.Drivers;

/// <summary>`vip`: addresses that follow the master.</summary>
internal sealed class VipKind() : DriverKind("vip", "{ addresses: [10.0.0.9/24], interface: eth0 }")
{
    public const string SectionName = "drivers[].vip";

    private static readonly ListKey Addresses = new(SectionName, "addresses", TextForm.Any,
        "IPv4 and IPv6 addresses with the prefix length of their network.", "[10.0.0.9/24, '2001:db8::9/64']") { Must = true };
    private static readonly TextKey Interface = new(SectionName, "interface", TextForm.Any, null, "The interface that they are put on.", "eth0") { Must = true };
    private static readonly DurationKey AnnounceEvery = new(SectionName, "announce_every", VipDriverOptions.AnnounceEveryDefault, TimeSpan.FromSeconds(1), TimeSpan.FromHours(24),
        "How often neighbours are told again where the addresses are, after five times in the first two seconds.", "30s");
    private static readonly SwitchKey CheckDuplicate = new(SectionName, "check_duplicate", true,
        "Ask for 0.2 s, before an address is taken, whether another machine answers for it.", "false");
    private static readonly SwitchKey KernelGate = new(SectionName, "kernel_gate", true,
        "Rules of nftables by which the kernel itself ends the addresses with the lease, whoever is killed.", "true");

    public override IReadOnlyList<ConfigKey> OwnKeys => [Addresses, Interface, AnnounceEvery, CheckDuplicate, KernelGate];

    public override DriverOptions Read(DriverReading reading)
    {
        var (section, problems) = (reading.Section, reading.Problems);
        var device = section.Text(Interface) ?? "";
        if (section.Has(Interface) && VipDriverOptions.WhyNotInterface(device) is { } why)
            problems.Error(section.PlaceOf(Interface), $"'{ProblemList.Show(device)}' in {section.Named(Interface)} is no interface", why, "`ip link` shows the names.");
        if (!section.Switch(KernelGate))
        {
            problems.Warning(section.PlaceOf(KernelGate), $"{section.Named(KernelGate)} is false",
                "if driver process and guard are killed or frozen at once, only the kernel's whole seconds end the addresses, up to 2.3 s after the lease", "Remove it, unless nftables cannot be used on this machine.");
        }
        return new VipDriverOptions
        {
            Addresses = [.. Parse(section, problems)],
            Interface = device,
            AnnounceEvery = section.Duration(AnnounceEvery),
            CheckDuplicate = section.Switch(CheckDuplicate),
            UseGate = section.Switch(KernelGate),
        };
    }

    private static IEnumerable<VipAddress> Parse(ConfigSection section, ProblemList problems)
    {
        var texts = section.List(Addresses);
        if (section.Has(Addresses) && texts.Count == 0 && section.Items(Addresses) is { Count: 0 })
            problems.Error(section.PlaceOf(Addresses), $"{section.Named(Addresses)} is empty", "there is nothing to move", "Write it as in `addresses: [10.0.0.9/24]`.");
        var seen = new HashSet<System.Net.IPAddress>();
        foreach (var text in texts)
        {
            if (VipAddress.Parse(text, out var whyNot) is not { } address)
            {
                problems.Error(section.PlaceOf(Addresses), $"'{ProblemList.Show(text)}' in {section.Named(Addresses)} cannot be used", whyNot, "Write it as in `10.0.0.9/24` or `'2001:db8::9/64'`.");
            }
            else if (!seen.Add(address.Address))
            {
                problems.Error(section.PlaceOf(Addresses), $"{address.Address} is twice in {section.Named(Addresses)}", "an address is on an interface once", "Remove one of the two.");
            }
            else
            {
                yield return address;
            }
        }
    }
}
