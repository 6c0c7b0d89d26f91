using System.Net;
using System.Net.WebSockets;
using System.Text;
using Clustd.Client.Testing;
using Clustd.Core;
using Clustd.Hub;
using Clustd.Hub.Legacy;
using Clustd.Tests.Client;
using FsCheck;
using FsCheck.Fluent;
using Microsoft.Extensions.Logging;
using Shouldly;
using Xunit;

namespace Clustd.Tests.Hub.Legacy;

/// <summary>Who is not let in by the door of 2018, and what whoever is in may do: end its own connection, and nothing else.</summary>
public sealed class LegacyHostileTests
{
    [Theory]
    [InlineData("/")]
    [InlineData("/v1/driver")]
    public async Task The_door_is_shut_by_default_and_says_how_to_open_it(string path)
    {
        await using var server = await HubServer.StartAsync();

        var (status, body) = await RefusedAsync(server, Header(HubServer.Secret, """{"type":"driver"}"""), path);

        status.ShouldBe(HttpStatusCode.BadRequest);
        body.ShouldContain("It speaks the protocol of clustd 2018, and server.legacy_drivers is not set here.");
        body.ShouldContain("docs/legacy-drivers.md");
        server.Inputs.ShouldBeEmpty();
    }

    // Wrong program: lets in whoever knows the secret, from anywhere, or whoever it knows no address of.
    [Theory]
    [InlineData("127.0.0.1", null)]
    [InlineData("127.8.9.10", null)]
    [InlineData("::1", null)]
    [InlineData("::ffff:127.0.0.1", null)]
    [InlineData("10.0.0.1", 403)]
    [InlineData("::ffff:10.0.0.1", 403)]
    [InlineData("fe80::1", 403)]
    [InlineData("0.0.0.0", 403)]
    [InlineData(null, 403)]
    public void Only_whoever_comes_over_loopback_is_let_in(string? remote, int? status)
    {
        // Wrong program: asks whether the address is one of this machine's, or whether TLS is in use, as for other drivers.
        var refusal = Clustd.Hub.DriverHub.WhyNotLegacy(isOn: true, remote is null ? null : IPAddress.Parse(remote), 3001);

        refusal?.Status.ShouldBe(status!.Value);
        (refusal is null).ShouldBe(status is null);
        if (refusal is not null)
            Encoding.UTF8.GetString(refusal.Body).ShouldContain("ws://127.0.0.1:3001");
    }

    [Fact]
    public async Task A_wrong_secret_is_told_in_three_parts_and_costs_one_line_of_log_a_minute()
    {
        await using var server = await StartAsync();
        for (var i = 0; i < 5; i++)
        {
            var (status, body) = await RefusedAsync(server, Header("not the secret", """{"type":"driver"}"""));
            status.ShouldBe(HttpStatusCode.Forbidden);
            body.ShouldContain("Give the driver the value of cluster.secret of this machine.");
        }

        server.Log.Lines.Count(line => line.Level == LogLevel.Warning).ShouldBe(1);
        server.Inputs.ShouldBeEmpty();
    }

    [Theory]
    [InlineData("""{"type":"cluster"}""", 400, "cannot be part of this cluster")]
    [InlineData("""{"type":"operator"}""", 400, "does not say that it is a driver")]
    [InlineData("{}", 400, "does not say that it is a driver")]
    [InlineData("null", 400, "does not say that it is a driver")]
    [InlineData("""{"type":7}""", 400, "does not say that it is a driver")]
    [InlineData("no JSON", 400, "does not say that it is a driver")]
    public async Task A_header_that_says_something_else_is_refused(string header, int status, string why)
    {
        await using var server = await StartAsync();

        var (code, body) = await RefusedAsync(server, Header(HubServer.Secret, header));

        ((int)code, body.Contains(why)).ShouldBe((status, true), body);
    }

    [Theory]
    [InlineData("!", "not base64")]
    [InlineData("AAAA", "cannot be decrypted")]
    [InlineData("", "cannot be decrypted")]
    public async Task A_header_that_is_none_is_refused(string header, string why)
    {
        await using var server = await StartAsync();

        var (_, body) = await RefusedAsync(server, header);

        body.ShouldContain(why);
    }

