using Clustd.EndToEnd.Harness;
using Shouldly;
using Xunit;

namespace Clustd.EndToEnd.Scenarios;

/// <summary>A cluster gets a machine, and loses one for good.</summary>
public class GrowingTests
{
    [Fact]
    public async Task A_fourth_machine_is_added_runs_the_service_and_is_removed_again()
    {
        await using var machines = Machines.Prepare(new ClusterPlan { Count = 4 });
        var fourth = machines["cm-4"];
        var first = machines.All.Where(machine => machine != fourth).ToList();
        foreach (var machine in first)
        {
            machine.EditFile(file => file.Replace($", ws://{fourth.Address}:{fourth.Port}", "", StringComparison.Ordinal));
            machine.Start();
        }

        foreach (var machine in first)
            await Eventually.IsTrue(async () => await machine.StatusAsync() is { } status && status.Alive.Count == 3 && status.Drivers.Count > 0 && status.Service().State == "running", $"{machine.Id} is well among three");
        var old = await machines.ShouldGoOnActingAsync(TimeSpan.Zero);

        // It waits to be taken in, and disturbs nobody meanwhile.
        fourth.Start();
        await Eventually.IsTrue(() => fourth.Log.Contains("clustd machine add cm-4", StringComparison.Ordinal), "the newcomer says what it waits for");
        (await first[0].StatusAsync())!.Voters.ShouldBe(3);
        (await machines.ShouldGoOnActingAsync(TimeSpan.FromSeconds(1))).Token.ShouldBe(old.Token);

        var added = await first[1].RunAsync("machine", "add", "cm-4");
        added.ExitCode.ShouldBe(0, added.Error);
        await Eventually.IsTrue(async () => (await fourth.StatusAsync())?.Voters == 4, "the fourth one votes");
        await machines.MakeHealthyAsync();
        (await machines.ShouldGoOnActingAsync(TimeSpan.FromSeconds(1))).Token.ShouldBe(old.Token, "to be added is nobody's failure");
        (await fourth.RunAsync("machine", "list")).Out.ShouldContain("cm-4");

        var moved = await first[2].RunAsync("move", "default", "cm-4");
        moved.ExitCode.ShouldBe(0, moved.Error);
        (await machines.NextTenureAsync(old)).Machine.ShouldBe("cm-4");

        // It is not removed while it runs something; after its goodbye it is.
        var refused = await first[0].RunAsync("machine", "remove", "cm-4");
        refused.ExitCode.ShouldBe(1);
        refused.Error.ShouldContain("holds a session");
        var there = machines.Acts.Newest()!;
        fourth.Signal(RunningProcess.SIGTERM, Role.Daemon);
        (await fourth.ExitAsync()).ShouldBe(0);
        var back = await machines.NextTenureAsync(there);
        await Eventually.IsTrue(async () => (await first[0].RunAsync("machine", "remove", "cm-4")) is { ExitCode: 0 }, "the machine that has left is removed");

        foreach (var machine in first) await Eventually.IsTrue(async () => (await machine.StatusAsync())?.Voters == 3, $"{machine.Id} knows three voters");
        (await first[0].RunAsync("machine", "list")).Out.ShouldNotContain("cm-4");
        (await machines.ShouldGoOnActingAsync(TimeSpan.FromSeconds(1))).Token.ShouldBe(back.Token, "to be removed is nobody's failure");

        // Two of three are enough: with the removed one counted it would take three of four.
        var standby = first.First(machine => machine.Id != back.Machine);
        standby.KillEverything();
        await standby.ExitAsync();
        (await machines.ShouldGoOnActingAsync(TimeSpan.FromSeconds(3))).Token.ShouldBe(back.Token);
        machines.Acts.ShouldNeverOverlap();
    }
}
