using System.Net.WebSockets;
using Clustd.Client.Testing;
using Clustd.Core;
using Clustd.Tests.Client;
using Microsoft.Extensions.Logging;
using Shouldly;
using Xunit;

namespace Clustd.Tests.Hub.Legacy;

/// <summary>A driver of 2018 behind the real hub: what it is told, and what the decision loop hears of it.</summary>
public sealed class LegacyDriverTests
{
    private static readonly TimeSpan Lease = TimeSpan.FromSeconds(1); // As HubServer.Accept grants.

    [Fact]
    public async Task It_connects_as_ever_and_is_a_best_effort_driver_of_the_default_service()
    {
        await using var server = await StartAsync();
        await using var driver = await Driver2018.GreetedAsync(server, "driver-mydriver-3141592653");

        var registered = (await server.OneAsync<Input.DriverRegistered>()).Registration;

        driver.Hello.GetProperty("id").GetString().ShouldBe("cm-1");
        driver.Hello.GetProperty("remote_address").GetString().ShouldBe(server.Url); // Where it comes back to: must be loopback.
        driver.Ticket.ShouldNotBe(0u); // Their library takes it for none.
        registered.Name.Value.ShouldBe("legacy-driver-mydriver-3141592653");
        registered.Services.ShouldBeEmpty();
        registered.States.ShouldBeEmpty();
        registered.StopsForCertain.ShouldBeFalse();
    }

    // Wrong program: takes the sending of an order for its answer.
    [Theory]
    [InlineData("/")]
    [InlineData("/v1/driver")]
    public async Task It_is_told_to_start_and_to_stop_and_its_answers_reach_the_loop(string path)
    {
        await using var server = await StartAsync();
        await using var driver = await Driver2018.GreetedAsync(server, path: path);
        var connection = (await server.OneAsync<Input.DriverRegistered>()).Connection;

        server.Hub.Perform(HubServer.Tell(connection, isMaster: true, token: 7, sequence: 1));
        (await driver.ObeyAsync()).ShouldBeTrue();
        await AnsweredAsync(server, 1);
        server.Hub.Perform(HubServer.Tell(connection, isMaster: false, token: 7, sequence: 2));
        (await driver.ObeyAsync()).ShouldBeFalse();
        await AnsweredAsync(server, 2);

        server.All<Input.DriverAnswered>().ShouldBe(
        [
            new Input.DriverAnswered(connection, new ServiceName("web"), 1, null),
            new Input.DriverAnswered(connection, new ServiceName("web"), 2, null),
        ]);
    }

    [Fact] // Wrong program: passes on every repetition; a stop script would run twice at a time.
    public async Task It_is_told_its_state_when_it_comes_and_then_only_changes()
    {
        await using var server = await StartAsync();
        await using var driver = await Driver2018.GreetedAsync(server);
        var connection = (await server.OneAsync<Input.DriverRegistered>()).Connection;

        server.Hub.Perform(HubServer.Tell(connection, isMaster: false, token: 1, sequence: 1));
        server.Hub.Perform(HubServer.Tell(connection, isMaster: false, token: 1, sequence: 2)); // While the first is under way.
        (await driver.ObeyAsync()).ShouldBeFalse();
        await AnsweredAsync(server, 2);
        server.Hub.Perform(HubServer.Tell(connection, isMaster: false, token: 1, sequence: 3)); // When it has been answered.
        await AnsweredAsync(server, 3);
        server.Hub.Perform(HubServer.Tell(connection, isMaster: true, token: 2, sequence: 4));

        (await driver.ObeyAsync()).ShouldBeTrue(); // The very next message.
    }

    // Wrong program: takes an error for "done", as the daemon of 2018 did.
    [Fact]
    public async Task An_error_is_a_failure_and_the_next_order_is_passed_on()
    {
        await using var server = await StartAsync();
        await using var driver = await Driver2018.GreetedAsync(server);
        var connection = (await server.OneAsync<Input.DriverRegistered>()).Connection;
        server.Hub.Perform(HubServer.Tell(connection, isMaster: false, token: 7, sequence: 1));
        var (id, _) = await driver.TriggerAsync();

        await driver.SendAsync($$"""{"res_id":{{id}},"error":"failed to process\nmessage"}""");

        await AnsweredAsync(server, 1);
        server.All<Input.DriverAnswered>().Single().Error.ShouldBe("failed to process message");
        server.Hub.Perform(HubServer.Tell(connection, isMaster: false, token: 7, sequence: 2));
        (await driver.ObeyAsync()).ShouldBeFalse();
    }

