using Clustd.Chaos.Checking;
using Clustd.Chaos.History;
using Shouldly;
using Xunit;

namespace Clustd.Tests.Chaos;

/// <summary>The judge of `./test chaos`: what is planted is caught, under its name, and a history in order passes.</summary>
public sealed class CheckerTests
{
    [Fact]
    public void A_takeover_within_the_bound_passes_and_is_counted_from_the_loss()
    {
        var verdict = Killed(takenOverAt: 11.5).Judged(until: 20);
        verdict.Violations.ShouldBeEmpty();
        var takeover = verdict.Takeovers.ShouldHaveSingleItem();
        (takeover.Row, takeover.TookUs, takeover.From, takeover.To).ShouldBe(("machine-killed", 1_500_000, "cm-1", "cm-2"));
        verdict.OwedUs.ShouldBe(verdict.WatchedUs, "two of three were healthy all the time");
    }

    [Fact]
    public void An_act_of_an_old_token_behind_a_newer_one_is_an_overlap() =>
        OnlyViolation(new PlantedHistory().Acts("cm-1", 1, 0, 10).Acts("cm-2", 2, 10.5, 11).Acts("cm-1", 1, 11, 11.2, accepted: false).Acts("cm-2", 2, 11.2, 20))
            .ShouldBe(ViolationKind.Overlap);

    [Theory]
    [InlineData(Roles.All, true)]
    [InlineData(Roles.Guard, true)]
    [InlineData(Roles.Daemon, false)] // The guard was not frozen: nothing excuses it.
    [InlineData(Roles.App, false)]
    public void A_late_act_is_excused_only_if_its_killer_was_frozen(Roles roles, bool isExcused)
    {
        var verdict = new PlantedHistory().Acts("cm-1", 1, 0, 10).Fault(FaultKind.Frozen, "cm-1", 10, 15, roles)
            .Acts("cm-2", 2, 11.5, 15).Acts("cm-1", 1, 15, 15.02, accepted: false).Acts("cm-2", 2, 15.02, 20).Judged(until: 20);
        verdict.Violations.Any(violation => violation.Kind == ViolationKind.Overlap).ShouldBe(!isExcused);
        verdict.Late.Length.ShouldBe(isExcused ? 1 : 0);
    }

    [Fact]
    public void A_killer_that_thawed_long_ago_excuses_nothing() =>
        OnlyViolation(new PlantedHistory().Acts("cm-1", 1, 0, 10).Fault(FaultKind.Frozen, "cm-1", 10, 13, Roles.All)
                .Acts("cm-2", 2, 11.5, 15).Acts("cm-1", 1, 15, 15.02, accepted: false).Acts("cm-2", 2, 15.02, 20))
            .ShouldBe(ViolationKind.Overlap);

    [Fact]
    public void A_resource_that_accepts_an_old_token_is_caught_even_after_a_freeze() =>
        OnlyViolation(new PlantedHistory().Acts("cm-1", 1, 0, 10).Fault(FaultKind.Frozen, "cm-1", 10, 15, Roles.All)
                .Acts("cm-2", 2, 11.5, 15).Acts("cm-1", 1, 15, 15.02, accepted: true).Acts("cm-2", 2, 15.02, 20))
            .ShouldBe(ViolationKind.TokenGoesBack);

    [Fact]
    public void Acts_after_a_newer_token_was_read_are_an_overlap_although_its_holder_has_not_acted_yet() =>
        OnlyViolation(new PlantedHistory().Acts("cm-1", 1, 0, 10).Read(9, 9.01, token: 2).Acts("cm-2", 2, 10.2, 20)).ShouldBe(ViolationKind.Overlap);

    [Fact]
    public void One_token_on_two_machines_has_two_holders() =>
        OnlyViolation(new PlantedHistory().Acts("cm-1", 1, 0, 10).Acts("cm-2", 1, 10.1, 20)).ShouldBe(ViolationKind.TwoHolders);

    [Fact]
    public void A_token_granted_twice_has_two_holders_although_one_never_acted() =>
        OnlyViolation(new PlantedHistory().Acts("cm-1", 7, 0, 20).Decided("cm-1", 5, "assigned", "cm-1", 7).Decided("cm-1", 9, "assigned", "cm-2", 7)).ShouldBe(ViolationKind.TwoHolders);

    [Fact]
    public void A_token_that_acts_elsewhere_than_where_it_was_granted_is_caught() =>
        OnlyViolation(new PlantedHistory().Acts("cm-1", 7, 0, 20).Decided("cm-3", 5, "assigned", "cm-2", 7)).ShouldBe(ViolationKind.NotGranted);

    [Fact]
    public void Machines_that_tell_different_things_of_one_entry_are_caught() =>
        OnlyViolation(new PlantedHistory().Acts("cm-1", 7, 0, 20).Decided("cm-1", 5, "vacated", "cm-1", 6).Decided("cm-2", 5, "vacated", "cm-3", 6)).ShouldBe(ViolationKind.ReplicasDisagree);

