using Clustd.Simulation;
using Shouldly;
using Xunit;

namespace Clustd.Mutation;

/// <summary>A few seeds, in the place of the many that the simulator runs: what they catch need not be caught by a unit test as well.</summary>
public sealed class SeedTests
{
    [Theory]
    [InlineData(1UL)]
    [InlineData(2UL)]
    [InlineData(3UL)]
    public void A_seed_stays_clean(ulong seed) => Runner.Run(seed).Violation.ShouldBeNull();
}