    // Wrong program: gives it no lease, or tells it to stop at every renewal.
    [Fact]
    public async Task Its_lease_is_renewed_for_it_and_while_it_lasts_nothing_is_said()
    {
        var clock = new FakeClock();
        await using var server = await StartAsync(clock);
        await using var driver = await MasterAsync(server, clock);

        for (var i = 0; i < 80; i++)
        {
            clock.Advance(Lease / 8);
            await RenewalsAnsweredAsync(server);
        }

        server.All<Input.DriverRenewed>().Length.ShouldBeGreaterThan(75);
        server.Hub.Perform(HubServer.Tell(server.All<Input.DriverRegistered>().Single().Connection, isMaster: false, token: 7, sequence: 9));
        (await driver.ObeyAsync()).ShouldBeFalse(); // The first stop that it hears of.
        server.All<Input.DriverStopped>().ShouldBeEmpty();
    }

    [Fact] // Wrong program: leaves it to the loop, which may stand still just then.
    public async Task When_the_lease_ends_it_is_told_to_stop_although_the_loop_says_nothing()
    {
        var clock = new FakeClock();
        await using var server = await StartAsync(clock);
        await using var driver = await MasterAsync(server, clock);
        server.Core = _ => [];

        clock.Advance(TimeSpan.FromMilliseconds(899));
        server.Log.Lines.ShouldNotContain(line => line.Line.Contains("was told to stop"));
        clock.Advance(TimeSpan.FromMilliseconds(2));

        (await driver.ObeyAsync()).ShouldBeFalse();
        var stopped = await server.OneAsync<Input.DriverStopped>();
        (stopped.Name.Value, stopped.Service.Value, stopped.Token.Value).ShouldBe(("legacy-driver-test-7", "web", 7L));
        stopped.Instance.ShouldBe(server.All<Input.DriverRegistered>().Single().Registration.Instance);
        server.Log.Lines.ShouldContain(line => line.Level == LogLevel.Warning && line.Line.Contains("'legacy-driver-test-7' of 2018 was told to stop 'web'"));
    }

    // Wrong program: waits for the end of a lease that the loop has taken back.
    [Fact]
    public async Task When_the_loop_grants_no_lease_any_more_it_is_told_at_once_and_can_be_started_again()
    {
        var clock = new FakeClock();
        await using var server = await StartAsync(clock);
        await using var driver = await MasterAsync(server, clock);
        var connection = server.All<Input.DriverRegistered>().Single().Connection;

        server.Core = input => Grant(input, TimeSpan.Zero);
        clock.Advance(Lease / 8);
        (await driver.ObeyAsync()).ShouldBeFalse();
        await server.OneAsync<Input.DriverStopped>();
        server.Core = HubServer.Accept;
        server.Hub.Perform(HubServer.Tell(connection, isMaster: true, token: 8, sequence: 2));

        (await driver.ObeyAsync()).ShouldBeTrue();
        await AnsweredAsync(server, 2);
    }

    // Wrong program: reads "cannot tell" as "nothing left", and every restart of the daemon is a stop.
    [Fact]
    public async Task A_daemon_that_cannot_tell_takes_nothing_away()
    {
        var clock = new FakeClock();
        await using var server = await StartAsync(clock);
        await using var driver = await MasterAsync(server, clock);
        server.Core = input => Grant(input, null);

        clock.Advance(Lease / 2);
        await RenewalsAnsweredAsync(server);
        server.Log.Lines.ShouldNotContain(line => line.Line.Contains("was told to stop"));
        clock.Advance(Lease); // What it had is over, and nobody has said more.

        (await driver.ObeyAsync()).ShouldBeFalse();
    }

