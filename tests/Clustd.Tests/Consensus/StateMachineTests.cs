using Clustd.Core;
using Clustd.Core.Cluster;
using Clustd.Core.Raft;
using Shouldly;
using Xunit;

namespace Clustd.Tests.Consensus;

public class StateMachineTests
{
    private static readonly ServiceName Web = new("web");
    private static readonly MachineId One = new("cm-1");
    private static readonly MachineId Two = new("cm-2");
    private static readonly TimeSpan Kill = TimeSpan.FromMilliseconds(500);

    private ClusterState _state = ClusterState.Empty;

    public StateMachineTests()
    {
        Apply(new Command.Form(
            new ClusterId("c"), 1_700_000_000, TimeSpan.FromSeconds(1), [new Member(One, new StoreId("s1"), "a:1", false), new Member(Two, new StoreId("s2"), "b:1", false)]));
        Apply(new Command.OpenSession(One, new StoreId("s1"), TimeSpan.FromSeconds(1)));
        Apply(new Command.OpenSession(Two, new StoreId("s2"), TimeSpan.FromSeconds(1)));
        Apply(new Command.DefineServices([new ServiceDefinition { Name = Web }]));
    }

    private Assignment? Held => _state.Services[Web].Assignment;

    [Fact] // P2
    public void A_service_that_has_a_master_is_not_assigned_again()
    {
        Assign(One, 1);
        Assign(Two, 2);

        Held!.Machine.ShouldBe(One);
        _state.LastTokenOf(Web).ShouldBe(new Token(1));
    }

    [Fact] // Wrong program: forgets the machine as soon as somebody else is chosen, so that a second try elsewhere starts beside it.
    public void A_lost_master_stays_to_be_fenced_until_the_service_runs_elsewhere()
    {
        Apply(new Command.DefineServices([new ServiceDefinition { Name = Web, RequiresFencing = true }]));
        Assign(One, 1);
        Apply(new Command.EndSession(_state.SessionOf(One)!.Id, "silent"));
        Unfenced.ShouldBe([One]);

        Assign(Two, 2);
        Apply(new Command.Release(Web, new Token(2), "the fence failed", true));
        Unfenced.ShouldBe([One]);
        Assign(Two, 3);
        Apply(new Command.ReportRunning(Web, new Token(3)));

        Unfenced.ShouldBeEmpty();
        _state.Events.ShouldContain(happened => happened.Kind == "fenced" && happened.Sentence.Contains("cm-1 was fenced before"));
    }

    [Fact] // Wrong program: turns off a machine whose guard has proven that nothing is left.
    public void A_proof_or_an_operator_who_knows_it_is_as_good_as_a_fence()
    {
        Apply(new Command.DefineServices([new ServiceDefinition { Name = Web, RequiresFencing = true }]));
        Assign(One, 1);
        Apply(new Command.EndSession(_state.SessionOf(One)!.Id, "silent"));
        Apply(new Command.Release(Web, new Token(1), "the guard says so", false));
        Unfenced.ShouldBeEmpty();

        Assign(Two, 2);
        Apply(new Command.EndSession(_state.SessionOf(Two)!.Id, "silent"));
        Unfenced.ShouldBe([Two]);
        Apply(new Command.ConfirmFenced(Two, "it is off"));
        Unfenced.ShouldBeEmpty();
    }

    [Fact] // on_stop_failure: fence. Wrong program: a release that proves nothing lets the next one start.
    public void What_was_given_up_without_proof_is_fenced_first()
    {
        Apply(new Command.DefineServices([new ServiceDefinition { Name = Web, RequiresFencing = true, FencesOnStopFailure = true }]));
        Assign(One, 1);
        Apply(new Command.Release(Web, new Token(1), "its stop failed", true) { MayStillRun = true });
        Unfenced.ShouldBe([One]);
    }

    private IEnumerable<MachineId> Unfenced => _state.Services[Web].Unfenced ?? [];

    [Fact] // Rule 7
    public void A_late_assign_of_an_ended_session_is_dead()
    {
        var session = _state.SessionOf(One)!.Id;
        Apply(new Command.EndSession(session, "silent"));

        Apply(new Command.Assign(Web, One, session, new Token(1), Kill, "late"));

        Held.ShouldBeNull();
    }

    [Fact] // Rule 7: ids are log indices
    public void A_session_that_is_opened_again_has_another_id()
    {
        var before = _state.SessionOf(One)!.Id;
        Apply(new Command.EndSession(before, "silent"));
        Apply(new Command.OpenSession(One, new StoreId("s1"), TimeSpan.FromSeconds(1)));

        _state.SessionOf(One)!.Id.ShouldNotBe(before);
    }

