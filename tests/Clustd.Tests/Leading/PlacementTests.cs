using System.Collections.Immutable;
using Clustd.Core;
using Clustd.Core.Cluster;
using Clustd.Core.Leading;
using Clustd.Core.Raft;
using Shouldly;
using Xunit;

namespace Clustd.Tests.Leading;

public sealed partial class PlacementTests
{
    private static readonly ServiceName Web = new("web");
    private static readonly Instant Now = new(1_000_000_000);
    private readonly SortedDictionary<MachineId, MachineReport> _reports = [];
    private readonly SortedDictionary<long, Instant> _applied = [];
    private ClusterState _state = new() { EpochSeconds = 5, AppliedIndex = 10 };

    public PlacementTests()
    {
        foreach (var name in new[] { "cm-1", "cm-2", "cm-3" })
        {
            var id = new MachineId(name);
            var session = new SessionId(_state.Sessions.Count + 1);
            _state = _state with
            {
                Members = _state.Members.Add(id, new Member(id, StoreId.None, name + ":1", false)),
                Sessions = _state.Sessions.Add(session, new Session(session, id, StoreId.None, TimeSpan.FromSeconds(1))),
            };
            _reports[id] = new MachineReport(1, false, [], null);
        }
    }

    [Fact]
    public void An_unassigned_service_goes_to_the_first_machine_with_a_token_of_this_epoch()
    {
        Define(new ServiceDefinition { Name = Web });
        var assign = Decide().Command.ShouldBeOfType<Command.Assign>();
        assign.Machine.ShouldBe(new MachineId("cm-1"));
        assign.Token.ShouldBe(Token.FirstOf(5).Next());
    }

    [Fact] // Decision 0008: nothing new for a machine that stalls, and what it runs stays there
    public void A_machine_whose_disk_stalls_gets_nothing_new_and_loses_nothing()
    {
        Define(new ServiceDefinition { Name = Web });
        _reports[new MachineId("cm-1")] = new MachineReport(2, false, [], null, Stalled: "has a disk that has not answered for over 1 s");
        Decide().Command.ShouldBeOfType<Command.Assign>().Reason.ShouldContain("cm-1 has a disk that has not answered for over 1 s");
        Decide().Command.ShouldBeOfType<Command.Assign>().Machine.Value.ShouldBe("cm-2");
        Define(new ServiceDefinition { Name = Web }, service => service with { Assignment = At("cm-1") });
        Decide().Command.ShouldBeNull();
    }

    [Fact]
    public void A_token_continues_from_the_last_one() // rule 17
    {
        Define(new ServiceDefinition { Name = Web });
        _state = _state with { LastTokens = _state.LastTokens.Add(Web, new Token(Token.FirstOf(5).Value + 41)) };
        Decide().Command.ShouldBeOfType<Command.Assign>().Token.Value.ShouldBe(Token.FirstOf(5).Value + 42);
    }

    [Fact]
    public void A_vacated_service_waits_k_times_kill_timeout_from_when_the_end_was_applied() // rule 11
    {
        var killTimeout = TimeSpan.FromMilliseconds(500);
        Define(new ServiceDefinition { Name = Web }, service => service with { Vacated = new Vacated(new MachineId("cm-3"), new Token(9), killTimeout, 7) });
        _applied[7] = Now - LeaseTiming.Stretch(killTimeout) + TimeSpan.FromMicroseconds(1);
        Decide(out var wakeAt).Command.ShouldBeNull();
        wakeAt.ShouldBe(Now + TimeSpan.FromMicroseconds(1));
        _applied[7] = Now - LeaseTiming.Stretch(killTimeout);
        Decide().Command.ShouldBeOfType<Command.Assign>();
    }

    [Fact]
    public void Prefer_comes_before_load_and_load_before_the_name()
    {
        Define(new ServiceDefinition { Name = Web, Prefer = [new MachineId("cm-3")] });
        Decide().Command.ShouldBeOfType<Command.Assign>().Machine.Value.ShouldBe("cm-3");
        Define(new ServiceDefinition { Name = Web });
        Define(new ServiceDefinition { Name = new ServiceName("bot") }, service => service with { Assignment = At("cm-1") });
        Decide().Command.ShouldBeOfType<Command.Assign>().Machine.Value.ShouldBe("cm-2");
    }

    [Fact]
    public void Services_to_be_apart_are_never_placed_together_even_in_one_pass()
    {
        Define(new ServiceDefinition { Name = new ServiceName("bot"), Prefer = [new MachineId("cm-1")] });
        Define(new ServiceDefinition { Name = Web, Prefer = [new MachineId("cm-1")], ApartFrom = [new ServiceName("bot")] });
        Decide().Command.ShouldBeOfType<Command.Assign>().Machine.Value.ShouldBe("cm-2");
    }

