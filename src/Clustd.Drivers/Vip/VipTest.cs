using System.Globalization;
using System.Runtime.CompilerServices;
using Clustd.Client;
using Clustd.Drivers.Processes;

namespace Clustd.Drivers.Vip;

/// <summary>What `clustd driver test` finds out about a vip driver. Asks neighbours, changes nothing.</summary>
internal static class VipTest
{
    public static async IAsyncEnumerable<DriverFinding> FindAsync(VipDriverOptions options, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        using var kernel = new InterfaceAddresses();
        var link = LinkOrNull(kernel, options.Interface, out var whyNot);
        yield return link is null
            ? new(FindingLevel.Bad, $"interface {options.Interface}", whyNot)
            : new(FindingLevel.Good, $"interface {options.Interface}", link.HasNeighbours ? $"up, MAC {link.MacText}" : "up; it has no neighbours to ask or to tell (loopback or a tunnel)");
        if (options.Addresses.Any(each => each.IsIPv6) && IsIPv6Off(options.Interface))
            yield return new(FindingLevel.Bad, "IPv6", $"IPv6 is switched off on {options.Interface}: its addresses could not be put there. `sysctl net.ipv6.conf.{options.Interface}.disable_ipv6=0`.");
        yield return Gate(options);
        foreach (var there in kernel.Find(options.Addresses))
        {
            yield return there.IsOurs
                ? new(FindingLevel.Good, there.Address.Address.ToString(), $"is on {kernel.NameOf(there.Link)}, put there by clustd: this machine is the master")
                : new(FindingLevel.Bad, there.Address.Address.ToString(), AddressHolder.Foreign(kernel, there));
        }
        if (link is not { HasNeighbours: true }) yield break;
        foreach (var address in options.Addresses.Where(each => !kernel.Find([each]).Any())) yield return await AskAsync(link, address, cancellationToken).ConfigureAwait(false);
    }

    private static KernelLink? LinkOrNull(InterfaceAddresses kernel, string name, out string whyNot)
    {
        whyNot = "";
        try
        {
            return AddressHolder.Link(kernel, name);
        }
        catch (DriverFailedException e)
        {
            whyNot = e.Message;
            return null;
        }
    }

    private static DriverFinding Gate(VipDriverOptions options)
    {
        string limit = string.Create(CultureInfo.InvariantCulture, $"If driver process and guard are killed at once, the addresses may be there up to {1 + AddressLifetime.LatenessMaxUs / 1_000_000.0:0.##} s longer than the lease");
        if (!options.UseGate) return new(FindingLevel.Doubtful, "kernel gate", $"`kernel_gate: false`. {limit}, unless the lease is longer than some 4 s. Remove that key.");
        try
        {
            using var gate = new AddressGate(options.Addresses, options.Interface);
            return gate.WhyNotHere() is { } why
                ? new(FindingLevel.Doubtful, "kernel gate", $"It cannot be made: {why}. {limit}, unless the lease is longer than some 4 s. Load the module nf_tables, and run as root.")
                : new(FindingLevel.Good, "kernel gate", "can be made: the addresses stop to answer at the end of the lease, whoever is killed");
        }
        catch (IOException e)
        {
            return new(FindingLevel.Doubtful, "kernel gate", $"{e.Message} {limit}.");
        }
    }

    private static async Task<DriverFinding> AskAsync(KernelLink link, VipAddress address, CancellationToken cancellationToken)
    {
        try
        {
            using var check = new DuplicateCheck(link, [address], DriverClock.NowUs);
            while (!check.IsOver(DriverClock.NowUs))
            {
                check.Step(DriverClock.NowUs);
                await Task.Delay(5, cancellationToken).ConfigureAwait(false);
            }
            check.Step(DriverClock.NowUs);
            return new(FindingLevel.Good, address.Address.ToString(), "nobody answers for it");
        }
        catch (DuplicateException e)
        {
            return new(FindingLevel.Good, address.Address.ToString(), $"{e.Mac} answers for it. That should be the present master; a start here would fail as long as it answers");
        }
        catch (DriverFailedException e)
        {
            return new(FindingLevel.Bad, address.Address.ToString(), e.Message);
        }
    }

    private static bool IsIPv6Off(string name)
    {
        try
        {
            return File.ReadAllText($"/proc/sys/net/ipv6/conf/{name}/disable_ipv6").Trim() == "1";
        }
        catch (IOException)
        {
            return !Directory.Exists("/proc/sys/net/ipv6");
        }
    }
}
