using System.Diagnostics;
using System.Net.WebSockets;
using System.Text;
using Clustd.Client;
using Clustd.Client.Protocol;
using Clustd.Core;
using Clustd.Tests.Client;
using Microsoft.Extensions.Logging;
using Shouldly;
using Xunit;

namespace Clustd.Tests.Hub;

/// <summary>What a broken or hostile driver may do to itself, and may not do to the daemon.</summary>
public sealed class HostileDriverTests
{
    [Fact]
    public async Task Whoever_does_not_prove_the_secret_in_time_is_disconnected()
    {
        await using var server = await HubServer.StartAsync(options => options with { HandshakeLimit = TimeSpan.FromMilliseconds(150) });
        await using var driver = await RawDriver.ConnectAsync(server);

        var (status, reason) = await driver.ClosedAsync();

        status.ShouldBe(WebSocketCloseStatus.PolicyViolation);
        reason.ShouldContain("not proven in time");
        server.Inputs.ShouldBeEmpty();
    }

    [Fact]
    public async Task Whoever_proves_the_secret_and_then_says_nothing_is_disconnected()
    {
        await using var server = await HubServer.StartAsync(options => options with { RegisterLimit = TimeSpan.FromMilliseconds(150) });
        await using var driver = await RawDriver.AuthenticatedAsync(server);

        (await driver.ClosedAsync()).Reason.ShouldContain("not registered in time");
    }

    [Fact]
    public async Task A_registered_driver_may_be_silent_for_longer_than_any_limit_of_the_opening()
    {
        var limit = TimeSpan.FromMilliseconds(300);
        await using var server = await HubServer.StartAsync(options => options with { RegisterLimit = limit, HandshakeLimit = limit });
        await using var driver = await RawDriver.RegisteredAsync(server);

        await Task.Delay(limit * 2);

        (await driver.CallAsync("renew", """{"stamp":1}""")).Error.ShouldBeNull();
    }

    [Fact]
    public async Task A_wrong_secret_is_told_in_three_parts_and_costs_one_line_of_log_a_minute()
    {
        await using var server = await HubServer.StartAsync();
        for (var i = 0; i < 5; i++)
        {
            await using var driver = await RawDriver.ConnectAsync(server);

            var answer = await driver.ProveAsync("not the secret");

            answer.Error.ShouldNotBeNull().Code.ShouldBe(DriverErrorCodes.AuthenticationFailed);
            answer.Error.Message.ShouldBe("cm-1 refuses the driver: its proof does not fit the cluster's secret. Give the driver the value of cluster.secret of this machine.");
            (await driver.ClosedAsync()).ShouldBe((WebSocketCloseStatus.PolicyViolation, "wrong secret"));
        }

        server.Log.Lines.Count(line => line.Level == LogLevel.Warning).ShouldBe(1);
        server.Inputs.ShouldBeEmpty();
    }

    [Fact] // Wrong program: takes the request, and fails when it writes the answer, which has the id in it.
    public async Task An_id_that_no_answer_could_carry_closes_the_connection()
    {
        await using var server = await HubServer.StartAsync();
        await using var driver = await RawDriver.ConnectAsync(server);

        await driver.SendAsync("""{"jsonrpc":"2.0","id":"\ud800","method":"hello","params":{"nonce":"weak"}}""");

        (await driver.ClosedAsync()).Item1.ShouldBe(WebSocketCloseStatus.InvalidPayloadData);
        await server.EmptyAsync();
    }

    [Fact]
    public async Task Nothing_said_after_a_wrong_proof_is_heard()
    {
        // Wrong program: one that counts every stage after the proof as authenticated, "refused" included.
        await using var server = await HubServer.StartAsync();
        await using var driver = await RawDriver.ConnectAsync(server);
        await driver.CallAsync("hello", $$"""{"nonce":"{{Handshake.NewNonce()}}"}""");

        await driver.SendAsync("""{"jsonrpc":"2.0","id":50,"method":"authenticate","params":{"proof":"x"}}""");
        await driver.SendAsync("""{"jsonrpc":"2.0","id":51,"method":"stopped","params":{"name":"a","instance":"b","service":"web","token":1}}""");
        await driver.ClosedAsync();

        await server.EmptyAsync();
        server.Inputs.ShouldBeEmpty();
    }

