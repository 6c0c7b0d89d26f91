using Clustd.Core;
using Clustd.Core.Cluster;
using Clustd.Core.Raft;
using Shouldly;
using Xunit;

namespace Clustd.Tests.Consensus;

/// <summary>Commands that come too late, twice, or for nothing: every replica must make the same nothing of them. And what an older version must not be given.</summary>
public class StateMachineRefusalTests
{
    private static readonly ServiceName Web = new("web"), Bot = new("bot");
    private static readonly MachineId One = new("cm-1"), Two = new("cm-2");
    private static readonly TimeSpan Second = TimeSpan.FromSeconds(1), Kill = TimeSpan.FromMilliseconds(500);
    private ClusterState _state = ClusterState.Empty;

    public StateMachineRefusalTests()
    {
        Apply(new Command.Form(new ClusterId("c"), 1_700_000_000, Second, [new Member(One, new StoreId("s1"), "a:1", false), new Member(Two, new StoreId("s2"), "b:1", false)], 2));
        Apply(new Command.OpenSession(One, new StoreId("s1"), Second));
        Apply(new Command.DefineServices([new ServiceDefinition { Name = Web }]));
    }

    private SessionId Session => _state.SessionOf(One)!.Id;

    // Wrong program: writes an event for each repetition, and the history that explains failovers is full of them; or falls back to a level whose commands it has already taken.
    [Fact]
    public void What_is_so_already_is_no_event()
    {
        ShouldChange(new Command.SetPause(true, "by an operator"));
        ShouldChangeNothing(new Command.SetPause(true, "again"));
        ShouldChange(new Command.SetPause(false, "by an operator"));
        ShouldChangeNothing(new Command.SetPause(false, "again"));
        ShouldChangeNothing(new Command.SetDrain(One, false, "it was not"));
        ShouldChange(new Command.SetDrain(One, true, "by an operator"));
        ShouldChangeNothing(new Command.SetDrain(One, true, "again"));
        ShouldChangeNothing(new Command.SetFeatureLevel(2));
        ShouldChangeNothing(new Command.SetFeatureLevel(1));
        ShouldChange(new Command.SetFeatureLevel(3));
    }

    [Fact] // Wrong program: a late word of a restart that is over ends another one, or opens one for a session that is gone.
    public void A_grace_is_opened_once_and_only_the_one_that_is_named_is_ended()
    {
        ShouldChange(new Command.GrantGrace(Session, 7, Second * 15, []));
        ShouldChangeNothing(new Command.GrantGrace(Session, 7, Second * 60, []));
        ShouldChangeNothing(new Command.GrantGrace(new SessionId(99), 8, Second * 15, []));
        ShouldChange(new Command.GrantGrace(Session, 8, Second * 5, []));
        ShouldChangeNothing(new Command.EndGrace(Session, 9));
        ShouldChangeNothing(new Command.EndGrace(new SessionId(99), 7));
        ShouldChange(new Command.EndGrace(Session, 7));
        ShouldChangeNothing(new Command.EndGrace(Session, 7));
        _state.SessionOf(One)!.Graces.Keys.ShouldBe([8]);
    }

    [Fact] // Wrong program: brings up what is no longer defined, or throws on every machine of the cluster at once.
    public void What_is_not_defined_any_more_is_not_assigned()
    {
        ShouldChangeNothing(new Command.Assign(Bot, One, Session, new Token(1), Kill, "tested"));
        ShouldChange(new Command.Assign(Web, One, Session, new Token(1), Kill, "tested"));
        ShouldChange(new Command.DefineServices([new ServiceDefinition { Name = Bot }]));
        _state.Services[Web].Retired.ShouldBeTrue("it may still run");
        ShouldChangeNothing(new Command.Assign(Web, One, Session, new Token(2), Kill, "tested"));
        ShouldChange(new Command.EndSession(Session, "silent"));
        Apply(new Command.OpenSession(One, new StoreId("s1"), Second));
        ShouldChangeNothing(new Command.Assign(Web, One, Session, new Token(2), Kill, "tested"));
    }

