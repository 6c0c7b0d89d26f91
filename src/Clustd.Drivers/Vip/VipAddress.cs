using System.Globalization;
using System.Net;
using System.Net.Sockets;

namespace Clustd.Drivers.Vip;

/// <summary>An address and how many bits of it are the network's: "10.0.0.9/24".</summary>
public readonly record struct VipAddress(IPAddress Address, int PrefixLength)
{
    public bool IsIPv6 => Address.AddressFamily == AddressFamily.InterNetworkV6;

    /// <summary>Bits of an address of this family.</summary>
    public int BitsMax => IsIPv6 ? 128 : 32;

    /// <summary>Null, and why not: the middle part of a message ("it has no prefix length").</summary>
    public static VipAddress? Parse(string text, out string whyNot)
    {
        string[] parts = text.Split('/');
        whyNot = "";
        if (parts.Length == 1)
            whyNot = "it has no prefix length, so that nobody knows which network it belongs to";
        else if (parts.Length > 2 || !IPAddress.TryParse(parts[0], out var address) || parts[0].Contains('%') || (address.AddressFamily == AddressFamily.InterNetwork && address.ToString() != parts[0]))
            whyNot = "it is no IPv4 or IPv6 address";
        else if (!int.TryParse(parts[1], NumberStyles.None, CultureInfo.InvariantCulture, out int length) || length < 1 || length > new VipAddress(address, 0).BitsMax)
            whyNot = $"its prefix length is not from 1 to {new VipAddress(address, 0).BitsMax}";
        else
            return new VipAddress(address, length).WhyUnfit(out whyNot) ? null : new VipAddress(address, length);
        return null;
    }

    public override string ToString() => $"{Address}/{PrefixLength}";

    // What the kernel would take, and what would then do something else than people think.
    private bool WhyUnfit(out string why)
    {
        byte[] bytes = Address.GetAddressBytes();
        why = IsIPv6 switch
        {
            _ when Address.Equals(IPAddress.Any) || Address.Equals(IPAddress.IPv6Any) => "it means any address",
            _ when IPAddress.IsLoopback(Address) => "it is a loopback address, which nobody outside of this machine can reach",
            true when Address.IsIPv6Multicast => "it is a multicast address",
            true when Address.IsIPv4MappedToIPv6 => "it is an IPv4 address in IPv6 clothes",
            true when Address.IsIPv6LinkLocal => "it is a link-local address, which every machine makes for itself",
            false when bytes[0] >= 224 => "it is a multicast or reserved address",
            false when PrefixLength <= 30 && IsHostPart(bytes, 0x00) => $"it is the network's own address in a /{PrefixLength}",
            false when PrefixLength <= 30 && IsHostPart(bytes, 0xff) => $"it is the broadcast address of a /{PrefixLength}",
            _ => "",
        };
        return why.Length > 0;
    }

    private bool IsHostPart(byte[] bytes, byte filledWith)
    {
        for (int bit = PrefixLength; bit < BitsMax; bit++)
            if (((bytes[bit / 8] >> (7 - bit % 8)) & 1) != (filledWith & 1)) return false;
        return true;
    }
}
