using System.IO.Pipelines;
using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Text;
using Clustd.Http;
using Clustd.Peers;
using Microsoft.AspNetCore.Connections;
using Microsoft.Extensions.Logging.Abstractions;
using Shouldly;
using Xunit;

namespace Clustd.Tests.Peers;

/// <summary>What the one port does with machines, people and strangers.</summary>
public sealed class OnePortTests
{
    [Theory]
    [InlineData(0x16, "10.0.0.5", "Tls")]
    [InlineData(0x16, "127.0.0.1", "Tls")]
    [InlineData('G', "127.0.0.1", "Plain")]
    [InlineData('G', "::1", "Plain")]
    [InlineData('G', "::ffff:127.0.0.1", "Plain")]
    [InlineData('G', "10.0.0.7", "Plain")] // this machine's own address at both ends
    [InlineData('G', "::ffff:10.0.0.7", "Plain")]
    [InlineData('G', "10.0.0.5", "PlainFromOutside")]
    [InlineData('G', "::ffff:10.0.0.5", "PlainFromOutside")]
    [InlineData('G', null, "PlainFromOutside")]
    public void The_first_byte_and_the_address_decide(int first, string? remote, string expected) =>
        OnePort.Judge((byte)first, remote is null ? null : IPAddress.Parse(remote), IPAddress.Parse("10.0.0.7")).ToString().ShouldBe(expected);

    [Fact]
    public async Task Plain_text_from_outside_gets_a_readable_refusal_and_never_reaches_the_server()
    {
        using var identity = await ClusterIdentity.CreateAsync("a", TestMachine.Secret);
        var opening = new OnePortOpening(new OnePortOptions { BindAddress = "0.0.0.0", Port = 3001, Identity = Task.FromResult(identity) }, NullLogger.Instance);
        var (input, output) = (new Pipe(), new Pipe());
        await using var connection = new DefaultConnectionContext("1", new Duplex(input.Reader, output.Writer), new Duplex(output.Reader, input.Writer))
        {
            RemoteEndPoint = new IPEndPoint(IPAddress.Parse("::ffff:10.0.0.5"), 4000),
        };
        await input.Writer.WriteAsync("GET / HTTP/1.1\r\n\r\n"u8.ToArray());
        var served = false;

        await opening.OpenAsync(connection, _ =>
        {
            served = true;
            return Task.CompletedTask;
        });

        served.ShouldBeFalse();
        var answer = await new StreamReader(output.Reader.AsStream()).ReadToEndAsync();
        answer.ShouldStartWith("HTTP/1.1 403 Forbidden\r\n");
        answer.ShouldContain("Refused: plain text from 10.0.0.5.");
        answer.ShouldContain("Use https:// or wss://.");
    }

    [Fact]
    public async Task Loopback_may_speak_plain_text_and_tls_without_a_certificate_on_the_same_port()
    {
        var port = TestMachine.FreePort();
        await using var a = await TestMachine.StartAsync("a", port, []);
        using var http = new HttpClient(new SocketsHttpHandler { UseProxy = false, SslOptions = new SslClientAuthenticationOptions { RemoteCertificateValidationCallback = (_, _, _, _) => true } });

        (await http.GetStringAsync($"http://127.0.0.1:{port}/hello")).ShouldBe("hello over http");
        (await http.GetStringAsync($"https://127.0.0.1:{port}/hello")).ShouldBe("hello over https");
    }

    [Fact]
    public async Task The_door_for_machines_is_shut_without_a_machine_certificate()
    {
        var port = TestMachine.FreePort();
        await using var a = await TestMachine.StartAsync("a", port, []);
        using var socket = new System.Net.WebSockets.ClientWebSocket();
        socket.Options.AddSubProtocol("clustd.peer.v1");
        socket.Options.CollectHttpResponseDetails = true;

        await Should.ThrowAsync<System.Net.WebSockets.WebSocketException>(() => socket.ConnectAsync(new Uri($"ws://127.0.0.1:{port}/v1/peer"), CancellationToken.None));

        socket.HttpStatusCode.ShouldBe(HttpStatusCode.Forbidden);
        await a.RefusedAsync("it showed no machine certificate");
    }

