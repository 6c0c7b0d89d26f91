using Clustd.EndToEnd.Harness;
using Shouldly;
using Xunit;

namespace Clustd.EndToEnd.Scenarios;

/// <summary>Changes of who leads and who votes are nobody's failure: no driver is told anything. A second driver writes down all that it is told.</summary>
public class MembershipTests(MembershipTests.Cluster cluster) : Scenario(cluster), IClassFixture<MembershipTests.Cluster>
{
    [Fact]
    public async Task Leadership_is_handed_over_by_hand_and_no_driver_is_told_anything()
    {
        var (old, told) = (Machines.Acts.Newest()!, Triggers());

        foreach (var machine in Machines.All)
        {
            await Machines.LeadAsync(machine);
        }

        await Machines.ShouldGoOnActingAsync(TimeSpan.FromSeconds(2));
        var now = Machines.Acts.Newest()!;
        (now.Token, now.Machine, now.Pid).ShouldBe((old.Token, old.Machine, old.Pid));
        Triggers().ShouldBe(told);
    }

    [Fact]
    public async Task A_wiped_disk_is_brought_back_and_the_others_drivers_are_told_nothing()
    {
        var old = Machines.Acts.Newest()!;
        var wiped = Machines.Standbys[0];
        var others = Machines.All.Where(machine => machine != wiped).ToList();
        var told = Triggers();

        wiped.KillEverything();
        await wiped.ExitAsync();
        Directory.Delete(wiped.DataDirectory, recursive: true);
        wiped.Start();
        await Machines.MakeHealthyAsync();
        await Eventually.IsTrue(async () => (await Task.WhenAll(Machines.All.Select(machine => machine.StatusAsync()))).All(status => status?.Voters == 3), "all three vote again");

        await Machines.ShouldGoOnActingAsync(TimeSpan.FromSeconds(2));
        var now = Machines.Acts.Newest()!;
        (now.Token, now.Machine, now.Pid).ShouldBe((old.Token, old.Machine, old.Pid));
        foreach (var machine in others)
        {
            Triggers()[machine.Id].ShouldBe(told[machine.Id], $"{machine.Id} had nothing to do with it");
        }

        // A driver that has just started is told its state: a clean slate.
        Triggers()[wiped.Id][told[wiped.Id].Length..].ShouldBe("stop\n");
        wiped.Log.ShouldContain("waiting to be taken in");
    }

    /// <summary>What each machine's second driver was told so far, a line each.</summary>
    private SortedDictionary<string, string> Triggers()
    {
        var triggers = new SortedDictionary<string, string>(StringComparer.Ordinal);
        foreach (var machine in Machines.All)
        {
            var path = Path.Combine(machine.Home, "triggers");
            triggers[machine.Id] = File.Exists(path) ? File.ReadAllText(path) : "";
        }

        return triggers;
    }

    public sealed class Cluster : SharedCluster
    {
        protected override ClusterPlan Plan => new()
        {
            Rest = ClusterPlan.SupervisedApp + $"""  - shell: {"{"} start: 'echo start >> "${RunningProcess.Mark}"/triggers', stop: 'echo stop >> "${RunningProcess.Mark}"/triggers' {"}"}{"\n"}""",
        };
    }
}

/// <summary>Two machines: planned maintenance works, because the one that goes leaves its vote behind.</summary>
public class TwoMachinesTests
{
    [Fact]
    public async Task The_master_of_two_machines_says_goodbye_and_the_other_one_carries_on_alone()
    {
        await using var machines = await Machines.StartAsync(new ClusterPlan { Count = 2 });
        var (old, gone) = (machines.Acts.Newest()!, machines.Master);
        var left = machines.Standbys[0];

        gone.Signal(RunningProcess.SIGTERM, Role.Daemon);
        (await gone.ExitAsync()).ShouldBe(0);
        var next = await machines.NextTenureAsync(old);
        await machines.ShouldGoOnActingAsync(TimeSpan.FromSeconds(4));

        next.Machine.ShouldBe(left.Id);
        machines.Acts.Newest()!.Token.ShouldBe(next.Token, "alone, and still the master");
        (await left.StatusAsync())!.Voters.ShouldBe(1);

        await machines.MakeHealthyAsync();
        await Eventually.IsTrue(async () => (await left.StatusAsync())?.Voters == 2, "both vote again");
        machines.Acts.Newest()!.Token.ShouldBe(next.Token, "nothing moves because somebody came back");
        machines.Acts.ShouldNeverOverlap();
    }
}
