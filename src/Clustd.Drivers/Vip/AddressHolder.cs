using System.Globalization;
using Clustd.Client;
using Clustd.Drivers.Vip.Netlink;

namespace Clustd.Drivers.Vip;

/// <summary>
/// Has the addresses: takes them, keeps them alive with the lease, gives them up. What a guard does with its hands; when is the guard's business. One thread. No call waits for anybody but the kernel.
/// </summary>
internal sealed class AddressHolder(AddressGuardSpec spec, Action<string> note) : IDisposable
{
    private const int OpenTriesMax = 3;
    private const long OpenLimitMinUs = 20_000;

    private readonly IReadOnlyList<VipAddress> _addresses = spec.ParseAddresses();
    private readonly InterfaceAddresses _kernel = new();
    private AddressGate? _gate;
    private Announcer? _announcer;
    private KernelLink _link = null!;
    private bool _mayBeThere;
    private long _lifetimeEndUs;
    private long _renewedUs, _renewEveryUs;
    private bool _saidTooShort;

    public AnnounceSchedule Schedule { get; } = new(spec.AnnounceEveryMicros);

    /// <summary>Null: there is nobody to ask (loopback, a tunnel), or it is not wanted.</summary>
    public DuplicateCheck? Check { get; private set; }

    /// <summary>To wait for while the addresses are held; -1: nothing.</summary>
    public int Descriptor => _announcer?.Descriptor ?? -1;

    /// <summary>Looks whether it can be done, and closes the gate, so that nothing of what follows can be heard too early.</summary>
    public void Prepare()
    {
        _link = Link(_kernel, spec.Interface);
        foreach (var there in _kernel.Find(_addresses))
            if (!there.IsOurs) throw new DriverFailedException(Foreign(_kernel, there));
        if (spec.UseGate) MakeGate();
        if (spec.CheckDuplicate && _link.HasNeighbours) Check = new DuplicateCheck(_link, _addresses, DriverClock.NowUs);
    }

    /// <summary>They are here when this returns, and neighbours are told from now on.</summary>
    public void Take(long leaseEndUs)
    {
        Check?.Dispose();
        Check = null;
        _mayBeThere = true;
        // What was left on another interface by a former life would answer there.
        foreach (var there in _kernel.Find(_addresses))
            if (there.Link != _link.Index || !_addresses.Contains(there.Address)) Throw(_kernel.Delete(there), there.Address, "take away");
        Renew(leaseEndUs);
        PutThere(leaseEndUs);
    }

    /// <summary>The lease is longer, or shorter: gate and lifetimes follow.</summary>
    public void Renew(long leaseEndUs)
    {
        long now = DriverClock.NowUs;
        (_renewEveryUs, _renewedUs) = (_renewedUs == 0 ? (leaseEndUs - now) / 4 : now - _renewedUs, now);
        if (_gate is not null && OpenGate(_gate, leaseEndUs) is { } why)
        {
            note($"The kernel's gate does not open ({why}): from now on the lifetimes of the addresses are the last resort. See `nft list ruleset`.");
            _gate.Remove();
            _gate.Dispose();
            _gate = null;
            _lifetimeEndUs = 0;
        }
        if (_gate is null || _lifetimeEndUs - now < leaseEndUs - now + 1_000_000) SetLifetimes(leaseEndUs, now);
    }

    // The kernel counts from when it takes the message. If that was late (it waited for somebody who loads a large ruleset), the gate is set again, by a fresh look at the clock.
    private string? OpenGate(AddressGate gate, long leaseEndUs)
    {
        for (int i = 0; i < OpenTriesMax; i++)
        {
            long asked = DriverClock.NowUs;
            if (gate.Open(leaseEndUs - asked) is { } why) return why;
            if (DriverClock.NowUs - asked <= Math.Max(OpenLimitMinUs, spec.KillTimeoutMicros / 4)) return null;
        }
        return gate.Close();
    }

    /// <summary>Puts back what is not as it should be.</summary>
    public void Again(long leaseEndUs)
    {
        _link = Link(_kernel, spec.Interface);
        if (_gate?.Install() is { } why) note($"The kernel's gate cannot be made again: {why}. See `nft list ruleset`.");
        _renewedUs = 0;
        Renew(leaseEndUs);
        PutThere(leaseEndUs);
    }

    public void Tell() => _announcer?.Tell();

    /// <summary>Takes in what neighbours say; somebody who says that an address is his is contradicted, and told.</summary>
    public void Hear(long nowUs)
    {
        if (_announcer?.HearContradiction() is not { } mac || !Schedule.Contradicted(nowUs)) return;
        Tell();
        note($"Another machine says that it has one of {string.Join(", ", _addresses)} (MAC {mac}): it was contradicted. See who that is, and take the address away there.");
    }

    /// <summary>Null: nothing is left here. Else what is, and why.</summary>
    public string? Release()
    {
        if (_mayBeThere)
        {
            // First, because it is one step for all, and waits for nobody: from here on nothing answers.
            _gate?.Close();
            if (Remove(_kernel, _addresses, onlyOurs: false) is { } left) return left;
            _mayBeThere = false;
        }
        _gate?.Remove();
        return null;
    }

    public void Dispose()
    {
        Check?.Dispose();
        _announcer?.Dispose();
        _gate?.Dispose();
        _kernel.Dispose();
    }

