using Clustd.Core;
using Clustd.Core.Cluster;
using Clustd.Core.Leading;
using Clustd.Core.Raft;
using Shouldly;
using Xunit;

namespace Clustd.Tests.Leading;

/// <summary>What runs already: when it moves by itself, and when it is left where it is.</summary>
public sealed partial class PlacementTests
{
    private static readonly MachineId One = new("cm-1"), Two = new("cm-2"), Three = new("cm-3");
    private static readonly TimeSpan Second = TimeSpan.FromSeconds(1), Moment = TimeSpan.FromMicroseconds(1);

    // Wrong program: moves in the very moment in which the service has changed its state, again and again; or wakes up too late, or never.
    [Theory]
    [InlineData("retired", 1)]
    [InlineData("drained", 1)]
    [InlineData("not allowed", 1)]
    [InlineData("no driver", 10)]
    [InlineData("failback", 10)]
    public void It_moves_when_it_has_settled_and_not_before(string why, int seconds)
    {
        Define(new ServiceDefinition { Name = Web, Machines = why == "not allowed" ? [Two] : [], Prefer = [Two], Failback = why == "failback" }, service => service with { Assignment = At("cm-1"), Retired = why == "retired" });
        if (why == "drained") _state = _state with { Drained = [One] };
        if (why == "no driver") Report("cm-2", ready: true);
        _applied[6] = Now - Second * seconds + Moment;

        Decide(out var wakeAt).Command.ShouldBeNull();
        wakeAt.ShouldBe(Now + Moment);

        _applied[6] = Now - Second * seconds;
        var move = Decide().Command.ShouldBeOfType<Command.RequestMove>();
        (move.Target, move.Token).ShouldBe((why == "retired" ? null : Two, new Token(9)));
    }

    [Fact] // Wrong program: leaves it on a drained machine for want of another one.
    public void What_must_leave_and_can_go_nowhere_stops()
    {
        Define(new ServiceDefinition { Name = Web, Machines = [One] }, service => service with { Assignment = At("cm-1") });
        _state = _state with { Drained = [One] };
        var decision = Decide();
        decision.Command.ShouldBeOfType<Command.RequestMove>().Target.ShouldBeNull();
        decision.Reason.ShouldContain("cm-1 is drained, and no other machine can run 'web': cm-2 is not among the machines that may run 'web'; cm-3 is not among");
    }

    [Theory] // Wrong program: a pause, or a stop that is under way or has failed, is no reason to keep one's hands off.
    [InlineData("paused")]
    [InlineData("stopping")]
    [InlineData("stuck")]
    public void It_is_left_alone(string why)
    {
        Define(new ServiceDefinition { Name = Web }, service => service with
        {
            Assignment = At("cm-1") with { State = why == "stopping" ? AssignmentState.Stopping : why == "stuck" ? AssignmentState.Stuck : AssignmentState.Running }, Retired = true,
        });
        _state = _state with { Drained = [One], Paused = why == "paused" };
        Decide().Command.ShouldBeNull();
    }

    [Theory] // Wrong program: flaps between two machines that are equally good, or goes to a worse one.
    [InlineData("cm-2 cm-1", "cm-1", "cm-2")]
    [InlineData("cm-1 cm-2", "cm-1", null)]
    [InlineData("cm-3", "cm-1", null)]
    [InlineData("cm-3 cm-2", "cm-2", null)]
    [InlineData("", "cm-2", null)]
    public void It_fails_back_to_a_machine_that_is_preferred_and_to_no_other(string prefer, string at, string? to)
    {
        Define(new ServiceDefinition { Name = Web, Prefer = [.. prefer.Split(' ', StringSplitOptions.RemoveEmptyEntries).Select(name => new MachineId(name))], Failback = true }, service => service with { Assignment = At(at) });
        _state = _state with { Drained = [Three] };
        (Decide().Command as Command.RequestMove)?.Target.ShouldBe(to is null ? null : new MachineId(to));
        (Decide().Command is null).ShouldBe(to is null);
    }

    [Fact] // Wrong program: as soon as a machine has no driver it is left, and where nobody has one the service goes round and round.
    public void Without_a_driver_it_moves_only_to_a_machine_that_has_one()
    {
        Define(new ServiceDefinition { Name = Web }, service => service with { Assignment = At("cm-1") });
        Decide().Command.ShouldBeNull("nobody has one");
        Report("cm-1", ready: true);
        Report("cm-2", ready: true);
        Decide().Command.ShouldBeNull("it has one");
        _reports.Remove(One);
        Decide().Command.ShouldBeNull("nobody knows");
        _reports[One] = new MachineReport(1, false, [], null);
        Report("cm-2", ready: false, missing: "app");
        Decide().Command.ShouldBeNull("that one is not ready");
    }

    // Wrong program: forgives what has only just come up, what failed elsewhere, or what never ran here.
    [Theory]
    [InlineData(AssignmentState.Running, 1, 600, true)]
    [InlineData(AssignmentState.Running, 1, 599, false)]
    [InlineData(AssignmentState.Starting, 1, 600, false)]
    [InlineData(AssignmentState.Running, 2, 600, false)]
    public void Failures_are_forgiven_where_it_has_run_for_ten_minutes(AssignmentState assignment, int failedAt, int seconds, bool forgives)
    {
        Define(new ServiceDefinition { Name = Web }, service => service with
        {
            Assignment = At("cm-1") with { State = assignment }, Failures = service.Failures.Add(new MachineId($"cm-{failedAt}"), new FailureRecord(1, 8, "x")),
        });
        _applied[6] = Now - Second * seconds;
        Decide(out var wakeAt).Command.ShouldBe(forgives ? new Command.ClearFailures(Web, One) : null);
        if (seconds == 599) wakeAt.ShouldBe(Now + Second);
    }

