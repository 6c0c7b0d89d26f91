using Clustd.EndToEnd.Harness;
using Shouldly;
using Xunit;

namespace Clustd.EndToEnd.Scenarios;

/// <summary>Two versions side by side (docs/decisions/0009): the former one can do feature level 1 only.</summary>
public class UpgradeTests
{
    [Fact]
    public async Task Machines_are_upgraded_one_by_one_and_what_is_new_works_after_the_last()
    {
        await using var machines = Machines.Prepare(new ClusterPlan());
        var former = FormerVersion.InstallInto(Path.Combine(machines.Home, "former"));
        foreach (var machine in machines.All) machine.Program = former;
        await machines.MakeHealthyAsync();

        foreach (var machine in machines.All)
        {
            // What some member could not read is refused, with the names of those to upgrade; all else works in between.
            var early = await machines.All[0].RunAsync("machine", "add", "cm-9");
            early.ExitCode.ShouldBe(1);
            early.Error.ShouldContain($"{machine.Id}");
            early.Error.ShouldContain("an older version");
            await machines.MoveSomewhereAsync();
            (await KindsAsync(machine)).ShouldNotContain("feature-level");

            machine.Signal(RunningProcess.SIGTERM, Role.Daemon);
            (await machine.ExitAsync()).ShouldBe(0);
            machine.Program = ClustdProgram.Path;
            await machines.MakeHealthyAsync();
        }

        foreach (var machine in machines.All) await Eventually.IsTrue(async () => (await KindsAsync(machine)).Contains("feature-level"), $"{machine.Id} knows that the level has risen");
        var old = machines.Acts.Newest()!;
        var now = await machines.All[0].RunAsync("machine", "add", "cm-9");
        now.Error.ShouldContain("is not connected", customMessage: "the refusal is about the machine now, not about versions");
        (await machines.ShouldGoOnActingAsync(TimeSpan.FromSeconds(1))).Token.ShouldBe(old.Token);

        // No way back: its store holds what the former version cannot read. It says so, and touches nothing.
        var back = machines.Standbys[0];
        back.Signal(RunningProcess.SIGTERM, Role.Daemon);
        (await back.ExitAsync()).ShouldBe(0);
        back.Program = former;
        back.Start();
        (await back.ExitAsync()).ShouldNotBe(0);
        back.Log.ShouldContain("cannot take part: its clustd is older (feature level 1)");
        back.Program = ClustdProgram.Path;
        await machines.MakeHealthyAsync();
        (await machines.ShouldGoOnActingAsync(TimeSpan.Zero)).Token.ShouldBe(old.Token);
        machines.Acts.ShouldNeverOverlap();
    }

    private static async Task<IReadOnlyList<string>> KindsAsync(Machine machine) => [.. (await machine.EventsAsync(0)).Select(happened => happened.Kind)];
}
