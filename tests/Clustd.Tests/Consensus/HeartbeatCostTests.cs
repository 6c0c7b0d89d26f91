using Clustd.Core;
using Clustd.Core.Cluster;
using Shouldly;
using Xunit;

namespace Clustd.Tests.Consensus;

/// <summary>What an idle heartbeat allocates, messages included: what is allocated is collected, in the middle of a lease.</summary>
public sealed class HeartbeatCostTests
{
    private const int Seconds = 10;
    private const int HeartbeatsPerSecond = 20;

    // Measured: some 5 kB on the leader, half of it the messages themselves. Twice that is a regression worth looking at.
    private const long BytesMax = 12_000;

    [Theory]
    [InlineData(1)]
    [InlineData(1000)]
    public void An_idle_heartbeat_allocates_next_to_nothing_however_many_services_there_are(int services)
    {
        var bench = new CoreBench(3, services: [.. Enumerable.Range(0, services).Select(number => new ServiceDefinition { Name = new ServiceName($"service-{number:0000}") })]);
        bench.RunUntil(
            () => bench.Running.All(core => core.State.Services.Count == services && core.State.Services.Values.All(service => service.Assignment is { State: AssignmentState.Running })),
            TimeSpan.FromSeconds(20));
        bench.RunFor(TimeSpan.FromSeconds(12)); // What has just settled may still move: this is over after 10 s.
        bench.Allocated.Clear();

        bench.RunFor(TimeSpan.FromSeconds(Seconds));

        foreach (var (machine, bytes) in bench.Allocated)
        {
            (bytes / (Seconds * HeartbeatsPerSecond)).ShouldBeLessThan(BytesMax, machine.ToString());
        }
    }
}
