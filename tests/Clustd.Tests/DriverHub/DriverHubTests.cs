using System.Diagnostics;
using System.Net.WebSockets;
using Clustd.Client;
using Clustd.Client.Protocol;
using Clustd.Core;
using Clustd.Tests.Client;
using Microsoft.Extensions.Logging;
using Shouldly;
using Xunit;

namespace Clustd.Tests.Hub;

/// <summary>The hub with the SDK's own driver, and the order in which the decision loop hears of things.</summary>
public sealed class DriverHubTests
{
    [Fact]
    public async Task A_driver_registers_is_told_to_start_and_its_answer_reaches_the_loop()
    {
        await using var server = await HubServer.StartAsync();
        await using var driver = server.Driver();
        await driver.ConnectAsync().WaitAsync(ScriptedDaemon.Patience);

        var registered = await server.OneAsync<Input.DriverRegistered>();
        server.Hub.Perform(HubServer.Tell(registered.Connection, isMaster: true, token: 7, sequence: 41));

        var answered = await server.OneAsync<Input.DriverAnswered>();
        answered.ShouldBe(new Input.DriverAnswered(registered.Connection, new ServiceName("web"), 41, null));
        driver.Story.ShouldBe("+7");
        driver.Machine.ShouldBe("cm-1");
        registered.Registration.Name.Value.ShouldBe("recorder");
        registered.Registration.Services.ShouldBe([new ServiceName("web")]);
        registered.Registration.StopsForCertain.ShouldBeTrue();
    }

    [Fact]
    public async Task A_driver_renews_until_it_holds_the_lease_that_the_loop_granted()
    {
        await using var server = await HubServer.StartAsync();
        await using var driver = server.Driver();
        await driver.ConnectAsync().WaitAsync(ScriptedDaemon.Patience);
        var registered = await server.OneAsync<Input.DriverRegistered>();
        server.Hub.Perform(HubServer.Tell(registered.Connection, isMaster: true, token: 7, sequence: 1));

        await Eventually.HoldsAsync(() => driver.LeaseEnd.IsValid(DriverClock.NowUs), () => "no lease");

        driver.LeaseEnd.KillTimeoutUs.ShouldBe(500_000);
        (driver.LeaseEnd.EndsAtUs!.Value - DriverClock.NowUs).ShouldBeLessThanOrEqualTo(900_000);
    }

    [Fact]
    public async Task What_a_failing_start_says_reaches_the_loop_as_one_line_of_at_most_a_kilobyte()
    {
        await using var server = await HubServer.StartAsync();
        await using var driver = server.Driver();
        driver.Do = (_, _) => throw new InvalidOperationException("port in use\r\nat line 1\u001b[31m" + new string('é', 5_000));
        await driver.ConnectAsync().WaitAsync(ScriptedDaemon.Patience);
        var registered = await server.OneAsync<Input.DriverRegistered>();

        server.Hub.Perform(HubServer.Tell(registered.Connection, isMaster: true, token: 7, sequence: 1));

        var error = (await server.OneAsync<Input.DriverAnswered>()).Error.ShouldNotBeNull();
        error.ShouldStartWith("port in use  at line 1 [31m");
        System.Text.Encoding.UTF8.GetByteCount(error).ShouldBeLessThanOrEqualTo(1_024);
    }

    [Fact]
    public async Task A_start_under_way_is_cancelled_when_the_loop_says_so()
    {
        await using var server = await HubServer.StartAsync();
        await using var driver = server.Driver();
        driver.Do = async (trigger, cancellationToken) =>
        {
            if (trigger.IsMaster)
            {
                await Task.Delay(Timeout.Infinite, cancellationToken);
            }
        };
        await driver.ConnectAsync().WaitAsync(ScriptedDaemon.Patience);
        var connection = (await server.OneAsync<Input.DriverRegistered>()).Connection;
        server.Hub.Perform(HubServer.Tell(connection, isMaster: true, token: 7, sequence: 5));
        await Eventually.HoldsAsync(() => driver.Story == "+7", () => driver.Story);

        server.Hub.Perform(new Output.CancelTrigger(connection, new ServiceName("web"), 5));

        (await server.OneAsync<Input.DriverAnswered>()).Error.ShouldNotBeNull();
    }