    [Fact] // Wrong program: passes the start on before it knows of a lease, and then does not know when to stop it.
    public async Task A_start_waits_for_a_lease_and_is_refused_without_one()
    {
        var clock = new FakeClock();
        await using var server = await StartAsync(clock);
        server.Core = input => input is Input.DriverRenewed ? [] : HubServer.Accept(input);
        await using var driver = await Driver2018.GreetedAsync(server);
        var connection = (await server.OneAsync<Input.DriverRegistered>()).Connection;

        server.Hub.Perform(HubServer.Tell(connection, isMaster: true, token: 7, sequence: 1));
        server.All<Input.DriverAnswered>().ShouldBeEmpty();
        server.Core = input => Grant(input, TimeSpan.Zero);
        clock.Advance(Lease / 8);
        await AnsweredAsync(server, 1);

        server.All<Input.DriverAnswered>().Single().Error.ShouldBe("there is no lease");
        server.Hub.Perform(HubServer.Tell(connection, isMaster: false, token: 7, sequence: 2));
        (await driver.ObeyAsync()).ShouldBeFalse(); // It never heard of the start.
    }

    [Fact]
    public async Task A_start_that_waits_can_be_cancelled()
    {
        await using var server = await StartAsync(new FakeClock());
        server.Core = input => input is Input.DriverRenewed ? [] : HubServer.Accept(input);
        await using var driver = await Driver2018.GreetedAsync(server);
        var connection = (await server.OneAsync<Input.DriverRegistered>()).Connection;

        server.Hub.Perform(HubServer.Tell(connection, isMaster: true, token: 7, sequence: 1));
        server.Hub.Perform(new Output.CancelTrigger(connection, new ServiceName("web"), 1));

        await AnsweredAsync(server, 1);
        server.All<Input.DriverAnswered>().Single().Error.ShouldBe("it was cancelled before it began");
    }

    // Wrong program: renews for somebody who is gone, so what he ran counts as running for ever.
    [Fact]
    public async Task A_lost_connection_is_told_once_and_no_more_renewals_come()
    {
        var clock = new FakeClock();
        await using var server = await StartAsync(clock);
        await using var driver = await MasterAsync(server, clock);

        driver.Cut();

        await server.OneAsync<Input.DriverLost>();
        await server.EmptyAsync();
        var renewals = server.All<Input.DriverRenewed>().Length;
        clock.Advance(Lease * 3);
        server.All<Input.DriverRenewed>().Length.ShouldBe(renewals);
        server.All<Input.DriverLost>().Length.ShouldBe(1);
        server.All<Input.DriverStopped>().ShouldBeEmpty(); // It may still run: the loop counts it so until its lease is over.
    }

    [Fact] // Wrong program: takes two programs with one id for one that has come back, and forgets the first, which goes on as a master.
    public async Task Two_with_one_id_are_two_instances_of_one_driver()
    {
        await using var server = await StartAsync();
        await using var first = await Driver2018.GreetedAsync(server, "same");
        await using var second = await Driver2018.GreetedAsync(server, "same");
        await using var other = await Driver2018.GreetedAsync(server, "other");
        await Eventually.HoldsAsync(() => server.All<Input.DriverRegistered>().Length == 3, () => "not all have registered");

        var registered = server.All<Input.DriverRegistered>().Select(input => input.Registration).ToList();

        registered.Select(one => one.Name.Value).Order().ShouldBe(["legacy-other", "legacy-same", "legacy-same"]);
        registered.Select(one => one.Instance).Distinct().Count().ShouldBe(3);
    }

    // Wrong program: knows one secret only, so a rotation is an outage.
    [Fact]
    public async Task One_with_the_old_secret_is_served_while_it_is_being_rotated()
    {
        await using var server = await HubServer.StartAsync(options => options with { LegacyDrivers = true, Secret = "the new secret, long enough too", OldSecret = HubServer.Secret });
        await using var old = await Driver2018.GreetedAsync(server, "old");
        await using var renewed = await Driver2018.GreetedAsync(server, "new", "the new secret, long enough too");

        await Eventually.HoldsAsync(() => server.All<Input.DriverRegistered>().Length == 2, () => "not both have registered");
    }