    [Fact] // Wrong program: takes the ticket from the driver, as that of 2018 did, so that the recording fits.
    public async Task A_recorded_conversation_that_is_played_again_gets_a_greeting_and_no_further()
    {
        await using var server = await StartAsync();
        await using var recorded = await Driver2018.GreetedAsync(server);
        await server.OneAsync<Input.DriverRegistered>();

        await using var replay = await Driver2018.ConnectAsync(server, rawHeader: recorded.Header);
        await replay.TakeHelloAsync();
        replay.Ticket.ShouldNotBe(recorded.Ticket);
        await replay.SendFrameAsync(recorded.SentFrames[0]);

        (await replay.ClosedAsync()).ShouldBe((WebSocketCloseStatus.PolicyViolation, "the first message must bring back the ticket of this connection"));
        server.All<Input.DriverRegistered>().Length.ShouldBe(1);
    }

    [Fact]
    public async Task What_the_daemon_sent_is_nothing_that_it_takes_back()
    {
        await using var server = await StartAsync();
        await using var driver = await Driver2018.GreetedAsync(server);
        var connection = (await server.OneAsync<Input.DriverRegistered>()).Connection;
        server.Hub.Perform(HubServer.Tell(connection, isMaster: false, token: 1, sequence: 1)); // Number 2 of its side.
        await driver.ObeyAsync(); // Number 3 of the driver's.

        await driver.SendFrameAsync(driver.ReceivedFrames[1]);

        (await driver.ClosedAsync()).Reason.ShouldStartWith("message that cannot be decrypted");
    }

    // Wrong program: takes any ticket, as in 2018.
    [Theory]
    [InlineData("""{"hello_world":TICKET}""", "the driver's id needs")]
    [InlineData("""{"hello_world":TICKET,"id":""}""", "the driver's id needs")]
    [InlineData("""{"hello_world":TICKET,"id":"a\nb"}""", "the driver's id needs")]
    [InlineData("""{"hello_world":1,"id":"a"}""", "bring back the ticket")]
    [InlineData("""{"id":"a"}""", "bring back the ticket")]
    [InlineData("""{"res_id":0,"data":{}}""", "bring back the ticket")]
    [InlineData("""{"hello_world":-1,"id":"a"}""", "no JSON of the 2018 protocol")]
    [InlineData("""{"hello_world":"TICKET","id":"a"}""", "no JSON of the 2018 protocol")]
    [InlineData("[]", "no JSON of the 2018 protocol")]
    [InlineData("null", "no JSON of the 2018 protocol")]
    [InlineData("", "no JSON of the 2018 protocol")]
    [InlineData("""{"hello_world":TICKET,"id":"\ud800"}""", "")]
    public async Task A_first_message_that_is_no_greeting_ends_the_connection(string json, string reason)
    {
        await using var server = await StartAsync();
        await using var driver = await Driver2018.ConnectAsync(server);
        await driver.TakeHelloAsync();

        await driver.SendAsync(json.Replace("TICKET", driver.Ticket.ToString(System.Globalization.CultureInfo.InvariantCulture)));

        (await driver.ClosedAsync()).Reason.ShouldContain(reason);
        server.Inputs.ShouldBeEmpty();
        await server.EmptyAsync();
    }

    [Fact]
    public async Task A_changed_tag_ends_the_connection()
    {
        await using var server = await StartAsync();
        await using var driver = await Driver2018.GreetedAsync(server);
        await server.OneAsync<Input.DriverRegistered>();
        var frame = driver.Seal("""{"res_id":0,"data":{}}"""u8.ToArray());
        frame[12] ^= 1;

        await driver.SendFrameAsync(frame);

        (await driver.ClosedAsync()).ShouldBe((WebSocketCloseStatus.PolicyViolation, "message that cannot be decrypted; check the secret, send each message once"));
        await server.OneAsync<Input.DriverLost>();
    }

