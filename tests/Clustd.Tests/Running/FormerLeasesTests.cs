using System.Collections.Immutable;
using Clustd.Core;
using Clustd.Core.Cluster;
using Clustd.Core.Raft;
using Clustd.Core.Running;
using Shouldly;
using Xunit;

namespace Clustd.Tests.Running;

/// <summary>What a daemon must believe of the one before it, by what its store tells (rules 14 to 16).</summary>
public class FormerLeasesTests
{
    private static readonly MachineId Self = new("cm-1"), Other = new("cm-2");
    private static readonly StoreId Store = new("store-1");
    private static readonly Term One = new(1);
    private static readonly TimeSpan Lease = TimeSpan.FromSeconds(1), Short = TimeSpan.FromSeconds(5), Long = TimeSpan.FromSeconds(20);
    private static readonly Instant Started = new(7_000_000);
    private static readonly ServiceName Web = new("web"), Bot = new("bot");

    // Two restarts one soon after the other: each names its drivers. Wrong program: the later grace hides the longer one, and a driver that still counts on it is taken for dead.
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void The_longest_of_several_graces_binds(bool longFirst)
    {
        RestartGrace longer = new(1, Long, [Driver("app")], 3), shorter = new(2, Short, [Driver("app"), Driver("mail")], 4);
        var former = new FormerLeases(Started, new SessionId(2), longFirst ? [longer, shorter] : [shorter, longer]);

        former.Longest.ShouldBe(Long);
        former.UntilOf(new DriverName("app"), "1", Lease).ShouldBe(Started + LeaseTiming.Stretch(Long));
        former.UntilOf(new DriverName("mail"), "1", Lease).ShouldBe(Started + LeaseTiming.Stretch(Short));
        former.UntilOf(new DriverName("mail"), "another process", Lease).ShouldBe(Started + LeaseTiming.Stretch(Lease), "it is named in none");
        former.UnheardUntil(Lease).ShouldBe(Started + LeaseTiming.Stretch(Long));
        former.SessionUntil(Lease).ShouldBe(Started + LeaseTiming.Stretch(Long));
        former.UntilOf(new DriverName("mail"), "1", TimeSpan.FromSeconds(60)).ShouldBe(Started + LeaseTiming.Stretch(TimeSpan.FromSeconds(60)), "a lease may be longer than any grace");

        former.Heard(new DriverName("app"), "1").ShouldBeTrue();
        former.Heard(new DriverName("app"), "1").ShouldBeFalse("it is no news twice");
        former.UnheardUntil(Lease).ShouldBe(Started + LeaseTiming.Stretch(Short), "only the other one is unheard");
        former.Heard(new DriverName("mail"), "1").ShouldBeTrue();
        former.UnheardUntil(Lease).ShouldBe(Started + LeaseTiming.Stretch(Lease));
    }

    // Wrong program: what is applied later, or of another session, ends a grace; or one that was ended, or displaced in the log, binds for all of its time (campaign 48).
    [Fact]
    public void What_is_applied_ends_a_grace_once_its_entry_is_behind_it()
    {
        RestartGrace first = new(1, Long, [Driver("app")], 3), second = new(2, Short, [Driver("mail")], 8);
        var former = new FormerLeases(Started, new SessionId(2), [first, second]);

        former.Applied(StateWith(appliedIndex: 2, session: 2), Self).ShouldBeFalse("its entry may still come");
        former.Applied(StateWith(appliedIndex: 9, session: 5), Self).ShouldBeFalse("it is another session");
        former.Applied(StateWith(appliedIndex: 7, session: 2, first), Self).ShouldBeFalse("it is open");
        former.Longest.ShouldBe(Long);

        former.Applied(StateWith(appliedIndex: 3, session: 2), Self).ShouldBeTrue("its entry is applied, and it is not there");
        former.Longest.ShouldBe(Short);
        former.IsNamed(new DriverName("app"), "1").ShouldBeFalse();
        former.UnheardUntil(Lease).ShouldBe(Started + LeaseTiming.Stretch(Short));
        former.Applied(StateWith(appliedIndex: 3, session: 2), Self).ShouldBeFalse("that is known");

        former.Applied(StateWith(appliedIndex: 8, session: 2), Self).ShouldBeTrue();
        former.Longest.ShouldBe(TimeSpan.Zero);
        former.Applied(StateWith(appliedIndex: 9, session: 2), Self).ShouldBeFalse("none is left");
    }

