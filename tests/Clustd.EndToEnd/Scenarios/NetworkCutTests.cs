using Clustd.EndToEnd.Harness;
using Shouldly;
using Xunit;

namespace Clustd.EndToEnd.Scenarios;

/// <summary>Machines in network namespaces, one of them cut off: it stops by itself, the others take over, and never both.</summary>
public class NetworkCutTests(NetworkCutTests.Cluster cluster) : IClassFixture<NetworkCutTests.Cluster>
{
    public static bool HasNoNamespaces { get; } = NetworkCutTests.Reason is not null;

    private static string? Reason => NamespacedNetwork.WhyNot();

    [Fact(Skip = "needs root and `ip` (Debian's iproute2), to make network namespaces", SkipWhen = nameof(HasNoNamespaces))]
    public Task The_masters_cable_is_pulled() =>
        CutOffAsync("the master's cable is pulled", leads: false, network => network.PullCable, network => network.PlugIn);

    [Fact(Skip = "needs root and `ip` (Debian's iproute2), to make network namespaces", SkipWhen = nameof(HasNoNamespaces))]
    public Task The_masters_frames_are_dropped_in_silence() =>
        CutOffAsync("the master's frames are dropped in silence", leads: false, network => network.DropSilently, network => network.Forward);

    [Fact(Skip = "needs root and `ip` (Debian's iproute2), to make network namespaces", SkipWhen = nameof(HasNoNamespaces))]
    public Task The_frames_of_a_master_that_leads_are_dropped_in_silence() =>
        CutOffAsync("the frames of a master that leads are dropped in silence", leads: true, network => network.DropSilently, network => network.Forward);

    [Fact(Skip = "needs root and `ip` (Debian's iproute2), to make network namespaces", SkipWhen = nameof(HasNoNamespaces))]
    public async Task The_link_between_leader_and_master_is_down_and_a_third_machine_reaches_both_and_nothing_fails_over()
    {
        var machines = await cluster.HealthyAsync();
        try
        {
            var leader = machines.Standbys[0];
            // And stays it: a stream that was cut in the story before may still wait for TCP, and then the cut below would be its second one.
            await Eventually.IsTrue(
                async () =>
                {
                    await machines.LeadAsync(leader);
                    await machines.ShouldGoOnActingAsync(TimeSpan.FromSeconds(3));
                    return await machines.LeaderAsync() == leader && machines.Master != leader;
                },
                "a leader that stays, and is not the master");
            var (old, master) = (machines.Acts.Newest()!, machines.Master);

            machines.Network.DropBetween(leader.Id, master.Id);
            // Longer than both ends need to give the connection up: after that neither of them has one to the other.
            await Eventually.IsTrue(() => leader.Log.Contains($"The connection to {master.Id} is lost", StringComparison.Ordinal), "the leader has given the connection up");
            var now = await machines.ShouldGoOnActingAsync(TimeSpan.FromSeconds(4));

            (now.Token, now.Pid).ShouldBe((old.Token, old.Pid), "its session is kept by way of the third machine");
            (await leader.StatusAsync())!.Alive.Count.ShouldBe(3);
            (await leader.RunAsync("move", "default")).ExitCode.ShouldBe(0, "what is decided reaches it, and its answer comes back");

            machines.Network.ReconnectBetween(leader.Id, master.Id);
            await machines.MakeHealthyAsync();
            machines.Acts.ShouldNeverOverlap();
        }
        catch
        {
            TestContext.Current.TestOutputHelper?.WriteLine(machines.Logs());
            await cluster.ForgetAsync();
            throw;
        }
    }

    private async Task CutOffAsync(string what, bool leads, Func<NamespacedNetwork, Func<string, long>> cut, Func<NamespacedNetwork, Action<string>> heal)
    {
        var machines = await cluster.HealthyAsync();
        try
        {
            // From the others' point of view it is the same; from the cut machine's not: a leader must notice that nobody answers.
            if (leads) (await machines.Master.RunAsync("move", "default", (await machines.LeaderAsync())!.Id)).ExitCode.ShouldBeOneOf(0, 1);
            var (old, master) = (machines.Acts.Newest()!, machines.Master);

            var at = cut(machines.Network)(master.Id);
            var next = await machines.NextTenureAsync(old);

            next.Machine.ShouldNotBe(master.Id);
            var ended = machines.Acts.Tenures()[^2];
            // Lease 1 s and kill_timeout 500 ms, counted from a stamp made before the cut; 500 ms for a loaded machine's scheduling.
            (ended.LastAt - at).ShouldBeLessThan(2_000_000, "it stops by itself");
            machines.Acts.ShouldNeverOverlap();
            MeasuredTimes.Add(what, at, ended, next);
            var status = await Eventually.Gives(
                async () => await master.RunAsync("status", "-o", "json") is { ExitCode: 3 } said ? said : null, "the cut machine says that it has no quorum");
            status.Error.ShouldContain("No quorum");

            heal(machines.Network)(master.Id);
            await machines.MakeHealthyAsync();
            machines.Acts.Newest()!.Token.ShouldBe(next.Token, "the healed machine is a standby");
            machines.Acts.ShouldNeverOverlap();
        }
        catch
        {
            TestContext.Current.TestOutputHelper?.WriteLine(machines.Logs());
            await cluster.ForgetAsync();
            throw;
        }
    }

    public sealed class Cluster : SharedCluster
    {
        protected override ClusterPlan Plan => new() { InNamespaces = true };
    }
}
