using System.Collections.Immutable;
using Clustd.Core;
using Clustd.Core.Cluster;
using Clustd.Core.Raft;
using Clustd.Core.Running;
using Shouldly;
using Xunit;

namespace Clustd.Tests.Running;

/// <summary>What the leader is told of a machine: which services it could run, and a new version whenever that changes.</summary>
public sealed class ReadinessReportTests
{
    private static readonly ServiceName Web = new("web");
    private readonly List<DriverInstance> _instances = [];
    private readonly List<DriverInstance> _waiting = [];
    private ClusterState _state = ClusterState.Empty;

    [Theory] // Wrong program: takes the report of a daemon that has just started for an old one, because it counts from the beginning.
    [InlineData(1, 2, true)]
    [InlineData(2, 2, false)]
    [InlineData(3, 2, false)]
    [InlineData(1, (1L << 32) + 2, false)]
    [InlineData((5L << 32) + 1, (5L << 32) + 2, true)]
    public void A_version_is_older_only_than_a_later_one_of_the_same_incarnation(long version, long other, bool isOlder) =>
        ReadinessReport.IsOlder(version, other).ShouldBe(isOlder);

    [Theory] // Wrong program: versions of two incarnations meet, or are negative.
    [InlineData(7UL, (7L << 32) + 1)]
    [InlineData(ulong.MaxValue, (0x3FFF_FFFFL << 32) + 1)]
    public void The_first_version_tells_the_incarnation_and_is_positive(ulong incarnation, long version)
    {
        var report = NewReport([], incarnation);
        report.Current.Version.ShouldBe(version);
        report.Current.Leaving.ShouldBeFalse();
        report.Current.Services.ShouldBeEmpty();
    }

    // Wrong program: keeps from the leader that the machine leaves, wants no vote or stalls; or sends it all anew with every step.
    [Fact]
    public void A_new_version_is_made_when_any_of_it_changes_and_not_otherwise()
    {
        var report = NewReport([]);
        var versions = new List<(long, bool, bool, string?)>();
        foreach (var (leaving, wantsNoVote, stalled) in new[]
                 {
                     (false, false, null), (true, false, null), (true, false, null), (true, true, null), (true, true, "is slow"), (true, true, "is slow"), (true, true, "is very slow"), (false, true, "is very slow"),
                 })
        {
            report.Close(leaving, wantsNoVote, stalled);
            versions.Add((report.Current.Version - (7L << 32), report.Current.Leaving, report.Current.WantsNoVote, report.Current.Stalled));
        }

        versions.ShouldBe([
            (1, false, false, null), (2, true, false, null), (2, true, false, null), (3, true, true, null), (4, true, true, "is slow"), (4, true, true, "is slow"), (5, true, true, "is very slow"),
            (6, false, true, "is very slow"),
        ]);
    }

    [Fact] // Wrong program: does not say that its last driver has gone, or says again and again what has not changed.
    public void What_was_looked_at_is_news_only_when_it_is_different()
    {
        var report = NewReport([]);
        Look(report).IsNews.ShouldBeFalse("a service without a driver is none of this machine's");
        var app = Connect("app");
        Look(report).IsNews.ShouldBeTrue();
        Close(report).Services.ShouldBe([new ServiceReadiness(Web, true, true, "")]);
        report.IsNews.ShouldBeFalse();

        Look(report).IsNews.ShouldBeFalse();
        app.Answerable = false;
        Look(report).IsNews.ShouldBeTrue();
        Look(report).IsNews.ShouldBeTrue("it is news until it is told");
        var before = report.Current.Version;
        Close(report).Services.ShouldBeEmpty();
        report.Current.Version.ShouldBe(before + 1);
    }