    // Wrong program: looks at the log alone, or at the snapshot alone, and forgets what stands in the other.
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Open_graces_are_found_in_the_snapshot_and_in_the_log_behind_it(bool startsFromSnapshot)
    {
        ImmutableArray<LogEntry> log =
        [
            new(1, One, Form()), new(2, One, new Command.OpenSession(Self, Store, Lease)),
            new(3, One, new Command.GrantGrace(new SessionId(2), 77, Long, [Driver("app")])), new(4, One, new Command.GrantGrace(new SessionId(2), 78, Short, [Driver("app")])),
            new(5, One, new Command.EndGrace(new SessionId(2), 77)), new(6, One, new Command.SetPause(true, "tested")),
        ];
        var stored = new StoredState(Store, HardState.Initial, log);
        if (startsFromSnapshot)
        {
            // The log still holds what the snapshot has: a crash between the two. Applied twice, the ended grace would be open again.
            stored = stored with { Snapshot = log.Take(5).Aggregate(ClusterState.Empty, StateMachine.Apply), Entries = log[5..] };
        }

        var (session, graces) = FormerLeases.GracesIn(stored, Self);
        session.ShouldBe(new SessionId(2));
        graces.Select(grace => grace.Id).ShouldBe([78]);

        FormerLeases.GracesIn(stored, Other).Graces.ShouldBeEmpty("another machine has none");
        FormerLeases.GracesIn(stored with { Store = new StoreId("wiped") }, Self).ShouldBe((SessionId.None, []), "a session of another store is not ours");
    }

    [Fact]
    public void Without_a_grace_in_the_store_there_is_no_session_to_wait_for() =>
        FormerLeases.GracesIn(new StoredState(Store, HardState.Initial, [new(1, One, Form()), new(2, One, new Command.OpenSession(Self, Store, Lease))]), Self).Session.ShouldBe(SessionId.None);

    // What a former daemon started is dead within the kill_timeout that it was granted, which the newest definition does not tell. Wrong program: takes the last one it reads, or looks at definitions only.
    [Fact]
    public void The_longest_kill_timeout_that_the_store_knows_of_counts()
    {
        static TimeSpan Seconds(double seconds) => TimeSpan.FromSeconds(seconds);
        ImmutableArray<LogEntry> log =
        [
            new(10, One, new Command.Assign(Web, Self, new SessionId(2), new Token(1), Seconds(3), "tested")),
            new(11, One, new Command.DefineServices([new() { Name = Web, KillTimeout = Seconds(2) }, new() { Name = Bot, KillTimeout = Seconds(6) }])),
            new(12, One, new Command.Assign(Web, Self, new SessionId(2), new Token(2), Seconds(1), "tested")),
            new(13, One, new Command.Assign(Bot, Self, new SessionId(2), new Token(3), Seconds(1), "tested")),
        ];
        TimeSpan Of(ServiceName service, ServiceState? inSnapshot, ImmutableArray<LogEntry> entries) => FormerLeases.KillTimeoutsIn(new StoredState(
            Store, HardState.Initial, entries, inSnapshot is null ? null : ClusterState.Empty with { Services = ImmutableSortedDictionary<ServiceName, ServiceState>.Empty.Add(service, inSnapshot) }))[service];
        ServiceState Known(double defined, double? assigned = null, double? vacated = null) => new(
            new ServiceDefinition { Name = Web, KillTimeout = Seconds(defined) },
            assigned is { } seconds ? new Assignment(Self, new SessionId(2), new Token(1), Seconds(seconds), AssignmentState.Running, null, "", 1) : null,
            vacated is { } left ? new Vacated(Self, new Token(1), Seconds(left), 1) : null, ImmutableSortedDictionary<MachineId, FailureRecord>.Empty, false);

        Of(Web, null, log).ShouldBe(Seconds(3), "granted once");
        Of(Bot, null, log).ShouldBe(Seconds(6), "defined once");
        Of(Web, Known(9), log).ShouldBe(Seconds(9));
        Of(Web, Known(1, assigned: 8), log).ShouldBe(Seconds(8));
        Of(Web, Known(1, vacated: 7), log).ShouldBe(Seconds(7));
        Of(Web, Known(4, assigned: 1, vacated: 2), []).ShouldBe(Seconds(4));
        Of(Web, Known(1), log).ShouldBe(Seconds(3));
    }

    private static Command.Form Form() => new(new ClusterId("c"), 1_700_000_000, Lease, [new Member(Self, Store, "a:1", false), new Member(Other, new StoreId("store-2"), "b:1", false)], FeatureLevels.Own);

    private static GraceDriver Driver(string name) => new(new DriverName(name), "1");

    private static ClusterState StateWith(long appliedIndex, long session, params RestartGrace[] graces) => ClusterState.Empty with
    {
        AppliedIndex = appliedIndex,
        Sessions = ImmutableSortedDictionary<SessionId, Session>.Empty.Add(new SessionId(session), new Session(new SessionId(session), Self, Store, Lease)
        {
            Graces = graces.ToImmutableSortedDictionary(grace => grace.Id, grace => grace),
        }),
    };
}