    [Fact]
    public void A_machine_without_a_driver_is_chosen_only_if_no_machine_has_one()
    {
        Define(new ServiceDefinition { Name = Web });
        Report("cm-2", ready: false, missing: "app");
        var waiting = Decide();
        waiting.Command.ShouldBeNull();
        waiting.Reason.ShouldContain("cm-2 waits for its drivers (app)");
        Report("cm-2", ready: true);
        Decide().Command.ShouldBeOfType<Command.Assign>().Machine.Value.ShouldBe("cm-2");
    }

    [Fact]
    public void A_machine_that_failed_cools_down_twice_as_long_each_time()
    {
        Define(new ServiceDefinition { Name = Web, Machines = [new MachineId("cm-1")] }, service => service with
        {
            Failures = service.Failures.Add(new MachineId("cm-1"), new FailureRecord(3, 8, "port in use")),
        });
        _applied[8] = Now - TimeSpan.FromSeconds(39);
        var decision = Decide(out var wakeAt);
        decision.Command.ShouldBeNull();
        decision.Reason.ShouldContain("port in use");
        wakeAt.ShouldBe(Now + TimeSpan.FromSeconds(1));
        _applied[8] = Now - TimeSpan.FromSeconds(40);
        Decide().Command.ShouldBeOfType<Command.Assign>();
    }

    [Fact]
    public void A_pause_moves_and_assigns_nothing_and_says_so()
    {
        Define(new ServiceDefinition { Name = Web });
        _state = _state with { Paused = true };
        var decision = Decide();
        decision.Command.ShouldBeNull();
        decision.Reason.ShouldContain("paused");
    }

    [Fact]
    public void A_drained_machine_is_left_for_the_best_other()
    {
        Define(new ServiceDefinition { Name = Web }, service => service with { Assignment = At("cm-1") });
        Decide().Command.ShouldBeNull();
        _state = _state with { Drained = [new MachineId("cm-1")] };
        Decide().Command.ShouldBeOfType<Command.RequestMove>().Target.ShouldBe(new MachineId("cm-2"));
    }

    [Fact]
    public void A_service_fails_back_only_if_asked_to()
    {
        Define(new ServiceDefinition { Name = Web, Prefer = [new MachineId("cm-2")] }, service => service with { Assignment = At("cm-1") });
        Decide().Command.ShouldBeNull();
        Define(new ServiceDefinition { Name = Web, Prefer = [new MachineId("cm-2")], Failback = true }, service => service with { Assignment = At("cm-1") });
        Decide().Command.ShouldBeOfType<Command.RequestMove>().Target.ShouldBe(new MachineId("cm-2"));
    }

    [Fact]
    public void A_target_that_was_asked_for_is_honoured_if_it_can_run_it()
    {
        Define(new ServiceDefinition { Name = Web }, service => service with { NextTarget = new MachineId("cm-3") });
        Decide().Command.ShouldBeOfType<Command.Assign>().Machine.Value.ShouldBe("cm-3");
    }

    [Fact]
    public void A_stuck_service_is_left_alone()
    {
        Define(new ServiceDefinition { Name = Web }, service => service with { Assignment = At("cm-1") with { State = AssignmentState.Stuck } });
        _state = _state with { Drained = [new MachineId("cm-1")] };
        Decide().Command.ShouldBeNull();
    }

    [Fact]
    public void Ten_minutes_as_master_forgive_failures()
    {
        Define(new ServiceDefinition { Name = Web }, service => service with
        {
            Assignment = At("cm-1"), Failures = service.Failures.Add(new MachineId("cm-1"), new FailureRecord(1, 8, "x")),
        });
        _applied[6] = Now - TimeSpan.FromMinutes(10);
        Decide().Command.ShouldBe(new Command.ClearFailures(Web, new MachineId("cm-1")));
    }

    [Fact]
    public void Services_are_defined_when_all_live_files_agree_and_a_difference_is_shown()
    {
        Placement.DefineServices(View()).Command!.Services.Single().Name.ShouldBe(ServiceName.Default);
        Propose("cm-1", new ServiceDefinition { Name = Web });
        Propose("cm-2", new ServiceDefinition { Name = Web, KillTimeout = TimeSpan.FromSeconds(1) });
        var differing = Placement.DefineServices(View());
        differing.Command.ShouldBeNull();
        differing.Reason.ShouldContain("kill_timeout of 'web' is 500 ms in cm-1 and 1000 ms in cm-2");
        Propose("cm-2", new ServiceDefinition { Name = Web });
        Placement.DefineServices(View()).Command!.Services.Single().Name.ShouldBe(Web);
        Define(new ServiceDefinition { Name = Web });
        Placement.DefineServices(View()).Command.ShouldBeNull();
    }