    [Fact]
    public async Task Garbage_instead_of_a_handshake_costs_one_line_of_log_however_often_it_comes()
    {
        var port = TestMachine.FreePort();
        await using var a = await TestMachine.StartAsync("a", port, []);
        byte[][] garbage =
        [
            [0x16, 0x03, 0x01, 0x00, 0x05, 0x01, 0x00, 0x00, 0x01, 0x00],
            [0x16, 0xff, 0xff, 0xff, 0xff, .. new byte[64]],
            [0x16, 0x03, 0x01, 0x00, 0x2f, 0x01, 0x00, 0x00, 0x2b, 0x02, 0x00, .. new byte[41]], // a version that nobody speaks
            [0x16],
        ];

        foreach (var number in Enumerable.Range(0, 40))
        {
            using var stranger = await ConnectAsync(port);
            await stranger.SendAsync(garbage[number % garbage.Length]);
            stranger.Shutdown(SocketShutdown.Send);
            await ReadToEndAsync(stranger);
        }

        a.Log.Lines.Where(line => line.Contains("TLS handshake", StringComparison.Ordinal)).Count().ShouldBeLessThanOrEqualTo(1);
        a.Log.Lines.ShouldNotContain(line => line.StartsWith("Error", StringComparison.Ordinal) || line.Contains("Exception", StringComparison.Ordinal));
    }

    [Fact]
    public async Task Whoever_says_nothing_or_never_finishes_its_handshake_is_shown_the_door()
    {
        var port = TestMachine.FreePort();
        await using var a = await TestMachine.StartAsync("a", port, [], withPort: options => options with { OpeningTimeout = TimeSpan.FromMilliseconds(300) });
        using var silent = await ConnectAsync(port);
        using var slow = await ConnectAsync(port);
        await slow.SendAsync(new byte[] { 0x16, 0x03 });

        await ReadToEndAsync(silent);
        await ReadToEndAsync(slow);
    }

    [Fact]
    public async Task A_port_in_use_is_named_with_what_to_do()
    {
        var port = TestMachine.FreePort();
        using var other = new TcpListener(IPAddress.Loopback, port);
        other.Start();

        var failure = await Should.ThrowAsync<PortUnavailableException>(() => TestMachine.StartAsync("a", port, []));

        failure.Message.ShouldBe(
            $"Cannot listen on 127.0.0.1:{port}: another program holds the port. Find it with `ss -ltnp 'sport = :{port}'` and stop it, or set another server.bind_port.");
    }

    [Theory]
    [InlineData("0.0.0.0")]
    [InlineData("::")]
    [InlineData("localhost")]
    public async Task Machines_meet_on_every_kind_of_bind_address(string bindAddress)
    {
        var port = TestMachine.FreePort();
        await using var a = await TestMachine.StartAsync("a", port, [], withPort: options => options with { BindAddress = bindAddress });
        await using var b = await TestMachine.StartAsync("b", TestMachine.FreePort(), [$"ws://localhost:{port}"]);

        await b.ConnectedAsync("a");
    }

    private static async Task<Socket> ConnectAsync(int port)
    {
        var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        await socket.ConnectAsync(IPAddress.Loopback, port);
        return socket;
    }

    /// <summary>Reads until the other side closes or resets; fails if it does neither.</summary>
    private static async Task ReadToEndAsync(Socket socket)
    {
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(30));
        var buffer = new byte[4096];
        try
        {
            while (await socket.ReceiveAsync(buffer.AsMemory(), limit.Token) > 0)
            {
            }
        }
        catch (SocketException)
        {
            // Reset is as good as closed.
        }
    }

    private sealed record Duplex(PipeReader Input, PipeWriter Output) : IDuplexPipe;
}