    /// <summary>An interface that addresses can be put on.</summary>
    public static KernelLink Link(InterfaceAddresses kernel, string name)
    {
        var link = kernel.FindLink(name) ?? throw new DriverFailedException($"There is no interface {name} on this machine: its addresses cannot be put anywhere. `ip link` shows what there is; correct `interface`.");
        if (!link.IsUp) throw new DriverFailedException($"The interface {name} is down: nobody could reach an address on it. Set it up (`ip link set {name} up`).");
        if (!link.HasCarrier) throw new DriverFailedException($"The interface {name} has no carrier: nobody could reach an address on it. Check its cable, or what it is made of.");
        return link;
    }

    /// <summary>Takes addresses off this machine, wherever they are. Null: none is left. Else which, and why.</summary>
    public static string? Remove(InterfaceAddresses kernel, IReadOnlyList<VipAddress> addresses, bool onlyOurs)
    {
        int error = 0;
        foreach (var there in kernel.Find(addresses).Where(each => each.IsOurs || !onlyOurs))
            if (kernel.Delete(there) is not 0 and var failed) error = failed;
        var left = kernel.Find(addresses).Where(each => each.IsOurs || !onlyOurs).Select(each => each.Address.ToString()).ToList();
        return left.Count == 0 ? null : $"{string.Join(", ", left)}{(error == 0 ? " (somebody puts it back)" : $" ({NetworkCalls.Text(error)})")}";
    }

    /// <summary>An address that somebody has put here, as an error.</summary>
    public static string Foreign(InterfaceAddresses kernel, KernelAddress there) =>
        $"{there.Address} is on this machine already, and clustd did not put it there: it has not clustd's mark (metric {InterfaceAddresses.OurMetric}). It is left alone. Take it out of the network configuration of this machine and off the interface (`ip address del {there.Address} dev {kernel.NameOf(there.Link)}`).";

    private void MakeGate()
    {
        var gate = new AddressGate(_addresses, spec.Interface);
        if (gate.Install() is not { } why)
        {
            _gate = gate;
            return;
        }
        gate.Dispose();
        note($"There is no gate in the kernel for {string.Join(", ", _addresses)}: {why}. If driver process and guard are killed at once, the addresses are there for some seconds longer than the lease (docs/drivers/vip.md). Load the module nf_tables.");
    }

    private void PutThere(long leaseEndUs)
    {
        var held = _kernel.Find(_addresses);
        foreach (var address in _addresses)
        {
            if (held.FirstOrDefault(each => each.Link == _link.Index && each.Address == address) is not { } there)
                throw new DriverFailedException($"{address} is not on {_link.Name} although the kernel took it: somebody removes it. See which program manages the network there (NetworkManager, systemd-networkd).");
            if (there.IsDuplicate) throw new DriverFailedException($"Cannot take {address} on {_link.Name}: the kernel has found another machine that has it. Remove it there.");
        }
        _announcer?.Dispose();
        _announcer = _link.HasNeighbours ? new Announcer(_link, _addresses) : null;
        if (_announcer is not null) Schedule.Begin(DriverClock.NowUs);
    }

    private void SetLifetimes(long leaseEndUs, long now)
    {
        uint seconds;
        if (_gate is not null) seconds = AddressLifetime.BesideGate(leaseEndUs - now);
        else
        {
            var alone = AddressLifetime.Alone(leaseEndUs - now, spec.KillTimeoutMicros, _renewEveryUs);
            seconds = alone.Seconds;
            if (!alone.IsInTime && !_saidTooShort)
            {
                _saidTooShort = true;
                note(string.Create(CultureInfo.InvariantCulture, $"The lease is too short for the kernel's whole seconds: if driver process and guard are killed at once, an address may be there up to {(seconds * 1_000_000 + AddressLifetime.LatenessMaxUs - (leaseEndUs - now) - spec.KillTimeoutMicros) / 1_000_000.0:0.0} s longer than it should. Load the module nf_tables, or take a longer lease."));
            }
        }
        // Once they are here, a refresh finds them here, or puts back what somebody has removed: then neighbours must be told again.
        var missing = _announcer is null && _lifetimeEndUs == 0 ? [] : _addresses.Except(_kernel.Find(_addresses).Select(each => each.Address)).ToList();
        foreach (var address in _addresses) Throw(_kernel.Set(_link, address, seconds), address, "put");
        _lifetimeEndUs = now + seconds * 1_000_000L;
        if (missing.Count == 0) return;
        note($"Somebody has removed {string.Join(", ", missing)} from {_link.Name}: it is put back. See which program manages the network there (NetworkManager, systemd-networkd).");
        Schedule.Begin(now);
    }

    private void Throw(int error, VipAddress address, string verb)
    {
        if (error == 0) return;
        string @do = error switch
        {
            NetworkCalls.EPERM => "It takes CAP_NET_ADMIN: run `clustd drivers` as root, or add it to AmbientCapabilities of its unit.",
            NetworkCalls.EACCES when address.IsIPv6 => $"IPv6 is switched off there: `sysctl net.ipv6.conf.{spec.Interface}.disable_ipv6=0`.",
            _ => $"See whether `ip address add {address} dev {spec.Interface}` works.",
        };
        throw new DriverFailedException($"Cannot {verb} {address} on {spec.Interface}: {NetworkCalls.Text(error)}. {@do}");
    }
}