    [Fact]
    public async Task The_same_frame_twice_ends_the_connection()
    {
        await using var server = await StartAsync();
        await using var driver = await Driver2018.GreetedAsync(server);
        var frame = driver.Seal("""{"res_id":0,"data":{}}"""u8.ToArray());

        await driver.SendFrameAsync(frame);
        await driver.SendFrameAsync(frame);

        (await driver.ClosedAsync()).Reason.ShouldStartWith("message that cannot be decrypted");
    }

    [Fact] // Wrong program: goes on with keys that lack the ticket, so that all connections share them.
    public async Task After_the_greeting_keys_must_contain_the_ticket()
    {
        await using var server = await StartAsync();
        await using var driver = await Driver2018.ConnectAsync(server);
        await driver.TakeHelloAsync();
        await driver.SendAsync($$"""{"hello_world":{{driver.Ticket}},"id":"a"}""");

        await driver.SendAsync("""{"res_id":0,"data":{}}""");

        (await driver.ClosedAsync()).Reason.ShouldStartWith("message that cannot be decrypted");
    }

    [Fact]
    public async Task Text_and_too_much_at_once_end_the_connection()
    {
        await using var server = await StartAsync();
        await using var text = await Driver2018.GreetedAsync(server, "text");
        await using var large = await Driver2018.GreetedAsync(server, "large");

        await text.SendFrameAsync("{}"u8.ToArray(), WebSocketMessageType.Text);
        await large.SendFrameAsync(new byte[262_145]);

        (await text.ClosedAsync()).Status.ShouldBe(WebSocketCloseStatus.InvalidMessageType);
        (await large.ClosedAsync()).Status.ShouldBe(WebSocketCloseStatus.MessageTooBig);
    }

    // Wrong program: passes over what it does not understand, the second greeting included.
    [Theory]
    [InlineData("{}")]
    [InlineData("""{"hello_world":7,"id":"again"}""")]
    [InlineData("""{"method":"trigger"}""")]
    public async Task What_is_neither_request_nor_answer_ends_the_connection(string json)
    {
        await using var server = await StartAsync();
        await using var driver = await Driver2018.GreetedAsync(server);

        await driver.SendAsync(json);

        (await driver.ClosedAsync()).Reason.ShouldBe("neither a request nor an answer of the 2018 protocol");
    }

    [Fact]
    public async Task A_request_is_answered_in_the_words_of_2018_and_an_answer_to_nothing_is_ignored()
    {
        await using var server = await StartAsync();
        await using var driver = await Driver2018.GreetedAsync(server);

        await driver.SendAsync("""{"res_id":99,"data":{}}""");
        await driver.SendAsync("""{"req_id":4,"method":"get_master","params":{"any":[1]},"unknown":true}""");

        var answer = await driver.NextAsync();
        (answer.GetProperty("res_id").GetInt64(), answer.GetProperty("error").GetString()).ShouldBe((4L, "unrecognized method for this machine"));
        server.All<Input.DriverAnswered>().ShouldBeEmpty();
    }

    // Wrong program: strangers hold places for ever without knowing the secret.
    [Fact]
    public async Task Whoever_does_not_answer_the_greeting_in_time_is_disconnected()
    {
        var clock = new FakeClock();
        await using var server = await StartAsync(options => options with { Time = clock });
        await using var driver = await Driver2018.ConnectAsync(server);
        await driver.TakeHelloAsync();

        clock.Advance(TimeSpan.FromSeconds(5));

        (await driver.ClosedAsync()).Reason.ShouldBe("the greeting was not answered in time");
    }

    // Wrong program: has a second door without a limit.
    [Fact]
    public async Task They_share_the_places_with_all_other_drivers()
    {
        await using var server = await StartAsync(options => options with { DriversMax = 1 });
        await using var first = await RawDriver.RegisteredAsync(server);

        await using var second = await Driver2018.GreetedAsync(server);
        (await second.ClosedAsync()).Reason.ShouldContain("which is the limit");
        first.Cut();
        await server.OneAsync<Input.DriverLost>();
        await using var third = await Driver2018.GreetedAsync(server, "third");

        await Eventually.HoldsAsync(() => server.All<Input.DriverRegistered>().Length == 2, () => "the third has not registered");
    }

