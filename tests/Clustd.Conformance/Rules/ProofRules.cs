using Clustd.Conformance.Stage;
using Shouldly;
using Xunit;

namespace Clustd.Conformance.Rules;

/// <summary>docs/protocol.md, 1: proving the secret.</summary>
public abstract class ProofRules(string subject) : Rules(subject)
{
    [Fact]
    public async Task First_the_greeting_then_the_proof_then_the_registration_then_the_first_renewal()
    {
        await using var scene = await StartAsync();
        var side = await scene.NextDriverAsync();
        await scene.HeardAsync(side, "renew");
        side.Methods.Take(4).ShouldBe(["hello", "authenticate", "register", "renew"]);
        (await scene.HeardAsync(side, "hello")).Params["name"]!.GetValue<string>().ShouldBe("subject");
        await scene.Said.FirstAsync(said => said.Event == "connected", "the SDK's connect to return", scene.Patience);
    }

    // Wrong program: makes its nonce once per process, so that the proof of one connection opens the next.
    [Fact]
    public async Task Every_connection_has_a_nonce_of_its_own()
    {
        await using var scene = await StartAsync();
        var first = await scene.NextDriverAsync();
        first.Cut();
        var second = await scene.NextDriverAsync();
        var nonces = new[] { first, second }.Select(side => side.Calls("hello").Single().Params["nonce"]!.GetValue<string>()).ToList();
        nonces.ShouldAllBe(nonce => nonce.Length == 44 && Convert.FromBase64String(nonce).Length == 32);
        nonces[0].ShouldNotBe(nonces[1]);
    }

    // Wrong program: authenticates before it has looked at the daemon's proof, or looks at its length only.
    [Fact]
    public async Task An_impostor_learns_nothing()
    {
        await using var scene = await StartAsync(daemon => daemon.OwnSecret = "a guess of somebody else's");
        var side = await scene.Daemon.Connections.FirstAsync(_ => true, "a connection", scene.Patience);
        await scene.InTime(side.Closed, "the driver to hang up");
        side.Methods.ShouldBe(["hello"]);
        side.Heard.All.Count.ShouldBe(1);
        side.Heard.All[0].ToString().ShouldNotContain(scene.Daemon.Secret);
        scene.Daemon.Registered.All.ShouldBeEmpty();
    }

    // Wrong program: takes a proof that the daemon is refused for the end of everything, and stops what runs; or trusts a port because it trusted it before.
    [Fact]
    public async Task An_impostor_on_the_port_of_a_daemon_that_was_known_changes_nothing()
    {
        await using var scene = await StartAsync();
        var side = await scene.RunningAsync();
        scene.Daemon.OwnSecret = "a guess of somebody else's";
        var before = scene.Daemon.Connections.All.Count;
        side.Cut();
        var impostor = await scene.Daemon.Connections.FirstAsync(_ => true, "another connection", scene.Patience, before);
        await scene.InTime(impostor.Closed, "the driver to hang up");
        impostor.Methods.ShouldBe(["hello"]);
        scene.Daemon.OwnSecret = null;
        var again = await scene.NextDriverAsync();
        again.Tells()["isMaster"]!.GetValue<bool>().ShouldBeTrue();
        scene.Begun(false).ShouldBe(0);
    }

    [Fact]
    public async Task While_the_secret_is_changed_the_old_proof_is_as_good()
    {
        await using var scene = await StartAsync(daemon => (daemon.OwnSecret, daemon.ProvesOldSecret) = ("the new secret", true));
        await scene.NextDriverAsync();
    }

    // UTF-8, and longer than a block of SHA-256.
    [Fact]
    public async Task A_secret_may_have_any_letters_and_any_length()
    {
        await using var scene = await StartAsync(secret: "žluťoučký kůň 馬 " + new string('x', 100));
        await scene.NextDriverAsync();
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_success_without_a_result_is_a_success(bool saysNull)
    {
        await using var scene = await StartAsync(daemon => daemon.OnAuthenticate = message =>
        {
            var side = daemon.Connections.All[^1];
            var answer = new System.Text.Json.Nodes.JsonObject { ["jsonrpc"] = "2.0", ["id"] = message.Json["id"]!.DeepClone() };
            if (saysNull)
                answer["result"] = null;
            _ = side.SendAsync(answer);
            return null;
        });
        await scene.NextDriverAsync();
    }

    [Fact]
    public async Task Who_is_refused_for_a_wrong_proof_sends_nothing_more()
    {
        // The daemon knows another secret by now than it proves: the driver's proof is wrong.
        await using var scene = await StartAsync(daemon => daemon.OnAuthenticate = message =>
        {
            _ = daemon.Connections.All[^1].RefuseAsync(message, -32012, "Wrong proof.");
            return null;
        });
        var side = await scene.Daemon.Connections.FirstAsync(_ => true, "a connection", scene.Patience);
        await scene.InTime(side.Closed, "the driver to hang up");
        side.Methods.ShouldBe(["hello", "authenticate"]);
    }
}