    [Theory] // Wrong program: waits for hours after a bad night; or not at all after many failures, because the doubling has overflowed.
    [InlineData(1, 10)]
    [InlineData(2, 20)]
    [InlineData(6, 320)]
    [InlineData(7, 600)]
    [InlineData(40, 600)]
    [InlineData(int.MaxValue, 600)]
    public void A_cool_down_doubles_up_to_ten_minutes(int failures, int seconds) => MachineChoice.CoolDown(failures).ShouldBe(Second * seconds);

    [Theory] // Wrong program: only the one that says so keeps away from the other.
    [InlineData(true)]
    [InlineData(false)]
    public void Apart_is_mutual_whoever_says_it(bool webSaysSo)
    {
        var bot = new ServiceName("bot");
        Define(new ServiceDefinition { Name = bot, ApartFrom = webSaysSo ? [] : [Web] }, service => service with { Assignment = At("cm-1") });
        Define(new ServiceDefinition { Name = Web, Prefer = [One, Two], ApartFrom = webSaysSo ? [bot] : [] });
        Define(new ServiceDefinition { Name = new ServiceName("third"), Prefer = [One] }, service => service with { Assignment = At("cm-2") });
        Decide().Command.ShouldBeOfType<Command.Assign>().Machine.ShouldBe(Two, "the third has nothing to do with it");
        Placement.CanRun(View(), Web, One).ShouldBe(new PlacementTarget(null, "cm-1 runs 'bot', which is to be apart from 'web'"));
        Placement.CanRun(View(), bot, One).Machine.ShouldBe(One, "it is not to be apart from itself");
    }

    [Fact] // Wrong program: a move that cannot be done as asked is not done at all, or the wish is kept from the reader.
    public void Where_the_machine_that_was_asked_for_cannot_it_goes_to_the_best_and_says_why()
    {
        Define(new ServiceDefinition { Name = Web }, service => service with { NextTarget = Three });
        _reports[Three] = new MachineReport(1, true, [], null);
        var decision = Decide();
        decision.Command.ShouldBeOfType<Command.Assign>().Machine.ShouldBe(One);
        decision.Reason.ShouldContain("cm-3 was asked for but is leaving; it runs the fewest services (0) of the 2 that can run it, first by name (cm-3 is leaving)");
        _reports[Three] = new MachineReport(1, false, [], null);
        Decide().Reason.ShouldBe("'web' goes to cm-3, because cm-3 was asked for.");
    }

    [Fact]
    public void Why_a_machine_cannot_run_it_is_said_in_one_sentence()
    {
        var witness = new MachineId("cm-4");
        Define(new ServiceDefinition { Name = Web, Drivers = [new DriverName("app")] });
        _state = _state with { Members = _state.Members.Add(witness, new Member(witness, StoreId.None, "cm-4:1", true)) };
        Placement.CanRun(View(), new ServiceName("nothing"), One).ShouldBe(new PlacementTarget(null, "'nothing' is not defined"));
        Placement.Target(View(), new ServiceName("nothing"), null).ShouldBe(new PlacementTarget(null, "'nothing' is not defined"));
        Placement.CanRun(View(), Web, new MachineId("cm-9")).Reason.ShouldBe("cm-9 is not a member");
        Placement.CanRun(View(), Web, witness).Reason.ShouldBe("cm-4 is a witness");
        Placement.CanRun(View(), Web, One).Reason.ShouldBe("cm-1 waits for its drivers (app)");
        Report("cm-1", ready: false);
        Placement.CanRun(View(), Web, One).Reason.ShouldBe("cm-1 has drivers that are not ready");
        Report("cm-1", ready: true);
        Placement.CanRun(View(), Web, One).ShouldBe(new PlacementTarget(One, "cm-1 can run 'web'"));
        Placement.Target(View(), Web, One).Reason.ShouldBe("cm-2 waits for its drivers (app); cm-3 waits for its drivers (app); cm-4 is a witness");
        _reports.Remove(One);
        Placement.CanRun(View(), Web, One).Reason.ShouldBe("cm-1 has not reported its drivers yet");
        _state = _state with { Members = _state.Members.Clear().Add(One, _state.Members[One]) };
        Placement.Target(View(), Web, One).Reason.ShouldBe("there is no other machine");
    }

    [Fact] // Wrong program: the token of a service that was never granted begins anew in an older epoch, or one below the last is given.
    public void A_new_token_is_above_the_last_and_above_the_epoch()
    {
        Define(new ServiceDefinition { Name = Web });
        foreach (var last in (long[])[1, Token.FirstOf(5).Value, Token.FirstOf(5).Value + 1, Token.FirstOf(9).Value])
        {
            _state = _state with { LastTokens = _state.LastTokens.SetItem(Web, new Token(last)) };
            Decide().Command.ShouldBeOfType<Command.Assign>().Token.Value.ShouldBe(Math.Max(last, Token.FirstOf(5).Value) + 1);
        }
    }
}
