using System.Diagnostics;
using Clustd.Peers;
using Shouldly;
using Xunit;

namespace Clustd.Tests.Peers;

/// <summary>Machines that find each other over real sockets.</summary>
public sealed class PeerNetworkTests
{
    [Fact]
    public async Task Two_machines_connect_and_messages_arrive_in_the_order_sent()
    {
        var (a, b) = await PairAsync();
        await using var _ = a;
        await using var __ = b;

        foreach (var number in Enumerable.Range(0, 2000))
        {
            a.Send("b", $"to b {number}");
            b.Send("a", $"to a {number}");
        }

        await a.ReceivedAsync("b", 2000);
        await b.ReceivedAsync("a", 2000);
        b.TextsFrom("a").ShouldBe(Enumerable.Range(0, 2000).Select(number => $"to b {number}"));
        a.TextsFrom("b").ShouldBe(Enumerable.Range(0, 2000).Select(number => $"to a {number}"));
    }

    [Fact]
    public async Task Three_machines_that_start_together_connect_each_pair_exactly_once_and_lose_nothing()
    {
        // Catches: closing a duplicate that already carried something, or two sides that keep different connections.
        foreach (var round in Enumerable.Range(0, 8))
        {
            int[] ports = [TestMachine.FreePort(), TestMachine.FreePort(), TestMachine.FreePort()];
            var all = ports.Select(port => $"ws://127.0.0.1:{port}").ToArray();
            var machines = await Task.WhenAll(
                TestMachine.StartAsync("a", ports[0], all),
                TestMachine.StartAsync("b", ports[1], all),
                TestMachine.StartAsync("c", ports[2], all));
            foreach (var machine in machines)
            {
                foreach (var other in machines.Where(other => other != machine))
                {
                    await machine.ConnectedAsync(other.Identity.MachineId);
                    machine.Send(other.Identity.MachineId, $"round {round}");
                }
            }

            foreach (var machine in machines)
            {
                // Once each address has found its machine there is no dial left that could bring a duplicate.
                await machine.EventuallyAsync(_ => machine.Network.Peers is { Count: 2 } peers && peers.All(peer => peer is { State: PeerState.Connected }), "every address connected");
                await machine.EventuallyAsync(_ => machine.Count<PeerEvent.PeerMessageReceived>() == 2, "one message of each");
                machine.Count<PeerEvent.PeerConnected>().ShouldBe(2);
                machine.Count<PeerEvent.PeerLost>().ShouldBe(0);
                machine.Count<PeerEvent.PeerRefused>().ShouldBe(0);
            }

            await Task.WhenAll(machines.Select(machine => machine.DisposeAsync().AsTask()));
        }
    }

    [Fact]
    public async Task A_second_dial_between_connected_machines_keeps_the_first_connection()
    {
        var (a, b) = await PairAsync();
        await using var _ = a;
        await using var __ = b;
        await using var proxy = new TcpProxy(PortOf(b));

        a.Network.SetAddresses([b.Address, proxy.Address]); // the same machine under another address: a duplicate for certain
        await a.EventuallyAsync(_ => a.Network.Peers.Count(peer => peer is { MachineId: "b", State: PeerState.Connected }) == 2, "b at both addresses");

        a.Send("b", "still there");
        await b.ReceivedAsync("a", 1);
        a.Count<PeerEvent.PeerLost>().ShouldBe(0);
        b.Count<PeerEvent.PeerLost>().ShouldBe(0);
        b.Count<PeerEvent.PeerConnected>().ShouldBe(1);
    }

    [Fact]
    public async Task Behind_nat_one_direction_is_enough()
    {
        var (portA, portB) = (TestMachine.FreePort(), TestMachine.FreePort());
        await using var b = await TestMachine.StartAsync("b", portB, []);
        await using var a = await TestMachine.StartAsync("a", portA, [b.Address]);

        await a.ConnectedAsync("b");
        await b.ConnectedAsync("a");
        b.Send("a", "back");
        await a.ReceivedAsync("b", 1);
    }

    [Fact]
    public async Task A_killed_connection_is_noticed_at_once_and_dialled_again()
    {
        var portB = TestMachine.FreePort();
        await using var proxy = new TcpProxy(portB);
        await using var b = await TestMachine.StartAsync("b", portB, []);
        await using var a = await TestMachine.StartAsync("a", TestMachine.FreePort(), [proxy.Address]);
        await a.ConnectedAsync("b");
        await b.ConnectedAsync("a");

        var clock = Stopwatch.StartNew();
        proxy.KillConnections();
        await a.LostAsync("b");
        await b.LostAsync("a");

        clock.Elapsed.ShouldBeLessThan(TimeSpan.FromSeconds(1)); // milliseconds, usually; silence would take ten seconds
        await a.EventuallyAsync(_ => a.Count<PeerEvent.PeerConnected>() == 2 && a.IsConnected("b"), "b again");
        await b.EventuallyAsync(_ => b.Count<PeerEvent.PeerConnected>() == 2 && b.IsConnected("a"), "a again");
    }

