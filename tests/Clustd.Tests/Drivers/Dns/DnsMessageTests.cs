using System.Buffers.Binary;
using Clustd.Drivers.Dns;
using Shouldly;
using Xunit;
using static Clustd.Tests.Drivers.Dns.NameServer;

namespace Clustd.Tests.Drivers.Dns;

/// <summary>DNS messages as bytes, well-formed and not.</summary>
public sealed class DnsMessageTests
{
    [Fact]
    public void A_message_is_read_as_it_was_written()
    {
        var fence = NameFence.New("web", 7, "cm-1");
        var update = DnsMessage.Update(9, Name("Example.test"), [new(Name("a.example.test"), DnsType.Txt, DnsClass.None, 0, [])], [new(Name("b.example.test"), DnsType.Txt, DnsClass.In, 30, fence.ToData())]);
        DnsMessage read = DnsReader.Read(DnsWriter.Write(update));
        (read.Id, read.Opcode, read.IsAnswer).ShouldBe((update.Id, DnsOpcode.Update, false));
        read.Questions.ShouldBe(update.Questions);
        read.Answers.ShouldBe(update.Answers);
        NameFence.Parse(NameFence.TextOf(read.Authority[0].Data)!).ShouldBe(fence);
    }

    [Fact]
    public void Compressed_names_are_followed_also_in_a_cname()
    {
        // www.example.test CNAME cm.(example.test), its owner a pointer to the question, its target's end one into it.
        byte[] bytes = [.. Header(questions: 1, answers: 1), 3, .. "www"u8, 7, .. "Example"u8, 4, .. "test"u8, 0, 0, 5, 0, 1, 0xC0, 12, 0, 5, 0, 1, 0, 0, 0, 30, 0, 5, 2, .. "cm"u8, 0xC0, 16];
        DnsRecord record = DnsReader.Read(bytes).Answers.ShouldHaveSingleItem();
        record.Name.ToString().ShouldBe("www.Example.test");
        WantedRecords.Show([record]).ShouldBe("cm.example.test");
    }

    public static TheoryData<string, byte[]> Hostile => new()
    {
        { "nothing", [] },
        { "half a header", [0, 1, 0x80] },
        { "a name that points to itself", [.. Header(questions: 1), 0xC0, 12, 0, 1, 0, 1] },
        { "a name that points ahead", [.. Header(questions: 1), 0xC0, 14, 0, 0, 1, 0, 1] },
        { "two names that point to each other", [.. Header(questions: 2), 1, 97, 0xC0, 16, 0xC0, 12, 0, 1, 0, 1] },
        { "a pointer without its second half", [.. Header(questions: 1), 0xC0] },
        { "a label of an unknown kind", [.. Header(questions: 1), 0x80, 0, 0, 1, 0, 1] },
        { "a label beyond the end", [.. Header(questions: 1), 63, 97] },
        { "a name without its end", [.. Header(questions: 1), 1, 97] },
        { "a name of 300 bytes", [.. Header(questions: 1), .. Enumerable.Repeat<byte[]>([63, .. new byte[63]], 5).SelectMany(each => each), 0, 0, 1, 0, 1] },
        { "65535 records that are not there", [.. Header(answers: 65535)] },
        { "data beyond the end", [.. Header(answers: 1), 0, 0, 16, 0, 1, 0, 0, 0, 0, 0xFF, 0xFF, 1] },
        { "a CNAME longer than its data", [.. Header(answers: 1), 0, 0, 5, 0, 1, 0, 0, 0, 0, 0, 1, 1, 97, 0] },
        { "something behind the end", [.. Header(), 0] },
    };

    [Theory] // Wrong program: never returns, reads elsewhere, or takes gigabytes because the header says so.
    [MemberData(nameof(Hostile))]
    public void What_is_no_message_is_refused(string what, byte[] bytes) =>
        Should.Throw<DnsFormatException>(() => DnsReader.Read(bytes), what);

