using System.Net;
using System.Net.Sockets;
using System.Text;
using Clustd.Client;
using Clustd.Client.Protocol;
using Shouldly;
using Xunit;

namespace Clustd.Tests.Client;

public class HandshakeTests
{
    // Fixed vectors, made by another program (Python's hmac): docs/protocol.md prints them, so that drivers in other languages can check themselves. Wrong program: any other formula.
    [Fact]
    public void Proofs_are_what_the_protocol_document_says()
    {
        var key = Handshake.KeyOf("correct horse battery staple");
        var client = Convert.ToBase64String(Enumerable.Range(0, 32).Select(i => (byte)i).ToArray());
        var daemon = Convert.ToBase64String(Enumerable.Range(32, 32).Select(i => (byte)i).ToArray());
        Convert.ToHexStringLower(key).ShouldBe("5136a91427f286c4cd7f3eb1aa6f006b3681215f8f57ac67907f0b2f8f726528");
        Handshake.DaemonProof(key, client, daemon).ShouldBe("vqzZE0uxJBS3vUA4o9ZTi9+E+MFQeX+fBX0lPF6P2uI=");
        Handshake.DriverProof(key, client, daemon).ShouldBe("s9k5uiu6pl12sAVWq7iDBZVf+9s7u+upegq6vL8/KD0=");
    }

    [Fact]
    public void Neither_proof_can_be_sent_back_as_the_other()
    {
        var key = Handshake.KeyOf(ScriptedDaemon.Secret);
        var nonce = Handshake.NewNonce();
        Handshake.DaemonProof(key, nonce, nonce).ShouldNotBe(Handshake.DriverProof(key, nonce, nonce));
    }

    [Theory]
    [InlineData(null, false)]
    [InlineData("", false)]
    [InlineData("AAAA", false)]
    [InlineData("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=", true)]
    [InlineData("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8A", false)]
    [InlineData("!AECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=", false)]
    public void A_nonce_is_32_bytes_of_base64(string? text, bool expected) => Handshake.IsNonce(text).ShouldBe(expected);

    // Wrong program: authenticates whatever the daemon's proof says, and so hands an impostor material about the secret.
    [Fact]
    public async Task An_impostor_daemon_gets_no_proof_and_the_driver_says_why()
    {
        await using var impostor = new ScriptedDaemon { OwnSecret = "another secret" };
        await using var driver = new RecordingDriver(impostor);
        var refused = await Should.ThrowAsync<DriverRefusedException>(driver.ConnectAsync().WaitAsync(ScriptedDaemon.Patience));
        refused.Message.ShouldContain("could not prove");
        refused.Message.ShouldContain("cluster.secret");
        impostor.Methods.ShouldBe(["hello"]);
    }

    [Fact]
    public async Task A_refused_register_is_reported_with_the_daemons_words()
    {
        await using var daemon = new ScriptedDaemon { Refuse = _ => RpcError.Of(DriverErrorCodes.RegisterRefused, "Cannot register: no service 'x'. Name another.") };
        await using var driver = new RecordingDriver(daemon);
        (await Should.ThrowAsync<DriverRefusedException>(driver.ConnectAsync().WaitAsync(ScriptedDaemon.Patience))).Message.ShouldBe("Cannot register: no service 'x'. Name another.");
    }

    [Fact]
    public async Task After_a_refusal_the_same_driver_may_try_again()
    {
        await using var daemon = new ScriptedDaemon { Refuse = _ => RpcError.Of(DriverErrorCodes.RegisterRefused, "No.") };
        await using var driver = new RecordingDriver(daemon);
        await Should.ThrowAsync<DriverRefusedException>(driver.ConnectAsync().WaitAsync(ScriptedDaemon.Patience));
        daemon.Refuse = _ => null;
        await driver.ConnectAsync().WaitAsync(ScriptedDaemon.Patience);
        driver.Machine.ShouldBe("cm-1");
    }

    // Wrong program: takes "another instance is still being stopped" for a refusal and gives up.
    [Fact]
    public async Task A_second_instance_waits_for_the_first()
    {
        var asked = 0;
        await using var daemon = new ScriptedDaemon { Refuse = _ => ++asked < 3 ? RpcError.Of(DriverErrorCodes.InstanceBusy, "Another 'recorder' is not yet stopped.") : null };
        await using var driver = new RecordingDriver(daemon);
        await driver.ConnectAsync().WaitAsync(ScriptedDaemon.Patience);
        asked.ShouldBe(3);
    }

