using System.Buffers.Binary;
using System.Net;
using System.Net.Sockets;
using Clustd.Drivers.Dns;
using Shouldly;
using Xunit;
using static Clustd.Tests.Drivers.Dns.NameServer;

namespace Clustd.Tests.Drivers.Dns;

/// <summary>Servers, and whoever is between, that answer as no name server should.</summary>
public sealed class HostileServerTests : IDisposable
{
    private readonly Socket _udp;
    private readonly TcpListener _tcp;
    private readonly CancellationTokenSource _ended = new();
    private readonly int _port;
    private int _tcpAsked;

    public HostileServerTests()
    {
        (_udp, _tcp) = OnOnePort();
        _port = ((IPEndPoint)_udp.LocalEndPoint!).Port;
    }

    // What is free for UDP may be taken for TCP, by another test: then the next port is tried.
    private static (Socket Udp, TcpListener Tcp) OnOnePort()
    {
        for (int attempt = 1; ; attempt++)
        {
            var udp = new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp);
            udp.Bind(new IPEndPoint(IPAddress.Loopback, 0));
            var tcp = new TcpListener(IPAddress.Loopback, ((IPEndPoint)udp.LocalEndPoint!).Port);
            try
            {
                tcp.Start();
                return (udp, tcp);
            }
            catch (SocketException) when (attempt < 50)
            {
                udp.Dispose();
                tcp.Dispose();
            }
        }
    }

    public void Dispose()
    {
        _ended.Cancel();
        _udp.Dispose();
        _tcp.Dispose();
    }

    [Fact] // Wrong program: believes a success that is not signed.
    public async Task A_success_that_is_not_signed_is_not_believed()
    {
        AnswerUdp(request => [Plain(request)]);
        (await Refused(Key("hmac-sha256"))).ShouldContain("is not signed with the key 'clustd'");
    }

    [Fact]
    public async Task A_success_that_is_signed_with_another_secret_is_not_believed()
    {
        AnswerUdp(request => [ServerSignature.Sign(Plain(request), Key("hmac-sha256") with { Secret = [1] }, [], Now)]);
        (await Refused(Key("hmac-sha256"))).ShouldContain("is not signed with the key 'clustd'");
    }

    [Fact] // Wrong program: takes whatever comes to its port.
    public async Task What_does_not_fit_is_passed_over()
    {
        AnswerUdp(request =>
        {
            // Each says REFUSED: whoever takes it is found out.
            byte[] otherId = With(Plain(request), flags: 0x8405), noAnswer = (byte[])request.Clone(), otherQuestion = With(Plain(DnsWriter.Write(DnsMessage.Query(BinaryPrimitives.ReadUInt16BigEndian(request), Name("evil.test"), DnsType.Soa))), flags: 0x8405);
            otherId[0] ^= 0xFF;
            With(noAnswer, flags: 0x0005);
            return [[], [1, 2, 3], otherId, noAnswer, otherQuestion, new byte[2000], Plain(request)];
        });
        (await AskAsync(null)).Code.ShouldBe(DnsCode.NoError);
        _tcpAsked.ShouldBe(0);
    }

    [Fact]
    public async Task A_truncated_answer_is_asked_for_again_over_tcp()
    {
        AnswerUdp(request => [With(Plain(request), flags: 0x8600)]);
        AnswerTcp(request => Framed(Plain(request)));
        (await AskAsync(null)).IsTruncated.ShouldBeFalse();
        _tcpAsked.ShouldBe(1);
    }

    [Fact] // UDP is dropped by a firewall.
    public async Task A_server_that_is_silent_over_udp_is_asked_over_tcp()
    {
        AnswerTcp(request => Framed(Plain(request)));
        (await AskAsync(null)).Code.ShouldBe(DnsCode.NoError);
    }

    public static TheoryData<byte[]> Senseless => new((byte[][])[[], [0], [0, 5, 1, 2], [0xFF, 0xFF, 1], [0, 3, 1, 2, 3], [.. "HTTP/1.1 400 Bad Request\r\n\r\n"u8]]);

    [Theory]
    [MemberData(nameof(Senseless))]
    public async Task Senseless_bytes_over_tcp_are_an_error(byte[] bytes)
    {
        AnswerTcp(_ => bytes);
        (await Refused(null, tcpOnly: true)).ShouldMatch("does not answer");
    }

    [Fact]
    public async Task A_port_where_nobody_listens_is_said()
    {
        var exchange = new DnsExchange(new DnsServer("127.0.0.1", FreePort()), null, tcpOnly: false, TimeProvider.System);
        var error = await Should.ThrowAsync<DnsException>(() => exchange.AskAsync(Question(), TestContext.Current.CancellationToken));
        (error.Message.Contains("nobody listens there"), error.MayPass).ShouldBe((true, true));
    }

    [Theory]
    [InlineData(9, "is not the primary of example.test: it takes no updates for it (NOTAUTH)")]
    [InlineData(5, "(REFUSED)")]
    [InlineData(4, "does not do updates at all (NOTIMP)")]
    [InlineData(10, "is not in the zone example.test (NOTZONE)")]
    [InlineData(2, "(SERVFAIL)")]
    [InlineData(1, "it says FormErr (1)")]
    [InlineData(15, "it says 15 (15)")]
    public async Task A_code_is_said_in_words(int code, string says)
    {
        AnswerTcp(request => Framed(With(Plain(request), flags: (ushort)(0xA800 | code))));
        var place = new NamePlace(new DnsDriverOptions { Record = "www.example.test", Server = new DnsServer("127.0.0.1", _port), Zone = Zone, TcpOnly = true }, TimeProvider.System);
        var error = await Should.ThrowAsync<DnsException>(() => place.ReplaceAsync(new NameState([], []), [], NameFence.New("web", 1, "cm-1"), TestContext.Current.CancellationToken));
        error.Message.ShouldContain(says);
        error.MayPass.ShouldBe((DnsCode)code == DnsCode.ServFail);
    }

    [Fact] // Wrong program: takes what a cache has for what the zone has.
    public async Task A_cache_is_not_believed()
    {
        AnswerTcp(request => Framed(With(Plain(request), flags: 0x8080)));
        var place = new NamePlace(new DnsDriverOptions { Record = "www.example.test", Server = new DnsServer("127.0.0.1", _port), TcpOnly = true }, TimeProvider.System);
        (await Should.ThrowAsync<DnsException>(() => place.ZoneAsync(TestContext.Current.CancellationToken))).Message.ShouldContain("its answer comes from a cache");
    }

    private static long Now => DateTimeOffset.UtcNow.ToUnixTimeSeconds();

    private static DnsMessage Question() => DnsMessage.Query(77, Name(Zone), DnsType.Soa);

    // The question again, as an answer without records.
    private static byte[] Plain(byte[] request)
    {
        DnsMessage read = DnsReader.Read(request);
        return DnsWriter.Write(new DnsMessage { Id = read.Id, Flags = 0x8400, Questions = read.Questions });
    }

    private static byte[] With(byte[] answer, ushort flags)
    {
        BinaryPrimitives.WriteUInt16BigEndian(answer.AsSpan(2), flags);
        return answer;
    }

    private static byte[] Framed(byte[] answer) => [(byte)(answer.Length >> 8), (byte)answer.Length, .. answer];

    private Task<DnsMessage> AskAsync(TsigKey? key, bool tcpOnly = false) =>
        new DnsExchange(new DnsServer("127.0.0.1", _port), key, tcpOnly, TimeProvider.System).AskAsync(Question(), TestContext.Current.CancellationToken);

    private async Task<string> Refused(TsigKey? key, bool tcpOnly = false) => (await Should.ThrowAsync<DnsException>(() => AskAsync(key, tcpOnly))).Message;

    private void AnswerUdp(Func<byte[], byte[][]> answer) => _ = Task.Run(async () =>
    {
        byte[] buffer = new byte[4096];
        while (!_ended.IsCancellationRequested)
        {
            var from = await _udp.ReceiveFromAsync(buffer, SocketFlags.None, new IPEndPoint(IPAddress.Any, 0), _ended.Token);
            foreach (byte[] bytes in answer(buffer[..from.ReceivedBytes])) await _udp.SendToAsync(bytes, SocketFlags.None, from.RemoteEndPoint, _ended.Token);
        }
    });

    private void AnswerTcp(Func<byte[], byte[]> answer) => _ = Task.Run(async () =>
    {
        while (!_ended.IsCancellationRequested)
        {
            using var client = await _tcp.AcceptTcpClientAsync(_ended.Token);
            Interlocked.Increment(ref _tcpAsked);
            var stream = client.GetStream();
            byte[] length = new byte[2];
            await stream.ReadExactlyAsync(length, _ended.Token);
            byte[] request = new byte[BinaryPrimitives.ReadUInt16BigEndian(length)];
            await stream.ReadExactlyAsync(request, _ended.Token);
            await stream.WriteAsync(answer(request), _ended.Token);
        }
    });
}