    [Fact] // A voter is (machine, store): a wiped disk takes up nothing
    public void Another_store_of_the_same_machine_gets_no_session()
    {
        Apply(new Command.EndSession(_state.SessionOf(One)!.Id, "wiped"));
        Apply(new Command.OpenSession(One, new StoreId("other"), TimeSpan.FromSeconds(1)));

        _state.SessionOf(One).ShouldBeNull();
    }

    [Fact] // Rule 11
    public void An_ended_session_leaves_its_services_vacated_with_the_kill_timeout_they_were_granted_with()
    {
        Apply(new Command.Assign(Web, One, _state.SessionOf(One)!.Id, new Token(1), TimeSpan.FromSeconds(7), "test"));
        Apply(new Command.DefineServices([new ServiceDefinition { Name = Web, KillTimeout = TimeSpan.FromMilliseconds(1) }]));
        Apply(new Command.EndSession(_state.SessionOf(One)!.Id, "silent"));

        Held.ShouldBeNull();
        _state.Services[Web].Vacated!.KillTimeout.ShouldBe(TimeSpan.FromSeconds(7)); // Rule 12
        _state.Services[Web].Vacated!.Token.ShouldBe(new Token(1));
    }

    [Fact] // Rule 11: `Release` of that very token ends the wait
    public void Only_the_release_of_the_very_token_ends_a_vacated_wait()
    {
        Assign(One, 5);
        Apply(new Command.EndSession(_state.SessionOf(One)!.Id, "silent"));

        Apply(new Command.Release(Web, new Token(4), "old", false));
        _state.Services[Web].Vacated.ShouldNotBeNull();
        Apply(new Command.Release(Web, new Token(5), "stopped", false));
        _state.Services[Web].Vacated.ShouldBeNull();
    }

    [Fact] // P1
    public void A_release_of_an_old_token_does_not_touch_the_present_master()
    {
        Assign(One, 1);
        Apply(new Command.Release(Web, new Token(1), "moved", false));
        Assign(Two, 2);

        Apply(new Command.Release(Web, new Token(1), "late", false));

        Held!.Machine.ShouldBe(Two);
    }

    [Fact]
    public void A_service_that_starts_again_under_its_token_is_starting_until_it_runs()
    {
        Assign(One, 1);
        Apply(new Command.ReportStarting(Web, new Token(1), "again"));
        Held!.IsResumed.ShouldBeFalse("it starts for the first time");
        Apply(new Command.ReportRunning(Web, new Token(1)));

        Apply(new Command.ReportStarting(Web, new Token(9), "somebody else's"));
        Held!.State.ShouldBe(AssignmentState.Running);
        Apply(new Command.ReportStarting(Web, new Token(1), "again"));
        (Held!.State, Held.IsResumed, Held.Reason).ShouldBe((AssignmentState.Starting, true, "test"));
        _state.Events[^1].Sentence.ShouldBe("again");
        Apply(new Command.ReportRunning(Web, new Token(1)));
        Held!.State.ShouldBe(AssignmentState.Running);
    }

    [Fact] // Rule 17: LastToken outlives a service that is removed and added again
    public void Tokens_go_on_when_a_service_is_removed_and_defined_again()
    {
        Assign(One, 8);
        Apply(new Command.Release(Web, new Token(8), "stopped", false));
        Apply(new Command.DefineServices([new ServiceDefinition { Name = new ServiceName("other") }]));
        _state.Services.ContainsKey(Web).ShouldBeFalse();
        Apply(new Command.DefineServices([new ServiceDefinition { Name = Web }]));

        Assign(One, 8);
        Held.ShouldBeNull();
        Assign(One, 9);
        Held.ShouldNotBeNull();
    }

    [Fact]
    public void A_service_that_is_no_longer_defined_stays_until_it_is_released()
    {
        Assign(One, 1);
        Apply(new Command.DefineServices([]));
        _state.Services[Web].Retired.ShouldBeTrue();

        Apply(new Command.Release(Web, new Token(1), "stopped", false));

        _state.Services.ContainsKey(Web).ShouldBeFalse();
    }

    [Fact] // I5: the events, too, are the same bytes everywhere, and do not grow for ever
    public void Events_are_bounded()
    {
        for (var token = 1; token < 400; token++)
        {
            Assign(One, token);
            Apply(new Command.Release(Web, new Token(token), "again", false));
        }

        _state.Events.Count.ShouldBe(ClusterState.EventsKept);
    }

    private void Assign(MachineId machine, long token) =>
        Apply(new Command.Assign(Web, machine, _state.SessionOf(machine)?.Id ?? SessionId.None, new Token(token), Kill, "test"));

    private void Apply(Command command) => _state = StateMachine.Apply(_state, new LogEntry(_state.AppliedIndex + 1, new Term(1), command));
}