    [Fact]
    public async Task A_daemon_that_is_not_there_yet_is_waited_for()
    {
        int port;
        using (var probe = new TcpListener(IPAddress.Loopback, 0))
        {
            probe.Start();
            port = ((IPEndPoint)probe.LocalEndpoint).Port;
        }
        await using var driver = new RecordingDriver(new DriverClient { Secret = ScriptedDaemon.Secret }, $"127.0.0.1:{port}");
        var connecting = driver.ConnectAsync();
        await Eventually.HoldsAsync(() => driver.Lines.Any(line => line.Contains("connection refused", StringComparison.Ordinal)), () => string.Join('\n', driver.Lines));
        await using var daemon = new ScriptedDaemon(port);
        await connecting.WaitAsync(ScriptedDaemon.Patience);
    }

    [Theory]
    [InlineData("HTTP/1.1 404 Not Found\r\n\r\n")]
    [InlineData("SSH-2.0-OpenSSH_9.2\r\n\r\n")]
    [InlineData("HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: AAAA\r\nSec-WebSocket-Protocol: clustd.v1\r\n\r\n")]
    [InlineData("")]
    public async Task Something_else_on_the_port_is_told_apart_and_tried_again(string answer)
    {
        using var stranger = new TcpListener(IPAddress.Loopback, 0);
        stranger.Start();
        await using var driver = new RecordingDriver(new DriverClient { Secret = ScriptedDaemon.Secret }, $"127.0.0.1:{((IPEndPoint)stranger.LocalEndpoint).Port}");
        using var giveUp = new CancellationTokenSource();
        var connecting = driver.ConnectAsync(giveUp.Token);
        for (var i = 0; i < 2; i++)
        {
            using var client = await stranger.AcceptTcpClientAsync().WaitAsync(ScriptedDaemon.Patience);
            await client.GetStream().WriteAsync(Encoding.ASCII.GetBytes(answer));
        }
        await Eventually.HoldsAsync(() => driver.Lines.Any(line => line.StartsWith("Cannot connect to the daemon", StringComparison.Ordinal)), () => string.Join('\n', driver.Lines));
        await giveUp.CancelAsync();
        await Should.ThrowAsync<OperationCanceledException>(connecting.WaitAsync(ScriptedDaemon.Patience));
    }

    [Theory]
    [InlineData("wss://127.0.0.1:3001", "TLS")]
    [InlineData("http://127.0.0.1:3001", "http")]
    [InlineData("", "not an address")]
    [InlineData("ws://", "not an address")]
    public void Addresses_that_cannot_work_are_refused_in_three_parts(string host, string why)
    {
        var refused = Should.Throw<ArgumentException>(() => new RecordingDriver(new DriverClient { Secret = "x" }, host));
        refused.Message.ShouldContain(why);
        refused.Message.ShouldContain("ws://127.0.0.1:3001");
    }

    [Theory]
    [InlineData("ws://127.0.0.1:3001", "127.0.0.1:3001", "/v1/driver")]
    [InlineData("127.0.0.1:3001", "127.0.0.1:3001", "/v1/driver")]
    [InlineData("ws://cm-1/", "cm-1:3001", "/v1/driver")]
    [InlineData("ws://[::1]:4000/v1/driver", "[::1]:4000", "/v1/driver")]
    [InlineData("ws://localhost:3001/proxy/driver", "localhost:3001", "/proxy/driver")]
    public void Addresses_may_be_written_in_short(string host, string authority, string path)
    {
        var address = Clustd.Client.Connection.DaemonAddress.Parse(host);
        address.ToString().ShouldBe(authority);
        address.Path.ShouldBe(path);
    }

    [Fact]
    public async Task A_guard_proves_a_stop_without_being_registered()
    {
        await using var daemon = new ScriptedDaemon();
        var proof = new StoppedParams { Name = "web", Instance = "i-1", Service = "default", Token = 7, Reason = "all processes are gone" };
        await StopProof.SendAsync(daemon.Url, ScriptedDaemon.Secret, proof, CancellationToken.None).WaitAsync(ScriptedDaemon.Patience);
        daemon.Stopped.ShouldBe([proof]);
        daemon.Methods.ShouldBe(["hello", "authenticate", "stopped"]);
    }

    [Fact]
    public void The_default_name_has_no_random_part_and_the_default_id_has()
    {
        var one = new DriverClient { Secret = "x" };
        var two = new DriverClient { Secret = "x" };
        one.Id.ShouldNotBe(two.Id);
        one.EffectiveName.ShouldBe(two.EffectiveName);
        (one with { Id = "bot-1" }).EffectiveName.ShouldBe("bot-1");
        (one with { Id = "bot-1", Name = "bot" }).EffectiveName.ShouldBe("bot");
    }

    [Fact]
    public void The_secret_is_not_printed() => new DriverClient { Secret = "hush" }.ToString().ShouldNotContain("hush");
}