    public static TheoryData<string> Differences => ["start_timeout", "stop_timeout", "kill_timeout", "prefer", "machines", "drivers", "apart_from", "failback", "on_stop_failure", "fencing"];

    // Wrong program: says that the files differ, and not in what.
    [Theory]
    [MemberData(nameof(Differences))]
    public void Every_key_that_differs_is_named_with_both_values(string key)
    {
        var (definition, ours, theirs) = key switch
        {
            "start_timeout" => (new ServiceDefinition { Name = Web, StartTimeout = TimeSpan.FromSeconds(7) }, "30000 ms", "7000 ms"),
            "stop_timeout" => (new ServiceDefinition { Name = Web, StopTimeout = TimeSpan.FromSeconds(7) }, "10000 ms", "7000 ms"),
            "kill_timeout" => (new ServiceDefinition { Name = Web, KillTimeout = TimeSpan.FromMilliseconds(0.5) }, "500 ms", "0.5 ms"),
            "prefer" => (new ServiceDefinition { Name = Web, Prefer = [new MachineId("cm-2"), new MachineId("cm-1")] }, "[]", "[cm-2, cm-1]"),
            "machines" => (new ServiceDefinition { Name = Web, Machines = [new MachineId("cm-2")] }, "[]", "[cm-2]"),
            "drivers" => (new ServiceDefinition { Name = Web, Drivers = [new DriverName("app")] }, "[]", "[app]"),
            "apart_from" => (new ServiceDefinition { Name = Web, ApartFrom = [new ServiceName("bot")] }, "[]", "[bot]"),
            "failback" => (new ServiceDefinition { Name = Web, Failback = true }, "false", "true"),
            "on_stop_failure" => (new ServiceDefinition { Name = Web, OnStopFailure = OnStopFailure.Takeover }, "block", "takeover"),
            _ => (new ServiceDefinition { Name = Web, RequiresFencing = true }, "none", "required"),
        };
        Propose("cm-1", new ServiceDefinition { Name = Web });
        Propose("cm-2", definition);

        Placement.DefineServices(View()).Reason.ShouldContain($"{key} of 'web' is {ours} in cm-1 and {theirs} in cm-2");
    }

    [Fact]
    public void A_service_that_only_one_file_names_is_named_with_both_machines()
    {
        Propose("cm-1", new ServiceDefinition { Name = Web });
        _reports[new MachineId("cm-2")] = new MachineReport(3, false, [], [new ServiceDefinition { Name = Web }, new ServiceDefinition { Name = new ServiceName("bot") }]);
        Placement.DefineServices(View()).Reason.ShouldContain("'bot' is named by cm-2 and not by cm-1");

        _reports[new MachineId("cm-1")] = new MachineReport(3, false, [], [new ServiceDefinition { Name = new ServiceName("app") }, new ServiceDefinition { Name = Web }]);
        Propose("cm-2", new ServiceDefinition { Name = Web });
        Placement.DefineServices(View()).Reason.ShouldContain("'app' is named by cm-1 and not by cm-2");
    }

    // Wrong program: decides over what a machine that is just coming has not said yet.
    [Fact]
    public void Nothing_is_defined_before_every_machine_with_a_session_has_reported()
    {
        Propose("cm-1", new ServiceDefinition { Name = Web });
        _reports.Remove(new MachineId("cm-3"));
        var decision = Placement.DefineServices(View());
        (decision.Command, decision.Reason).ShouldBe((null, "No action, because cm-3 has a session but has not reported its services yet."));
    }

    private static Assignment At(string machine) =>
        new(new MachineId(machine), new SessionId(1), new Token(9), TimeSpan.FromMilliseconds(500), AssignmentState.Running, null, "chosen", 6);

    private PlacementView View() => new(_state, _reports, index => _applied.GetValueOrDefault(index, new Instant(0)) is { Microseconds: > 0 } at ? at : Now - TimeSpan.FromMinutes(1), Now);

    private PlacementDecision Decide() => Decide(out _);

    private PlacementDecision Decide(out Instant wakeAt) => Placement.Decide(View(), out wakeAt).Single(decision => decision.Service == Web);

    private void Define(ServiceDefinition definition, Func<ServiceState, ServiceState>? change = null)
    {
        var service = new ServiceState(definition, null, null, ImmutableSortedDictionary<MachineId, FailureRecord>.Empty, false);
        _state = _state with { Services = _state.Services.SetItem(definition.Name, change?.Invoke(service) ?? service) };
    }

    private void Report(string machine, bool ready, string missing = "") =>
        _reports[new MachineId(machine)] = new MachineReport(2, false, [new ServiceReadiness(Web, true, ready, missing)], null);

    private void Propose(string machine, ServiceDefinition definition) => _reports[new MachineId(machine)] = new MachineReport(3, false, [], [definition]);
}