    [Fact]
    public void A_chain_of_pointers_ends()
    {
        // Each points to the one before: legal, and as long as a name may become only once.
        var bytes = new List<byte>([.. Header(questions: 1), 0]);
        for (int at = 12; bytes.Count < 16_000; at = bytes.Count - 2) bytes.AddRange([(byte)(0xC0 | (at >> 8)), (byte)at]);
        Should.Throw<DnsFormatException>(() => DnsReader.Read([.. bytes]));
        DnsReader.ReadName([1, 97, 0], out int length).ToString().ShouldBe("a");
        length.ShouldBe(3);
    }

    [Theory]
    [InlineData("hmac-sha256")]
    [InlineData("hmac-sha512")]
    public void An_answer_with_the_right_signature_is_genuine(string algorithm)
    {
        var (bytes, mac) = Answer(Key(algorithm), Key(algorithm), 1_000);
        Check(bytes, Key(algorithm), mac, 1_000).ShouldBe(new TsigCheck(true));
        Check(bytes, Key(algorithm), mac, 1_301).IsGenuine.ShouldBeFalse("older than the fudge allows");
    }

    [Fact] // Wrong program: takes a success that anybody has forged.
    public void Any_change_of_an_answer_is_noticed()
    {
        TsigKey key = Key("hmac-sha256");
        var (bytes, mac) = Answer(key, key, 1_000);
        for (int bit = 0; bit < bytes.Length * 8; bit++)
        {
            byte[] changed = (byte[])bytes.Clone();
            changed[bit / 8] ^= (byte)(1 << (bit % 8));
            try
            {
                // The id in the header may be changed by a forwarder; what the case of the key's name is does not matter; the class and TTL of the signature are checked or constant.
                bool isFree = bit / 8 < 2 || IsSameBut(changed, bytes);
                if (!isFree) Check(changed, key, mac, 1_000).IsGenuine.ShouldBeFalse($"bit {bit}");
            }
            catch (DnsFormatException)
            {
                // No message any more.
            }
        }
        Check(bytes, key, [.. mac.Reverse()], 1_000).IsGenuine.ShouldBeFalse("the answer to another request");
        Check(bytes, key with { Secret = [1, 2, 3] }, mac, 1_000).IsGenuine.ShouldBeFalse();
        Check(DnsWriter.Write(DnsMessage.Query(1, Name(Zone), DnsType.Soa)), key, mac, 1_000).IsGenuine.ShouldBeFalse("no signature at all");
    }

    [Theory]
    [InlineData("www.example.com.", null)]
    [InlineData("_clustd.a-b", null)]
    [InlineData("a..b", "empty part")]
    [InlineData("", "empty part")]
    [InlineData("a b", "' ' in it")]
    [InlineData("münchen.de", "xn--")]
    [InlineData("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.b", "has 65 characters")]
    public void A_name_is_read_or_refused_with_a_reason(string text, string? why)
    {
        (DnsName.Parse(text, out string whyNot) is null).ShouldBe(why is not null);
        whyNot.ShouldContain(why ?? "");
    }

    [Theory]
    [InlineData("10.0.0.53", "10.0.0.53:53")]
    [InlineData("10.0.0.53:5353", "10.0.0.53:5353")]
    [InlineData("2001:db8::53", "[2001:db8::53]:53")]
    [InlineData("[2001:db8::53]:5353", "[2001:db8::53]:5353")]
    [InlineData("[2001:db8::53]", "[2001:db8::53]:53")]
    [InlineData("ns1.example.com", "ns1.example.com:53")]
    [InlineData("ns1.example.com:0", null)]
    [InlineData("ns1.example.com:x", null)]
    [InlineData("http://ns1", null)]
    [InlineData("", null)]
    public void A_server_is_an_address_and_a_port(string text, string? shown) => DnsServer.Parse(text, out _)?.ToString().ShouldBe(shown);

