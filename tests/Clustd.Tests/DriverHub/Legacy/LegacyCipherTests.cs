using System.Text;
using Clustd.Hub.Legacy;
using FsCheck.Xunit;
using Shouldly;
using Xunit;

namespace Clustd.Tests.Hub.Legacy;

/// <summary>The frames of 2018. The golden ones were made by Node's crypto module.</summary>
public sealed class LegacyCipherTests
{
    private const string Secret = "correct horse battery staple";
    private const string Header = "000102030405060708090a0b6cb77322d2f4009d7034befbd0b4c192c73cc7958bc9a651e7c1b2a9ebd034ca72";
    private const string Hello = "000102030405060708090a0b2a58ff8ca9f3c5a7562630cb9926166a058857ac38b27362857e442b724bf4ed64d205b1f4a6f3c09cd802ea2e0856a376035c944a0d3c8edb1433fb0346a8d823437dfcf5f0";
    private const string Trigger = "000102030405060708090a0b902f94868a1290b3bf0dcf53a94a512bfb0126df04906025b1252fb92ca31376cb875fff9812ee52c3bc92e45cec01215ab16e945346fa0a83973f53faee04d119d271c740d2fffe1938";
    private const string Answer = "000102030405060708090a0bf46f6160ebdcc25a4151185920af277c6273c3b71a1c76264f1bebfd90577c2a599ef7005c0e";
    private const uint Ticket = 0xdeadbeef;

    [Fact] // Wrong program: little-endian counters, the ticket before the counter, a counter from 0, the tag behind the text.
    public void What_Node_has_sealed_is_opened_in_its_order()
    {
        var cipher = new LegacyCipher(Secret);

        Text(cipher.Open(Hex(Header))).ShouldBe("""{"type":"driver"}""");
        Text(cipher.Open(Hex(Hello))).ShouldBe("""{"hello_world":3735928559,"id":"driver-mydriver-1234"}""");
        cipher.Bind(Ticket);
        Text(cipher.Open(Hex(Answer))).ShouldBe("""{"res_id":0,"data":{}}""");
    }

    [Fact]
    public void What_the_daemon_would_say_second_is_what_Node_would()
    {
        var cipher = new LegacyCipher(Secret, used: 1);
        cipher.Bind(Ticket);

        Text(cipher.Open(Hex(Trigger))).ShouldBe("""{"req_id":0,"method":"trigger","params":{"isMaster":true}}""");
    }

    [Theory]
    [InlineData(Secret, 1, null, "7d12fc62d40f2e6dee08f0a9ca25ff89")]
    [InlineData(Secret, 2, null, "a0418263daa5ebe9664722b29bba99e9")]
    [InlineData(Secret, 2, Ticket, "219ccc8238beef16ec375d414922f3b6")]
    [InlineData("schlüssel 鍵", uint.MaxValue, 1u, "7bd236c745f3806a252cdec8b6de1e6f")]
    public void Keys_are_those_of_Node(string secret, uint counter, uint? ticket, string key)
    {
        var cipher = new LegacyCipher(secret, used: counter - 1);
        cipher.Bind(ticket ?? 0);

        var frame = cipher.Seal("said"u8);

        Text(Crypto2018.Open(Hex(key), frame)).ShouldBe("said");
        Crypto2018.Key(secret, counter, ticket).ShouldBe(Hex(key)); // The tests' own arithmetic as well.
    }

    // Wrong program: one key for all, and what was recorded once can be played again.
    [Fact]
    public void Each_direction_counts_for_itself_and_no_frame_opens_twice()
    {
        var (daemon, driver) = (new LegacyCipher(Secret), new LegacyCipher(Secret));
        var (first, second) = (daemon.Seal("1"u8), daemon.Seal("2"u8));

        Text(driver.Open(first)).ShouldBe("1");
        Text(driver.Open(second)).ShouldBe("2");
        driver.Open(second).ShouldBeNull();
        Text(daemon.Open(driver.Seal("a"u8))).ShouldBe("a");
    }

    [Fact]
    public void A_changed_bit_anywhere_makes_it_no_message()
    {
        for (var i = 0; i < Hex(Header).Length; i++)
        {
            var frame = Hex(Header);
            frame[i] ^= 1;
            new LegacyCipher(Secret).Open(frame).ShouldBeNull($"byte {i}");
        }

        new LegacyCipher(Secret + "r").Open(Hex(Header)).ShouldBeNull();
        new LegacyCipher(Secret).Open(Hex(Header)[..27]).ShouldBeNull();
        new LegacyCipher(Secret).Open([]).ShouldBeNull();
    }

    [Fact] // Wrong program: starts again at 0, and uses every key twice.
    public void The_counter_ends_and_does_not_start_again()
    {
        var cipher = new LegacyCipher(Secret, used: uint.MaxValue - 1);
        cipher.IsUsedUp.ShouldBeFalse();

        cipher.Seal("the last"u8);

        cipher.IsUsedUp.ShouldBeTrue();
        Should.Throw<OverflowException>(() => cipher.Seal("one more"u8));
    }

    [Property(MaxTest = 300)]
    public void Any_bytes_are_a_message_or_none(byte[] bytes)
    {
        new LegacyCipher(Secret).Open(bytes).ShouldBeNull();
        _ = LegacyMessage.Read(bytes);
        _ = LegacyMessage.Read(Encoding.UTF8.GetBytes("{\"id\":\"" + Convert.ToHexString(bytes) + "\\ud800\",\"error\":\"\\udfff\"}"));
    }

    private static byte[] Hex(string text) => Convert.FromHexString(text);

    private static string Text(byte[]? bytes) => Encoding.UTF8.GetString(bytes.ShouldNotBeNull());
}