    [Fact] // Wrong program: what is new of one service makes forget what is new of another.
    public void News_of_several_services_are_news()
    {
        var report = NewReport([]);
        var app = Connect("app");
        Close(Look(report)).Services.Length.ShouldBe(1);
        Connect("other", new ServiceName("bot"));
        app.Answerable = false;
        report.Look(new ServiceName("bot"), _state, _instances, _ => true);
        Look(report).IsNews.ShouldBeTrue();
        Close(report).Services.Single().Service.ShouldBe(new ServiceName("bot"));
    }

    // Wrong program: is ready without a driver that its file or the service names, or never with one that nobody names.
    [Theory]
    [InlineData("", "", "app", true, "")]
    [InlineData("app", "", "", false, "app")]
    [InlineData("app", "", "app", true, "")]
    [InlineData("app", "vip", "app", false, "vip")]
    [InlineData("app", "vip", "app vip", true, "")]
    [InlineData("vip app", "fence", "other", false, "app, fence, vip")]
    public void Ready_is_who_has_all_drivers_that_its_file_and_the_service_name(string listed, string defined, string connected, bool ready, string missing)
    {
        var report = NewReport(Words(listed));
        Define(Words(defined));
        foreach (var name in Words(connected))
        {
            Connect(name);
        }

        Close(Look(report)).Services.ShouldBe([new ServiceReadiness(Web, true, ready, missing)]);
    }

    [Fact] // Wrong program: a service that nobody can run here, because only its definition names a driver, is said to have one.
    public void A_driver_that_only_the_service_names_makes_no_driver_of_this_machine()
    {
        Define("vip");
        Close(Look(NewReport([]))).Services.ShouldBeEmpty();
    }

    [Fact] // Wrong program: chooses a machine whose only driver is second in line, serves another service, or has just failed to stop.
    public void Not_ready_is_whose_driver_waits_or_has_failed_to_stop()
    {
        var report = NewReport([]);
        Connect("other", new ServiceName("bot"));
        Close(Look(report)).Services.ShouldBeEmpty();

        var app = Connect("app");
        _waiting.Add(app);
        Close(Look(report)).Services.ShouldBe([new ServiceReadiness(Web, true, false, "")]);
        _waiting.Clear();
        Close(Look(report)).Services.Single().Ready.ShouldBeTrue();
        app.CallsOf(Web).StopFailed = true;
        Close(Look(report)).Services.Single().Ready.ShouldBeFalse();
    }

    private static string[] Words(string text) => text.Split(' ', StringSplitOptions.RemoveEmptyEntries);

    private static ReadinessReport NewReport(string[] listed, ulong incarnation = 7) => new(
        new MachineSettings { Self = new MachineId("cm-1"), Address = "a:1", Addresses = ["a:1"], Lease = TimeSpan.FromSeconds(1), Incarnation = incarnation, Seed = 1, WallClockSeconds = 1 },
        new ListedDrivers([.. listed.Select(name => new ListedDriver(new DriverName(name), Web))]));

    private static MachineReport Close(ReadinessReport report)
    {
        report.Close(leaving: false, wantsNoVote: false, stalled: null);
        return report.Current;
    }

    private ReadinessReport Look(ReadinessReport report)
    {
        report.Look(Web, _state, _instances, instance => !_waiting.Contains(instance));
        return report;
    }

    private void Define(params string[] drivers) => _state = ClusterState.Empty with
    {
        Services = ImmutableSortedDictionary<ServiceName, ServiceState>.Empty.Add(
            Web, new ServiceState(new ServiceDefinition { Name = Web, Drivers = [.. drivers.Select(name => new DriverName(name))] }, null, null, ImmutableSortedDictionary<MachineId, FailureRecord>.Empty, false)),
    };

    private DriverInstance Connect(string name, ServiceName? follows = null)
    {
        var instance = new DriverInstance(new DriverRegistration { Name = new DriverName(name), Instance = name + "-1", Services = [follows ?? Web], StopsForCertain = true }, 1)
        {
            Connection = new DriverConnection(1), Answerable = true,
        };
        _instances.Add(instance);
        return instance;
    }
}
