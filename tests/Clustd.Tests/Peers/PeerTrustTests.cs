using Clustd.Peers;
using Shouldly;
using Xunit;

namespace Clustd.Tests.Peers;

/// <summary>Who is let in: secrets, rotation, ids, incarnations.</summary>
public sealed class PeerTrustTests
{
    private const string OtherSecret = "another-secret-another-secret-0002";

    [Fact]
    public async Task With_different_secrets_both_sides_name_both_fingerprints()
    {
        var (portA, portB) = (TestMachine.FreePort(), TestMachine.FreePort());
        await using var a = await TestMachine.StartAsync("a", portA, [$"127.0.0.1:{portB}"]);
        await using var b = await TestMachine.StartAsync("b", portB, [], secret: OtherSecret);

        await a.RefusedAsync($"fingerprint ours {a.Identity.Fingerprint}, theirs {b.Identity.Fingerprint}");
        await b.RefusedAsync($"fingerprint ours {b.Identity.Fingerprint}, theirs {a.Identity.Fingerprint}");
        await a.RefusedAsync($"Cannot connect to 127.0.0.1:{portB}: its cluster secret differs");
        await a.RefusedAsync("Set the same cluster.secret on both machines");
        a.Network.Peers.Single().State.ShouldBe(PeerState.Refused);
        a.Count<PeerEvent.PeerConnected>().ShouldBe(0);
        b.Count<PeerEvent.PeerConnected>().ShouldBe(0);
    }

    [Theory]
    [InlineData(TestMachine.Secret, null)] // not rotated yet
    [InlineData(OtherSecret, null)] // rotation over
    [InlineData(OtherSecret, TestMachine.Secret)] // under way there too
    public async Task During_a_rotation_old_and_new_secrets_connect_whoever_dials_and_nobody_complains(string secret, string? oldSecret)
    {
        foreach (var rotatingDials in new[] { true, false })
        {
            var (portA, portB) = (TestMachine.FreePort(), TestMachine.FreePort());
            await using var rotating = await TestMachine.StartAsync("a", portA, rotatingDials ? [$"127.0.0.1:{portB}"] : [], OtherSecret, TestMachine.Secret);
            await using var other = await TestMachine.StartAsync("b", portB, rotatingDials ? [] : [$"127.0.0.1:{portA}"], secret, oldSecret);

            await rotating.ConnectedAsync("b");
            await other.ConnectedAsync("a");
            rotating.Count<PeerEvent.PeerRefused>().ShouldBe(0);
            other.Count<PeerEvent.PeerRefused>().ShouldBe(0);
        }
    }

    [Fact]
    public async Task A_second_machine_with_an_id_in_use_is_refused_and_the_first_one_keeps_its_connection()
    {
        foreach (var (host, twins) in new[] { ("a", "b"), ("b", "a") }) // either side of the pair may be the one that decides
        {
            var portHost = TestMachine.FreePort();
            await using var machine = await TestMachine.StartAsync(host, portHost, []);
            await using var first = await TestMachine.StartAsync(twins, TestMachine.FreePort(), [machine.Address]);
            await first.ConnectedAsync(host);
            await machine.ConnectedAsync(twins);

            await using var second = await TestMachine.StartAsync(twins, TestMachine.FreePort(), [machine.Address]);

            await second.RefusedAsync($"{machine.Address} refused this machine.");
            await second.RefusedAsync($"is connected with the same id '{twins}' and answers. Give each machine a cluster.id of its own");
            await machine.RefusedAsync($"Refused the machine at {second.Address}: another machine, at {first.Address}, is connected with the same id");
            machine.Count<PeerEvent.PeerLost>().ShouldBe(0);
            first.Count<PeerEvent.PeerLost>().ShouldBe(0);
            second.Count<PeerEvent.PeerConnected>().ShouldBe(0);
        }
    }

    [Fact]
    public async Task Two_machines_with_the_same_id_refuse_each_other_and_both_say_why()
    {
        var (port1, port2) = (TestMachine.FreePort(), TestMachine.FreePort());
        await using var one = await TestMachine.StartAsync("a", port1, [$"127.0.0.1:{port2}"]);
        await using var two = await TestMachine.StartAsync("a", port2, []);

        await one.RefusedAsync("both machines have the id 'a'. Give each machine a cluster.id of its own");
        await two.RefusedAsync("both machines have the id 'a'. Give each machine a cluster.id of its own");
    }

    [Fact]
    public async Task Ones_own_address_under_another_name_is_no_peer_and_no_complaint()
    {
        var port = TestMachine.FreePort();
        await using var a = await TestMachine.StartAsync("a", port, [$"ws://localhost:{port}"]);

        await a.EventuallyAsync(_ => a.Network.Peers.Single().State == PeerState.Self, "itself");
        // The name has two addresses, and the port was looked for on one of them: another test may have had it on the other for a moment.
        a.Events.Where(happened => happened is not PeerEvent.PeerUnreachable).ShouldBeEmpty();
    }

    [Fact]
    public async Task A_restarted_machine_takes_the_place_of_its_former_process_that_no_longer_answers()
    {
        // The old connection is not closed, only silent (power cut, or frozen): the newer process must not wait for the silence limit.
        foreach (var (host, restarted) in new[] { ("a", "b"), ("b", "a") })
        {
            var portHost = TestMachine.FreePort();
            await using var proxy = new TcpProxy(portHost);
            await using var machine = await TestMachine.StartAsync(host, portHost, []);
            await using var former = await TestMachine.StartAsync(restarted, TestMachine.FreePort(), [proxy.Address]);
            await machine.ConnectedAsync(restarted);
            await former.ConnectedAsync(host);
            proxy.Freeze();

            await using var newer = await TestMachine.StartAsync(restarted, TestMachine.FreePort(), [machine.Address]);

            await newer.ConnectedAsync(host);
            await machine.EventuallyAsync(_ => machine.Count<PeerEvent.PeerConnected>() == 2, "the newer process");
            machine.Events.Select(each => each.GetType()).ShouldBe([typeof(PeerEvent.PeerConnected), typeof(PeerEvent.PeerLost), typeof(PeerEvent.PeerConnected)]);
            machine.Events.OfType<PeerEvent.PeerConnected>().Last().Incarnation.ShouldBe(newer.Network.Incarnation);
        }
    }
}