    [Fact]
    public void Two_copies_in_turns_under_one_token_are_caught_and_a_restarted_app_is_not()
    {
        var restarted = new PlantedHistory().Acts("cm-1", 1, 0, 10).Acts("cm-1", 1, 10.1, 12, pid: 2);
        restarted.Judged(until: 12).Violations.ShouldBeEmpty();
        OnlyViolation(restarted.Acts("cm-1", 1, 12, 12.2, pid: 1, accepted: false).Acts("cm-1", 1, 12.3, 20, pid: 2)).ShouldBe(ViolationKind.TwoCopies);
    }

    [Theory]
    [InlineData("drain", "cm-2")]
    [InlineData("pause", "")]
    public void An_acknowledged_mark_that_a_later_read_does_not_show_is_lost(string verb, string subject) =>
        OnlyViolation(new PlantedHistory().Acts("cm-1", 1, 0, 20).Command(verb, subject, 5, 5.1).Read(7, 7.01, token: 1)).ShouldBe(ViolationKind.LostAcknowledgement);

    [Fact]
    public void A_mark_is_shown_or_not_while_its_command_runs_and_for_a_while_after_one_that_was_not_acknowledged()
    {
        var story = new PlantedHistory().Acts("cm-1", 1, 0, 40).Command("drain", "cm-2", 5, 6).Read(5.5, 5.51, token: 1).Read(7, 7.01, 1, false, "cm-2")
            .Command("undrain", "cm-2", 8, 18, exitCode: 1).Read(20, 20.01, token: 1).Read(21, 21.01, 1, false, "cm-2");
        story.Judged(until: 40).Violations.ShouldBeEmpty();
    }

    [Fact] // As seen: a drain whose answer was lost was decided after the undrain that followed it, and stayed.
    public void What_a_command_without_an_answer_has_left_behind_may_stay_until_one_with_an_answer_says_otherwise()
    {
        var story = new PlantedHistory().Acts("cm-1", 1, 0, 120).Command("drain", "cm-2", 5, 10, exitCode: 1).Command("undrain", "cm-2", 11, 11.1).Read(80, 80.01, 1, false, "cm-2");
        story.Judged(until: 120).Violations.ShouldBeEmpty();

        story.Command("undrain", "cm-2", 90, 90.1).Read(92, 92.01, 1, false, "cm-2")
            .Judged(until: 120).Violations.ShouldHaveSingleItem().Kind.ShouldBe(ViolationKind.LostAcknowledgement);
    }

    [Fact]
    public void A_mark_that_comes_back_after_it_was_taken_away_is_caught() =>
        OnlyViolation(new PlantedHistory().Acts("cm-1", 1, 0, 20).Command("drain", "cm-2", 5, 5.1).Command("undrain", "cm-2", 8, 8.1).Read(9, 9.01, 1, false, "cm-2")).ShouldBe(ViolationKind.LostAcknowledgement);

    [Fact]
    public void A_move_that_was_acknowledged_and_is_not_to_be_seen_is_lost() =>
        OnlyViolation(new PlantedHistory().Acts("cm-1", 1, 0, 5).Command("move", "default", 5, 5.2, token: 2).Read(6, 6.01, token: 1).Acts("cm-2", 2, 7, 20)).ShouldBe(ViolationKind.LostAcknowledgement);

    [Fact]
    public void A_read_that_goes_back_behind_another_one_is_caught() =>
        OnlyViolation(new PlantedHistory().Acts("cm-2", 2, 0, 20).Read(5, 5.01, token: 2).Read(6, 6.01, token: 1)).ShouldBe(ViolationKind.TokenGoesBack);

    [Fact]
    public void Reads_at_the_same_time_may_show_either() =>
        new PlantedHistory().Acts("cm-1", 1, 0, 5).Read(5, 5.2, token: 1).Read(4.9, 5.1, token: 2).Acts("cm-2", 2, 5.15, 20).Judged(until: 20).Violations.ShouldBeEmpty();

    [Fact]
    public void A_daemon_that_ends_by_itself_is_caught_unless_its_disk_was_full()
    {
        var ended = new DaemonEnded(PlantedHistory.Us(6), "cm-3", 134, IsExpected: false, "a broken invariant");
        OnlyViolation(new PlantedHistory().Acts("cm-1", 1, 0, 20).Add(ended)).ShouldBe(ViolationKind.DaemonEnded);
        new PlantedHistory().Acts("cm-1", 1, 0, 20).Fault(FaultKind.DiskFull, "cm-3", 5, 7).Add(ended).Judged(until: 20).Violations.ShouldBeEmpty();
        OnlyViolation(new PlantedHistory().Acts("cm-1", 1, 0, 20).Fault(FaultKind.DiskFull, "cm-2", 5, 7).Add(ended)).ShouldBe(ViolationKind.DaemonEnded);
    }

    [Fact]
    public void A_cluster_that_is_not_well_again_is_caught() =>
        OnlyViolation(new PlantedHistory().Acts("cm-1", 1, 0, 20).Add(new HealthWaited(1, 2, "cm-2 does not answer"))).ShouldBe(ViolationKind.NotWellAgain);

    private static PlantedHistory Killed(double takenOverAt) =>
        new PlantedHistory().Acts("cm-1", 1, 0, 10).Fault(FaultKind.MachineKilled, "cm-1", 10, 13).Acts("cm-2", 2, takenOverAt, 20);

    private static ViolationKind OnlyViolation(PlantedHistory history) => history.Judged(until: 20).Violations.Select(violation => violation.Kind).Distinct().ShouldHaveSingleItem();
}