    [Fact]
    public async Task A_lost_connection_is_told_exactly_once_and_last()
    {
        await using var server = await HubServer.StartAsync();
        await using var driver = await RawDriver.RegisteredAsync(server);

        driver.Cut();

        await server.OneAsync<Input.DriverLost>();
        await server.EmptyAsync();
        server.All<Input.DriverLost>().Length.ShouldBe(1);
        server.Inputs.Last().ShouldBeOfType<Input.DriverLost>();
    }

    [Fact]
    public async Task Outputs_for_a_connection_that_is_gone_are_dropped()
    {
        await using var server = await HubServer.StartAsync();
        await using var driver = await RawDriver.RegisteredAsync(server);
        var connection = (await server.OneAsync<Input.DriverRegistered>()).Connection;
        driver.Cut();
        await server.EmptyAsync();

        server.Hub.Perform(HubServer.Tell(connection, isMaster: false, token: 7, sequence: 1));
        server.Hub.Perform(new Output.DriverRefused(connection, "too late"));

        server.All<Input.DriverAnswered>().ShouldBeEmpty();
    }

    [Fact]
    public async Task A_failure_that_a_driver_reports_reaches_the_loop_with_its_token()
    {
        await using var server = await HubServer.StartAsync();
        await using var driver = server.Driver();
        await driver.ConnectAsync().WaitAsync(ScriptedDaemon.Patience);
        var connection = (await server.OneAsync<Input.DriverRegistered>()).Connection;
        server.Hub.Perform(HubServer.Tell(connection, isMaster: true, token: 7, sequence: 1));
        await server.OneAsync<Input.DriverAnswered>();

        await driver.ReportFailedAsync("web", "it crashed thrice").WaitAsync(ScriptedDaemon.Patience);

        server.All<Input.DriverFailed>().ShouldBe([new Input.DriverFailed(connection, new ServiceName("web"), new Token(7), "it crashed thrice")]);
    }

    [Fact]
    public async Task A_guard_brings_its_proof_without_being_a_driver()
    {
        await using var server = await HubServer.StartAsync();

        await StopProof.SendAsync(server.Url, HubServer.Secret, new StoppedParams { Name = "shell", Instance = "i1", Service = "web", Token = 9, Reason = "all exited" }, default);

        var proof = await server.OneAsync<Input.DriverStopped>();
        proof.ShouldBe(new Input.DriverStopped(new DriverName("shell"), "i1", new ServiceName("web"), new Token(9), "all exited"));
        await server.EmptyAsync();
        server.All<Input.DriverLost>().ShouldBeEmpty(); // It was never a driver.
    }

    [Fact]
    public async Task The_old_secret_is_valid_while_it_is_being_rotated()
    {
        await using var server = await HubServer.StartAsync(options => options with { Secret = "the new secret, long enough too", OldSecret = HubServer.Secret });
        await using var old = server.Driver("old");
        await using var renewed = server.Driver("new", "the new secret, long enough too");

        await old.ConnectAsync().WaitAsync(ScriptedDaemon.Patience);
        await renewed.ConnectAsync().WaitAsync(ScriptedDaemon.Patience);

        server.All<Input.DriverRegistered>().Length.ShouldBe(2);
    }

    [Fact]
    public async Task A_driver_with_another_secret_learns_that_before_it_shows_anything()
    {
        await using var server = await HubServer.StartAsync();
        await using var driver = server.Driver(secret: "another secret, as long as the right one");

        var refusal = await Should.ThrowAsync<DriverRefusedException>(() => driver.ConnectAsync().WaitAsync(ScriptedDaemon.Patience));

        refusal.Message.ShouldContain("cluster.secret");
        server.Inputs.ShouldBeEmpty();
    }

    [Fact]
    public async Task A_refused_driver_is_told_why_in_the_words_of_the_loop_and_disconnected()
    {
        await using var server = await HubServer.StartAsync();
        server.Core = input => input is Input.DriverRegistered registered ? [new Output.DriverRefused(registered.Connection, "Refused: too slow. Raise stop_timeout.")] : [];
        await using var driver = await RawDriver.AuthenticatedAsync(server);

        var answer = await driver.RegisterAsync();

        answer.Error.ShouldNotBeNull().Code.ShouldBe(DriverErrorCodes.RegisterRefused);
        answer.Error.Message.ShouldBe("Refused: too slow. Raise stop_timeout.");
        (await driver.ClosedAsync()).Status.ShouldBe(WebSocketCloseStatus.PolicyViolation);
        await server.EmptyAsync();
        server.All<Input.DriverLost>().Length.ShouldBe(1);
    }

