using System.Net;
using Clustd.Drivers.Vip;
using Shouldly;
using Xunit;

namespace Clustd.Tests.Drivers.Vip;

/// <summary>What goes onto the wire, byte by byte as RFC 826, 5227 and 4861 have it.</summary>
public sealed class PacketTests
{
    private static readonly byte[] Mac = [0x02, 0x11, 0x22, 0x33, 0x44, 0x55], Other = [0x02, 0xaa, 0xbb, 0xcc, 0xdd, 0xee];
    private static readonly IPAddress Four = IPAddress.Parse("10.0.0.9"), Six = IPAddress.Parse("2001:db8::abcd:ef09");

    [Fact] // Wrong program: the sender's address is in it, and whoever hears the probe of a machine that then finds a duplicate sends to the wrong one.
    public void A_probe_has_no_sender_address() =>
        Hex(Arp.Probe(Mac, Four).ToBytes()).ShouldBe("0001 0800 06 04 0001 021122334455 00000000 000000000000 0a000009".Replace(" ", ""));

    [Fact] // Wrong program: says only one of the two, and half of the devices that hear it keep the old MAC.
    public void An_announcement_is_said_as_a_request_and_as_a_reply()
    {
        Hex(Arp.Announcement(Mac, Four, Arp.Request).ToBytes()).ShouldBe("0001 0800 06 04 0001 021122334455 0a000009 000000000000 0a000009".Replace(" ", ""));
        Hex(Arp.Announcement(Mac, Four, Arp.Reply).ToBytes()).ShouldBe("0001 0800 06 04 0002 021122334455 0a000009 021122334455 0a000009".Replace(" ", ""));
    }

    // Type 136, override, target, option 2 with the MAC; the kernel fills in the checksum. Wrong program: without the override flag neighbours keep the old MAC.
    [Theory]
    [InlineData(false, "20")]
    [InlineData(true, "a0")]
    public void A_neighbour_advertisement_overrides_what_was_known(bool isRouter, string flags) =>
        Hex(Neighbour.Announcement(Mac, Six, isRouter)).ShouldBe($"88 00 0000 {flags}000000 20010db80000000000000000abcdef09 02 01 021122334455".Replace(" ", ""));

    // Header (24 bytes of ICMPv6, 255 hops), from ::, to the group; type 135 with its checksum, and no MAC (RFC 4861, 4.3).
    // Wrong program: asks another multicast group, where whoever has the address does not listen, or with a checksum that nobody accepts, and every duplicate is free.
    [Fact]
    public void A_neighbour_solicitation_asks_those_who_have_the_address()
    {
        Hex(Neighbour.Question(Six)).ShouldBe(("60000000 0018 3a ff 00000000000000000000000000000000 ff0200000000000000000001ffcdef09"
            + "87 00 c240 00000000 20010db80000000000000000abcdef09").Replace(" ", ""));
        Neighbour.SolicitedNode(Six).ShouldBe(IPAddress.Parse("ff02::1:ffcd:ef09"));
        Hex(Neighbour.MulticastMac(Neighbour.SolicitedNode(Six))).ShouldBe("3333ffcdef09");
    }

    [Fact] // Wrong program: reads the target for the sender: whoever only asks has the address.
    public void What_others_say_is_understood()
    {
        var arp = Arp.Parse([.. Arp.Announcement(Other, Four, Arp.Reply).ToBytes(), .. new byte[18]]).ShouldNotBeNull();
        (arp.Operation, arp.SenderAddress, KernelLink.MacTextOf(arp.SenderMac)).ShouldBe((Arp.Reply, Four, "02:aa:bb:cc:dd:ee"));
        var asked = Arp.Parse(new Arp(Arp.Request, Other, Four, Mac, IPAddress.Parse("10.0.0.1")).ToBytes()).ShouldNotBeNull();
        (asked.SenderAddress, asked.TargetAddress).ShouldBe((Four, IPAddress.Parse("10.0.0.1")));
        asked.SenderMac.ShouldBe(Other);
        var (address, mac) = Neighbour.ParseAdvertisement(Neighbour.Announcement(Other, Six, false)).ShouldNotBeNull();
        address.ShouldBe(Six);
        mac.ShouldBe(Other);
    }

    [Fact] // Wrong program: two machines that probe at the same time both take the address; or one takes its own echo for somebody else.
    public void A_claim_is_anothers_address_or_probe_and_never_our_own()
    {
        Arp.Announcement(Other, Four, Arp.Request).IsClaimOf(Four, Mac).ShouldBeTrue();
        Arp.Probe(Other, Four).IsClaimOf(Four, Mac).ShouldBeTrue();
        Arp.Announcement(Mac, Four, Arp.Request).IsClaimOf(Four, Mac).ShouldBeFalse();
        Arp.Probe(Mac, Four).IsClaimOf(Four, Mac).ShouldBeFalse();
        new Arp(Arp.Request, Other, IPAddress.Parse("10.0.0.1"), new byte[6], Four).IsClaimOf(Four, Mac).ShouldBeFalse("it only asks");
    }

    [Fact] // Strangers write to these sockets. Wrong program: an option of length zero, and it never returns.
    public void Damaged_frames_are_passed_over()
    {
        byte[] arp = Arp.Probe(Mac, Four).ToBytes(), advertisement = Neighbour.Announcement(Mac, Six, false);
        for (int length = 0; length < arp.Length; length++) Arp.Parse(arp.AsSpan(0, length)).ShouldBeNull();
        for (int length = 0; length < advertisement.Length; length++) (Neighbour.ParseAdvertisement(advertisement.AsSpan(0, length))?.Mac).ShouldBeNull();
        advertisement[25] = 0;
        Neighbour.ParseAdvertisement(advertisement).ShouldNotBeNull().Mac.ShouldBeNull();
        var random = new Random(1);
        var noise = new byte[64];
        for (int i = 0; i < 10_000; i++)
        {
            random.NextBytes(noise);
            (noise[0], noise[1]) = (Neighbour.Advertisement, 0);
            Neighbour.ParseAdvertisement(noise);
            Arp.Parse(noise);
        }
    }

    private static string Hex(byte[] bytes) => Convert.ToHexStringLower(bytes);
}
