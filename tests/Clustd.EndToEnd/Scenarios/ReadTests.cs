using System.Text.Json;
using Clustd.EndToEnd.Harness;
using Shouldly;
using Xunit;

namespace Clustd.EndToEnd.Scenarios;

/// <summary>How fresh a read is: confirmed by a majority, or it says how old it is.</summary>
public class ReadTests(ReadTests.Cluster cluster) : Scenario(cluster), IClassFixture<ReadTests.Cluster>
{
    // Catches: a machine that confirms what it knows without asking anybody. Each of the others has applied the pause a message later than the answer to it.
    [Fact]
    public async Task A_confirmed_read_shows_on_every_machine_what_was_just_decided_on_another()
    {
        for (var round = 0; round < 5; round++)
        {
            foreach (var asked in Machines.All)
            {
                (await asked.RunAsync("pause")).ExitCode.ShouldBe(0);
                foreach (var other in Machines.All) (await ConfirmedAsync(other)).GetProperty("paused").GetBoolean().ShouldBeTrue($"{other.Id}, after {asked.Id} was told to pause");

                (await asked.RunAsync("unpause")).ExitCode.ShouldBe(0);
                var events = await Machines.Standbys[0].TryGetAsync("/v1/events?consistency=linearizable");
                events.Status.ShouldBe(200);
                events.Body!.Value.GetProperty("events").EnumerateArray().Last().GetProperty("kind").GetString().ShouldBe("unpaused");
            }
        }
    }

    [Fact]
    public async Task Without_a_majority_a_read_is_refused_or_says_that_it_is_not_confirmed_and_how_old_it_is()
    {
        var left = Machines.Master;
        var others = Machines.Standbys;
        foreach (var other in others) other.Signal(RunningProcess.SIGSTOP, Role.Daemon);
        try
        {
            await Eventually.IsTrue(async () => (await left.TryGetAsync("/v1/status?consistency=linearizable")).Status == 503, "a refusal");
            (await left.TryGetAsync("/v1/events?consistency=linearizable")).Status.ShouldBe(503);

            // Left out: what it knows, said to be old; and older every time.
            var first = await KnownAsync(left, "/v1/status");
            first.GetProperty("consistency").GetString().ShouldBe("local");
            first.GetProperty("warnings").EnumerateArray().Select(warning => warning.GetProperty("code").GetString()).ShouldContain("not-confirmed");
            var age = first.GetProperty("knownAgoMs").GetInt64();
            await Eventually.IsTrue(async () => (await KnownAsync(left, "/v1/status?consistency=local")).GetProperty("knownAgoMs").GetInt64() > age, "an age that grows");
            await Eventually.IsTrue(async () => !(await KnownAsync(left, "/v1/status?consistency=local")).GetProperty("isKnown").GetBoolean(), "what is older than a lease is not known");
            (await left.RunAsync("status")).Out.ShouldNotContain("confirmed by a majority");
        }
        finally
        {
            foreach (var other in others) other.Signal(RunningProcess.SIGCONT, Role.Daemon);
        }

        await Eventually.IsTrue(async () => (await left.TryGetAsync("/v1/status?consistency=linearizable")).Status == 200, "a majority confirms again");
        await Machines.MakeHealthyAsync();
        (await left.RunAsync("status")).Out.ShouldContain("confirmed by a majority");
        Machines.Acts.ShouldNeverOverlap();
    }

    private static async Task<JsonElement> ConfirmedAsync(Machine machine)
    {
        var (status, body) = await machine.TryGetAsync("/v1/status?consistency=linearizable");
        status.ShouldBe(200, body?.ToString());
        body!.Value.GetProperty("consistency").GetString().ShouldBe("linearizable");
        return body.Value;
    }

    private static async Task<JsonElement> KnownAsync(Machine machine, string path)
    {
        var (status, body) = await machine.TryGetAsync(path);
        status.ShouldBe(200, body?.ToString());
        return body!.Value;
    }

    public sealed class Cluster : SharedCluster
    {
        protected override ClusterPlan Plan => new();
    }
}