    // Wrong program: answers whatever comes as fast as it comes.
    [Fact]
    public async Task A_flood_ends_the_connection()
    {
        await using var server = await StartAsync(options => options with { MessagesPerSecond = 20, Time = new FakeClock() });
        await using var driver = await Driver2018.GreetedAsync(server);

        for (var i = 0; i < 40; i++)
            await driver.SendAsync("""{"res_id":1}""");

        (await driver.ClosedAsync()).Reason.ShouldContain("too many messages a second");
    }

    // Frames of any bytes, and valid frames of any text: each ends its own connection or is answered, and the hub serves the next.
    [Fact]
    public async Task Any_input_ends_at_most_its_own_connection()
    {
        await using var server = await StartAsync();
        var inputs = Gen.Sample(ArbMap.Default.ArbFor<byte[]>().Generator, 60).Concat(Gen.Sample(ArbMap.Default.ArbFor<string>().Generator.Select(text => Encoding.UTF8.GetBytes(text ?? "")), 60)).ToList();
        for (var i = 0; i < inputs.Count; i++)
        {
            await using var driver = await Driver2018.ConnectAsync(server);
            await driver.TakeHelloAsync();
            if (i % 2 == 0)
            {
                await driver.SendAsync($$"""{"hello_world":{{driver.Ticket}},"id":"fuzz"}""");
                driver.UseTicket();
            }

            await driver.SendFrameAsync(i % 3 == 0 ? inputs[i] : driver.Seal(inputs[i]));
            await driver.ClosedAsync();
        }

        await server.EmptyAsync();
        server.Log.Lines.ShouldNotContain(line => line.Level == LogLevel.Error);
        await using var last = await Driver2018.GreetedAsync(server, "last");
        await Eventually.HoldsAsync(() => server.All<Input.DriverRegistered>().Any(input => input.Registration.Name.Value == "legacy-last"), () => server.Log.Text);
    }

    [Fact]
    public async Task When_the_counter_is_used_up_the_connection_ends_and_says_why()
    {
        using var listener = new System.Net.Sockets.TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        using var near = new System.Net.Sockets.TcpClient();
        await near.ConnectAsync((IPEndPoint)listener.LocalEndpoint);
        using var far = await listener.AcceptTcpClientAsync();
        using var driver = WebSocket.CreateFromStream(near.GetStream(), new WebSocketCreationOptions { IsServer = false });
        using var socket = new LegacySocket(WebSocket.CreateFromStream(far.GetStream(), new WebSocketCreationOptions { IsServer = true }), new LegacyCipher(HubServer.Secret, used: uint.MaxValue - 1));

        await socket.SendAsync(LegacyMessage.Trigger(0, true), default);
        await socket.SendAsync(LegacyMessage.Trigger(1, false), default);

        var buffer = new byte[1024];
        (await driver.ReceiveAsync(buffer.AsMemory(), default)).MessageType.ShouldBe(WebSocketMessageType.Binary);
        (await driver.ReceiveAsync(buffer.AsMemory(), default)).MessageType.ShouldBe(WebSocketMessageType.Close);
        driver.CloseStatusDescription.ShouldBe("all 4294967295 keys of this connection are used up; connect again");
    }

    private static Task<HubServer> StartAsync(Func<DriverHubOptions, DriverHubOptions>? with = null) =>
        HubServer.StartAsync(options => (with?.Invoke(options) ?? options) with { LegacyDrivers = true });

    private static string Header(string secret, string json) => Convert.ToBase64String(Crypto2018.Seal(Crypto2018.Key(secret, 1, null), Encoding.UTF8.GetBytes(json)));

    private static async Task<(HttpStatusCode Status, string Body)> RefusedAsync(HubServer server, string header, string path = "/")
    {
        using var http = new HttpClient();
        using var request = new HttpRequestMessage(HttpMethod.Get, server.Url.Replace("ws://", "http://", StringComparison.Ordinal) + path);
        foreach (var (name, value) in new[] { ("Connection", "Upgrade"), ("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13"), ("Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAAAA=="), ("metadata", header) })
            request.Headers.TryAddWithoutValidation(name, value);
        using var response = await http.SendAsync(request);
        return (response.StatusCode, await response.Content.ReadAsStringAsync());
    }
}
