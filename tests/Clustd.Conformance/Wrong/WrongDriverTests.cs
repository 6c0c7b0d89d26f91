using Clustd.Conformance.Rules;
using Shouldly;
using Xunit;

namespace Clustd.Conformance.Wrong;

/// <summary>The rules can fail: each mistake of the wrong driver is noticed by the rule that is about it, and by nothing when it is not made.</summary>
public sealed class WrongDriverTests
{
    public static TheoryData<Mistake, string> Noticed { get; } = new()
    {
        { Mistake.TrustsAnyone, nameof(ProofRules.An_impostor_learns_nothing) },
        { Mistake.KeepsItsNonce, nameof(ProofRules.Every_connection_has_a_nonce_of_its_own) },
        { Mistake.ForgetsWhatRuns, nameof(RegisterRules.A_lost_connection_is_not_a_stop) },
        { Mistake.TakesALossForAStop, nameof(RegisterRules.A_lost_connection_is_not_a_stop) },
        { Mistake.ClaimsToBeSettled, nameof(RegisterRules.A_start_in_flight_is_unsettled) },
        { Mistake.CountsFromReading, nameof(LeaseRules.The_lease_counts_from_when_it_was_asked_for) },
        { Mistake.CountsFromReading, nameof(LeaseRules.A_late_answer_makes_the_stop_no_later) },
        { Mistake.TakesAnyAnswer, nameof(LeaseRules.The_answer_to_an_earlier_stamp_and_to_one_that_was_not_asked_are_ignored) },
        { Mistake.TakesAnyAnswer, nameof(LeaseRules.An_answer_of_an_earlier_connection_is_none) },
        { Mistake.MovesTheEndBack, nameof(LeaseRules.The_end_never_moves_back_unless_it_is_said) },
        { Mistake.StartsWithoutALease, nameof(LeaseRules.It_begins_no_start_without_a_lease) },
        { Mistake.WaitsForTheSilent, nameof(LeaseRules.A_connection_on_which_renewals_are_not_answered_is_given_up) },
        { Mistake.NeverStopsByItself, nameof(StopRules.It_stops_by_itself_when_the_lease_is_over_and_says_so_when_it_is_back) },
        { Mistake.NeverTellsThatItStopped, nameof(LeaseRules.Nothing_left_means_stop_at_once_and_the_stop_is_told) },
        { Mistake.HasNoWatchdog, nameof(StopRules.Certain_means_that_it_ends_its_own_process_if_the_stop_does_not_return) },
        { Mistake.ForgetsTheDeadline, nameof(StopRules.A_new_lease_does_not_call_the_deadline_off) },
        { Mistake.BelievesTheLongerLimit, nameof(StopRules.While_a_lease_lasts_the_shortest_limit_binds) },
        { Mistake.DoesTwoThingsAtOnce, nameof(TriggerRules.A_stop_during_a_start_cancels_it_and_waits_for_it) },
        { Mistake.AnswersTooEarly, nameof(TriggerRules.A_start_is_answered_when_it_has_happened) },
        { Mistake.AnswersTooEarly, nameof(TriggerRules.A_stop_is_answered_when_it_has_happened) },
        { Mistake.DoesItAgain, nameof(TriggerRules.What_was_done_and_acknowledged_is_acknowledged_again_and_not_done_again) },
        { Mistake.RetriesAFailedStart, nameof(TriggerRules.A_failed_start_is_answered_with_its_error_again_until_it_was_stopped) },
        { Mistake.TakesOldTokens, nameof(TriggerRules.A_start_with_an_older_token_is_refused) },
        { Mistake.ForgetsWhomToFence, nameof(TriggerRules.A_start_names_those_that_must_be_off_first) },
        { Mistake.DoesNotCancel, nameof(TriggerRules.A_start_that_is_cancelled_by_its_number_is_given_up) },
        { Mistake.NeverHurries, nameof(TriggerRules.A_stop_that_cannot_wait_makes_a_planned_one_urgent) },
        { Mistake.KeepsSilentAboutTheUnknown, nameof(ConnectionRules.A_notification_that_nobody_knows_is_ignored) },
        { Mistake.HammersTheDaemon, nameof(ConnectionRules.While_it_is_turned_away_it_waits_longer_each_time_but_never_long) },
    };

    /// <summary>Rules that are told with a value.</summary>
    public static TheoryData<Mistake, string, object[]> NoticedWith { get; } = new()
    {
        { Mistake.ReadsNullAsNothing, nameof(LeaseRules.A_daemon_that_cannot_tell_yet_changes_nothing), [true] },
        { Mistake.SwallowsNonsense, nameof(ConnectionRules.What_is_no_message_closes_the_connection_with_a_code_and_ends_nothing), ["this is not JSON", 1007] },
    };

    [Theory]
    [MemberData(nameof(Noticed))]
    public Task A_mistake_is_noticed(Mistake mistake, string rule) => NoticedAsync(mistake, rule);

    [Theory]
    [MemberData(nameof(NoticedWith))]
    public Task A_mistake_is_noticed_with(Mistake mistake, string rule, object[] arguments) => NoticedAsync(mistake, rule, arguments);

    [Fact]
    public void Every_mistake_is_noticed_by_a_rule() =>
        Enum.GetValues<Mistake>().Where(mistake => mistake != Mistake.None)
            .Except(Noticed.Select(row => row.Data.Item1)).Except(NoticedWith.Select(row => row.Data.Item1)).ShouldBeEmpty();

    private static async Task NoticedAsync(Mistake mistake, string rule, params object[] arguments)
    {
        var kept = RunAsync(Mistake.None, rule, arguments); // The rule is one that can be kept.
        var noticed = await Record.ExceptionAsync(() => RunAsync(mistake, rule, arguments));
        await kept;
        // An assertion, or a wait in vain; anything else is a fault of the suite.
        (noticed is ShouldAssertException or TimeoutException).ShouldBeTrue($"{rule} does not notice {mistake}, but: {noticed}");
    }

    private static Task RunAsync(Mistake mistake, string rule, object[] arguments)
    {
        var subject = WrongDriver.Prefix + mistake;
        Rules.Rules[] all = [new Proof(subject), new Connection(subject), new Register(subject), new Lease(subject), new Trigger(subject), new Stop(subject)];
        foreach (var rules in all)
        {
            if (rules.GetType().GetMethod(rule) is not { } method)
                continue;
            return (Task)method.Invoke(rules, arguments)!;
        }
        throw new InvalidOperationException($"There is no rule '{rule}'.");
    }

#pragma warning disable xUnit1000 // Not test classes: only this class runs them.
    private sealed class Proof(string subject) : ProofRules(subject);

    private sealed class Connection(string subject) : ConnectionRules(subject);

    private sealed class Register(string subject) : RegisterRules(subject);

    private sealed class Lease(string subject) : LeaseRules(subject);

    private sealed class Trigger(string subject) : TriggerRules(subject);

    private sealed class Stop(string subject) : StopRules(subject);
#pragma warning restore xUnit1000
}
