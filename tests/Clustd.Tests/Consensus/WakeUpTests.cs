using Clustd.Core;
using Shouldly;
using Xunit;

namespace Clustd.Tests.Consensus;

public class WakeUpTests
{
    [Theory]
    [InlineData(1)]
    [InlineData(3)]
    public void An_idle_machine_wakes_up_for_heartbeats_and_for_nothing_else(int machines)
    {
        var bench = new CoreBench(machines);
        bench.RunFor(TimeSpan.FromSeconds(3));
        var before = bench.Ticks;

        bench.RunFor(TimeSpan.FromSeconds(10));

        // A leader wakes 20 times per lease. Followers are woken by messages; a deadline that is moved by them costs a wake-up now and then.
        (bench.Ticks - before).ShouldBeLessThan(10 * 30 * machines);
    }
}