    [Fact]
    public async Task Silence_ends_a_connection_that_carries_nothing_any_more()
    {
        var portB = TestMachine.FreePort();
        await using var proxy = new TcpProxy(portB);
        await using var b = await TestMachine.StartAsync("b", portB, [], with: Quick);
        await using var a = await TestMachine.StartAsync("a", TestMachine.FreePort(), [proxy.Address], with: Quick);
        await a.ConnectedAsync("b");

        proxy.Freeze();

        await a.EventuallyAsync(events => events.OfType<PeerEvent.PeerLost>().Any(each => each.Reason.Contains("nothing was heard")), "a loss by silence");
        await a.EventuallyAsync(events => events.OfType<PeerEvent.PeerUnreachable>().Any(each => each.Reason.Contains("accepts connections but does not answer")), "a dial without answer");
        proxy.Thaw();
        await a.EventuallyAsync(_ => a.IsConnected("b"), "b again");

        static PeerNetworkOptions Quick(PeerNetworkOptions options) => options with { SilenceMax = TimeSpan.FromMilliseconds(600), DialTimeout = TimeSpan.FromMilliseconds(700) };
    }

    [Fact]
    public async Task A_connection_on_which_nobody_sends_stays_up()
    {
        // Catches: a silence limit without beats. Followers have nothing to say to each other.
        var (a, b) = await PairAsync(options => options with { SilenceMax = TimeSpan.FromMilliseconds(500) });
        await using var _ = a;
        await using var __ = b;

        var clock = Stopwatch.StartNew();
        await a.EventuallyAsync(_ => clock.Elapsed > TimeSpan.FromSeconds(2), "two seconds");

        a.Count<PeerEvent.PeerLost>().ShouldBe(0);
        b.Count<PeerEvent.PeerLost>().ShouldBe(0);
    }

    [Fact]
    public async Task A_message_of_the_largest_size_arrives_whole_many_times_and_a_larger_one_is_refused()
    {
        // Forty megabytes and more on one connection: Kestrel's limit for request bodies (30 MB) must not apply.
        var (a, b) = await PairAsync();
        await using var _ = a;
        await using var __ = b;
        var large = new byte[8 * 1024 * 1024];
        new Random(7).NextBytes(large);

        foreach (var number in Enumerable.Range(1, 6))
        {
            a.Network.Send("b", large);
            await b.EventuallyAsync(_ => b.Count<PeerEvent.PeerMessageReceived>() == number, $"message {number}");
        }

        b.Events.OfType<PeerEvent.PeerMessageReceived>().Count(each => each.Message.Span.SequenceEqual(large)).ShouldBe(6);
        Should.Throw<ArgumentException>(() => a.Network.Send("b", new byte[large.Length + 1])).Message.ShouldContain("Send it in chunks");
    }

    [Fact]
    public async Task A_peer_that_does_not_read_loses_its_connection_and_sending_never_blocks()
    {
        var portB = TestMachine.FreePort();
        await using var proxy = new TcpProxy(portB);
        await using var b = await TestMachine.StartAsync("b", portB, []);
        await using var a = await TestMachine.StartAsync("a", TestMachine.FreePort(), [proxy.Address], with: options => options with { QueueBytesMax = 4 * 1024 * 1024 });
        await a.ConnectedAsync("b");
        proxy.Freeze();

        var clock = Stopwatch.StartNew();
        foreach (var _ in Enumerable.Range(0, 64))
        {
            a.Network.Send("b", new byte[1024 * 1024]); // more than the queue and all socket buffers hold
        }

        clock.Elapsed.ShouldBeLessThan(TimeSpan.FromSeconds(5));
        await a.EventuallyAsync(events => events.OfType<PeerEvent.PeerLost>().Any(each => each.Reason.Contains("it reads too slowly: more than 4 MB were waiting")), "a loss by overflow");
    }

    [Fact]
    public async Task A_heartbeat_overtakes_a_backlog()
    {
        var portB = TestMachine.FreePort();
        await using var proxy = new TcpProxy(portB);
        await using var b = await TestMachine.StartAsync("b", portB, []);
        await using var a = await TestMachine.StartAsync("a", TestMachine.FreePort(), [proxy.Address]);
        await a.ConnectedAsync("b");
        proxy.Freeze();
        foreach (var _ in Enumerable.Range(0, 100))
        {
            a.Network.Send("b", new byte[256 * 1024]);
        }

        a.Send("b", "heartbeat", urgent: true);
        proxy.Thaw();

        await b.ReceivedAsync("a", 101);
        Array.IndexOf(b.TextsFrom("a"), "heartbeat").ShouldBeLessThan(60); // behind what the kernels and the proxy hold, ahead of the rest
    }