    [Theory]
    [InlineData("clustd service=web token=7 machine=cm-1 mark=0123456789abcdef", true)]
    [InlineData("clustd service=web token=7 machine=cm-1 mark=0123456789abcdef removed", true)]
    [InlineData("clustd service=web token=7 machine=cm-1 mark=0123456789abcdef removed ", false)]
    [InlineData("clustd service=web token=-7 machine=cm-1 mark=0123456789abcdef", false)]
    [InlineData("clustd service=web token=99999999999999999999 machine=cm-1 mark=0123456789abcdef", false)]
    [InlineData("v=spf1 -all", false)]
    public void A_fence_is_read_strictly(string text, bool isFence) => NameFence.Parse(text)?.ToString().ShouldBe(isFence ? text : null);

    [Fact]
    public void A_fence_lets_newer_tokens_of_its_service_by()
    {
        var fence = NameFence.New("web", 7, "cm-1");
        fence.WhyNot("web", 7).ShouldBeNull();
        fence.WhyNot("web", 8).ShouldBeNull();
        fence.WhyNot("web", 6).ShouldNotBeNull().ShouldContain("newer than our 6");
        fence.WhyNot("bot", 8).ShouldNotBeNull().ShouldContain("belongs to service 'web'");
        NameFence.New("web", 7, "cm-1").Mark.ShouldNotBe(fence.Mark, "no text is ever there twice");
        NameFence.New(new string('s', 64), 1L << 53, new string('m', 64), isRemoved: true).ToString().Length.ShouldBeLessThanOrEqualTo(255);
    }

    [Fact]
    public void Damaged_text_is_no_fence()
    {
        NameFence.TextOf([200, 1, 2]).ShouldBeNull();
        NameFence.TextOf([]).ShouldBe("");
        NameFence.TextOf([1, 97, 2, 98, 99]).ShouldBe("abc");
    }

    private static byte[] Header(int questions = 0, int answers = 0)
    {
        byte[] bytes = new byte[12];
        BinaryPrimitives.WriteUInt16BigEndian(bytes.AsSpan(4), (ushort)questions);
        BinaryPrimitives.WriteUInt16BigEndian(bytes.AsSpan(6), (ushort)answers);
        return bytes;
    }

    private static TsigCheck Check(byte[] bytes, TsigKey key, byte[] mac, long now) => Tsig.Check(bytes, DnsReader.Read(bytes), key, mac, now);

    // Signed as a server does it: over the request's signature, too (RFC 8945, 5.3).
    internal static (byte[] Answer, byte[] RequestMac) Answer(TsigKey key, TsigKey serverKey, long now)
    {
        Tsig.Sign(DnsWriter.Write(DnsMessage.Query(1, Name(Zone), DnsType.Soa)), key, now, out byte[] requestMac);
        byte[] answer = DnsWriter.Write(DnsMessage.Query(1, Name(Zone), DnsType.Soa) with { Flags = 0x8400, Answers = [new(Name(Zone), DnsType.Soa, DnsClass.In, 60, [1, 2, 3])] });
        return (ServerSignature.Sign(answer, serverKey, requestMac, now), requestMac);
    }

    private static bool IsSameBut(byte[] changed, byte[] bytes)
    {
        DnsRecord was = DnsReader.Read(bytes).Additional[^1], @is = DnsReader.Read(changed).Additional is [.., var last] ? last : was with { Type = DnsType.A };
        return @is.Type == was.Type && @is.Class == was.Class && @is.Name.Equals(was.Name) && (@is.Ttl != was.Ttl || !@is.Name.Wire.SequenceEqual(was.Name.Wire) || AlgorithmCase(@is, was));
    }

    private static bool AlgorithmCase(DnsRecord one, DnsRecord other)
    {
        DnsName a = DnsReader.ReadName(one.Data, out _), b = DnsReader.ReadName(other.Data, out _);
        return a.Equals(b) && !a.Wire.SequenceEqual(b.Wire);
    }
}
