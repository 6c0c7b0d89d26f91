using Clustd.Drivers.Vip;
using Clustd.Drivers.Vip.Netlink;
using Shouldly;
using Xunit;

namespace Clustd.Tests.Drivers.Vip;

/// <summary>What is said to the kernel, byte by byte as linux/rtnetlink.h, if_addr.h and netfilter/nf_tables.h have it. That the kernel understands it is seen end to end.</summary>
public sealed class NetlinkTests
{
    private static readonly VipAddress Four = VipAddress.Parse("10.0.0.9/24", out _)!.Value, Six = VipAddress.Parse("2001:db8::9/64", out _)!.Value;

    [Fact] // Wrong program: leaves out the mark, and the clean slate of the next start takes its own address for a stranger's.
    public void An_IPv4_address_is_set_with_broadcast_lifetime_and_our_mark() =>
        Hex(InterfaceAddresses.SetMessage(7, Four, 6)).ShouldBe(Joined(
            "54000000 1400 0505 01000000 00000000", // 84 bytes, RTM_NEWADDR, request ack create replace, number 1
            "02 18 00 00 07000000",                 // AF_INET, /24, interface 7
            "0800 0200 0a000009", "0800 0100 0a000009", "0800 0400 0a0000ff",
            "1400 0600 06000000 06000000 00000000 00000000", // preferred and valid 6 s
            "0800 0900 87f03301",                            // metric 20181127
            "0500 0b00 c5000000"));

    [Fact] // Wrong program: preferred, so that connections of this machine get an address that may leave any moment.
    public void An_IPv6_address_is_never_preferred_and_not_looked_for_by_the_kernel() =>
        Hex(InterfaceAddresses.SetMessage(7, Six, 6)).ShouldBe(Joined(
            "6c000000 1400 0505 01000000 00000000",
            "0a 40 00 00 07000000",
            "1400 0200 20010db8000000000000000000000009", "1400 0100 20010db8000000000000000000000009",
            "0800 0800 02000000", // IFA_F_NODAD
            "1400 0600 00000000 06000000 00000000 00000000",
            "0800 0900 87f03301",
            "0500 0b00 c5000000"));

    [Fact] // Wrong program: names it as a host's address, and the kernel finds none to delete.
    public void An_address_is_deleted_with_its_prefix_length() =>
        Hex(InterfaceAddresses.DeleteMessage(7, Four)).ShouldBe(Joined("28000000 1500 0500 01000000 00000000", "02 18 00 00 07000000", "0800 0200 0a000009", "0800 0100 0a000009"));

    [Fact] // One batch: begin, empty the set, put the address in for 1,234 ms, end. Wrong program: says seconds, or says it in two batches with an open gate between them.
    public void A_gate_is_opened_for_so_many_milliseconds_at_one_instant() =>
        Hex(NftRules.Begin().Empty(NftRules.Ip, "t").Element(NftRules.Ip, "t", [10, 0, 0, 9], 1234, acknowledge: true).End()).ShouldBe(Joined(
            "14000000 1000 0100 01000000 00000000 0000000a",
            "28000000 0e0a 0100 02000000 00000000 02000000", "0600 0100 74000000", "0900 0200 6f70656e00000000",
            "48000000 0c0a 0504 03000000 00000000 02000000", "0600 0100 74000000", "0900 0200 6f70656e00000000",
            "2000 0380", "1c00 0180", "0c00 0180", "0800 0100 0a000009", "0c00 0400 00000000000004d2",
            "14000000 1100 0100 04000000 00000000 0000000a"));

    // Wrong program: takes every address for its own, and deletes what somebody has configured; or takes one that the kernel still looks for, or has found twice, for one that is up.
    [Theory]
    [InlineData("87f03301", 0x02, true, false, false)]
    [InlineData("88f03301", 0x02, false, false, false)] // the next metric
    [InlineData("00000000", 0x82, false, false, false)] // somebody's, permanent
    [InlineData("87f03301", 0x40, true, true, false)]
    [InlineData("87f03301", 0x48, true, true, true)]
    public void An_address_is_read_with_flags_and_mark(string metric, byte flags, bool isOurs, bool isTentative, bool isDuplicate)
    {
        byte[] bytes = Convert.FromHexString(Hex(InterfaceAddresses.SetMessage(7, Six, 6)).Replace("08000800" + "02000000", $"08000800{flags:x2}000000").Replace("08000900" + "87f03301", "08000900" + metric));
        var read = InterfaceAddresses.Address(NetlinkReader.Messages(bytes).Single()).ShouldNotBeNull();
        (read.Link, read.Address, read.IsOurs, read.IsTentative, read.IsDuplicate).ShouldBe((7, Six, isOurs, isTentative, isDuplicate));
    }

    [Fact] // Wrong program: on a link with two ends (a tunnel) takes the other end's address for this machine's.
    public void Of_two_ends_the_local_one_is_ours()
    {
        byte[] bytes = Convert.FromHexString(Hex(InterfaceAddresses.SetMessage(7, Four, 6)).Replace("08000100" + "0a000009", "08000100" + "0a000001"));
        InterfaceAddresses.Address(NetlinkReader.Messages(bytes).Single()).ShouldNotBeNull().Address.ShouldBe(Four);
    }

    [Fact] // Wrong program: believes a length, and reads what is not there.
    public void Damaged_answers_end_the_reading()
    {
        byte[] whole = InterfaceAddresses.SetMessage(7, Four, 6).ToArray();
        for (int length = 0; length < whole.Length; length++) NetlinkReader.Messages(whole.AsMemory(0, length)).ShouldBeEmpty();
        var random = new Random(1);
        for (int i = 0; i < 20_000; i++)
        {
            byte[] damaged = [.. whole];
            for (int n = 0; n < 3; n++) damaged[random.Next(damaged.Length)] = (byte)random.Next(256);
            foreach (var message in NetlinkReader.Messages(damaged)) InterfaceAddresses.Address(message);
        }
    }

    private static string Hex(NetlinkWriter messages) => Convert.ToHexStringLower(messages.ToArray());

    private static string Joined(params string[] parts) => string.Concat(parts).Replace(" ", "");
}