    [Fact]
    public async Task Closing_tells_both_sides_the_reason_even_a_long_one_and_they_come_back()
    {
        var reason = "the lists of machines differ: here " + string.Join(", ", Enumerable.Range(1, 40).Select(number => $"cm-{number}"));
        var (a, b) = await PairAsync();
        await using var _ = a;
        await using var __ = b;

        a.Network.Close("b", reason);

        await a.EventuallyAsync(events => events.OfType<PeerEvent.PeerLost>().Any(each => each.Reason == $"closed by this machine: {reason}"), "its own reason");
        await b.EventuallyAsync(events => events.OfType<PeerEvent.PeerLost>().Any(each => each.Reason == $"it closed the connection: {reason}"), "the whole reason");
        await b.EventuallyAsync(_ => b.Count<PeerEvent.PeerConnected>() == 2, "a new connection");
    }

    [Fact]
    public async Task A_stopping_machine_says_so_delivers_what_it_sent_and_is_gone_quickly()
    {
        var (a, b) = await PairAsync();
        await using var _ = b;
        a.Send("b", "last words");

        var clock = Stopwatch.StartNew();
        await a.DisposeAsync();

        clock.Elapsed.ShouldBeLessThan(TimeSpan.FromSeconds(5)); // 30 s when an open WebSocket holds up the host
        await b.EventuallyAsync(events => events.OfType<PeerEvent.PeerLost>().Any(each => each.Reason.Contains("shutting down")), "a goodbye");
        b.TextsFrom("a").ShouldBe(["last words"]);
        await b.EventuallyAsync(
            events => events.OfType<PeerEvent.PeerUnreachable>().Any(each => each == new PeerEvent.PeerUnreachable(a.Address, $"{a.Address} connection refused", "open the port or start clustd there")),
            "why it waits");
    }

    [Fact]
    public async Task A_machine_that_is_not_there_is_reported_once()
    {
        var absent = $"127.0.0.1:{TestMachine.FreePort()}";
        await using var a = await TestMachine.StartAsync("a", TestMachine.FreePort(), [absent]);

        await a.EventuallyAsync(_ => a.Network.Peers.Single() is { State: PeerState.Unreachable, LastError: not null }, "that it is unreachable");
        await a.Network.DisposeAsync();

        a.Events.ShouldBe([new PeerEvent.PeerUnreachable(absent, $"{absent} connection refused", "open the port or start clustd there")]);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public async Task However_connections_die_both_sides_end_up_with_the_same_one(int seed)
    {
        // Catches: two sides that each believe in another connection (messages one way only), events out of order.
        var random = new Random(seed);
        var (portA, portB) = (TestMachine.FreePort(), TestMachine.FreePort());
        await using var toA = new TcpProxy(portA);
        await using var toB = new TcpProxy(portB);
        await using var a = await TestMachine.StartAsync("a", portA, [toB.Address], with: Fast);
        await using var b = await TestMachine.StartAsync("b", portB, [toA.Address], with: Fast);

        foreach (var _ in Enumerable.Range(0, 60))
        {
            await Task.Delay(random.Next(30)); // the faults' own timing, not a wait for something
            var proxy = random.Next(2) == 0 ? toA : toB;
            proxy.Freeze();
            await Task.Delay(random.Next(30));
            proxy.KillConnections();
            proxy.Thaw();
        }

        var number = 0;
        await a.EventuallyAsync(_ => Both($"{++number}"), "a message that went both ways");
        foreach (var machine in new[] { a, b })
        {
            var expected = true; // connected and lost take turns, and messages come only in between
            foreach (var raised in machine.Events.Where(each => each is PeerEvent.PeerConnected or PeerEvent.PeerLost))
            {
                (raised is PeerEvent.PeerConnected).ShouldBe(expected);
                expected = !expected;
            }

            machine.Count<PeerEvent.PeerRefused>().ShouldBe(0);
        }

        bool Both(string text)
        {
            a.Send("b", text);
            b.Send("a", text);
            return b.TextsFrom("a").Intersect(a.TextsFrom("b")).Any();
        }

        static PeerNetworkOptions Fast(PeerNetworkOptions options) => options with { RedialMin = TimeSpan.FromMilliseconds(2), RedialMax = TimeSpan.FromMilliseconds(20) };
    }

    private static int PortOf(TestMachine machine) => PeerAddress.Parse(machine.Address).Port;

    private static async Task<(TestMachine A, TestMachine B)> PairAsync(Func<PeerNetworkOptions, PeerNetworkOptions>? with = null)
    {
        var (portA, portB) = (TestMachine.FreePort(), TestMachine.FreePort());
        var a = await TestMachine.StartAsync("a", portA, [$"127.0.0.1:{portA}", $"127.0.0.1:{portB}"], with: with);
        var b = await TestMachine.StartAsync("b", portB, [$"127.0.0.1:{portA}", $"127.0.0.1:{portB}"], with: with);
        await a.ConnectedAsync("b");
        await b.ConnectedAsync("a");
        return (a, b);
    }
}