    [Theory]
    [InlineData("register", """{"name":"a","instance":"b","id":"c"}""")]
    [InlineData("renew", """{"stamp":1}""")]
    [InlineData("stopped", """{"name":"a","instance":"b","service":"web","token":1}""")]
    [InlineData("failed", """{"service":"web","token":1}""")]
    [InlineData("authenticate", """{"proof":"x"}""")]
    public async Task Before_the_proof_only_a_greeting_is_taken(string method, string parameters)
    {
        await using var server = await HubServer.StartAsync();
        await using var driver = await RawDriver.ConnectAsync(server);

        (await driver.CallAsync(method, parameters)).Error.ShouldNotBeNull().Code.ShouldBe(DriverErrorCodes.MethodNotFound);

        server.Inputs.ShouldBeEmpty();
    }

    [Fact]
    public async Task A_stranger_may_not_keep_the_daemon_busy()
    {
        await using var server = await HubServer.StartAsync();
        await using var driver = await RawDriver.ConnectAsync(server);
        for (var i = 0; i < 9; i++)
        {
            await driver.SendAsync("""{"jsonrpc":"2.0","id":1,"method":"hello"}""");
        }

        (await driver.ClosedAsync()).Reason.ShouldContain("before the secret was proven");
    }

    [Theory]
    [InlineData("{", WebSocketCloseStatus.InvalidPayloadData)]
    [InlineData("null", WebSocketCloseStatus.InvalidPayloadData)]
    [InlineData("[{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"renew\"}]", WebSocketCloseStatus.InvalidPayloadData)]
    [InlineData("{\"jsonrpc\":\"1.0\",\"id\":1,\"method\":\"renew\"}", WebSocketCloseStatus.InvalidPayloadData)]
    [InlineData("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":{}}", WebSocketCloseStatus.InvalidPayloadData)]
    [InlineData("{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":\"text\"}", WebSocketCloseStatus.InvalidPayloadData)]
    public async Task Garbage_ends_the_connection_with_a_reason_and_reaches_nobody(string text, WebSocketCloseStatus expected)
    {
        await using var server = await HubServer.StartAsync();
        await using var driver = await RawDriver.RegisteredAsync(server);

        await driver.SendAsync(text);

        (await driver.ClosedAsync()).Status.ShouldBe(expected);
        await server.EmptyAsync();
        server.Inputs.Select(input => input.GetType()).ShouldBe([typeof(Input.DriverRegistered), typeof(Input.DriverLost)]);
        server.Log.Lines.ShouldNotContain(line => line.Level >= LogLevel.Warning);
    }

    [Fact]
    public async Task Binary_and_oversize_messages_end_the_connection_with_their_own_codes()
    {
        await using var server = await HubServer.StartAsync();
        await using var binary = await RawDriver.RegisteredAsync(server, "binary");
        await using var large = await RawDriver.RegisteredAsync(server, "large");

        await binary.SendAsync([1, 2, 3], WebSocketMessageType.Binary);
        await large.SendAsync(new string('x', DriverProtocol.MessageBytesMax + 1));

        (await binary.ClosedAsync()).Status.ShouldBe(WebSocketCloseStatus.InvalidMessageType);
        (await large.ClosedAsync()).Status.ShouldBe(WebSocketCloseStatus.MessageTooBig);
    }

    [Fact]
    public async Task A_flood_ends_the_connection_with_a_reason()
    {
        await using var server = await HubServer.StartAsync(options => options with { MessagesPerSecond = 50 });
        await using var driver = await RawDriver.RegisteredAsync(server);
        var closed = driver.ClosedAsync();

        try
        {
            for (var i = 0; i < 2_000; i++)
            {
                await driver.SendAsync($$"""{"jsonrpc":"2.0","id":{{i}},"method":"renew","params":{"stamp":{{i}} } }""");
            }
        }
        catch (WebSocketException)
        {
            // Closed in the middle of it, which is the point.
        }

        (await closed).Reason.ShouldContain("too many messages a second");
        await server.EmptyAsync();
        server.All<Input.DriverRenewed>().Length.ShouldBeLessThan(1_000);
        server.All<Input.DriverLost>().Length.ShouldBe(1);
    }

    [Fact]
    public async Task A_driver_that_never_reads_is_given_up_and_never_holds_up_the_loop()
    {
        await using var server = await HubServer.StartAsync();
        await using var driver = await RawDriver.RegisteredAsync(server);
        var connection = (await server.OneAsync<Input.DriverRegistered>()).Connection;
        var reason = new string('r', 3_000);
        var slowest = TimeSpan.Zero;

        for (var i = 0; i < 20_000 && server.Hub.ConnectionCount > 0; i++)
        {
            var clock = Stopwatch.StartNew();
            server.Hub.Perform(HubServer.Tell(connection, isMaster: true, token: 7, sequence: i, reason));
            slowest = clock.Elapsed > slowest ? clock.Elapsed : slowest;
        }

        await server.OneAsync<Input.DriverLost>();
        await server.EmptyAsync();
        slowest.ShouldBeLessThan(TimeSpan.FromSeconds(1)); // A blocked write would take for ever; a busy machine a few ms.
    }

    // The answers leave on the loop's thread while the kernel takes them.
    [Theory]
    [InlineData("1")]
    [InlineData("\"a name for an id\"")]
    public async Task A_driver_that_renews_and_never_reads_the_answers_is_given_up_and_never_holds_up_the_loop(string id)
    {
        await using var server = await HubServer.StartAsync(options => options with { MessagesPerSecond = 10_000_000, SendQueueMax = 64 });
        await using var driver = await RawDriver.RegisteredAsync(server);
        var renewal = $$"""{"jsonrpc":"2.0","id":{{id}},"method":"renew","params":{"stamp":1} }""";
        try
        {
            for (var i = 0; i < 3_000_000 && server.Hub.ConnectionCount > 0; i++)
            {
                await driver.SendAsync(renewal).WaitAsync(ScriptedDaemon.Patience);
            }
        }
        catch (Exception e) when (e is WebSocketException or IOException)
        {
            // Closed in the middle of it, which is the point.
        }

        await server.OneAsync<Input.DriverLost>();
        await server.EmptyAsync();
        server.Inputs.Count.ShouldBeGreaterThan(2); // which waits until the loop has performed all: it is not stuck in a write
    }

    [Theory]
    [InlineData("register", "{}")]
    [InlineData("register", """{"name":5,"instance":"b","id":"c"}""")]
    [InlineData("register", """{"name":"","instance":"b","id":"c"}""")]
    [InlineData("register", """{"name":"a\nb","instance":"b","id":"c"}""")]
    [InlineData("register", """{"name":null,"instance":"b","id":"c"}""")]
    [InlineData("register", """{"name":"a","instance":"b","id":"c","services":[null]}""")]
    [InlineData("register", """{"name":"a","instance":"b","id":"c","stopTimeoutUs":9223372036854775807}""")]
    [InlineData("register", """{"name":"a","instance":"b","id":"c","killTimeoutUs":-1}""")]
    [InlineData("register", """{"name":"a","instance":"b","id":"c","states":[null]}""")]
    [InlineData("register", """{"name":"a","instance":"b","id":"c","states":[{"service":"web","isMaster":true,"token":9223372036854775807}]}""")]
    [InlineData("register", """[1]""")]
    [InlineData("stopped", """{"name":"a","instance":"b","service":"web","token":"1"}""")]
    [InlineData("stopped", """{"name":"a","instance":"b","service":null,"token":1}""")]
    [InlineData("stopped", """{"name":"a","instance":"b","service":"web","token":-1}""")]
    public async Task Wrong_types_and_limits_are_answered_and_the_connection_goes_on(string method, string parameters)
    {
        // Wrong program: one that lets the loop add 292,000 years to its clock, which ends the daemon.
        await using var server = await HubServer.StartAsync();
        await using var driver = await RawDriver.AuthenticatedAsync(server);

        (await driver.CallAsync(method, parameters)).Error.ShouldNotBeNull().Code.ShouldBe(DriverErrorCodes.InvalidParams);

        server.Inputs.ShouldBeEmpty();
        (await driver.RegisterAsync()).Error.ShouldBeNull();
    }

    [Theory]
    [InlineData("renew", "{}")]
    [InlineData("renew", """{"stamp":1.5}""")]
    [InlineData("failed", """{"service":"web"}""")]
    [InlineData("health", """{"service":"web","ok":"yes"}""")]
    [InlineData("event", """{"level":"info"}""")]
    public async Task A_registered_driver_too_is_told_what_is_wrong(string method, string parameters)
    {
        await using var server = await HubServer.StartAsync();
        await using var driver = await RawDriver.RegisteredAsync(server);

        (await driver.CallAsync(method, parameters)).Error.ShouldNotBeNull().Code.ShouldBe(DriverErrorCodes.InvalidParams);

        server.Inputs.Count.ShouldBe(1);
    }

    [Fact]
    public async Task Unknown_methods_are_refused_and_unknown_fields_ignored()
    {
        await using var server = await HubServer.StartAsync();
        await using var driver = await RawDriver.RegisteredAsync(server);

        var unknown = await driver.CallAsync("dance", "{}");
        var newer = await driver.CallAsync("renew", """{"stamp":3,"mood":"good"}""");

        unknown.Error.ShouldNotBeNull().Code.ShouldBe(DriverErrorCodes.MethodNotFound);
        unknown.Error.Message.ShouldContain("clustd.v1");
        newer.Error.ShouldBeNull();
    }

    [Fact]
    public async Task Absent_and_null_lists_count_as_empty()
    {
        await using var server = await HubServer.StartAsync();
        await using var driver = await RawDriver.AuthenticatedAsync(server);

        (await driver.CallAsync("register", """{"name":"a","instance":"b","id":"c","services":null,"states":null}""")).Error.ShouldBeNull();

        var registration = (await server.OneAsync<Input.DriverRegistered>()).Registration;
        registration.Services.ShouldBeEmpty();
        registration.States.ShouldBeEmpty();
        registration.StopsForCertain.ShouldBeFalse(); // Whoever promises nothing has promised nothing.
    }

    [Fact]
    public async Task Answers_to_calls_that_are_not_under_way_are_ignored_and_logged_once()
    {
        // Wrong program: one that takes a second "stopped" answer for the answer to the next stop.
        await using var server = await HubServer.StartAsync();
        await using var driver = await RawDriver.RegisteredAsync(server);
        var connection = (await server.OneAsync<Input.DriverRegistered>()).Connection;
        server.Hub.Perform(HubServer.Tell(connection, isMaster: false, token: 7, sequence: 1));
        var call = await driver.NextAsync();

        await driver.AnswerAsync(call);
        await driver.AnswerAsync(call);
        await driver.SendAsync("""{"jsonrpc":"2.0","id":"1","result":{}}""");
        await driver.CallAsync("renew", """{"stamp":1}""");

        server.All<Input.DriverAnswered>().Length.ShouldBe(1);
        server.Log.Lines.Count(line => line.Line.Contains("not under way", StringComparison.Ordinal)).ShouldBe(1);
    }

    [Fact]
    public async Task An_error_without_a_text_is_still_an_error()
    {
        await using var server = await HubServer.StartAsync();
        await using var driver = await RawDriver.RegisteredAsync(server);
        var connection = (await server.OneAsync<Input.DriverRegistered>()).Connection;
        server.Hub.Perform(HubServer.Tell(connection, isMaster: false, token: 7, sequence: 1));

        await driver.AnswerAsync(await driver.NextAsync(), "");

        (await server.OneAsync<Input.DriverAnswered>()).Error.ShouldBe("it gave no reason");
    }

    [Fact]
    public async Task A_second_register_is_refused_and_the_first_stays()
    {
        await using var server = await HubServer.StartAsync();
        await using var driver = await RawDriver.RegisteredAsync(server);

        var second = await driver.RegisterAsync("other");

        second.Error.ShouldNotBeNull().Code.ShouldBe(DriverErrorCodes.InvalidRequest);
        second.Error.Message.ShouldBe("Cannot register a second time: this connection has registered already. Open a connection for each driver.");
        (await driver.CallAsync("renew", """{"stamp":1}""")).Error.ShouldBeNull();
        server.All<Input.DriverRegistered>().Length.ShouldBe(1);
    }

    [Fact]
    public async Task Renewals_that_the_loop_does_not_answer_are_bounded()
    {
        await using var server = await HubServer.StartAsync();
        server.Core = input => input is Input.DriverRegistered ? HubServer.Accept(input) : [];
        await using var driver = await RawDriver.RegisteredAsync(server);

        for (var i = 0; i < 64; i++)
        {
            await driver.SendAsync($$"""{"jsonrpc":"2.0","id":{{1_000 + i}},"method":"renew","params":{"stamp":{{i}} } }""");
        }

        (await driver.CallAsync("renew", """{"stamp":64}""")).Error.ShouldNotBeNull().Code.ShouldBe(DriverErrorCodes.InternalError);
        server.All<Input.DriverRenewed>().Length.ShouldBe(64);
    }

    [Fact]
    public async Task When_all_places_are_taken_a_driver_is_told_to_wait_but_a_guards_proof_gets_in()
    {
        await using var server = await HubServer.StartAsync(options => options with { DriversMax = 2 });
        await using var first = await RawDriver.RegisteredAsync(server, "first");
        await using var second = await RawDriver.RegisteredAsync(server, "second");
        await using var third = await RawDriver.AuthenticatedAsync(server);

        (await third.RegisterAsync("third")).Error.ShouldNotBeNull().Code.ShouldBe(DriverErrorCodes.InstanceBusy);
        await StopProof.SendAsync(server.Url, HubServer.Secret, new StoppedParams { Name = "a", Instance = "b", Service = "web", Token = 1 }, default);
        await server.OneAsync<Input.DriverStopped>();

        first.Cut();
        await server.OneAsync<Input.DriverLost>();
        (await third.RegisterAsync("third")).Error.ShouldBeNull();
    }

    [Fact]
    public async Task Strangers_that_hold_connections_open_make_room_for_the_next()
    {
        await using var server = await HubServer.StartAsync(options => options with { VisitorsMax = 2 });
        await using var first = await RawDriver.ConnectAsync(server);
        await using var second = await RawDriver.ConnectAsync(server);

        await using var third = await RawDriver.RegisteredAsync(server);

        (await first.ClosedAsync()).Reason.ShouldContain("too many connections");
    }

    [Fact]
    public async Task A_driver_that_talks_too_much_is_heard_in_part_and_the_rest_is_counted()
    {
        await using var server = await HubServer.StartAsync(options => options with { NotesPerSecond = 1 });
        await using var driver = await RawDriver.RegisteredAsync(server);

        for (var i = 0; i < 100; i++)
        {
            (await driver.CallAsync("event", $$"""{"level":"error","text":"{{new string('x', 5_000)}}\n{{i}}"}""")).Error.ShouldBeNull();
        }

        server.Notes.Count.ShouldBeInRange(5, 60);
        server.Notes.ShouldAllBe(note => Encoding.UTF8.GetByteCount(note.Sentence) < 1_200 && !note.Sentence.Contains('\n'));
    }
}
