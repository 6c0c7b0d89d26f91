using System.Diagnostics;
using Clustd.Core.Cluster;
using Shouldly;
using Xunit;

namespace Clustd.Tests.Running;

/// <summary>
/// A service that should have been looked at and was not: the check that the simulator and these benches rely on must find it. No input of a real cluster does that,
/// so here the cluster learns of fencing after it has defined a service by it.
/// </summary>
public sealed class OverlookedServicesTests
{
    [Theory] // Wrong program: checks in no step, only what was looked at anyway, or says nothing of what it finds.
    [InlineData(1)]
    [InlineData(3)] // a step of the bench looks three times
    public void The_check_finds_what_is_overlooked(int checksEvery)
    {
        var bench = Stuck(checksEvery);
        Should.Throw<UnreachableException>(() => LearnsOfFencing(bench)).Message.ShouldContain("'web' was overlooked");
    }

    [Theory] // Wrong program: checks in the daemon, too, or in every step although it is to check now and then: then it costs more than looking at everything.
    [InlineData(0)]
    [InlineData(1_000_000)]
    public void Without_the_check_nobody_notices(int checksEvery)
    {
        var bench = LearnsOfFencing(Stuck(checksEvery)).Pass(900);
        bench.Outputs.ShouldBeEmpty();
        bench.Wanted.Single().ShouldBeOfType<Command.ReportStuck>();
        bench.Leave().Release!.MayStillRun.ShouldBeTrue("whatever it is looked at for, it finds more to do");
    }

    private static ServicesBench Stuck(int checksEvery)
    {
        var bench = new ServicesBench(
            new ServiceDefinition { Name = ServicesBench.Web, FencesOnStopFailure = true, RequiresFencing = true }, listed: ["app"], level: FeatureLevels.Fencing - 1, checksEvery: checksEvery);
        bench.Hold(1).Standby("app", certain: false).Running(1001, "app").Hold(1000).Step();
        return bench.Fails("app", 1001).Answer("app", "no").Answer("app", "no");
    }

    private static ServicesBench LearnsOfFencing(ServicesBench bench) => bench.Change(state => state with { FeatureLevel = FeatureLevels.Fencing });
}