    [Theory] // Wrong program: forgets who is to be fenced when something else is defined anew; or goes on waiting where nobody requires it any more.
    [InlineData(true)]
    [InlineData(false)]
    public void Whoever_is_to_be_fenced_is_kept_as_long_as_fencing_is_required(bool stillRequired)
    {
        Apply(new Command.DefineServices([new ServiceDefinition { Name = Web, RequiresFencing = true }]));
        Apply(new Command.OpenSession(Two, new StoreId("s2"), Second));
        Apply(new Command.Assign(Web, One, Session, new Token(1), Kill, "tested"));
        Apply(new Command.EndSession(Session, "silent"));
        Apply(new Command.Assign(Web, Two, _state.SessionOf(Two)!.Id, new Token(2), Kill, "tested"));
        Apply(new Command.EndSession(_state.SessionOf(Two)!.Id, "silent"));
        _state.Services[Web].Unfenced.ShouldBe([One, Two], "both may still run it");
        Apply(new Command.DefineServices([new ServiceDefinition { Name = Web, RequiresFencing = stillRequired, Failback = true }]));
        (_state.Services[Web].Unfenced ?? []).ShouldBe(stillRequired ? [One, Two] : []);
    }

    // Wrong program: proposes what some member cannot read, and that member is out of step from then on without knowing.
    [Fact]
    public void What_came_with_fencing_needs_its_level()
    {
        ServiceDefinition plain = new() { Name = Web }, requires = plain with { RequiresFencing = true }, onFailure = plain with { FencesOnStopFailure = true };
        FeatureLevels.Of(new Command.DefineServices([plain])).ShouldBe(1);
        FeatureLevels.Of(new Command.DefineServices([plain, requires])).ShouldBe(FeatureLevels.Fencing);
        FeatureLevels.Of(new Command.DefineServices([onFailure, plain])).ShouldBe(FeatureLevels.Fencing);
        FeatureLevels.Of(new Command.Release(Web, new Token(1), "stopped", false)).ShouldBe(1);
        FeatureLevels.Of(new Command.Release(Web, new Token(1), "given up", false) { MayStillRun = true }).ShouldBe(FeatureLevels.Fencing);
        FeatureLevels.Of(new Command.ConfirmFenced(One, "off")).ShouldBe(FeatureLevels.Fencing);
    }

    [Theory] // Wrong program: looks at the log only, and an older binary works with a snapshot that it half understands.
    [InlineData(1, 1, false)]
    [InlineData(1, 2, true)]
    [InlineData(3, 2, false)]
    [InlineData(3, 3, true)]
    public void A_snapshot_needs_the_level_it_was_made_at_and_at_least_that_of_snapshots(int made, int own, bool mayStart) =>
        (FeatureLevels.WhyNotStart(One, new StoredState(new StoreId("s"), HardState.Initial, [], _state with { FeatureLevel = made }), own) is null).ShouldBe(mayStart);

    [Fact] // Wrong program: two proposals that differ in one key count as equal.
    public void Definitions_are_equal_by_all_they_say()
    {
        ServiceDefinition one = new() { Name = Web, Prefer = [One], Drivers = [new DriverName("app")] };
        one.Equals(new ServiceDefinition { Name = Web, Prefer = [One], Drivers = [new DriverName("app")] }).ShouldBeTrue();
        one.Equals(null).ShouldBeFalse();
        foreach (var other in (ServiceDefinition[])
        [
            one with { Name = Bot }, one with { StartTimeout = Second }, one with { StopTimeout = Second * 2 }, one with { KillTimeout = Second * 3 }, one with { Prefer = [Two] }, one with { Machines = [One] },
            one with { Drivers = [] }, one with { ApartFrom = [Bot] }, one with { Failback = true }, one with { OnStopFailure = OnStopFailure.Takeover }, one with { RequiresFencing = true }, one with { FencesOnStopFailure = true },
        ]) one.Equals(other).ShouldBeFalse();
    }

    [Fact] // Wrong program: two processes of one driver count as one, and the grace of the one is the other's.
    public void Processes_of_one_driver_are_told_apart()
    {
        GraceDriver first = new(new DriverName("app"), "1"), second = new(new DriverName("app"), "2"), other = new(new DriverName("bot"), "0");
        new SortedSet<GraceDriver>([other, second, first, second]).ShouldBe([first, second, other]);
    }

    private void ShouldChange(Command command)
    {
        var before = _state.Events.Count;
        Apply(command);
        _state.Events.Count.ShouldBeGreaterThan(before, $"{command}");
    }

    private void ShouldChangeNothing(Command command)
    {
        var before = _state;
        Apply(command);
        (_state with { AppliedIndex = before.AppliedIndex, AppliedTerm = before.AppliedTerm }).ShouldBe(before, $"{command}");
    }

    private void Apply(Command command) => _state = StateMachine.Apply(_state, new LogEntry(_state.AppliedIndex + 1, new Term(1), command));
}