    [Fact] // Wrong program: says `false` to a master when the daemon restarts, as if that were an end of the lease.
    public async Task Closing_the_hub_tells_nobody_to_stop()
    {
        var clock = new FakeClock();
        await using var server = await StartAsync(clock);
        await using var driver = await MasterAsync(server, clock);
        var closed = driver.ClosedAsync();

        await server.Hub.DisposeAsync();

        (await closed).Status.ShouldBe(WebSocketCloseStatus.EndpointUnavailable);
        driver.ReceivedFrames.Count.ShouldBe(2); // The greeting and one start.
    }

    // Wrong program: waits for ever, and the service is neither here nor elsewhere.
    [Fact]
    public async Task One_that_leaves_a_trigger_without_an_answer_is_disconnected_after_three_seconds()
    {
        var clock = new FakeClock();
        await using var server = await StartAsync(clock);
        await using var driver = await Driver2018.GreetedAsync(server);
        var connection = (await server.OneAsync<Input.DriverRegistered>()).Connection;
        server.Hub.Perform(HubServer.Tell(connection, isMaster: false, token: 7, sequence: 1));
        await driver.TriggerAsync();

        clock.Advance(TimeSpan.FromSeconds(2.9));
        server.All<Input.DriverLost>().ShouldBeEmpty();
        clock.Advance(TimeSpan.FromSeconds(0.2));

        (await driver.ClosedAsync()).Reason.ShouldBe("a trigger was not answered within 3 s");
        await server.OneAsync<Input.DriverLost>();
    }

    // Wrong program: takes a frozen program for one that runs the service.
    [Fact] // With real time, as the WebSocket's own pings have; a tenth of what a daemon grants.
    public async Task One_that_answers_no_pings_is_lost_and_one_that_does_is_not()
    {
        await using var server = await HubServer.StartAsync(options => options with
        {
            LegacyDrivers = true, LegacyPing = TimeSpan.FromMilliseconds(150), LegacySilenceMax = TimeSpan.FromMilliseconds(300),
        });
        await using var deaf = await Driver2018.GreetedAsync(server, "deaf"); // Pings are answered only while somebody reads.
        await using var awake = await Driver2018.GreetedAsync(server, "awake");
        var reading = awake.NextAsync();

        var lost = await server.OneAsync<Input.DriverLost>();
        await Task.Delay(500);

        server.All<Input.DriverRegistered>().Single(input => input.Connection == lost.Connection).Registration.Name.Value.ShouldBe("legacy-deaf");
        server.All<Input.DriverLost>().Length.ShouldBe(1);
        reading.IsCompleted.ShouldBeFalse();
        awake.Cut();
        await Should.ThrowAsync<Exception>(() => reading);
    }

    private static Task<HubServer> StartAsync(FakeClock? clock = null) =>
        HubServer.StartAsync(options => options with { LegacyDrivers = true, Time = clock ?? options.Time });

    // Master of 'web' under token 7, with a lease.
    private static async Task<Driver2018> MasterAsync(HubServer server, FakeClock clock)
    {
        var driver = await Driver2018.GreetedAsync(server);
        var connection = (await server.OneAsync<Input.DriverRegistered>()).Connection;
        await server.OneAsync<Input.DriverRenewed>();
        server.Hub.Perform(HubServer.Tell(connection, isMaster: true, token: 7, sequence: 1));
        (await driver.ObeyAsync()).ShouldBeTrue();
        await AnsweredAsync(server, 1);
        return driver;
    }

    private static Task AnsweredAsync(HubServer server, long sequence) =>
        Eventually.HoldsAsync(() => server.All<Input.DriverAnswered>().Any(answer => answer.Sequence == sequence), () => $"no answer to {sequence}; {server.Log.Text}");

    // The loop runs on a thread of its own.
    private static Task RenewalsAnsweredAsync(HubServer server)
    {
        _ = server.Inputs;
        return Task.CompletedTask;
    }

    private static IEnumerable<Output> Grant(Input input, TimeSpan? left) =>
        input is Input.DriverRenewed renewed ? [new Output.DriverLease(renewed.Connection, renewed.Stamp, left)] : HubServer.Accept(input);
}