    [Fact]
    public async Task Terms_and_remainders_are_in_microseconds_and_rounded_down()
    {
        await using var server = await HubServer.StartAsync();
        server.Core = input => input is Input.DriverRenewed renewed
            ? [new Output.DriverLease(renewed.Connection, renewed.Stamp, TimeSpan.FromTicks(12_345_678_9))]
            : HubServer.Accept(input);
        await using var driver = await RawDriver.AuthenticatedAsync(server);

        var terms = (await driver.RegisterAsync()).ReadResult(ProtocolJson.Default.RegisterResult)!;
        var lease = (await driver.CallAsync(DriverMethods.Renew, new RenewParams { Stamp = -5 }, ProtocolJson.Default.RenewParams)).ReadResult(ProtocolJson.Default.RenewResult)!;

        (terms.LeaseUs, terms.RenewEveryUs, terms.KillTimeoutUs).ShouldBe((1_000_000L, 250_000L, 500_000L));
        terms.Services.ShouldBe(["web"]);
        (lease.Stamp, lease.LeftUs).ShouldBe((-5L, (long?)12_345_678));
    }

    [Fact]
    public async Task A_daemon_that_cannot_tell_yet_says_nothing_of_the_lease_instead_of_none()
    {
        // Wrong program: one that says 0, so that a daemon restarted under a grace stops what it came back for.
        await using var server = await HubServer.StartAsync();
        server.Core = input => input is Input.DriverRenewed renewed ? [new Output.DriverLease(renewed.Connection, renewed.Stamp, null)] : HubServer.Accept(input);
        await using var driver = await RawDriver.RegisteredAsync(server);

        var answer = await driver.CallAsync("renew", """{"stamp":3}""");

        answer.ReadResult(ProtocolJson.Default.RenewResult).ShouldBe(new RenewResult { Stamp = 3, LeftUs = null });
    }

    [Fact]
    public async Task Health_is_noted_when_it_changes_and_events_as_they_come()
    {
        await using var server = await HubServer.StartAsync();
        await using var driver = server.Driver();
        await driver.ConnectAsync().WaitAsync(ScriptedDaemon.Patience);

        await driver.ReportHealthAsync("web", ok: true, "fine");
        await driver.ReportHealthAsync("web", ok: false, "slow");
        await driver.ReportHealthAsync("web", ok: false, "slow still");
        await driver.ReportEventAsync(DriverLogLevel.Warning, "disk nearly full");

        server.Notes.Select(note => (note.Severity, note.Kind, note.Sentence)).ShouldBe(
        [
            (Severity.Warning, "driver-health", "Driver recorder says that 'web' is not well: slow"),
            (Severity.Warning, "driver-event", "Driver recorder: disk nearly full"),
        ]);
    }

    [Fact]
    public async Task Closing_the_hub_closes_open_connections_at_once()
    {
        // Wrong program: one that leaves the sockets to Kestrel, whose shutdown waits 30 s for them.
        await using var server = await HubServer.StartAsync();
        await using var driver = await RawDriver.RegisteredAsync(server);
        await using var silent = await RawDriver.ConnectAsync(server); // It never answers the close frame.
        var closed = driver.ClosedAsync();
        var clock = Stopwatch.StartNew();

        await server.Hub.DisposeAsync();

        clock.Elapsed.ShouldBeLessThan(TimeSpan.FromSeconds(5));
        (await closed).Status.ShouldBe(WebSocketCloseStatus.EndpointUnavailable);
        await server.EmptyAsync();
        (await server.OneAsync<Input.DriverLost>()).ShouldNotBeNull();
        await Should.ThrowAsync<WebSocketException>(() => RawDriver.ConnectAsync(server));
        server.Log.Lines.ShouldNotContain(line => line.Level >= LogLevel.Warning);
    }
}
