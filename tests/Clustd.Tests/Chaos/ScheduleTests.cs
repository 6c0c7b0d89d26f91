using Clustd.Chaos.History;
using Clustd.Chaos.Plan;
using Shouldly;
using Xunit;

namespace Clustd.Tests.Chaos;

public sealed class ScheduleTests
{
    [Fact]
    public void The_same_seed_plans_the_same_and_another_one_something_else()
    {
        Words(seed: 7).ShouldBe(Words(seed: 7));
        Words(seed: 7).ShouldNotBe(Words(seed: 8));
    }

    [Fact]
    public void Sizes_take_turns() => Enumerable.Range(0, 4).Select(round => Schedule.Round(1, round, [3, 5]).Machines).ShouldBe([3, 5, 3, 5]);

    [Fact]
    public void Every_kind_of_fault_and_every_combination_of_processes_comes_up()
    {
        var faults = Enumerable.Range(0, 20).SelectMany(round => Schedule.Round(1, round, [3, 5]).Episodes.Take(60)).SelectMany(episode => episode.Faults).ToList();
        faults.Select(fault => fault.Kind).Distinct().Order().ShouldBe(Enum.GetValues<FaultKind>());
        foreach (var kind in (FaultKind[])[FaultKind.Frozen, FaultKind.ProcessesKilled])
            faults.Where(fault => fault.Kind == kind).Select(fault => (int)fault.Roles).Distinct().Order().ShouldBe(Enumerable.Range(1, 15));
        faults.Where(fault => fault.Kind == FaultKind.Frozen).ShouldAllBe(fault => fault.For >= TimeSpan.FromSeconds(1) && fault.For <= TimeSpan.FromSeconds(30));
        faults.ShouldContain(fault => fault.Kind == FaultKind.Frozen && fault.For > TimeSpan.FromSeconds(20));
    }

    private static string Words(int seed) => string.Join('\n', Schedule.Round(seed, 1, [3, 5]).Episodes.Take(30));
}
