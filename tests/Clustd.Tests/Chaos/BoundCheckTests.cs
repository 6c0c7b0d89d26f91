using Clustd.Chaos.Checking;
using Clustd.Chaos.History;
using Shouldly;
using Xunit;

namespace Clustd.Tests.Chaos;

/// <summary>P4 as the judge reads it: when a master is owed, from when its clock runs, and what excuses a miss.</summary>
public sealed class BoundCheckTests
{
    // Bound 1.531 s, and an allowance of half a lease and 250 ms.
    private const double JustInTime = 2.27, TooLate = 2.29;

    [Theory]
    [InlineData(JustInTime, false)]
    [InlineData(TooLate, true)]
    public void A_takeover_later_than_bound_and_allowance_is_a_miss(double after, bool isMissed) =>
        Judged(new PlantedHistory().Acts("cm-1", 1, 0, 10).Fault(FaultKind.MachineKilled, "cm-1", 10, 15).Acts("cm-2", 2, 10 + after, 20)).ShouldBe(isMissed);

    [Fact]
    public void A_master_that_was_cut_off_and_acted_on_for_a_while_is_lost_from_the_cut() =>
        Judged(new PlantedHistory().Acts("cm-1", 1, 0, 11).Fault(FaultKind.CableCut, "cm-1", 10, 15).Acts("cm-2", 2, 10 + TooLate, 20)).ShouldBeTrue();

    [Fact]
    public void Nobody_ever_takes_over_and_it_is_a_miss_at_the_end() =>
        Judged(new PlantedHistory().Acts("cm-1", 1, 0, 10).Fault(FaultKind.MachineKilled, "cm-1", 10, 19)).ShouldBeTrue();

    [Fact]
    public void Without_a_healthy_majority_nothing_is_owed_and_the_clock_begins_when_there_is_one_again()
    {
        PlantedHistory Story(double takenOverAt) => new PlantedHistory().Acts("cm-1", 1, 0, 10).Fault(FaultKind.MachineKilled, "cm-1", 10, 19).Fault(FaultKind.SilentDrop, "cm-2", 10, 13).Acts("cm-2", 2, takenOverAt, 20);
        Judged(Story(13 + JustInTime)).ShouldBeFalse();
        Judged(Story(13 + TooLate + 0.3)).ShouldBeTrue(); // It answers 0.01 to 0.26 s after the end of the cut.
    }

    [Fact]
    public void Two_that_do_not_hear_each_other_are_no_majority_and_two_of_the_others_are()
    {
        PlantedHistory Story(string one, string other) => new PlantedHistory().Acts("cm-1", 1, 0, 10).Fault(FaultKind.MachineKilled, "cm-1", 10, 15)
            .Fault(FaultKind.PartialMesh, [one, other], 9, 14).Acts("cm-2", 2, 10 + TooLate, 20);
        Judged(Story("cm-2", "cm-3")).ShouldBeFalse();
        Judged(Story("cm-1", "cm-3")).ShouldBeTrue();
    }

    [Fact]
    public void While_the_cluster_is_paused_nothing_is_owed() =>
        Judged(new PlantedHistory().Acts("cm-1", 1, 0, 10).Command("pause", "", 9, 9.1).Command("unpause", "", 14, 14.1).Fault(FaultKind.MachineKilled, "cm-1", 10, 15).Acts("cm-2", 2, 15, 20)).ShouldBeFalse();

    [Fact]
    public void Where_all_that_are_left_are_drained_or_cool_down_nothing_is_owed()
    {
        PlantedHistory Story() => new PlantedHistory().Acts("cm-1", 1, 0, 10).Command("drain", "cm-2", 8, 8.1).Fault(FaultKind.MachineKilled, "cm-1", 10, 18).Acts("cm-2", 2, 15, 20);
        Judged(Story()).ShouldBeTrue();
        Judged(Story().Command("drain", "cm-3", 8.2, 8.3)).ShouldBeFalse();
        Judged(Story().Decided("cm-1", 4, "failed", "cm-3", 1).Decided("cm-2", 4, "failed", "cm-3", 1)).ShouldBeTrue(); // 10 s, since second 1.
        Judged(Story().Decided("cm-1", 4, "failed", "cm-3", 1).Decided("cm-1", 5, "failed", "cm-3", 1)).ShouldBeFalse(); // The second time 20 s.
    }

    [Fact]
    public void An_app_that_is_frozen_while_its_daemon_lives_is_nobodys_to_notice()
    {
        PlantedHistory Story(Roles roles) => new PlantedHistory().Acts("cm-1", 1, 0, 10).Fault(FaultKind.Frozen, "cm-1", 10, 15, roles).Acts("cm-2", 2, 15.2, 20);
        Judged(Story(Roles.App)).ShouldBeFalse();
        Judged(Story(Roles.App | Roles.Daemon)).ShouldBeTrue();
    }

    [Theory]
    [InlineData(0.3, true)]
    [InlineData(0.1, false)]
    public void A_miss_is_explained_by_load_only_if_no_more_time_is_missing_than_the_harness_was_late(double lateSeconds, bool isExplained)
    {
        var verdict = new PlantedHistory().Acts("cm-1", 1, 0, 10).Fault(FaultKind.MachineKilled, "cm-1", 10, 15).Load(11, lateSeconds).Acts("cm-2", 2, 12.5, 20).Judged(until: 20);
        verdict.Misses.ShouldHaveSingleItem().IsExplainedByLoad.ShouldBe(isExplained);
        verdict.Violations.Length.ShouldBe(isExplained ? 0 : 1);
    }

    [Fact]
    public void A_machine_that_comes_back_and_is_lost_again_is_lost_from_then() =>
        Judged(new PlantedHistory().Acts("cm-1", 1, 0, 10).Fault(FaultKind.MachineKilled, "cm-1", 10, 10.3).Fault(FaultKind.MachineKilled, "cm-1", 11.5, 18).Acts("cm-2", 2, 11.5 + JustInTime - 0.5, 20)).ShouldBeFalse();

    [Fact]
    public void A_miss_tells_what_happened_around_it()
    {
        var miss = new PlantedHistory().Acts("cm-1", 1, 0, 10).Fault(FaultKind.MachineKilled, "cm-1", 10, 15).Acts("cm-2", 2, 14, 20).Judged(until: 20).Misses.ShouldHaveSingleItem();
        miss.Story.ShouldContain("10.000 s  fault 1: machine-killed cm-1");
        miss.Story.ShouldContain("14.000 s  first act of token 2 on cm-2");
    }

    private static bool Judged(PlantedHistory history)
    {
        var kinds = history.Judged(until: 20).Violations.Select(violation => violation.Kind).Distinct().ToList();
        kinds.ShouldBeSubsetOf([ViolationKind.MissedBound]);
        return kinds.Count > 0;
    }
}
