using System.Net;

namespace Clustd.Drivers.Vip;

/// <summary>Another machine has an address.</summary>
/// <param name="mac">For people: "MAC 02:...".</param>
internal sealed class DuplicateException(VipAddress address, string link, string mac)
    : Exception($"Cannot take {address} on {link}: another machine has it ({mac}). Remove it there, or give this service another address.")
{
    public string Mac => mac;
}

/// <summary>
/// Asks whether another machine has an address, before it is taken: the probes of RFC 5227 for IPv4, those of RFC 4862 for IPv6. With shorter times than theirs, which are made for machines that boot: whoever has the address answers
/// within milliseconds, and a takeover should not last seconds. (The kernel's detection for IPv6 takes one to two.)
/// </summary>
internal sealed class DuplicateCheck : IDisposable
{
    /// <summary>From the first question to "nobody", µs.</summary>
    public const long LastsUs = 200_000;

    private static readonly long[] AskAfterUs = [0, 60_000, 120_000];
    private readonly KernelLink _link;
    private readonly IReadOnlyList<VipAddress> _addresses;
    private readonly ArpSocket? _arp;
    private readonly FrameSocket? _asking;
    private readonly NeighbourSocket? _neighbour;
    private readonly long _begunUs;
    private int _asked;

    public DuplicateCheck(KernelLink link, IReadOnlyList<VipAddress> addresses, long nowUs)
    {
        (_link, _addresses, _begunUs) = (link, addresses, nowUs);
        try
        {
            if (addresses.Any(each => !each.IsIPv6)) _arp = new ArpSocket(link);
            if (addresses.All(each => !each.IsIPv6)) return;
            _asking = new FrameSocket(link, FrameSocket.IPv6Frames, hears: false);
            _neighbour = new NeighbourSocket(link, source: null);
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <summary>To wait for, together with <see cref="NextAtUs"/>.</summary>
    public IEnumerable<int> Descriptors => new[] { _arp?.Descriptor ?? -1, _neighbour?.Descriptor ?? -1 }.Where(each => each >= 0);

    /// <summary>When <see cref="Step"/> has something to do, if nobody answers.</summary>
    public long NextAtUs => _begunUs + (_asked < AskAfterUs.Length ? AskAfterUs[_asked] : LastsUs);

    public bool IsOver(long nowUs) => nowUs - _begunUs >= LastsUs && _asked == AskAfterUs.Length;

    /// <summary>Asks what is due, hears what has come.</summary>
    /// <exception cref="DuplicateException">Another machine has one of them.</exception>
    public void Step(long nowUs)
    {
        if (_asked < AskAfterUs.Length && nowUs - _begunUs >= AskAfterUs[_asked])
        {
            _asked++;
            foreach (var address in _addresses) Ask(address.Address, address.IsIPv6);
        }
        while (_arp?.Receive() is { } arp)
            if (_addresses.FirstOrDefault(each => !each.IsIPv6 && arp.IsClaimOf(each.Address, _link.Mac)) is { Address: not null } taken) throw Taken(taken, arp.SenderMac);
        while (_neighbour?.Receive() is { } said)
            if (_addresses.FirstOrDefault(each => each.Address.Equals(said.Address)) is { Address: not null } taken && (said.Mac is null || !said.Mac.AsSpan().SequenceEqual(_link.Mac))) throw Taken(taken, said.Mac);
    }

    public void Dispose()
    {
        _arp?.Dispose();
        _asking?.Dispose();
        _neighbour?.Dispose();
    }

    // One that cannot be sent (the link is down) is one that nobody answers: the check is a precaution, not what keeps two masters apart.
    private void Ask(IPAddress address, bool isIPv6)
    {
        if (isIPv6) _asking!.Send(Neighbour.Question(address), Neighbour.MulticastMac(Neighbour.SolicitedNode(address)));
        else _arp!.Send(Arp.Probe(_link.Mac, address));
    }

    private DuplicateException Taken(VipAddress address, byte[]? mac) => new(address, _link.Name, mac is null ? "a machine that does not tell its MAC" : $"MAC {KernelLink.MacTextOf(mac)}");
}
