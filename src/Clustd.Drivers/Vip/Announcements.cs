namespace Clustd.Drivers.Vip;

/// <summary>
/// When neighbours are told where the addresses are: at once, some times more in the first seconds, because a frame may be lost and a switch may still be learning, and then now and then. Pure: instants in µs come in.
/// </summary>
/// <param name="everyUs">Afterwards; 0: no more.</param>
internal sealed class AnnounceSchedule(long everyUs)
{
    private static readonly long[] FirstUs = [0, 100_000, 500_000, 1_000_000, 2_000_000];

    // Two machines that both defend an address would otherwise shout at each other as fast as they can.
    private const long DefendEveryUs = 100_000;

    private long _begunUs;
    private int _told;
    private long _defendedUs = long.MinValue / 2;

    public long NextAtUs { get; private set; } = long.MaxValue;

    /// <summary>The addresses are there, or there again.</summary>
    public void Begin(long nowUs) => (_begunUs, _told, NextAtUs) = (nowUs, 0, nowUs);

    /// <summary>Somebody else has told our neighbours that the address is his: a machine that was frozen, or somebody who has configured it. True: say the opposite now.</summary>
    public bool Contradicted(long nowUs)
    {
        if (nowUs - _defendedUs < DefendEveryUs) return false;
        _defendedUs = nowUs;
        return true;
    }

    /// <summary>Whether it is time; then the next time is set.</summary>
    public bool IsDue(long nowUs)
    {
        if (nowUs < NextAtUs) return false;
        _told++;
        // What a busy machine has missed is not made up for.
        while (_told < FirstUs.Length && _begunUs + FirstUs[_told] <= nowUs) _told++;
        NextAtUs = _told < FirstUs.Length ? _begunUs + FirstUs[_told] : everyUs > 0 ? nowUs + everyUs : long.MaxValue;
        return true;
    }
}

/// <summary>Tells the neighbours of an interface where addresses are.</summary>
internal sealed class Announcer : IDisposable
{
    private readonly KernelLink _link;
    private readonly IReadOnlyList<VipAddress> _addresses;
    private readonly ArpSocket? _arp;
    private readonly List<(VipAddress Address, NeighbourSocket Socket)> _neighbours = [];

    /// <summary>When the addresses are there: IPv6 is said by the address itself.</summary>
    public Announcer(KernelLink link, IReadOnlyList<VipAddress> addresses)
    {
        (_link, _addresses) = (link, addresses);
        try
        {
            if (addresses.Any(each => !each.IsIPv6)) _arp = new ArpSocket(link);
            foreach (var address in addresses.Where(each => each.IsIPv6)) _neighbours.Add((address, new NeighbourSocket(link, address.Address)));
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <summary>Readable when somebody says something about who has which address; -1: only IPv6, where the kernel itself objects.</summary>
    public int Descriptor => _arp?.Descriptor ?? -1;

    /// <summary>Once each. What cannot be sent now is said again soon.</summary>
    public void Tell()
    {
        foreach (var address in _addresses.Where(each => !each.IsIPv6))
        {
            _arp!.Send(Arp.Announcement(_link.Mac, address.Address, Arp.Request));
            _arp.Send(Arp.Announcement(_link.Mac, address.Address, Arp.Reply));
        }
        bool isRouter = IsRouter();
        foreach (var (address, socket) in _neighbours) socket.Send(Neighbour.Announcement(_link.Mac, address.Address, isRouter), Neighbour.AllNodes);
    }

    /// <summary>Takes in what has been heard; the MAC of somebody else who says that one of them is his, or null.</summary>
    public string? HearContradiction()
    {
        string? mac = null;
        while (_arp?.Receive() is { } arp)
            if (!arp.SenderAddress.Equals(System.Net.IPAddress.Any) && _addresses.Any(each => !each.IsIPv6 && arp.IsClaimOf(each.Address, _link.Mac))) mac = KernelLink.MacTextOf(arp.SenderMac);
        return mac;
    }

    public void Dispose()
    {
        _arp?.Dispose();
        foreach (var (_, socket) in _neighbours) socket.Dispose();
    }

    private bool IsRouter()
    {
        try
        {
            return File.ReadAllText($"/proc/sys/net/ipv6/conf/{_link.Name}/forwarding").Trim() == "1";
        }
        catch (IOException)
        {
            return false;
        }
    }
}
