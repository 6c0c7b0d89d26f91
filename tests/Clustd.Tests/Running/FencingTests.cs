using Clustd.Core;
using Clustd.Core.Cluster;
using Shouldly;
using Xunit;

namespace Clustd.Tests.Running;

/// <summary>A service that requires fencing starts here only when whoever may still run it is confirmed to be off.</summary>
public class FencingTests
{
    [Fact] // Wrong program: goes by `order`, and starts the app beside a machine that may still run it.
    public void Nothing_starts_before_the_fence_has_confirmed_whatever_the_order()
    {
        var bench = new LocalBench().Hold(1).Unfenced("cm-2");
        Standby(bench, "app", order: 0);
        var fence = Standby(bench, "fence", order: 100, fences: ["cm-2"]);

        bench.Assign(1001);
        bench.Triggers.Where(call => call.IsMaster).ShouldHaveSingleItem().TakesOverFrom.ShouldBe([new MachineId("cm-2")]);
        bench.Told.ShouldContain("2:start");
        bench.Answer(fence);
        bench.Told.ShouldContain("1:start");
    }

    [Fact] // Wrong program: is content with one of two.
    public void Every_machine_that_may_still_run_it_must_be_fenced()
    {
        var bench = new LocalBench().Hold(1).Unfenced("cm-2", "cm-3");
        Standby(bench, "app");
        var two = Standby(bench, "fence-2", fences: ["cm-2"]);
        var three = Standby(bench, "fence-3", fences: ["cm-3"]);

        bench.Assign(1001);
        bench.Answer(two);
        bench.Told.ShouldNotContain("1:start");
        bench.Answer(three);
        bench.Told.ShouldContain("1:start");
    }

    [Fact] // Wrong program: starts where nobody can fence, or waits there for ever although another machine could.
    public void Without_a_driver_that_fences_it_the_start_fails_and_says_so()
    {
        var bench = new LocalBench().Hold(60).Unfenced("cm-2");
        Standby(bench, "app");
        Standby(bench, "fence", fences: ["cm-3"]);

        bench.Assign(1001);
        bench.Local.View.Single().Reason.ShouldContain("waits for a driver that fences cm-2");
        bench.Pass(31);

        bench.Told.ShouldNotContain("1:start");
        bench.Outputs.OfType<Output.Noted>().ShouldContain(note => note.Kind == "service-failed" && note.Sentence.Contains("clustd machine confirm-off cm-2"));
    }

    [Fact] // Wrong program: a machine that comes back fences itself, or waits for that.
    public void What_was_lost_here_needs_no_fencing_here()
    {
        var bench = new LocalBench().Hold(1).Unfenced(LocalBench.Self.Value);
        Standby(bench, "app");
        bench.Assign(1001);
        bench.Told.ShouldContain("1:start");
        bench.Triggers.Single(call => call.IsMaster).TakesOverFrom.ShouldBeEmpty();
    }

    [Fact] // Wrong program: a failed fence is as good as a confirmed one.
    public void A_fence_that_fails_starts_nothing()
    {
        var bench = new LocalBench().Hold(1).Unfenced("cm-2");
        Standby(bench, "app");
        var fence = Standby(bench, "fence", fences: ["cm-2"]);
        bench.Assign(1001);

        bench.Answer(fence, "the power switch does not answer");

        bench.Told.ShouldNotContain("1:start");
        bench.Local.View.Single().Reason.ShouldContain("the power switch does not answer");
    }

    // A driver that has been told its state at once, as every newcomer is.
    private static DriverConnection Standby(LocalBench bench, string name, int order = 0, string[]? fences = null)
    {
        var connection = bench.Register(name, order, fences: fences);
        bench.Answer(connection);
        return connection;
    }
}
